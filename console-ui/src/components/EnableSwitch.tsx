/* The switch at the end of a list's line: takes an object out of service without deleting it. */
import { Switch } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useAction } from './Bits';

interface EnableProps {
  name: string;
  enabled: boolean;
  disabled?: boolean;
  onChange: (enabled: boolean) => Promise<unknown>;
  testId: string;
}

export function EnableSwitch({ name, enabled, disabled, onChange, testId }: EnableProps) {
  const { t } = useTranslation();
  const { run, busy } = useAction();
  const [wanted, setWanted] = useState<boolean | null>(null);
  return (
    <Switch
      checked={wanted ?? enabled}
      loading={busy}
      disabled={disabled}
      aria-label={t('common.enabledOf', { name })}
      data-testid={testId}
      onChange={async (next) => {
        setWanted(next);
        await run(() => onChange(next));
        setWanted(null);
      }}
    />
  );
}
