/* The request log: filters that stand in the address, newest first, live when wanted, tables to take away. */
import { DownloadOutlined } from '@ant-design/icons';
import { Button, Dropdown, Input, Select, Switch } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router-dom';
import { api, need, type Schemas } from '../api/client';
import { useAllConsumers, useAllProviders, useAllRoutes, usePaged } from '../api/queries';
import { Ago, State } from '../components/Bits';
import { Empty, List, Row, useDebounced } from '../components/List';
import { Page } from '../components/Page';
import { useFormats } from '../lib/format';

type RequestRow = Schemas['RequestRow'];

export const END_REASONS = ['complete', 'client_closed', 'upstream_error', 'timeout', 'blocked', 'rejected'] as const;
const STATUSES = ['2xx', '4xx', '5xx', '401', '403', '404', '429', '500', '502', '503', '504'];
const SPANS = { '15m': 15 * 60, '1h': 3600, '24h': 86400, '7d': 7 * 86400 } as const;
type SpanName = keyof typeof SPANS;
const TEXTS = ['model', 'request_id', 'error_code', 'key_id', 'trace_id', 'client_ip', 'min_duration'] as const;
const CHOICES = ['consumer', 'route', 'provider', 'status', 'end_reason'] as const;
const ALL = [...CHOICES, ...TEXTS] as const;
export type Filters = Partial<Record<(typeof ALL)[number], string>>;

export function levelOf(row: Pick<RequestRow, 'status' | 'end_reason'>): 'ok' | 'warn' | 'bad' {
  if (row.status >= 500 || row.end_reason === 'upstream_error' || row.end_reason === 'timeout') return 'bad';
  return row.status >= 400 || row.end_reason !== 'complete' ? 'warn' : 'ok';
}

/** A limit of the route's own refused it, but a fallback target answered: what a plugin refused for good never ends well. */
export function fellBack(row: Pick<RequestRow, 'refused_by' | 'end_reason'>): boolean {
  return row.refused_by !== null && (row.end_reason === 'complete' || row.end_reason === 'client_closed');
}

/** What the address asks for. Unknown words are left out, so an old link still works. */
export function filtersOf(params: URLSearchParams): { filters: Filters; span: SpanName | undefined } {
  const filters: Filters = {};
  for (const name of ALL) {
    const value = params.get(name);
    if (value) filters[name] = value;
  }
  if (filters.end_reason && !(END_REASONS as readonly string[]).includes(filters.end_reason)) delete filters.end_reason;
  if (filters.min_duration && !/^[0-9]{1,9}(ms|s|m|h)$/.test(filters.min_duration)) delete filters.min_duration;
  const span = params.get('span');
  return { filters, span: span && span in SPANS ? (span as SpanName) : undefined };
}

function from(span: SpanName | undefined): string | undefined {
  return span ? new Date(Date.now() - SPANS[span] * 1000).toISOString() : undefined;
}

export function RequestsPage() {
  const { t } = useTranslation();
  const formats = useFormats();
  const [params, setParams] = useSearchParams();
  const { filters, span } = filtersOf(params);
  const live = params.get('live') === '1';
  const more = TEXTS.filter((name) => name !== 'model');
  const [open, setOpen] = useState(more.some((name) => filters[name]));
  const consumers = useAllConsumers();
  const routes = useAllRoutes();
  const providers = useAllProviders();
  const set = (name: string, value: string | undefined) =>
    setParams(
      (old) => {
        const next = new URLSearchParams(old);
        if (value) next.set(name, value);
        else next.delete(name);
        return next;
      },
      { replace: true },
    );
  const query = usePaged<RequestRow>(
    ['requests', 'list', JSON.stringify(filters), span ?? ''],
    async (cursor) => {
      const asked = { ...(filters as object), from: from(span), cursor, limit: 50 };
      const page = (await need(api.GET('/requests', { params: { query: asked } }))) as Schemas['RequestList'];
      return { ...page, total: page.items.length };
    },
    { refetchInterval: live ? 2000 : undefined },
  );
  const table = (format: 'csv' | 'ndjson') => {
    const asked = new URLSearchParams({ ...(filters as Record<string, string>), format });
    const since = from(span);
    if (since) asked.set('from', since);
    return `/api/v1/requests?${asked.toString()}`;
  };
  const names = (list: { name: string }[] | undefined) => (list ?? []).map(({ name }) => ({ value: name, label: name }));
  const choices = { consumer: names(consumers.data), route: names(routes.data), provider: names(providers.data) };
  return (
    <Page
      title={t('requests.title')}
      lead={t('requests.lead')}
      actions={
        <>
          <label className="line gap-8">
            <Switch checked={live} onChange={(on) => set('live', on ? '1' : undefined)} aria-label={t('requests.live')} data-testid="requests-live" />
            <span>{t('requests.live')}</span>
          </label>
          <Dropdown
            trigger={['click']}
            menu={{
              items: (['csv', 'ndjson'] as const).map((format) => ({
                key: format,
                label: (
                  <a href={table(format)} download data-testid={`export-${format}`}>
                    {t(`requests.export.${format}`)}
                  </a>
                ),
              })),
            }}
          >
            <Button icon={<DownloadOutlined />} data-testid="requests-export">
              {t('requests.export.title')}
            </Button>
          </Dropdown>
        </>
      }
    >
      <div className="toolbar filters" role="search" aria-label={t('requests.filters')}>
        {(['consumer', 'route', 'provider'] as const).map((name) => (
          <Select
            key={name}
            allowClear
            showSearch
            value={filters[name]}
            onChange={(value?: string) => set(name, value)}
            placeholder={t(`requests.field.${name}`)}
            aria-label={t(`requests.field.${name}`)}
            options={choices[name]}
            data-testid={`filter-${name}`}
          />
        ))}
        <Typed name="model" value={filters.model} set={set} />
        <Select
          allowClear
          value={filters.status}
          onChange={(value?: string) => set('status', value)}
          placeholder={t('requests.field.status')}
          aria-label={t('requests.field.status')}
          options={STATUSES.map((value) => ({ value, label: value }))}
          data-testid="filter-status"
        />
        <Select
          allowClear
          value={filters.end_reason}
          onChange={(value?: string) => set('end_reason', value)}
          placeholder={t('requests.field.end_reason')}
          aria-label={t('requests.field.end_reason')}
          options={END_REASONS.map((value) => ({ value, label: t(`requests.end.${value}`) }))}
          data-testid="filter-end_reason"
        />
        <Select
          allowClear
          value={span}
          onChange={(value?: string) => set('span', value)}
          placeholder={t('requests.anyTime')}
          aria-label={t('requests.field.span')}
          options={(Object.keys(SPANS) as SpanName[]).map((value) => ({ value, label: t(`requests.span.${value}`) }))}
          data-testid="filter-span"
        />
        <Button type="link" onClick={() => setOpen(!open)} aria-expanded={open} data-testid="filter-more">
          {open ? t('requests.fewer') : t('requests.more')}
        </Button>
        {open && more.map((name) => <Typed key={name} name={name} value={filters[name]} set={set} />)}
      </div>
      <List
        query={query}
        testId="requests"
        label={t('requests.title')}
        keyOf={(row) => row.id}
        empty={<Empty title={t('requests.emptyTitle')} text={query.hasMore ? t('requests.searchOn') : t('requests.emptyText')} testId="requests-empty" />}
        render={(row) => (
          <Row
            testId={`request-${row.request_id}`}
            to={`/requests/${row.id}`}
            title={row.model ?? row.operation ?? row.request_id}
            sub={
              <span className="line gap-8">
                <Ago at={row.started_at} />
                <span>{[row.consumer, row.route, row.provider].filter(Boolean).join(' → ')}</span>
                {row.attempts > 1 && <span>{t('requests.tries', { count: row.attempts })}</span>}
                {fellBack(row) && <span data-testid="fell-back">{t('requests.fellBack', { by: row.refused_by })}</span>}
              </span>
            }
            meta={[
              {
                label: t('requests.field.status'),
                value: (
                  <State level={levelOf(row)}>
                    {row.status || '–'} {row.end_reason !== 'complete' && t(`requests.end.${row.end_reason}`)}
                  </State>
                ),
                grow: 2,
              },
              { label: t('requests.tokens'), value: `${formats.compact(row.prompt_tokens)} + ${formats.compact(row.completion_tokens)}` },
              { label: t('requests.firstToken'), value: row.first_token_ms === null ? '–' : t('requests.ms', { value: formats.number(row.first_token_ms) }) },
              { label: t('requests.duration'), value: row.total_ms === null ? '–' : t('requests.ms', { value: formats.number(row.total_ms) }) },
            ]}
          />
        )}
      />
    </Page>
  );
}

/** A text filter: the address changes when typing pauses. */
function Typed({ name, value, set }: { name: (typeof TEXTS)[number]; value: string | undefined; set: (name: string, value: string | undefined) => void }) {
  const { t } = useTranslation();
  const [text, setText] = useState(value ?? '');
  const late = useDebounced(text, 400);
  useEffect(() => setText(value ?? ''), [value]);
  useEffect(() => {
    if (late === text && late.trim() !== (value ?? '')) set(name, late.trim() || undefined);
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [late]);
  return (
    <Input
      allowClear
      className="mono typed"
      value={text}
      onChange={(event) => setText(event.target.value)}
      placeholder={t(`requests.field.${name}`)}
      aria-label={t(`requests.field.${name}`)}
      data-testid={`filter-${name}`}
    />
  );
}
