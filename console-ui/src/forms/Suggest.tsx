/*
 * Free text with suggestions.  The field inside is a plain one: Ant Design's own is of type "search", which browsers
 * empty on Escape, and Escape is what one presses to put the suggestions away.
 */
import { AutoComplete, Input } from 'antd';

interface SuggestProps {
  id?: string;
  value?: string;
  onChange?: (value: string) => void;
  options: string[];
  placeholder?: string;
  label?: string;
  testId: string;
}

export function Suggest({ id, value, onChange, options, placeholder, label, testId }: SuggestProps) {
  return (
    <AutoComplete
      id={id}
      value={value}
      onChange={onChange}
      options={options.map((option) => ({ value: option }))}
      /* Once something is chosen, all of them are offered again. */
      filterOption={(text, option) => options.includes(text) || (option?.value ?? '').toLowerCase().includes(text.toLowerCase())}
      style={{ width: '100%' }}
      data-testid={testId}
    >
      <Input type="text" placeholder={placeholder} aria-label={label} autoComplete="off" spellCheck={false} />
    </AutoComplete>
  );
}
