/* Series of the gateway as charts: what is asked of GET /metrics-series, and how its lines are shown. */
import { ReloadOutlined } from '@ant-design/icons';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { Button, Segmented, Switch } from 'antd';
import { createContext, useContext, useMemo, useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { api, need, type Schemas } from '../api/client';
import { useFormats, type Formats } from '../lib/format';
import { endsOf, SPANS, useSpan, type Span, type SpanName } from '../lib/span';
import { usePreferences } from '../lib/preferences';
import { Chart, type ChartLine } from './Chart';
import { Card } from './Page';
import { ProblemAlert } from './Problem';

export type Series = Schemas['MetricsSeries'];
export type Line = Schemas['MetricsLine'];
type Query = NonNullable<import('../api/schema.gen').operations['get_metrics_series']['parameters']['query']>;
export type Filter = Partial<Pick<Query, 'route' | 'provider' | 'model' | 'consumer' | 'node' | 'status' | 'code' | 'class'>>;
export type Metric = Query['metric'];

const REFRESH_MS = 10_000;

interface Frame {
  span: Span;
  live: boolean;
  zoom: (from: number, to: number) => void;
}
const FrameContext = createContext<Frame>({ span: { name: '1h', from: 0, to: 0 }, live: true, zoom: () => undefined });

/** Everything within shares one span of time: a picker at its head, zooming in any chart. */
export function SeriesFrame({ children, extra }: { children: ReactNode; extra?: ReactNode }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const { span, choose, zoom } = useSpan();
  const [live, setLive] = useState(true);
  const frame = useMemo(() => ({ span, live: live && span.name !== 'fixed', zoom }), [span, live, zoom]);
  const iso = (seconds: number) => new Date(seconds * 1000).toISOString();
  return (
    <FrameContext.Provider value={frame}>
      <div className="toolbar span-bar">
        <Segmented<SpanName | 'fixed'>
          aria-label={t('charts.span')}
          value={span.name}
          onChange={(name) => name !== 'fixed' && choose(name)}
          options={[
            ...(Object.keys(SPANS) as SpanName[]).map((name) => ({ value: name, label: <span data-testid={`span-${name}`}>{t(`charts.spans.${name}`)}</span> })),
            ...(span.name === 'fixed' ? [{ value: 'fixed' as const, label: `${formats.time(iso(span.from))} – ${formats.time(iso(span.to))}` }] : []),
          ]}
        />
        {span.name === 'fixed' ? (
          <Button onClick={() => choose('1h')} data-testid="span-reset">
            {t('charts.reset')}
          </Button>
        ) : (
          <label className="line gap-8">
            <Switch size="small" checked={live} onChange={setLive} data-testid="span-live" />
            {t('charts.live')}
          </label>
        )}
        {extra}
      </div>
      {children}
    </FrameContext.Provider>
  );
}

export function useSeries(metric: Metric, by: string, filter: Filter = {}, limit = 8) {
  const { span, live } = useContext(FrameContext);
  return useQuery({
    queryKey: ['series', metric, by, filter, limit, span.name, span.from, span.to],
    queryFn: () => {
      const { from, to } = endsOf(span);
      const iso = (seconds: number) => new Date(seconds * 1000).toISOString();
      return need(api.GET('/metrics-series', { params: { query: { metric, by, limit, from: iso(from), to: iso(to), ...filter } } }));
    },
    refetchInterval: live ? REFRESH_MS : false,
    placeholderData: keepPreviousData,
  });
}

/* ---- from an answer to lines ---- */

export function timesOf(series: Series): number[] {
  const from = Date.parse(series.from) / 1000;
  return Array.from({ length: series.items[0]?.values.length ?? 0 }, (_, i) => from + i * series.step_seconds);
}

/** Counts as rates by the second; a step that is not over yet would look like a fall, so it is left out. */
export function ratesOf(series: Series, line: Line, now = Date.now()): (number | null)[] {
  const from = Date.parse(series.from);
  const step = series.step_seconds * 1000;
  return line.values.map((value, i) => (from + (i + 1) * step > now - 2_000 ? null : (value ?? 0) / series.step_seconds));
}

export function nameOf(line: Line, nobody: string): string {
  const { node_name: node, node: id, ...labels } = line.labels;
  const parts = [...Object.values(labels), ...(node ? [node] : id ? [id.slice(0, 8)] : [])];
  return parts.map((part) => (part === null || part === '' || part === 'none' ? nobody : part)).join(' · ');
}

export function sumOf(series: Series | undefined): number {
  return (series?.items ?? []).reduce((sum, line) => sum + line.values.reduce<number>((all, value) => all + (value ?? 0), 0), 0);
}

/** Seconds as people read them: 12 ms, 1.4 s, 2 min. */
export function secondsText(value: number, formats: Formats): string {
  if (value < 0.0001) return value === 0 ? '0' : `${formats.number(Math.round(value * 1e6))} µs`;
  if (value < 0.01) return `${formats.number(Math.round(value * 10_000) / 10)} ms`;
  if (value < 1) return `${formats.number(Math.round(value * 1000))} ms`;
  if (value < 120) return `${formats.number(Math.round(value * 100) / 100)} s`;
  return `${formats.number(Math.round(value / 6) / 10)} min`;
}

export function bytesText(value: number, formats: Formats): string {
  return value < 1024 * 1024 ? `${formats.number(Math.round(value / 1024))} KiB` : `${formats.number(Math.round(value / 104857.6) / 10)} MiB`;
}

export function rateText(value: number, formats: Formats): string {
  return formats.compact(value < 10 ? Math.round(value * 100) / 100 : Math.round(value * 10) / 10);
}

/* ---- cards ---- */

interface CardProps {
  title: string;
  lead?: string;
  testId: string;
  metric: Metric;
  by?: string;
  filter?: Filter;
}

function useChartWords(title: string) {
  const { t } = useTranslation();
  return { label: t('charts.label', { title }), empty: t('charts.empty'), nobody: t('charts.nobody') };
}

function Shell({ title, lead, testId, query, children }: CardProps & { query: ReturnType<typeof useSeries>; children: (series: Series) => ReactNode }) {
  const { t } = useTranslation();
  return (
    <Card
      title={title}
      lead={lead}
      testId={testId}
      extra={
        query.isFetching && query.isPlaceholderData ? (
          <span className="faint" role="status">
            <ReloadOutlined spin aria-label={t('common.loading')} />
          </span>
        ) : undefined
      }
    >
      {query.isError && <ProblemAlert error={query.error} onRetry={() => void query.refetch()} />}
      {query.isPending && <p className="muted chart-empty">{t('common.loading')}</p>}
      {query.data && children(query.data)}
    </Card>
  );
}

/** Counts by the second; `amount` shows what each step amounts to instead (money). */
export function RateCard(props: CardProps & { unit: (value: number) => string; amount?: boolean; bad?: (line: Line) => boolean; name?: (line: Line) => string }) {
  const { zoom } = useContext(FrameContext);
  const words = useChartWords(props.title);
  const query = useSeries(props.metric, props.by ?? '', props.filter);
  const series = query.data;
  const times = useMemo(() => (series ? timesOf(series) : []), [series]);
  const lines = useMemo<ChartLine[]>(
    () =>
      (series?.items ?? []).map((line) => ({
        label: props.name?.(line) ?? (props.by ? nameOf(line, words.nobody) : props.title),
        values: props.amount ? line.values : series ? ratesOf(series, line) : [],
        tone: props.bad?.(line) ? 'bad' : undefined,
      })),
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [series, props.by, props.title, words.nobody],
  );
  return (
    <Shell {...props} query={query}>
      {() => <Chart times={times} lines={lines} format={props.unit} label={words.label} empty={words.empty} onZoom={zoom} testId={`${props.testId}-chart`} />}
    </Shell>
  );
}

/** Percentiles of a histogram. */
export function QuantileCard(props: CardProps) {
  const formats = useFormats();
  const { zoom } = useContext(FrameContext);
  const words = useChartWords(props.title);
  const query = useSeries(props.metric, '', props.filter, 1);
  const series = query.data;
  const times = useMemo(() => (series ? timesOf(series) : []), [series]);
  const lines = useMemo<ChartLine[]>(() => {
    const line = series?.items[0];
    if (!line) return [];
    return (['p50', 'p95', 'p99'] as const).map((name) => ({ label: name, values: line[name] ?? [] }));
  }, [series]);
  return (
    <Shell {...props} query={query}>
      {() => (
        <Chart times={times} lines={lines} format={(value) => secondsText(value, formats)} label={words.label} empty={words.empty} onZoom={zoom} testId={`${props.testId}-chart`} />
      )}
    </Shell>
  );
}

export function GaugeCard(props: CardProps & { unit: (value: number) => string }) {
  const { zoom } = useContext(FrameContext);
  const words = useChartWords(props.title);
  const query = useSeries(props.metric, props.by ?? '', props.filter);
  const series = query.data;
  const times = useMemo(() => (series ? timesOf(series) : []), [series]);
  const lines = useMemo<ChartLine[]>(
    () => (series?.items ?? []).map((line) => ({ label: props.by ? nameOf(line, words.nobody) : props.title, values: line.values })),
    [series, props.by, props.title, words.nobody],
  );
  return (
    <Shell {...props} query={query}>
      {() => <Chart times={times} lines={lines} format={props.unit} label={words.label} empty={words.empty} onZoom={zoom} testId={`${props.testId}-chart`} />}
    </Shell>
  );
}

/** Who has the most: bars with the exact totals of the span. */
export function TopCard(props: CardProps & { link?: (name: string) => string | null; limit?: number; skip?: (line: Line) => boolean }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const words = useChartWords(props.title);
  const query = useSeries(props.metric, props.by ?? '', props.filter, props.limit ?? 6);
  return (
    <Shell {...props} query={query}>
      {(series) => {
        const items = series.items.filter((line) => !props.skip?.(line));
        const most = Math.max(1, ...items.map((line) => line.total));
        if (items.length === 0) return <p className="muted">{words.empty}</p>;
        return (
          <ul className="bars flat">
            {items.map((line) => {
              const name = nameOf(line, words.nobody);
              const to = props.link?.(name);
              return (
                <li key={JSON.stringify(line.labels)}>
                  <div className="bar-line">
                    <span className="break">{to ? <a href={to}>{name}</a> : name}</span>
                    <span className="muted nowrap" data-testid={`${props.testId}-${name}`}>
                      {formats.number(line.total)}
                    </span>
                  </div>
                  <div className="track" aria-hidden>
                    <span style={{ width: `${(line.total / most) * 100}%` }} />
                  </div>
                </li>
              );
            })}
            {series.total > series.items.length && <li className="faint">{t('charts.more', { count: series.total - series.items.length })}</li>}
          </ul>
        );
      }}
    </Shell>
  );
}

/** Requests, errors, time, tokens and money of whatever the filter looks at. */
export function TrafficCharts({ filter, by }: { filter: Filter; by?: string }) {
  const { t } = useTranslation();
  const { language } = usePreferences();
  const formats = useFormats();
  const rate = (value: number) => t('charts.perSecond', { value: rateText(value, formats) });
  return (
    <div className="chart-grid">
      <RateCard testId="chart-requests" title={t('charts.requests')} metric="requests" by={by ?? 'status'} filter={filter} unit={rate}
        bad={(line) => line.labels.status === '5xx'} />
      <RateCard testId="chart-errors" title={t('charts.errors')} lead={t('charts.errorsLead')} metric="errors" filter={filter} unit={rate} bad={() => true} />
      <QuantileCard testId="chart-duration" title={t('charts.duration')} metric="duration" filter={filter} />
      <QuantileCard testId="chart-first-token" title={t('charts.firstToken')} metric="first_token" filter={filter} />
      <RateCard testId="chart-tokens" title={t('charts.tokens')} metric="tokens" by="class" filter={filter} unit={rate}
        name={(line) => t(`overview.class.${line.labels.class as 'prompt'}`)} />
      <RateCard testId="chart-cost" title={t('charts.cost')} lead={t('charts.costLead')} metric="cost" by="currency" filter={filter} amount
        unit={(value) => new Intl.NumberFormat(language, { maximumSignificantDigits: 3 }).format(value / 1_000_000)} />
    </div>
  );
}
