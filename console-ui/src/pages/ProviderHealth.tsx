/* How the workers see a provider's keys and servers, live: state, time until they are back, last error, requests, connections. */
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Button } from 'antd';
import { useTranslation } from 'react-i18next';
import { api, need, type Schemas } from '../api/client';
import { useMay } from '../api/queries';
import { Ago, State, useAction } from '../components/Bits';
import { LoadingRows } from '../components/List';
import { ProblemAlert } from '../components/Problem';
import { durationText } from '../lib/duration';
import { EndpointLive, useSecondsUntil } from './EndpointLive';

type Health = Schemas['ProviderHealth'];
type HealthState = Health['keys'][number]['state'];
type Clear = Schemas['HealthClear'];

export const HEALTH_LEVEL: Record<HealthState, 'ok' | 'warn' | 'bad' | 'idle'> = {
  unknown: 'idle',
  healthy: 'ok',
  cooling: 'warn',
  half_open: 'warn',
  bad: 'bad',
  open: 'bad',
};

const REFRESH_MS = 3_000;

/** "back in 27s", counted down between two answers of the server. */
function Countdown({ until }: { until: string }) {
  const { t } = useTranslation();
  const seconds = useSecondsUntil(until);
  return <span className="faint nowrap">{seconds > 0 ? t('health.backIn', { time: durationText(seconds * 1000) }) : t('health.backNow')}</span>;
}

interface Entry {
  id: string;
  title: string;
  state: HealthState;
  cooldown_until: string | null;
  last_error: string | null;
  last_error_at: string | null;
  in_flight: number;
  clear: Clear;
  endpoint?: Health['endpoints'][number];
}

function entriesOf(health: Health, keyTitle: (name: string) => string): Entry[] {
  return [
    ...health.keys.map(({ name, ...rest }) => ({ ...rest, id: `key ${name}`, title: keyTitle(name), clear: { key: name } })),
    ...health.endpoints.map((endpoint) => ({ ...endpoint, id: endpoint.url, title: endpoint.url, clear: { endpoint: endpoint.url }, endpoint })),
  ];
}

function Row({ entry, onClear, busy }: { entry: Entry; onClear?: (what: Clear) => void; busy: boolean }) {
  const { t } = useTranslation();
  const sick = entry.state !== 'healthy' && entry.state !== 'unknown';
  return (
    <li className="line gap-8" data-testid={`health-${entry.id}`} data-state={entry.state}>
      <span className="grow break">{entry.title}</span>
      {entry.in_flight > 0 && <span className="faint nowrap">{t('health.inFlight', { count: entry.in_flight })}</span>}
      {entry.cooldown_until && <Countdown until={entry.cooldown_until} />}
      <State level={HEALTH_LEVEL[entry.state]}>{t(`health.state.${entry.state}`)}</State>
      {sick && onClear && (
        <Button size="small" loading={busy} onClick={() => onClear(entry.clear)} aria-label={t('health.clearOf', { name: entry.title })} data-testid={`health-clear-${entry.id}`}>
          {t('health.clear')}
        </Button>
      )}
      {entry.last_error && (
        <span className="faint break" style={{ flexBasis: '100%' }}>
          {entry.last_error} {entry.last_error_at && <Ago at={entry.last_error_at} />}
        </span>
      )}
      {entry.endpoint && <EndpointLive endpoint={entry.endpoint} />}
    </li>
  );
}

export function ProviderHealth({ name }: { name: string }) {
  const { t } = useTranslation();
  const may = useMay('operator');
  const queries = useQueryClient();
  const { run, busy } = useAction();
  const health = useQuery({
    queryKey: ['health', name],
    queryFn: () => need(api.GET('/providers/{name}/health', { params: { path: { name } } })),
    refetchInterval: REFRESH_MS,
  });
  if (health.isPending) return <LoadingRows rows={1} />;
  if (health.isError) return <ProblemAlert error={health.error} onRetry={() => void health.refetch()} />;
  const entries = entriesOf(health.data, (key) => t('health.key', { name: key }));
  if (entries.length === 0) return <p className="muted">{t('health.none')}</p>;
  const clear = (body: Clear) =>
    void run(async () => {
      const after = await need(api.POST('/providers/{name}/health/clear', { params: { path: { name } }, body }));
      queries.setQueryData(['health', name], after);
    });
  return (
    <ul className="stack gap-12" data-testid="provider-health">
      {entries.map((entry) => (
        <Row key={entry.id} entry={entry} onClear={may ? clear : undefined} busy={busy} />
      ))}
    </ul>
  );
}
