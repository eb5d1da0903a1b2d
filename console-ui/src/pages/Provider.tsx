/* One provider: try it, see its health, change it. */
import { useTranslation } from 'react-i18next';
import { Link, useNavigate, useParams, useSearchParams } from 'react-router-dom';
import { Alert } from 'antd';
import { api, need } from '../api/client';
import { useAllRoutes, useMay, useProvider, useProviderTypes, useRefresh } from '../api/queries';
import { DeleteButton } from '../components/Bits';
import { EnableSwitch } from '../components/EnableSwitch';
import { LoadingRows } from '../components/List';
import { Card, Page } from '../components/Page';
import { ProblemAlert } from '../components/Problem';
import { SeriesFrame, TrafficCharts } from '../components/Series';
import { useLocalText } from '../lib/format';
import { ProviderForm } from './ProviderForm';
import { ProviderHealth } from './ProviderHealth';
import { usedBy } from './Providers';
import { TestPanel } from './ProviderTest';

export function ProviderPage() {
  const { t } = useTranslation();
  const local = useLocalText();
  const { name = '' } = useParams();
  const [params] = useSearchParams();
  const navigate = useNavigate();
  const refresh = useRefresh();
  const may = useMay('operator');
  const provider = useProvider(name);
  const types = useProviderTypes();
  const routes = useAllRoutes();
  const back = { to: '/providers', text: t('providers.title') };

  if (provider.isError || types.isError) {
    return (
      <Page title={name} back={back}>
        <ProblemAlert error={provider.error ?? types.error} onRetry={() => void provider.refetch()} />
      </Page>
    );
  }
  if (!provider.data || !types.data) {
    return (
      <Page title={name} back={back}>
        <div className="card">
          <LoadingRows />
        </div>
      </Page>
    );
  }
  const object = provider.data.object;
  const type = types.data.find((entry) => entry.type === object.type) ?? {
    type: object.type,
    label: { en: object.type, zh: object.type },
    default_base_url: null,
    dialects: [],
    base_url_required: false,
    api_key_required: false,
    options: [],
    docs_url: null,
    doc: { en: '', zh: '' },
  };
  const routesOf = usedBy(routes.data, name);
  return (
    <Page
      title={name}
      lead={object.description || local(type.label)}
      back={back}
      actions={
        <>
          <Link to={`/requests?provider=${encodeURIComponent(name)}`} data-testid="see-requests">
            {t('requests.of')}
          </Link>
          {may && (
          <>
            <label className="line gap-8">
              <EnableSwitch
                name={name}
                enabled={object.enabled !== false}
                testId="provider-enabled"
                onChange={async (enabled) => {
                  await need(api.PATCH('/providers/{name}', { params: { path: { name } }, body: { enabled } }));
                  await refresh('providers');
                }}
              />
              <span>{object.enabled !== false ? t('common.enabled') : t('common.disabled')}</span>
            </label>
            <DeleteButton
              label={t('common.delete')}
              testId="provider-delete"
              question={t('providers.deleteTitle', { name })}
              text={t('providers.deleteText')}
              onDelete={() => need(api.DELETE('/providers/{name}', { params: { path: { name } } }))}
              onDone={() => {
                void refresh('providers');
                navigate('/providers');
              }}
            />
          </>
          )}
        </>
      }
    >
      <div className="stack gap-16">
        {params.get('new') && (
          <Alert
            type="success"
            showIcon
            closable
            message={t('providers.created')}
            description={
              <Link to={`/routes/new?provider=${name}`} data-testid="provider-next-route">
                {t('providers.nextRoute')}
              </Link>
            }
          />
        )}
        <div className="cols">
          {may && (
            <Card title={t('test.heading')} lead={t('test.lead')}>
              <TestPanel provider={object} />
            </Card>
          )}
          <Card title={t('health.title')} lead={t('health.lead')}>
            <ProviderHealth name={name} />
            <p className="muted" style={{ marginTop: 14 }}>
              {routesOf.length === 0 ? (
                t('providers.unused')
              ) : (
                <>
                  {t('providers.usedBy')}{' '}
                  {routesOf.map((route, i) => (
                    <span key={route}>
                      {i > 0 && ', '}
                      <Link to={`/routes/${route}`}>{route}</Link>
                    </span>
                  ))}
                </>
              )}
            </p>
          </Card>
        </div>
        <section className="stack gap-12">
          <h2>{t('charts.tab')}</h2>
          <SeriesFrame>
            <TrafficCharts filter={{ provider: name }} />
          </SeriesFrame>
        </section>
        <ProviderForm key={provider.data.etag} type={type} stored={provider.data} onSaved={() => void provider.refetch()} />
      </div>
    </Page>
  );
}
