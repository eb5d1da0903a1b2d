/* A form drawn from a field table of the catalogue: one item per field, bounds and defaults included. */
import { DeleteOutlined, PlusOutlined } from '@ant-design/icons';
import { Button, Form, Input, InputNumber } from 'antd';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import type { Schemas } from '../api/client';
import { FIELDS, OPTIONS } from '../i18n/fields';
import { useLocalText } from '../lib/format';
import { storedSecret } from '../lib/secret';
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
  const entry = (value: unknown) => (value !== null && typeof value === 'object' && !Array.isArray(value) ? withoutEmpty(value as Record<string, unknown>) : value);
  return Object.fromEntries(
    Object.entries(values ?? {})
      .filter(([, value]) => value !== undefined && value !== null && value !== '')
      .map(([name, value]) => [name, Array.isArray(value) ? value.map(entry) : value]),
  );
}

/** A new entry of a list of objects: what its inputs show before anybody touches them. */
function defaultsOf(fields: Field[]): Record<string, unknown> {
  return Object.fromEntries(fields.filter((field) => field.type === 'enum' || field.type === 'bool').map((field) => [field.name, field.default ?? undefined]));
}

/** "limit_by" and "limit-by" as a person would write it, when the catalogue has no label. */
export function spell(name: string): string {
  const words = name.replace(/[_-]+/g, ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A value by its name, and beside it the word by which explanations and JSON call it, where that is another. */
export function named(label: string, option: string): string {
  return !label || label === option.replace(/_/g, ' ') ? label || option : `${label} (${option})`;
}

type Path = (string | number)[];

interface TableProps {
  fields: Field[];
  /** Where the values stand in the form, such as ["options"] or ["plugins", "token-ratelimit"]. */
  at: Path;
  stored?: StoredSecrets;
  /** In a list of objects: where the list stands; `at` then begins behind it. */
  within?: Path;
}

export function FieldTable({ fields, at, stored, within = [] }: TableProps) {
  return (
    <>
      {fields.map((field) => {
        const item = <FieldItem key={field.name} field={field} path={[...at, field.name]} within={within} stored={stored?.[field.name]} />;
        const decider = field.when && fields.find((other) => other.name === field.when?.field);
        return decider && field.when ? (
          <When key={field.name} at={[...within, ...at, decider.name]} values={field.when.values} fallback={decider.default}>
            {item}
          </When>
        ) : (
          item
        );
      })}
    </>
  );
}

/** Its input is there only while another one has certain values. */
function When({ at, values, fallback, children }: { at: Path; values: string[]; fallback: unknown; children: ReactNode }) {
  const form = Form.useFormInstance();
  const now: unknown = Form.useWatch(at, form);
  return values.includes(String(now ?? fallback)) ? <>{children}</> : null;
}

function ObjectList({ field, path, within, label, help }: { field: Field; path: Path; within: Path; label: string; help: ReactNode }) {
  const { t } = useTranslation();
  const fields = field.fields ?? [];
  const testId = `field-${[...within, ...path].join('-')}`;
  return (
    <Form.Item label={label} extra={help} style={{ marginBottom: 18 }}>
      <Form.List name={path}>
        {(entries, { add, remove }) => (
          <div data-testid={testId}>
            {entries.map((entry, index) => (
              <div className="boxed" key={entry.key} data-testid={`${testId}-${index}`}>
                <div className="boxed-head">
                  <span className="grow">{t('form.entry', { label, number: index + 1 })}</span>
                  <Button
                    type="text"
                    size="small"
                    icon={<DeleteOutlined />}
                    aria-label={t('form.removeEntry', { number: index + 1 })}
                    data-testid={`${testId}-${index}-remove`}
                    onClick={() => remove(entry.name)}
                  />
                </div>
                <FieldTable fields={fields} at={[entry.name]} within={[...within, ...path]} />
              </div>
            ))}
            {entries.length < (field.max ?? Infinity) && (
              <Button size="small" type="dashed" icon={<PlusOutlined />} onClick={() => add(defaultsOf(fields))} data-testid={`${testId}-add`}>
                {t('form.addEntry')}
              </Button>
            )}
          </div>
        )}
      </Form.List>
    </Form.Item>
  );
}

function FieldItem({ field, path, within, stored }: { field: Field; path: Path; within: Path; stored?: Schemas['SecretInfo'] }) {
  const { t } = useTranslation();
  const local = useLocalText();
  const rules = useRules();
  const label = local(field.label ?? FIELDS[field.name]) || spell(field.name);
  const testId = `field-${[...within, ...path].join('-')}`;
  const inList = within.length > 0; // its default came with the entry
  const must = (field.required || field.when?.needed) && !stored ? [rules.required] : [];
  const help: ReactNode = local(field.doc) || undefined;
  const common = { name: path, label, extra: help } as const;
  switch (field.type) {
    case 'bool':
      return (
        <SwitchItem name={path} label={label} help={help} initialValue={inList ? undefined : (field.default ?? false)} testId={testId} />
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
        <Form.Item {...common} rules={must} initialValue={inList ? undefined : (field.default ?? undefined)}>
          <FormSelect
            style={{ maxWidth: 320 }}
            options={field.options.map((option) => ({ value: option, label: named(local(OPTIONS[option]), option) }))}
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
            placeholder={stored ? storedSecret(t, stored) : undefined}
            data-testid={testId}
          />
        </Form.Item>
      );
    case 'object_list':
      return <ObjectList field={field} path={path} within={within} label={label} help={help} />;
    case 'text_list':
    case 'network_list':
      return (
        <Form.Item {...common} rules={must}>
          <FormSelect mode="tags" open={false} suffixIcon={null} tokenSeparators={[',', ' ', '\n']} placeholder={t('form.listHint')} data-testid={testId} />
        </Form.Item>
      );
    default:
      return (
        <Form.Item {...common} rules={[...must, ...(field.max ? [{ max: field.max, message: t('form.tooLong', { max: field.max }) }] : [])]}>
          {(field.max ?? 0) > 1024 ? (
            /* such as certificates, whose lines count */
            <Input.TextArea className="mono" autoSize={{ minRows: 2, maxRows: 8 }} spellCheck={false} data-testid={testId} />
          ) : (
            <Input placeholder={field.default != null ? String(field.default) : undefined} data-testid={testId} />
          )}
        </Form.Item>
      );
  }
}
