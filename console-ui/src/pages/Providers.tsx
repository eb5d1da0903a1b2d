/* The accounts and servers that models come from. */
import { PlusOutlined, ThunderboltOutlined } from '@ant-design/icons';
import { Button } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useNavigate } from 'react-router-dom';
import { api, need, type Schemas } from '../api/client';
import { useAllRoutes, useMay, usePaged, useProviderTypes, useRefresh } from '../api/queries';
import { Avatar } from '../components/Bits';
import { EnableSwitch } from '../components/EnableSwitch';
import { Empty, List, Row, useDebounced } from '../components/List';
import { Page } from '../components/Page';
import { useLocalText } from '../lib/format';
import { ProviderTest } from './ProviderTest';

export function usedBy(routes: Schemas['Route'][] | undefined, provider: string): string[] {
  return (routes ?? [])
    .filter((route) => [...route.targets, ...(route.fallback.targets ?? [])].some((target) => target.provider === provider))
    .map((route) => route.name);
}

export function ProvidersPage() {
  const { t } = useTranslation();
  const local = useLocalText();
  const navigate = useNavigate();
  const may = useMay('operator');
  const refresh = useRefresh();
  const types = useProviderTypes();
  const routes = useAllRoutes();
  const [search, setSearch] = useState('');
  const [testing, setTesting] = useState<Schemas['Provider'] | null>(null);
  const q = useDebounced(search);
  const query = usePaged(['providers', 'list', q], (cursor) =>
    need(api.GET('/providers', { params: { query: { cursor, q: q || undefined, limit: 50 } } })),
  );
  const add = may && (
    <Button type="primary" icon={<PlusOutlined />} onClick={() => navigate('/providers/new')} data-testid="provider-add">
      {t('providers.add')}
    </Button>
  );
  return (
    <Page title={t('providers.title')} lead={t('providers.lead')} actions={add}>
      <List
        query={query}
        testId="providers"
        label={t('providers.title')}
        search={{ value: search, onChange: setSearch, placeholder: t('providers.search') }}
        keyOf={(provider) => provider.name}
        empty={
          <Empty
            title={t('providers.emptyTitle')}
            text={t('providers.emptyText')}
            actions={
              may && (
                <Button type="primary" onClick={() => navigate('/providers/new')} data-testid="provider-add-first">
                  {t('providers.add')}
                </Button>
              )
            }
          />
        }
        render={(provider) => {
          const type = types.data?.find((entry) => entry.type === provider.type);
          const label = type ? local(type.label) : provider.type;
          const routesOf = usedBy(routes.data, provider.name);
          return (
            <Row
              testId={`provider-${provider.name}`}
              icon={<Avatar text={type?.label.en ?? provider.type} seed={provider.type} />}
              title={provider.name}
              to={`/providers/${provider.name}`}
              sub={provider.description || label}
              off={provider.enabled === false}
              meta={[
                { label: t('providers.address'), value: <Address provider={provider} type={type} /> },
                { label: t('providers.keys'), value: t('providers.keyCount', { count: provider.api_keys?.length ?? 0 }) },
                {
                  label: t('providers.usedBy'),
                  value:
                    routesOf.length === 1 ? (
                      <Link to={`/routes/${routesOf[0]}`}>{routesOf[0]}</Link>
                    ) : (
                      t('providers.routeCount', { count: routesOf.length })
                    ),
                },
              ]}
              actions={
                may && (
                  <>
                    <Button size="small" icon={<ThunderboltOutlined />} onClick={() => setTesting(provider)} data-testid={`provider-${provider.name}-test`}>
                      {t('providers.test')}
                    </Button>
                    <EnableSwitch
                      name={provider.name}
                      enabled={provider.enabled !== false}
                      testId={`provider-${provider.name}-enabled`}
                      onChange={async (enabled) => {
                        await need(api.PATCH('/providers/{name}', { params: { path: { name: provider.name } }, body: { enabled } }));
                        await refresh('providers');
                      }}
                    />
                  </>
                )
              }
            />
          );
        }}
      />
      <ProviderTest provider={testing} onClose={() => setTesting(null)} />
    </Page>
  );
}

function Address({ provider, type }: { provider: Schemas['Provider']; type: Schemas['ProviderType'] | undefined }) {
  const { t } = useTranslation();
  const pool = provider.endpoints ?? [];
  if (pool.length > 1) return <>{t('providers.servers', { count: pool.length })}</>;
  const url = pool[0]?.url ?? provider.base_url ?? type?.default_base_url ?? '';
  return <span className="break">{url.replace(/^https?:\/\//, '')}</span>;
}
