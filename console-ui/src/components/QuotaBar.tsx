/* What is left of a quota, as a bar with its words. */
import { Progress } from 'antd';
import { useTranslation } from 'react-i18next';
import type { Schemas } from '../api/client';
import { moneyText } from '../lib/money';
import { useFormats } from '../lib/format';
import { usePreferences } from '../lib/preferences';
import { Ago } from './Bits';

type Quota = Schemas['Quota'];

export function useAmount(): (quota: Pick<Quota, 'unit' | 'currency'>, amount: number) => string {
  const { t } = useTranslation();
  const { language } = usePreferences();
  return (quota, amount) =>
    quota.unit === 'money' ? moneyText(amount, quota.currency ?? '', language) : t(`quotas.amount.${quota.unit}`, { count: amount, n: new Intl.NumberFormat(language).format(amount) });
}

export function QuotaBar({ quota }: { quota: Quota }) {
  const { t } = useTranslation();
  const amount = useAmount();
  useFormats();
  const { used, granted, left, state, until } = quota.balance;
  const percent = granted > 0 ? Math.min(100, Math.round((used * 100) / granted)) : 100;
  return (
    <div className="stack gap-4" data-testid={`quota-bar-${quota.name}`}>
      <Progress
        percent={percent}
        showInfo={false}
        status={state === 'exhausted' ? 'exception' : 'normal'}
        strokeColor={state === 'warning' ? 'var(--warn)' : undefined}
        aria-label={t('quotas.barLabel', { name: quota.name })}
      />
      <div className="line gap-8" style={{ flexWrap: 'wrap', justifyContent: 'space-between' }}>
        <span>{t('quotas.usedOf', { used: amount(quota, used), granted: amount(quota, granted) })}</span>
        <span className="muted">
          {t('quotas.left', { left: amount(quota, left) })}
          {until && (
            <>
              {' · '}
              {t('quotas.renews')} <Ago at={until} />
            </>
          )}
        </span>
      </div>
    </div>
  );
}
