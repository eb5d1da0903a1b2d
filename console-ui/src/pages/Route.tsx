/* One route: how to call it, and its form. */
import { CopyOutlined } from '@ant-design/icons';
import { Alert, Button } from 'antd';
import { useTranslation } from 'react-i18next';
import { Link, useNavigate, useParams, useSearchParams } from 'react-router-dom';
import { api, need } from '../api/client';
import { useAllConsumers, useMay, useRefresh, useRoute } from '../api/queries';
import { DeleteButton } from '../components/Bits';
import { EnableSwitch } from '../components/EnableSwitch';
import { LimitBars } from '../components/LimitBars';
import { LoadingRows } from '../components/List';
import { Card, Page } from '../components/Page';
import { ProblemAlert } from '../components/Problem';
import { SeriesFrame, TrafficCharts } from '../components/Series';
import { TabNav } from '../components/TabNav';
import { UsageSnippet } from '../components/Snippet';
import { modelFor } from '../lib/snippets';
import { ExplainTool } from './Explain';
import { RouteForm } from './RouteForm';

export function RoutePage() {
  const { t } = useTranslation();
  const { name = '' } = useParams();
  const [params] = useSearchParams();
  const navigate = useNavigate();
  const may = useMay('operator');
  const refresh = useRefresh();
  const route = useRoute(name);
  const consumers = useAllConsumers();
  const back = { to: '/routes', text: t('routes.title') };
  const isNew = params.get('new') !== null;
  const wanted = params.get('tab') ?? (isNew ? 'use' : 'settings');
  const tab = wanted === 'use' || wanted === 'explain' || wanted === 'charts' ? wanted : 'settings';

  if (route.isError) {
    return (
      <Page title={name} back={back}>
        <ProblemAlert error={route.error} onRetry={() => void route.refetch()} />
      </Page>
    );
  }
  if (!route.data) {
    return (
      <Page title={name} back={back}>
        <div className="card">
          <LoadingRows />
        </div>
      </Page>
    );
  }
  const object = route.data.object;
  const lacksKey = object.auth.required !== false && consumers.data?.every((consumer) => (consumer.keys ?? []).length === 0);
  return (
    <Page
      title={name}
      lead={object.description}
      back={back}
      actions={
        <>
          <Link to={`/requests?route=${encodeURIComponent(name)}`} data-testid="see-requests">
            {t('requests.of')}
          </Link>
          {may && (
          <>
            <label className="line gap-8">
              <EnableSwitch
                name={name}
                enabled={object.enabled !== false}
                testId="route-enabled"
                onChange={async (enabled) => {
                  await need(api.PATCH('/routes/{name}', { params: { path: { name } }, body: { enabled } }));
                  await refresh('routes');
                }}
              />
              <span>{object.enabled !== false ? t('common.enabled') : t('common.disabled')}</span>
            </label>
            <Button icon={<CopyOutlined />} onClick={() => navigate(`/routes/new?from=${name}`)} data-testid="route-duplicate">
              {t('routes.duplicate')}
            </Button>
            <DeleteButton
              label={t('common.delete')}
              testId="route-delete"
              question={t('routes.deleteTitle', { name })}
              text={t('routes.deleteText')}
              onDelete={() => need(api.DELETE('/routes/{name}', { params: { path: { name } } }))}
              onDone={() => {
                void refresh('routes');
                navigate('/routes');
              }}
            />
          </>
          )}
        </>
      }
    >
      {isNew && (
        <Alert
          type="success"
          showIcon
          closable
          style={{ marginBottom: 16 }}
          message={t('routes.created')}
          description={lacksKey ? <Link to="/consumers?new=1" data-testid="route-next-consumer">{t('routes.nextConsumer')}</Link> : t('routes.createdText')}
        />
      )}
      <TabNav
        label={name}
        current={tab}
        tabs={[
          { key: 'settings', to: '?tab=settings', text: t('routes.tabSettings'), testId: 'tab-settings' },
          { key: 'use', to: '?tab=use', text: t('routes.tabUse'), testId: 'tab-use' },
          { key: 'charts', to: '?tab=charts', text: t('charts.tab'), testId: 'tab-charts' },
          { key: 'explain', to: '?tab=explain', text: t('routes.tabExplain'), testId: 'tab-explain' },
        ]}
      />
      {/* The form stays, with what was typed, while one looks at the other parts. */}
      <div hidden={tab !== 'settings'}>
        <RouteForm key={route.data.etag} stored={route.data} onSaved={() => void route.refetch()} />
      </div>
      {tab === 'use' && (
        <Card title={t('snippet.heading')} lead={t('snippet.lead')}>
          <UsageSnippet route={object} />
        </Card>
      )}
      {tab === 'charts' && (
        <div className="stack gap-16">
          <LimitBars kind="routes" name={name} />
          <SeriesFrame>
            <TrafficCharts filter={{ route: name }} />
          </SeriesFrame>
        </div>
      )}
      {tab === 'explain' && (
        <Card title={t('explain.title')} lead={t('explain.lead')}>
          <ExplainTool model={modelFor(object)} />
        </Card>
      )}
    </Page>
  );
}
