/* A form drawn from a field table of the catalogue: one item per field, bounds and defaults included. */
import { Form, Input, InputNumber } from 'antd';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import type { Schemas } from '../api/client';
import { useLocalText } from '../lib/format';
import { durationText } from '../lib/duration';
import { DurationItem, useRules } from './inputs';
import { SwitchItem } from './SwitchItem';
import { FormSelect } from './FormSelect';

export type Field = Schemas['Field'];
export type StoredSecrets = Record<string, Schemas['SecretInfo']>;

/** Reading gives masked secrets; a form must not send them back.  Parts them from what can be edited. */
export function partSecrets(fields: Field[], values: Record<string, unknown> | undefined): { plain: Record<string, unknown>; stored: StoredSecrets } {
  const plain: Record<string, unknown> = {};
  const stored: StoredSecrets = {};
  const secret = new Set(fields.filter((field) => field.type === 'secret').map((field) => field.name));
  for (const [name, value] of Object.entries(values ?? {})) {
    if (secret.has(name) && typeof value === 'object' && value !== null) stored[name] = value as Schemas['SecretInfo'];
    else plain[name] = value;
  }
  return { plain, stored };
}

/** What is sent: empty inputs are left out, so that they take their default or keep the stored secret. */
export function withoutEmpty(values: Record<string, unknown> | undefined): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values ?? {}).filter(([, value]) => value !== undefined && value !== null && value !== ''),
  );
}

/** "limit_by" and "limit-by" as a person would write it, when the catalogue has no label. */
export function spell(name: string): string {
  const words = name.replace(/[_-]+/g, ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

interface TableProps {
  fields: Field[];
  /** Where the values stand in the form, such as ["options"] or ["plugins", "token-ratelimit"]. */
  at: (string | number)[];
  stored?: StoredSecrets;
}

export function FieldTable({ fields, at, stored }: TableProps) {
  return (
    <>
      {fields.map((field) => (
        <FieldItem key={field.name} field={field} path={[...at, field.name]} stored={stored?.[field.name]} />
      ))}
    </>
  );
}

function FieldItem({ field, path, stored }: { field: Field; path: (string | number)[]; stored?: Schemas['SecretInfo'] }) {
  const { t } = useTranslation();
  const local = useLocalText();
  const rules = useRules();
  const label = field.label ? local(field.label) : spell(field.name);
  const testId = `field-${path.join('-')}`;
  const must = field.required && !stored ? [rules.required] : [];
  const help: ReactNode = local(field.doc) || undefined;
  const common = { name: path, label, extra: help } as const;
  switch (field.type) {
    case 'bool':
      return (
        <SwitchItem name={path} label={label} help={help} initialValue={field.default ?? false} testId={testId} />
      );
    case 'int':
      return (
        <Form.Item {...common} rules={must}>
          <InputNumber
            min={field.min ?? undefined}
            max={field.max ?? undefined}
            precision={0}
            placeholder={field.default != null ? String(field.default) : undefined}
            style={{ width: 180 }}
            data-testid={testId}
          />
        </Form.Item>
      );
    case 'duration':
      return (
        <DurationItem
          name={path}
          label={label}
          help={help}
          placeholder={field.default != null ? String(field.default) : field.min != null ? durationText(field.min) : undefined}
          min={field.min}
          max={field.max}
          required={field.required}
          testId={testId}
        />
      );
    case 'enum':
      return (
        <Form.Item {...common} rules={must} initialValue={field.default ?? undefined}>
          <FormSelect
            style={{ maxWidth: 320 }}
            options={field.options.map((option) => ({ value: option, label: option }))}
            allowClear={!field.required}
            data-testid={testId}
          />
        </Form.Item>
      );
    case 'secret':
      return (
        <Form.Item {...common} rules={must}>
          <Input.Password
            autoComplete="new-password"
            placeholder={stored ? t('form.secretStored', { last4: stored.last4 }) : undefined}
            data-testid={testId}
          />
        </Form.Item>
      );
    case 'text_list':
      return (
        <Form.Item {...common} rules={must}>
          <FormSelect mode="tags" open={false} suffixIcon={null} tokenSeparators={[',', ' ', '\n']} placeholder={t('form.listHint')} data-testid={testId} />
        </Form.Item>
      );
    default:
      return (
        <Form.Item {...common} rules={[...must, ...(field.max ? [{ max: field.max, message: t('form.tooLong', { max: field.max }) }] : [])]}>
          <Input placeholder={field.default != null ? String(field.default) : undefined} data-testid={testId} />
        </Form.Item>
      );
  }
}
