/* How much of its limits an object has used, live. */
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { api, need, type Schemas } from '../api/client';
import { durationText } from '../lib/duration';
import { Ago, State } from './Bits';
import { Card } from './Page';
import { ProblemAlert } from './Problem';

const REFRESH_MS = 2_000;

type Kind = 'consumers' | 'groups' | 'routes';

async function ask(kind: Kind, name: string): Promise<Schemas['LimitStates']> {
  const where = { params: { path: { name } } };
  if (kind === 'consumers') return need(api.GET('/consumers/{name}/limits', where));
  if (kind === 'groups') return need(api.GET('/groups/{name}/limits', where));
  return need(api.GET('/routes/{name}/limits', where));
}

/** One bar: `used` of `limit`, with words on both sides. Also for what is no limit of the workers, such as a budget. */
export function UsageBar(props: { title: React.ReactNode; figures: React.ReactNode; used: number; limit: number; below?: React.ReactNode; testId?: string }) {
  const share = props.limit > 0 ? Math.min(1, props.used / props.limit) : 1;
  const color = share >= 1 ? 'var(--bad)' : share >= 0.8 ? 'var(--warn)' : undefined;
  return (
    <li data-testid={props.testId}>
      <div className="bar-line">
        <span>{props.title}</span>
        <span className="num">{props.figures}</span>
      </div>
      <div className="track" role="meter" aria-valuemin={0} aria-valuemax={props.limit} aria-valuenow={props.used}>
        <span style={{ width: `${share * 100}%`, background: color }} />
      </div>
      {props.below}
    </li>
  );
}

export function LimitBars({ kind, name }: { kind: Kind; name: string }) {
  const { t, i18n } = useTranslation();
  const limits = useQuery({ queryKey: ['limits', kind, name], queryFn: () => ask(kind, name), refetchInterval: REFRESH_MS });
  const number = (value: number) => value.toLocaleString(i18n.language);
  const items = limits.data?.items ?? [];
  return (
    <Card title={t('limits.title')} lead={t('limits.lead')} testId="limits">
      <ProblemAlert error={limits.error} onRetry={() => void limits.refetch()} />
      {limits.data && items.length === 0 && <p className="muted">{limits.data.workers === 0 ? t('limits.noWorker') : t('limits.none')}</p>}
      <ul className="bars flat" aria-label={t('limits.title')}>
        {items.map((item) => (
          <UsageBar
            key={[item.plugin, item.owner_scope, item.owner, item.scope, item.who, item.label, item.window_ms].join('/')}
            testId={`limit-${item.plugin}`}
            used={item.used}
            limit={item.limit}
            title={
              <>
                {t(`limits.unit.${item.unit}`, { defaultValue: item.unit })}
                {item.label && item.label !== 'total' ? ` (${t(`limits.label.${item.label}`, { defaultValue: item.label })})` : ''}
                {item.window_ms > 0 ? ` / ${durationText(item.window_ms)}` : ''}
                <span className="muted">
                  {' · '}
                  {item.scope === 'all' ? t('limits.all') : `${t(`limits.scope.${item.scope}`, { defaultValue: item.scope })} ${item.who}`}
                  {item.owner && item.owner !== item.who ? ` · ${t(`limits.scope.${item.owner_scope}`, { defaultValue: item.owner_scope })} ${item.owner}` : ''}
                </span>
              </>
            }
            figures={`${number(item.used)} / ${number(item.limit)}`}
            below={
              item.refusals > 0 ? (
                <div data-testid="limit-hit" style={{ marginTop: 4 }}>
                  <State level="bad">{t('limits.hit', { count: item.refusals })}</State> <Ago at={item.refused_at} />
                </div>
              ) : undefined
            }
          />
        ))}
      </ul>
    </Card>
  );
}
