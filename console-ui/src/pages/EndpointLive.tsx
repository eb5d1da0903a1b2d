/* What the workers have of one server now: connections, requests that wait for one, its addresses. */
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Schemas } from '../api/client';
import { Ago, State } from '../components/Bits';
import { Fold } from '../components/Fold';
import { durationText } from '../lib/duration';

type Endpoint = Schemas['EndpointHealth'];
type Worker = Schemas['EndpointWorker'];
type Address = Worker['addresses'][number];
/** A server's figures of one worker, or of all together. */
type Live = Pick<Worker, 'pool' | 'queue' | 'addresses' | 'addresses_left_out' | 'resolved_at' | 'expires_at' | 'ttl_ms' | 'lookup_error'>;

const ADDRESS_LEVEL: Record<Address['state'], 'ok' | 'warn' | 'bad' | 'idle'> = {
  in_use: 'ok',
  spare: 'idle',
  failing: 'warn',
  blocked: 'bad',
  former: 'idle',
};

/** Seconds until then, counted down between two answers of the server; 0: it is over. */
export function useSecondsUntil(until: string): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return Math.max(0, Math.ceil((new Date(until).getTime() - now) / 1000));
}

function Pool({ pool }: { pool: Live['pool'] }) {
  const { t } = useTranslation();
  const full = pool.limit !== null && pool.connections >= pool.limit;
  return (
    <li data-testid="live-pool" data-connections={pool.connections} data-busy={pool.busy}>
      <State level={full ? 'warn' : pool.connections > 0 ? 'ok' : 'idle'}>
        {pool.limit === null ? t('live.connections', { count: pool.connections }) : t('live.connectionsOf', { count: pool.connections, limit: pool.limit })}
      </State>
      {pool.connections > 0 && (
        <span className="faint">
          {' '}
          {t('live.busyIdle', { busy: pool.busy, idle: pool.idle })}
          {pool.connecting > 0 && t('live.connecting', { count: pool.connecting })}
        </span>
      )}
    </li>
  );
}

function Queue({ queue }: { queue: Live['queue'] }) {
  const { t } = useTranslation();
  const level = queue.waiting === 0 ? 'idle' : queue.waiting >= queue.limit ? 'bad' : 'warn';
  return (
    <li data-testid="live-queue" data-waiting={queue.waiting}>
      <State level={level}>{t('live.waiting', { count: queue.waiting })}</State>
      {queue.timeout_ms !== null && <span className="faint"> {t('live.queueLimit', { limit: queue.limit, time: durationText(queue.timeout_ms) })}</span>}
    </li>
  );
}

function AddressRow({ address }: { address: Address }) {
  const { t } = useTranslation();
  return (
    <li className="line gap-8" data-testid={`address-${address.address}`} data-state={address.state}>
      <span className="mono break">{address.address}</span>
      <span className="faint nowrap">{address.family === 'ipv6' ? 'IPv6' : 'IPv4'}</span>
      <State level={ADDRESS_LEVEL[address.state]}>{t(`live.address.${address.state}`)}</State>
      {address.connections > 0 && <span className="faint nowrap">{t('live.connections', { count: address.connections })}</span>}
      {address.last_error && (
        <span className="faint break">
          {address.last_error} <Ago at={address.last_error_at} />
        </span>
      )}
    </li>
  );
}

function NextLookup({ at }: { at: string }) {
  const { t } = useTranslation();
  const seconds = useSecondsUntil(at);
  return <>{seconds > 0 ? t('live.againIn', { time: durationText(seconds * 1000) }) : t('live.againNext')}</>;
}

function Lookup({ live }: { live: Live }) {
  const { t } = useTranslation();
  if (!live.resolved_at && !live.lookup_error) return null;
  return (
    <p className="faint" data-testid="live-lookup">
      {live.resolved_at && (
        <>
          {t('live.lookedUp')} <Ago at={live.resolved_at} />
          {live.expires_at && (
            <>
              {t('live.comma')}
              <NextLookup at={live.expires_at} />
            </>
          )}
          {live.ttl_ms !== null && ` ${t('live.ttl', { time: durationText(live.ttl_ms) })}`}
        </>
      )}
      {live.lookup_error && <span className="break"> {t('live.lookupFailed', { text: live.lookup_error })}</span>}
    </p>
  );
}

function Figures({ live }: { live: Live }) {
  const { t } = useTranslation();
  return (
    <div className="stack gap-4">
      <ul className="line gap-live">
        <Pool pool={live.pool} />
        <Queue queue={live.queue} />
      </ul>
      {live.addresses.length > 0 && (
        <ul className="stack gap-4">
          {live.addresses.map((address) => (
            <AddressRow key={address.address} address={address} />
          ))}
        </ul>
      )}
      {live.addresses_left_out > 0 && <p className="faint">{t('live.leftOut', { count: live.addresses_left_out })}</p>}
      <Lookup live={live} />
    </div>
  );
}

export function EndpointLive({ endpoint }: { endpoint: Endpoint }) {
  const { t } = useTranslation();
  if (endpoint.workers.length === 0) return null;
  return (
    <div className="live stack gap-8" data-testid={`live-${endpoint.url}`}>
      <Figures live={endpoint} />
      {endpoint.workers.length > 1 && (
        <Fold title={t('live.byWorker')} testId="live-workers">
          <ul className="stack gap-12">
            {endpoint.workers.map((worker) => (
              <li key={worker.id} data-testid={`live-worker-${worker.name}`}>
                <strong className="break">{worker.name}</strong>
                <Figures live={worker} />
              </li>
            ))}
          </ul>
          {endpoint.workers_left_out > 0 && <p className="faint">{t('live.workersLeftOut', { count: endpoint.workers_left_out })}</p>}
        </Fold>
      )}
    </div>
  );
}
