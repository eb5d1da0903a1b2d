/* Is it working?  And when nothing is there yet: what to do first. */
import { CheckOutlined, CloseCircleOutlined, CheckCircleOutlined, SyncOutlined, WarningOutlined } from '@ant-design/icons';
import { Button, Modal, Segmented } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router-dom';
import type { Schemas } from '../api/client';
import { useAllRoutes, useMay, useOverview } from '../api/queries';
import { Waves } from '../components/Brand';
import { BarChart } from '../components/BarChart';
import { LoadingRows } from '../components/List';
import { Card, Page } from '../components/Page';
import { ProblemAlert } from '../components/Problem';
import { UsageSnippet } from '../components/Snippet';
import { useFormats } from '../lib/format';

type Overview = Schemas['Overview'];
type Span = 'last_hour' | 'last_day';

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

function Top({ title, items, empty, testId }: { title: string; items: { name: string; requests: number; tokens: number }[]; empty: string; testId: string }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const most = Math.max(1, ...items.map((item) => item.requests));
  return (
    <Card title={title} flush testId={testId}>
      {items.length === 0 ? (
        <p className="muted" style={{ padding: '8px 20px 16px' }}>{empty}</p>
      ) : (
        <ul className="bars">
          {items.map((item) => (
            <li key={item.name}>
              <div className="bar-line">
                <span className="break">{item.name === '' ? t('overview.nobody') : item.name}</span>
                <span className="muted nowrap">
                  {t('overview.requestsTokens', { requests: formats.compact(item.requests), tokens: formats.compact(item.tokens) })}
                </span>
              </div>
              <div className="track" aria-hidden>
                <span style={{ width: `${(item.requests / most) * 100}%` }} />
              </div>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

export function OverviewPage() {
  const { t } = useTranslation();
  const formats = useFormats();
  const overview = useOverview(5_000);
  const [span, setSpan] = useState<Span>('last_hour');
  const data = overview.data;
  const figures = data?.[span];
  const tokens = figures ? figures.prompt_tokens + figures.completion_tokens : 0;
  return (
    <Page
      title={t('overview.title')}
      actions={
        <Segmented<Span>
          aria-label={t('overview.span')}
          value={span}
          onChange={setSpan}
          options={[
            { value: 'last_hour', label: <span data-testid="span-hour">{t('overview.hour')}</span> },
            { value: 'last_day', label: <span data-testid="span-day">{t('overview.day')}</span> },
          ]}
        />
      }
    >
      {overview.isError && <ProblemAlert error={overview.error} onRetry={() => void overview.refetch()} />}
      {overview.isPending && (
        <div className="card">
          <LoadingRows />
        </div>
      )}
      {data && figures && (
        <>
          <Hero overview={data} />
          {data.first_request_at === null && <Steps overview={data} />}
          <dl className="tiles">
            <Tile
              testId="tile-workers"
              label={t('overview.workers')}
              value={t('overview.ofTotal', { count: data.workers.connected, total: data.workers.total })}
              sub={t('overview.workersSub', { count: data.workers.current })}
            />
            <Tile testId="tile-revision" label={t('overview.revision')} value={formats.number(data.revision)} sub={t('overview.revisionSub')} />
            <Tile
              testId="tile-requests"
              label={t('overview.requests')}
              value={formats.compact(figures.requests)}
              sub={t(span === 'last_hour' ? 'overview.hour' : 'overview.day')}
            />
            <Tile
              testId="tile-tokens"
              label={t('overview.tokens')}
              value={formats.compact(tokens)}
              sub={t('overview.tokensSub', { prompt: formats.compact(figures.prompt_tokens), completion: formats.compact(figures.completion_tokens) })}
            />
            <Tile
              testId="tile-errors"
              label={t('overview.errors')}
              value={formats.compact(figures.errors)}
              sub={figures.requests > 0 ? t('overview.errorsSub', { share: formats.percent(figures.errors / figures.requests) }) : t('overview.errorsNone')}
            />
          </dl>
          <div className="stack gap-16">
            <Card title={t('overview.chart')} testId="overview-chart">
              <BarChart series={figures.series} label={t('overview.chartLabel', { requests: figures.requests, errors: figures.errors })} />
            </Card>
            <div className="cols">
              <Top
                testId="top-models"
                title={t('overview.topModels')}
                empty={t('overview.noRequests')}
                items={figures.top_models.map((item) => ({ name: item.model, requests: item.requests, tokens: item.prompt_tokens + item.completion_tokens }))}
              />
              <Top
                testId="top-consumers"
                title={t('overview.topConsumers')}
                empty={t('overview.noRequests')}
                items={figures.top_consumers.map((item) => ({ name: item.consumer, requests: item.requests, tokens: item.prompt_tokens + item.completion_tokens }))}
              />
            </div>
            <Card title={t('overview.classes')} testId="token-classes">
              <dl className="line gap-24">
                {(
                  [
                    ['prompt', figures.prompt_tokens],
                    ['cached', figures.cached_tokens],
                    ['completion', figures.completion_tokens],
                    ['reasoning', figures.reasoning_tokens],
                  ] as const
                ).map(([name, value]) => (
                  <div key={name}>
                    <dt className="muted">{t(`overview.class.${name}`)}</dt>
                    <dd style={{ fontSize: 18, fontWeight: 600 }}>{formats.number(value)}</dd>
                  </div>
                ))}
              </dl>
            </Card>
          </div>
        </>
      )}
    </Page>
  );
}
