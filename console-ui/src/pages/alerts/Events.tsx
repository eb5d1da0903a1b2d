/* What fires now and what fired: since when, what was measured, who was told. */
import { Segmented } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, need, type Schemas } from '../../api/client';
import { usePaged } from '../../api/queries';
import { Ago, State } from '../../components/Bits';
import { Empty, List, Row } from '../../components/List';
import { usePreferences } from '../../lib/preferences';

const LEVEL: Record<Schemas['AlertEvent']['severity'], 'info' | 'warn' | 'bad'> = { info: 'info', warning: 'warn', critical: 'bad' };

export function AlertEvents() {
  const { t } = useTranslation();
  const { language } = usePreferences();
  const [state, setState] = useState<'all' | 'firing'>('all');
  const query = usePaged(
    ['alert-events', state],
    (cursor) => need(api.GET('/alert-events', { params: { query: { cursor, state, limit: 50 } } })),
    { refetchInterval: 5_000 },
  );
  return (
    <List
      query={query}
      testId="alert-events"
      label={t('alerts.tabs.events')}
      tools={
        <Segmented<'all' | 'firing'>
          aria-label={t('alerts.which')}
          value={state}
          onChange={setState}
          options={[
            { value: 'all', label: <span data-testid="events-all">{t('alerts.all')}</span> },
            { value: 'firing', label: <span data-testid="events-firing">{t('alerts.firing')}</span> },
          ]}
        />
      }
      keyOf={(event) => String(event.id)}
      empty={<Empty title={t('alerts.quiet')} text={t('alerts.quietText')} />}
      render={(event) => {
        const failed = event.deliveries.filter((delivery) => !delivery.ok && !delivery.pending);
        const waiting = event.deliveries.filter((delivery) => delivery.pending);
        return (
          <Row
            testId={`event-${event.rule}`}
            title={event.object ? `${event.rule}: ${event.object}` : event.rule}
            sub={language === 'zh' ? event.text_zh : event.text}
            off={event.ended_at !== null}
            meta={[
              {
                label: t('alerts.state'),
                value: (
                  <State level={event.ended_at ? 'idle' : LEVEL[event.severity]}>
                    {event.ended_at ? t('alerts.resolved') : t('alerts.firing')} · {t(`alerts.severities.${event.severity}`)}
                  </State>
                ),
                grow: 1.7,
              },
              { label: t('alerts.since'), value: <Ago at={event.started_at} />, grow: 1.5 },
              { label: t('alerts.until'), value: event.ended_at ? <Ago at={event.ended_at} /> : '–', grow: 1.5 },
              {
                label: t('alerts.told'),
                value: event.silenced
                  ? t('alerts.silenced')
                  : failed.length > 0
                    ? t('alerts.notTold', { channels: failed.map((delivery) => `${delivery.channel} (${delivery.detail})`).join(', ') })
                    : waiting.length > 0
                      ? t('alerts.waiting', { channels: [...new Set(waiting.map((delivery) => (delivery.detail ? `${delivery.channel} (${delivery.detail})` : delivery.channel)))].join(', ') })
                      : [...new Set(event.deliveries.map((delivery) => delivery.channel))].join(', ') || t('alerts.nobody'),
                grow: 1.6,
              },
            ]}
          />
        );
      }}
    />
  );
}
