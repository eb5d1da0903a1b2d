/* One worker: what it did and how it feels. */
import { useQuery } from '@tanstack/react-query';
import { Alert } from 'antd';
import { useTranslation } from 'react-i18next';
import { useParams } from 'react-router-dom';
import { api, need } from '../api/client';
import { LoadingRows } from '../components/List';
import { Page } from '../components/Page';
import { ProblemAlert } from '../components/Problem';
import { bytesText, GaugeCard, QuantileCard, RateCard, rateText, SeriesFrame, TrafficCharts } from '../components/Series';
import { useFormats } from '../lib/format';

export function WorkerPage() {
  const { t } = useTranslation();
  const formats = useFormats();
  const { id = '' } = useParams();
  const node = useQuery({ queryKey: ['nodes', 'one', id], queryFn: () => need(api.GET('/nodes/{id}', { params: { path: { id } } })), refetchInterval: 5_000 });
  const back = { to: '/workers', text: t('workers.title') };
  const filter = { node: id };
  return (
    <Page title={node.data?.name ?? id} lead={node.data ? `${t(`workers.state.${node.data.state}`)} · ${node.data.version}` : undefined} back={back}>
      {node.isError && <ProblemAlert error={node.error} onRetry={() => void node.refetch()} />}
      {node.isPending && (
        <div className="card">
          <LoadingRows rows={2} />
        </div>
      )}
      {node.data?.counters_away && <Alert type="warning" showIcon style={{ marginBottom: 16 }} message={t('workers.countersAway')} description={t('workers.countersAwayText')} data-testid="counters-away" />}
      {node.data?.last_error && <Alert type="error" showIcon style={{ marginBottom: 16 }} message={t('workers.lastError')} description={node.data.last_error} data-testid="worker-error" />}
      <SeriesFrame>
        <div className="stack gap-16">
          <TrafficCharts filter={filter} />
          <div className="chart-grid">
            <GaugeCard testId="chart-in-flight" title={t('charts.inFlight')} metric="in_flight" filter={filter} unit={(value) => formats.number(Math.round(value * 100) / 100)} />
            <GaugeCard testId="chart-connections" title={t('charts.connections')} metric="connections" filter={filter} unit={(value) => formats.number(Math.round(value))} />
            <GaugeCard testId="chart-memory" title={t('charts.memory')} metric="memory" filter={filter} unit={(value) => bytesText(value, formats)} />
            <RateCard testId="chart-cpu" title={t('charts.cpu')} lead={t('charts.cpuLead')} metric="cpu" filter={filter} unit={(value) => formats.percent(value / 1e6)} />
            <QuantileCard testId="chart-loop-delay" title={t('charts.loopDelay')} metric="loop_delay" filter={filter} />
            <QuantileCard testId="chart-overhead" title={t('charts.overhead')} metric="overhead" filter={filter} />
            <QuantileCard testId="chart-queue" title={t('charts.queue')} metric="queue" filter={filter} />
            <RateCard testId="chart-dropped" title={t('charts.dropped')} metric="usage_dropped" filter={filter} bad={() => true}
              unit={(value) => t('charts.perSecond', { value: rateText(value, formats) })} />
          </div>
        </div>
      </SeriesFrame>
    </Page>
  );
}
