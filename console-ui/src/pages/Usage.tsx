/* Who used what, and what it cost: any grouping, over any span, as a table, a chart and a file. */
import { DownloadOutlined } from '@ant-design/icons';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { Button, DatePicker, Select, Table } from 'antd';
import dayjs, { type Dayjs } from 'dayjs';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router-dom';
import { api, need, type Schemas } from '../api/client';
import { useAllConsumers, useAllGroups, useAllProviders, useAllRoutes } from '../api/queries';
import { Chart } from '../components/Chart';
import { Empty, LoadingRows } from '../components/List';
import { Card, Page } from '../components/Page';
import { ProblemAlert } from '../components/Problem';
import { costsText } from '../lib/money';
import { usePreferences } from '../lib/preferences';

type Item = Schemas['UsageItem'];
const DIMS = ['consumer', 'group', 'key', 'route', 'provider', 'model'] as const;
type Dim = (typeof DIMS)[number];
const BUCKETS = ['hour', 'day', 'week', 'month'] as const;
type Bucket = (typeof BUCKETS)[number];
/* What the report can be narrowed to; it stands in the address, so that it can be linked to. */
const ONLY = ['consumer', 'group', 'route', 'provider'] as const;

const zoneHere = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';

export interface UsageFilter {
  group_by: string;
  bucket?: Bucket;
  from: string;
  to: string;
  time_zone: string;
  consumer?: string;
  group?: string;
  route?: string;
  provider?: string;
}

export function usageUrl(filter: UsageFilter): string {
  const query = new URLSearchParams({ format: 'csv' });
  for (const [name, value] of Object.entries(filter)) if (value) query.set(name, value);
  return `/api/v1/usage?${query.toString()}`;
}

function useUsage(filter: UsageFilter) {
  return useQuery({
    queryKey: ['usage', filter],
    queryFn: async () => (await need(api.GET('/usage', { params: { query: { ...filter, limit: 200 } } }))) as Schemas['UsageItemList'],
    placeholderData: keepPreviousData,
    refetchInterval: 15_000,
  });
}

function startOf(bucket: Bucket, at: Dayjs): Dayjs {
  return bucket === 'week' ? at.startOf('day').subtract((at.day() + 6) % 7, 'day') : at.startOf(bucket);
}

/** The buckets of a span in order, also those in which nothing was used: a line needs them. */
export function everyBucket(items: readonly Item[], bucket: Bucket, from: string, to: string): { at: number; item?: Item }[] {
  const known = new Map<number, Item | undefined>(items.map((item) => [new Date(item.time ?? 0).getTime(), item]));
  const end = Math.min(new Date(to).getTime(), Date.now());
  for (let at = startOf(bucket, dayjs(from)); at.valueOf() < end; at = startOf(bucket, at.add(1, bucket))) {
    if (!known.has(at.valueOf())) known.set(at.valueOf(), undefined);
  }
  return [...known].sort(([a], [b]) => a - b).map(([at, item]) => ({ at: at / 1000, item }));
}

/** Tokens over time, for one consumer or all. */
export function UsageChart({ filter }: { filter: UsageFilter }) {
  const { t } = useTranslation();
  const { language } = usePreferences();
  const bucket = filter.bucket ?? 'day';
  const query = useUsage({ ...filter, group_by: '', bucket });
  const items = query.data?.items ?? [];
  /* Of a page that is not the last one nobody knows what comes behind it. */
  const to = (query.data?.next_cursor && items[items.length - 1]?.time) || filter.to;
  const points = items.length > 0 ? everyBucket(items, bucket, filter.from, to) : [];
  const number = new Intl.NumberFormat(language, { notation: 'compact' });
  return (
    <Chart
      testId="usage-chart"
      label={t('usage.chart')}
      empty={t('usage.emptyTitle')}
      times={points.map((point) => point.at)}
      lines={[
        { label: t('usage.columns.prompt_tokens'), values: points.map(({ item }) => item?.prompt_tokens ?? 0) },
        { label: t('usage.columns.completion_tokens'), values: points.map(({ item }) => item?.completion_tokens ?? 0) },
      ]}
      format={(value) => number.format(value)}
    />
  );
}

export function UsagePage() {
  const { t } = useTranslation();
  const { language } = usePreferences();
  const [groups, setGroups] = useState<Dim[]>(['consumer', 'model']);
  const [bucket, setBucket] = useState<Bucket | undefined>();
  const [span, setSpan] = useState<[Dayjs, Dayjs]>(() => [dayjs().subtract(29, 'day').startOf('day'), dayjs().endOf('day')]);
  const [params, setParams] = useSearchParams();
  const names = { consumer: useAllConsumers().data, group: useAllGroups().data, route: useAllRoutes().data, provider: useAllProviders().data };
  /* A key is reported by its id, which tells nobody anything. */
  const keyNames = new Map((names.consumer ?? []).flatMap((consumer) => (consumer.keys ?? []).map((key) => [key.id, `${consumer.name} · ${key.name}`] as const)));
  const narrow = (name: (typeof ONLY)[number], value: string | undefined) =>
    setParams(
      (old) => {
        const next = new URLSearchParams(old);
        if (value) next.set(name, value);
        else next.delete(name);
        return next;
      },
      { replace: true },
    );
  const filter: UsageFilter = {
    ...Object.fromEntries(ONLY.map((name) => [name, params.get(name) ?? undefined])),
    group_by: groups.join(','),
    bucket,
    from: span[0].toISOString(),
    to: span[1].toISOString(),
    time_zone: zoneHere,
  };
  const query = useUsage(filter);
  const number = useMemo(() => new Intl.NumberFormat(language), [language]);
  const count = (name: 'requests' | 'errors' | 'prompt_tokens' | 'completion_tokens') => ({
    title: t(`usage.columns.${name}`),
    dataIndex: name,
    align: 'right' as const,
    render: (value: number) => number.format(value),
  });
  const columns = [
    ...(bucket ? [{ title: t('usage.columns.time'), dataIndex: 'time', render: (at: string) => dayjs(at).format(bucket === 'hour' ? 'YYYY-MM-DD HH:mm' : 'YYYY-MM-DD') }] : []),
    ...groups.map((dim) => ({
      title: t(`usage.dims.${dim}`),
      dataIndex: dim,
      render: (value: string) => <span className="table-name">{(dim === 'key' && keyNames.get(value)) || value || t('usage.none')}</span>,
    })),
    count('requests'),
    count('errors'),
    count('prompt_tokens'),
    count('completion_tokens'),
    { title: t('usage.columns.cost'), dataIndex: 'costs', align: 'right' as const, render: (costs: Item['costs']) => costsText(costs, language) },
  ];
  const totals = query.data?.totals;
  return (
    <Page
      title={t('usage.title')}
      lead={t('usage.lead')}
      actions={
        <Button icon={<DownloadOutlined />} href={usageUrl(filter)} download="usage.csv" data-testid="usage-csv">
          {t('usage.csv')}
        </Button>
      }
    >
      <div className="stack gap-16">
        <div className="toolbar" style={{ flexWrap: 'wrap' }}>
          <Select<Dim[]>
            mode="multiple"
            value={groups}
            onChange={setGroups}
            style={{ minWidth: 220, flex: '1 1 220px' }}
            aria-label={t('usage.by')}
            placeholder={t('usage.by')}
            options={DIMS.map((dim) => ({ value: dim, label: t(`usage.dims.${dim}`) }))}
            data-testid="usage-groups"
          />
          <Select<Bucket | ''>
            value={bucket ?? ''}
            onChange={(value) => setBucket(value || undefined)}
            style={{ minWidth: 140 }}
            aria-label={t('usage.bucket')}
            options={[{ value: '', label: t('usage.buckets.none') }, ...BUCKETS.map((b) => ({ value: b, label: t(`usage.buckets.${b}`) }))]}
            data-testid="usage-bucket"
          />
          <DatePicker.RangePicker
            value={span}
            allowClear={false}
            onChange={(value) => value?.[0] && value[1] && setSpan([value[0].startOf('day'), value[1].endOf('day')])}
            aria-label={t('usage.span')}
            data-testid="usage-span"
          />
        </div>
        <div className="toolbar filters" role="search" aria-label={t('usage.only')}>
          {ONLY.map((name) => (
            <Select
              key={name}
              allowClear
              showSearch
              value={params.get(name)}
              onChange={(value?: string | null) => narrow(name, value ?? undefined)}
              placeholder={t(`usage.dims.${name}`)}
              aria-label={t(`usage.dims.${name}`)}
              options={(names[name] ?? []).map((item) => ({ value: item.name, label: item.name }))}
              data-testid={`usage-only-${name}`}
            />
          ))}
          <span className="muted">{t('usage.zone', { zone: zoneHere })}</span>
        </div>
        {totals && (
          <Card title={t('usage.total')} testId="usage-total">
            <div className="line gap-16" style={{ flexWrap: 'wrap' }}>
              <strong data-testid="usage-total-cost">{costsText(totals.costs, language)}</strong>
              <span>{t('usage.totalRequests', { count: totals.requests, n: number.format(totals.requests) })}</span>
              <span>{t('usage.totalTokens', { n: number.format(totals.prompt_tokens + totals.completion_tokens) })}</span>
              {totals.unpriced > 0 && <span className="muted">{t('usage.unpriced', { n: number.format(totals.unpriced) })}</span>}
            </div>
          </Card>
        )}
        <Card title={t('usage.chart')}>
          <UsageChart filter={filter} />
        </Card>
        {query.isError ? (
          <ProblemAlert error={query.error} onRetry={() => void query.refetch()} />
        ) : (
          <div className="card">
            {query.isPending ? (
              <LoadingRows />
            ) : query.data.items.length === 0 ? (
              <Empty title={t('usage.emptyTitle')} text={t('usage.emptyText')} />
            ) : (
              <Table<Item>
                size="small"
                columns={columns}
                dataSource={query.data.items}
                rowKey={(item) => [item.time, ...groups.map((dim) => item[dim])].join('\n')}
                pagination={false}
                scroll={{ x: 'max-content' }}
                data-testid="usage-table"
              />
            )}
          </div>
        )}
        {query.data?.next_cursor && <p className="muted">{t('usage.more', { n: number.format(query.data.total) })}</p>}
      </div>
    </Page>
  );
}
