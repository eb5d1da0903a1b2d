/* Is it working?  And when nothing is there yet: what to do first. */
import { CheckOutlined, CloseCircleOutlined, CheckCircleOutlined, SyncOutlined, WarningOutlined } from '@ant-design/icons';
import { Button, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router-dom';
import type { Schemas } from '../api/client';
import { useAllRoutes, useMay, useOverview } from '../api/queries';
import { Waves } from '../components/Brand';
import { LoadingRows } from '../components/List';
import { Card, Page } from '../components/Page';
import { ProblemAlert } from '../components/Problem';
import { GaugeCard, QuantileCard, RateCard, rateText, secondsText, SeriesFrame, sumOf, TopCard, TrafficCharts, useSeries } from '../components/Series';
import { UsageSnippet } from '../components/Snippet';
import { useFormats } from '../lib/format';
import { costsText } from '../lib/money';
import { usePreferences } from '../lib/preferences';

type Overview = Schemas['Overview'];

type Verdict = 'empty' | 'down' | 'behind' | 'quiet' | 'errors' | 'fine';

export function verdictOf(overview: Overview): Verdict {
  const { workers, counts, last_hour: hour } = overview;
  if (workers.connected === 0) return 'down';
  if (workers.current < workers.connected) return 'behind';
  if (counts.providers === 0 || counts.routes === 0 || counts.consumer_keys === 0) return 'empty';
  if (hour.requests >= 10 && hour.errors / hour.requests > 0.2) return 'errors';
  return hour.requests === 0 ? 'quiet' : 'fine';
}

const LOOK: Record<Verdict, { tone: string; icon: JSX.Element }> = {
  fine: { tone: 'ok', icon: <CheckCircleOutlined /> },
  quiet: { tone: 'ok', icon: <CheckCircleOutlined /> },
  empty: { tone: 'ok', icon: <CheckCircleOutlined /> },
  behind: { tone: 'warn', icon: <SyncOutlined /> },
  errors: { tone: 'warn', icon: <WarningOutlined /> },
  down: { tone: 'bad', icon: <CloseCircleOutlined /> },
};

function Hero({ overview }: { overview: Overview }) {
  const { t } = useTranslation();
  const verdict = verdictOf(overview);
  const look = LOOK[verdict];
  return (
    <section className={`card hero ${look.tone}`} data-testid="overview-state" data-state={verdict} role="status">
      <span className="orb" aria-hidden>
        {look.icon}
      </span>
      <div>
        <h2>{t(`overview.verdict.${verdict}`)}</h2>
        <p>{t(`overview.verdictText.${verdict}`, { count: overview.workers.connected, revision: overview.revision })}</p>
      </div>
      <Waves className="waves" />
    </section>
  );
}

function Tile({ label, value, sub, testId }: { label: string; value: string; sub: string; testId: string }) {
  return (
    <div className="card tile">
      <dt>{label}</dt>
      <dd data-testid={testId}>{value}</dd>
      <dd className="sub" style={{ fontSize: 12.5, fontWeight: 400, letterSpacing: 0 }}>
        {sub}
      </dd>
    </div>
  );
}

function Steps({ overview }: { overview: Overview }) {
  const { t } = useTranslation();
  const may = useMay('operator');
  const routes = useAllRoutes();
  const [call, setCall] = useState(false);
  const route = routes.data?.find((entry) => entry.enabled !== false);
  const steps = [
    { id: 'provider', done: overview.counts.providers > 0, to: '/providers/new' },
    { id: 'route', done: overview.counts.routes > 0, to: '/routes/new' },
    { id: 'consumer', done: overview.counts.consumer_keys > 0, to: '/consumers?new=1' },
    { id: 'call', done: overview.first_request_at !== null, to: null },
  ] as const;
  const next = steps.find((step) => !step.done)?.id;
  return (
    <div style={{ marginBottom: 16 }}>
      <Card title={t('steps.title')} lead={t('steps.lead')} flush testId="first-steps">
        <ol className="steps">
          {steps.map((step, i) => (
            <li key={step.id} className={step.done ? 'done' : step.id === next ? 'next' : ''} data-testid={`step-${step.id}`} data-done={step.done}>
              <span className="num" aria-hidden>
                {step.done ? <CheckOutlined /> : i + 1}
              </span>
              <div className="grow">
                <h3>
                  {t(`steps.${step.id}`)}
                  {step.done && <span className="visually-hidden"> {t('steps.done')}</span>}
                </h3>
                {!step.done && <p>{t(`steps.${step.id}Text`)}</p>}
              </div>
              {!step.done && may && (
                step.to ? (
                  <Link to={step.to} data-testid={`step-${step.id}-go`}>
                    <Button type={step.id === next ? 'primary' : 'default'} tabIndex={-1}>
                      {t(`steps.${step.id}Go`)}
                    </Button>
                  </Link>
                ) : (
                  <Button type={step.id === next ? 'primary' : 'default'} onClick={() => setCall(true)} data-testid="step-call-go">
                    {t('steps.callGo')}
                  </Button>
                )
              )}
            </li>
          ))}
        </ol>
      </Card>
      <Modal open={call} onCancel={() => setCall(false)} footer={null} width={720} title={t('steps.call')} destroyOnHidden>
        <UsageSnippet route={route} />
      </Modal>
    </div>
  );
}

/* The figures of the span, exact: sums of what the workers counted. */
function Tiles({ overview }: { overview: Overview }) {
  const { t } = useTranslation();
  const { language } = usePreferences();
  const formats = useFormats();
  const requests = useSeries('requests', '');
  const errors = useSeries('errors', '');
  const duration = useSeries('duration', '');
  const first = useSeries('first_token', '');
  const tokens = useSeries('tokens', 'class');
  const cost = useSeries('cost', 'currency');
  const flight = useSeries('in_flight', '');
  const count = sumOf(requests.data);
  const failed = sumOf(errors.data);
  const ofClass = (name: string) => tokens.data?.items.find((line) => line.labels.class === name)?.total ?? 0;
  const time = (summary: { p50?: number | null; p95?: number | null } | undefined, key: 'p50' | 'p95') => {
    const value = summary?.[key];
    return value === null || value === undefined ? '–' : secondsText(value, formats);
  };
  const now = [...(flight.data?.items[0]?.values ?? [])].reverse().find((value) => value !== null) ?? 0;
  return (
    <dl className="tiles">
      <Tile testId="tile-requests" label={t('overview.requests')} value={formats.number(count)} sub={t('overview.inFlight', { count: Math.round(now) })} />
      <Tile
        testId="tile-errors"
        label={t('overview.errors')}
        value={formats.number(failed)}
        sub={count > 0 ? t('overview.errorsSub', { share: formats.percent(failed / count) }) : t('overview.errorsNone')}
      />
      <Tile
        testId="tile-duration"
        label={t('overview.duration')}
        value={time(duration.data?.items[0]?.summary, 'p95')}
        sub={t('overview.median', { value: time(duration.data?.items[0]?.summary, 'p50') })}
      />
      <Tile
        testId="tile-first-token"
        label={t('overview.firstToken')}
        value={time(first.data?.items[0]?.summary, 'p95')}
        sub={t('overview.median', { value: time(first.data?.items[0]?.summary, 'p50') })}
      />
      <Tile
        testId="tile-tokens"
        label={t('overview.tokens')}
        value={formats.compact(ofClass('prompt') + ofClass('completion'))}
        sub={t('overview.tokensSub', { prompt: formats.compact(ofClass('prompt')), completion: formats.compact(ofClass('completion')) })}
      />
      <Tile
        testId="tile-cost"
        label={t('overview.cost')}
        value={costsText(cost.data?.items.map((line) => ({ currency: line.labels.currency ?? '', cost: line.total })), language)}
        sub={t('overview.costSub')}
      />
      <Tile
        testId="tile-workers"
        label={t('overview.workers')}
        value={t('overview.ofTotal', { count: overview.workers.connected, total: overview.workers.total })}
        sub={t('overview.revisionOf', { revision: overview.revision })}
      />
    </dl>
  );
}

function Figures({ overview }: { overview: Overview }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const to = (kind: string) => (name: string) => (/^[a-z0-9][a-z0-9.-]*$/.test(name) && name !== 'other' && name !== 'none' ? `/${kind}/${name}` : null);
  const rate = (value: number) => t('charts.perSecond', { value: rateText(value, formats) });
  return (
    <div className="stack gap-16">
      <Tiles overview={overview} />
      <TrafficCharts filter={{}} />
      <div className="chart-grid">
        <TopCard testId="top-consumers" title={t('overview.topConsumers')} metric="requests" by="consumer" link={to('consumers')} />
        <TopCard testId="top-models" title={t('overview.topModels')} metric="requests" by="model" skip={(line) => line.labels.model === 'none'} />
        <TopCard testId="top-providers" title={t('overview.topProviders')} metric="requests" by="provider" link={to('providers')} skip={(line) => line.labels.provider === 'none'} />
        <TopCard testId="top-routes" title={t('overview.topRoutes')} metric="requests" by="route" link={to('routes')} skip={(line) => line.labels.route === 'none'} />
        <TopCard testId="top-limited" title={t('overview.topLimited')} lead={t('overview.topLimitedLead')} metric="limited" by="consumer,code" />
        <TopCard testId="top-refused" title={t('overview.topRefused')} lead={t('overview.topRefusedLead')} metric="refused" by="code" />
      </div>
      <div className="chart-grid">
        <GaugeCard testId="chart-in-flight" title={t('charts.inFlight')} metric="in_flight" by="node" unit={(value) => formats.number(Math.round(value * 100) / 100)} />
        <RateCard testId="chart-attempts" title={t('charts.attempts')} lead={t('charts.attemptsLead')} metric="attempts" by="provider,result" unit={rate}
          bad={(line) => line.labels.result !== 'ok'} />
        <QuantileCard testId="chart-overhead" title={t('charts.overhead')} lead={t('charts.overheadLead')} metric="overhead" />
        <RateCard testId="chart-fallbacks" title={t('charts.fallbacks')} lead={t('charts.fallbacksLead')} metric="fallbacks" by="provider" unit={rate} />
      </div>
    </div>
  );
}

export function OverviewPage() {
  const { t } = useTranslation();
  const overview = useOverview(5_000);
  const data = overview.data;
  return (
    <Page title={t('overview.title')}>
      {overview.isError && <ProblemAlert error={overview.error} onRetry={() => void overview.refetch()} />}
      {overview.isPending && (
        <div className="card">
          <LoadingRows />
        </div>
      )}
      {data && (
        <>
          <Hero overview={data} />
          {data.first_request_at === null && <Steps overview={data} />}
          <SeriesFrame>
            <Figures overview={data} />
          </SeriesFrame>
        </>
      )}
    </Page>
  );
}
