/* Everything that is not traffic: limits of the workers, people, tokens, the configuration as one document. */
import { lazy, Suspense } from 'react';
import { useTranslation } from 'react-i18next';
import { Navigate, useParams } from 'react-router-dom';
import { useMay } from '../api/queries';
import { LoadingRows } from '../components/List';
import { Page } from '../components/Page';
import { TabNav } from '../components/TabNav';

const PARTS = {
  'data-plane': lazy(async () => ({ default: (await import('./settings/DataPlane')).DataPlane })),
  tls: lazy(async () => ({ default: (await import('./settings/Tls')).TlsSettings })),
  counters: lazy(async () => ({ default: (await import('./settings/Counters')).CountersSettings })),
  users: lazy(async () => ({ default: (await import('./settings/Users')).Users })),
  tokens: lazy(async () => ({ default: (await import('./settings/Tokens')).Tokens })),
  'join-tokens': lazy(async () => ({ default: (await import('./settings/JoinTokens')).JoinTokens })),
  configuration: lazy(async () => ({ default: (await import('./settings/Configuration')).Configuration })),
} as const;
type Part = keyof typeof PARTS;
const FOR_ADMINS: Part[] = ['users', 'tokens', 'join-tokens'];

export function SettingsPage() {
  const { t } = useTranslation();
  const { tab = 'data-plane' } = useParams();
  const admin = useMay('admin');
  const parts = (Object.keys(PARTS) as Part[]).filter((part) => admin || !FOR_ADMINS.includes(part));
  if (!(parts as string[]).includes(tab)) return <Navigate to="/settings/data-plane" replace />;
  const Content = PARTS[tab as Part];
  return (
    <Page title={t('settings.title')} lead={t('settings.lead')}>
      <TabNav
        label={t('settings.title')}
        current={tab}
        tabs={parts.map((part) => ({ key: part, to: `/settings/${part}`, text: t(`settings.tabs.${part}`), testId: `settings-${part}` }))}
      />
      <Suspense fallback={<LoadingRows />}>
        <Content />
      </Suspense>
    </Page>
  );
}
