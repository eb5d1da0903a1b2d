/* Inputs that Ant Design does not have: maps of text, durations, names. */
import { DeleteOutlined, PlusOutlined } from '@ant-design/icons';
import { Button, Form, Input } from 'antd';
import type { Rule } from 'antd/es/form';
import { useEffect, useRef, useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { DURATION_PATTERN, durationMs, durationText } from '../lib/duration';

export const NAME_PATTERN = /^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/;

export function useRules() {
  const { t } = useTranslation();
  return {
    name: [
      { required: true, message: t('form.required') },
      { pattern: NAME_PATTERN, message: t('form.nameRule') },
    ] as Rule[],
    required: { required: true, message: t('form.required') } as Rule,
    url: { pattern: /^https?:\/\/[^\s?#]+$/, message: t('form.urlRule') } as Rule,
    duration(min?: number | null, max?: number | null): Rule {
      return {
        validator: async (_rule, value: unknown) => {
          if (value === undefined || value === null || value === '') return;
          const ms = durationMs(String(value));
          if (ms === undefined || !DURATION_PATTERN.test(String(value).trim())) throw new Error(t('form.durationRule'));
          if (min != null && ms < min) throw new Error(t('form.atLeast', { value: durationText(min) }));
          if (max != null && ms > max) throw new Error(t('form.atMost', { value: durationText(max) }));
        },
      };
    },
  };
}

/** "30s": empty means the default, which is shown in grey. */
export function DurationItem(props: {
  name: (string | number)[];
  label: ReactNode;
  help?: ReactNode;
  placeholder?: string;
  min?: number | null;
  max?: number | null;
  required?: boolean;
  testId?: string;
}) {
  const rules = useRules();
  return (
    <Form.Item
      name={props.name}
      label={props.label}
      extra={props.help}
      rules={[rules.duration(props.min, props.max), ...(props.required ? [rules.required] : [])]}
      validateFirst
    >
      <Input placeholder={props.placeholder ?? '30s'} style={{ maxWidth: 180 }} data-testid={props.testId} inputMode="text" />
    </Form.Item>
  );
}

type Pair = { key: string; value: string };

function toPairs(value: Record<string, string> | undefined): Pair[] {
  return Object.entries(value ?? {}).map(([key, text]) => ({ key, value: text }));
}

function toMap(pairs: Pair[]): Record<string, string> {
  return Object.fromEntries(pairs.filter((pair) => pair.key.trim() !== '').map((pair) => [pair.key.trim(), pair.value]));
}

interface PairsProps {
  value?: Record<string, string>;
  onChange?: (value: Record<string, string>) => void;
  keyLabel: string;
  valueLabel: string;
  addText: string;
  keyPlaceholder?: string;
  valuePlaceholder?: string;
  testId?: string;
}

/** An object of text members as lines of two inputs. */
export function PairsInput(props: PairsProps) {
  const { t } = useTranslation();
  const [pairs, setPairs] = useState<Pair[]>(() => toPairs(props.value));
  const sent = useRef(JSON.stringify(props.value ?? {}));
  useEffect(() => {
    /* A value from outside (loaded, reset) replaces the lines; our own echo does not. */
    const incoming = JSON.stringify(props.value ?? {});
    if (incoming !== sent.current) {
      sent.current = incoming;
      setPairs(toPairs(props.value));
    }
  }, [props.value]);
  const update = (next: Pair[]) => {
    setPairs(next);
    const map = toMap(next);
    sent.current = JSON.stringify(map);
    props.onChange?.(map);
  };
  const change = (index: number, part: Partial<Pair>) => update(pairs.map((pair, i) => (i === index ? { ...pair, ...part } : pair)));
  return (
    <div className="stack gap-8" data-testid={props.testId}>
      {pairs.map((pair, i) => (
        <div key={i} className="line-item">
          <Input
            className="mono"
            aria-label={`${props.keyLabel} ${i + 1}`}
            placeholder={props.keyPlaceholder ?? props.keyLabel}
            value={pair.key}
            onChange={(event) => change(i, { key: event.target.value })}
          />
          <Input
            className="mono"
            aria-label={`${props.valueLabel} ${i + 1}`}
            placeholder={props.valuePlaceholder ?? props.valueLabel}
            value={pair.value}
            onChange={(event) => change(i, { value: event.target.value })}
          />
          <Button
            type="text"
            icon={<DeleteOutlined />}
            aria-label={t('common.removeLine', { number: i + 1 })}
            onClick={() => update(pairs.filter((_, k) => k !== i))}
          />
        </div>
      ))}
      <div>
        <Button
          size="small"
          type="dashed"
          icon={<PlusOutlined />}
          onClick={() => setPairs([...pairs, { key: '', value: '' }])}
          data-testid={props.testId ? `${props.testId}-add` : undefined}
        >
          {props.addText}
        </Button>
      </div>
    </div>
  );
}
