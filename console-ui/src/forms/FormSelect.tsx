/*
 * Select for use inside a form item.  The item hands aria attributes of a field to its child, which puts them on a
 * plain box; there they are not allowed, and the input inside says the same.
 */
import { Select, type SelectProps } from 'antd';

interface FromItem {
  'aria-required'?: unknown;
  'aria-invalid'?: unknown;
  'aria-describedby'?: unknown;
}

export function FormSelect<V = unknown>({ 'aria-required': _required, 'aria-invalid': _invalid, 'aria-describedby': _described, ...props }: SelectProps<V> & FromItem) {
  return <Select<V> {...(props as SelectProps<V>)} />;
}
