/* A yes or no of a form, with its words beside it instead of above. */
import { Form, Switch } from 'antd';
import type { ReactNode } from 'react';

interface SwitchProps {
  name: string | (string | number)[];
  label: ReactNode;
  help?: ReactNode;
  initialValue?: unknown;
  testId: string;
}

export function SwitchItem({ name, label, help, initialValue, testId }: SwitchProps) {
  return (
    <label className="switch-line">
      <Form.Item name={name} valuePropName="checked" initialValue={initialValue} noStyle>
        <Switch data-testid={testId} />
      </Form.Item>
      <span className="words">
        {label}
        {help && <span className="help">{help}</span>}
      </span>
    </label>
  );
}
