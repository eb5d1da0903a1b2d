/* What fired, the rules that watch, who is told, and when nobody is. */
import { useTranslation } from 'react-i18next';
import { useParams } from 'react-router-dom';
import { Page } from '../components/Page';
import { TabNav } from '../components/TabNav';
import { AlertChannels } from './alerts/Channels';
import { AlertEvents } from './alerts/Events';
import { AlertRules } from './alerts/Rules';
import { Silences } from './alerts/Silences';

const TABS = { events: AlertEvents, rules: AlertRules, channels: AlertChannels, silences: Silences } as const;
type Tab = keyof typeof TABS;

export function AlertsPage() {
  const { t } = useTranslation();
  const { tab } = useParams();
  const current: Tab = tab && tab in TABS ? (tab as Tab) : 'events';
  const Shown = TABS[current];
  return (
    <Page title={t('alerts.title')} lead={t('alerts.lead')}>
      <TabNav
        label={t('alerts.title')}
        current={current}
        tabs={(Object.keys(TABS) as Tab[]).map((key) => ({ key, to: `/alerts/${key}`, text: t(`alerts.tabs.${key}`), testId: `tab-${key}` }))}
      />
      <Shown />
    </Page>
  );
}
