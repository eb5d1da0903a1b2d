/* Everything that is not traffic: limits of the workers, people, tokens, the configuration as one document. */
import { Tabs } from 'antd';
import { lazy, Suspense } from 'react';
import { useTranslation } from 'react-i18next';
import { Navigate, useNavigate, useParams } from 'react-router-dom';
import { useMay } from '../api/queries';
import { LoadingRows } from '../components/List';
import { Page } from '../components/Page';

const PARTS = {
  'data-plane': lazy(async () => ({ default: (await import('./settings/DataPlane')).DataPlane })),
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
  const navigate = useNavigate();
  const admin = useMay('admin');
  const parts = (Object.keys(PARTS) as Part[]).filter((part) => admin || !FOR_ADMINS.includes(part));
  if (!(parts as string[]).includes(tab)) return <Navigate to="/settings/data-plane" replace />;
  return (
    <Page title={t('settings.title')} lead={t('settings.lead')}>
      <Tabs
        activeKey={tab}
        onChange={(part) => navigate(`/settings/${part}`)}
        destroyOnHidden
        items={parts.map((part) => {
          const Content = PARTS[part];
          return {
            key: part,
            label: <span data-testid={`settings-${part}`}>{t(`settings.tabs.${part}`)}</span>,
            children: (
              <Suspense fallback={<LoadingRows />}>
                <Content />
              </Suspense>
            ),
          };
        })}
      />
    </Page>
  );
}
