import { Button } from 'antd';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate, useSearchParams } from 'react-router-dom';
import { useAllProviders, useAllRoutes, usePlugins } from '../api/queries';
import { Empty, LoadingRows } from '../components/List';
import { Page } from '../components/Page';
import { freeName } from './ProviderForm';
import { RouteForm, routeToForm, type Values } from './RouteForm';

export function RouteNewPage() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [params] = useSearchParams();
  const providers = useAllProviders();
  const routes = useAllRoutes();
  const plugins = usePlugins();
  const from = params.get('from');
  const provider = params.get('provider');
  const template = useMemo<Partial<Values> | undefined>(() => {
    const model = routes.data?.find((route) => route.name === from);
    if (model) return { ...routeToForm(model, plugins.data ?? []), name: freeName(`${model.name}-copy`, (routes.data ?? []).map((route) => route.name)) };
    if (provider) return { targets: [{ provider, weight: 1 }] };
    return undefined;
  }, [from, provider, routes.data, plugins.data]);
  const waiting = providers.isPending || routes.isPending || plugins.isPending;
  return (
    <Page title={t('routeForm.newTitle')} lead={t('routeForm.newLead')} back={{ to: '/routes', text: t('routes.title') }}>
      {waiting ? (
        <div className="card">
          <LoadingRows />
        </div>
      ) : providers.data?.length === 0 ? (
        <div className="card">
          <Empty
            title={t('routeForm.needProvider')}
            text={t('routeForm.needProviderText')}
            actions={
              <Button type="primary" onClick={() => navigate('/providers/new')} data-testid="route-need-provider">
                {t('providers.add')}
              </Button>
            }
          />
        </div>
      ) : (
        <RouteForm template={template} onSaved={(name) => navigate(`/routes/${name}?new=1`)} />
      )}
    </Page>
  );
}
