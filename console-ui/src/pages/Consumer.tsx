/* One consumer: its keys, what it may call, its settings. */
import { PlusOutlined, SyncOutlined } from '@ant-design/icons';
import { Button } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useNavigate, useParams } from 'react-router-dom';
import { api, need, type Schemas } from '../api/client';
import { useAllRoutes, useConsumer, useMay, useRefresh } from '../api/queries';
import { Ago, DeleteButton, State } from '../components/Bits';
import { EnableSwitch } from '../components/EnableSwitch';
import { Empty, LoadingRows, Row } from '../components/List';
import { LimitBars } from '../components/LimitBars';
import { Card, Page } from '../components/Page';
import { ProblemAlert } from '../components/Problem';
import { SeriesFrame, TopCard, TrafficCharts } from '../components/Series';
import { Credentials } from './Credentials';
import { ConsumerQuotas } from './Quotas';
import { TenantForm } from './TenantForm';
import { UsageChart, type UsageFilter } from './Usage';
import { NewKeyDialog, RotateDialog, ShownKeyDialog } from './KeyDialogs';

type Consumer = Schemas['Consumer'];

/** Routes that let this consumer in. */
export function routesOpenTo(routes: Schemas['Route'][] | undefined, consumer: Pick<Consumer, 'name' | 'groups'>): string[] {
  return (routes ?? [])
    .filter((route) => {
      const { required, consumers = [], groups = [] } = route.auth;
      if (route.enabled === false) return false;
      if (required === false || consumers.length + groups.length === 0) return true;
      return consumers.includes(consumer.name) || groups.some((group) => (consumer.groups ?? []).includes(group));
    })
    .map((route) => route.name);
}

/** The last thirty days of one consumer, on the edge of an hour so that the answer can be kept. */
function lastMonth(consumer: string): UsageFilter {
  const to = Math.ceil(Date.now() / 3_600_000) * 3_600_000;
  return {
    group_by: '', consumer, bucket: 'day', from: new Date(to - 30 * 86_400_000).toISOString(), to: new Date(to).toISOString(),
    time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC',
  };
}

function keyState(key: Schemas['ConsumerKey'], now = Date.now()): 'active' | 'disabled' | 'expired' {
  if (key.expires_at && new Date(key.expires_at).getTime() <= now) return 'expired';
  return key.enabled ? 'active' : 'disabled';
}

function Keys({ consumer }: { consumer: Consumer }) {
  const { t } = useTranslation();
  const may = useMay('operator');
  const refresh = useRefresh();
  const [adding, setAdding] = useState(false);
  const [rotating, setRotating] = useState<Schemas['ConsumerKey'] | null>(null);
  const [secret, setSecret] = useState<string | null>(null);
  const keys = consumer.keys ?? [];
  const path = (id: string) => ({ params: { path: { name: consumer.name, id } } });
  return (
    <Card
      title={t('keys.title')}
      lead={t('keys.lead')}
      flush
      testId="consumer-keys"
      extra={
        may && (
          <Button icon={<PlusOutlined />} onClick={() => setAdding(true)} data-testid="key-add">
            {t('keys.add')}
          </Button>
        )
      }
    >
      {keys.length === 0 ? (
        <Empty title={t('keys.emptyTitle')} text={t('keys.emptyText')} icon={<></>} />
      ) : (
        <ul className="rows" aria-label={t('keys.title')}>
          {keys.map((key) => {
            const state = keyState(key);
            return (
              <li key={key.id}>
                <Row
                  testId={`key-${key.name}`}
                  title={key.name}
                  sub={
                    <code>
                      {key.prefix}…{key.last4}
                    </code>
                  }
                  off={state !== 'active'}
                  meta={[
                    { label: t('keys.state'), value: <State level={state === 'active' ? 'ok' : 'idle'}>{t(`keys.states.${state}`)}</State> },
                    { label: t('keys.lastUse'), value: <Ago at={key.last_used_at} /> },
                    { label: t('form.expires'), value: key.expires_at ? <Ago at={key.expires_at} /> : t('common.neverExpires') },
                  ]}
                  actions={
                    may && (
                      <>
                        {state !== 'expired' && (
                          <Button size="small" icon={<SyncOutlined />} onClick={() => setRotating(key)} data-testid={`key-${key.name}-rotate`}>
                            {t('keys.rotate')}
                          </Button>
                        )}
                        <DeleteButton
                          bare
                          size="small"
                          type="text"
                          label={t('keys.deleteOf', { name: key.name })}
                          testId={`key-${key.name}-delete`}
                          question={t('keys.deleteTitle', { name: key.name })}
                          text={t('keys.deleteText')}
                          action={t('keys.revoke')}
                          onDelete={() => need(api.DELETE('/consumers/{name}/keys/{id}', path(key.id)))}
                          onDone={() => void refresh('consumers')}
                        />
                        <EnableSwitch
                          name={key.name}
                          enabled={key.enabled}
                          testId={`key-${key.name}-enabled`}
                          onChange={async (enabled) => {
                            await need(api.PATCH('/consumers/{name}/keys/{id}', { ...path(key.id), body: { enabled } }));
                            await refresh('consumers');
                          }}
                        />
                      </>
                    )
                  }
                />
              </li>
            );
          })}
        </ul>
      )}
      <NewKeyDialog consumer={consumer.name} open={adding} onClose={() => setAdding(false)} onMade={setSecret} />
      <RotateDialog consumer={consumer.name} keyToRotate={rotating} onClose={() => setRotating(null)} onMade={setSecret} />
      <ShownKeyDialog consumer={consumer.name} secret={secret} onClose={() => setSecret(null)} />
    </Card>
  );
}

export function ConsumerPage() {
  const { t } = useTranslation();
  const { name = '' } = useParams();
  const navigate = useNavigate();
  const may = useMay('operator');
  const refresh = useRefresh();
  const consumer = useConsumer(name);
  const routes = useAllRoutes();
  const back = { to: '/consumers', text: t('consumers.title') };
  if (consumer.isError || !consumer.data) {
    return (
      <Page title={name} back={back}>
        {consumer.isError ? (
          <ProblemAlert error={consumer.error} onRetry={() => void consumer.refetch()} />
        ) : (
          <div className="card">
            <LoadingRows />
          </div>
        )}
      </Page>
    );
  }
  const object = consumer.data.object;
  const open = routesOpenTo(routes.data, object);
  return (
    <Page
      title={name}
      lead={object.description}
      back={back}
      actions={
        <>
          <Link to={`/requests?consumer=${encodeURIComponent(name)}`} data-testid="see-requests">
            {t('requests.of')}
          </Link>
          {may && (
          <>
            <label className="line gap-8">
              <EnableSwitch
                name={name}
                enabled={object.enabled !== false}
                testId="consumer-enabled"
                onChange={async (enabled) => {
                  await need(api.PATCH('/consumers/{name}', { params: { path: { name } }, body: { enabled } }));
                  await refresh('consumers');
                }}
              />
              <span>{object.enabled !== false ? t('common.enabled') : t('common.disabled')}</span>
            </label>
            <DeleteButton
              label={t('common.delete')}
              testId="consumer-delete"
              question={t('consumers.deleteTitle', { name })}
              text={t('consumers.deleteText')}
              onDelete={() => need(api.DELETE('/consumers/{name}', { params: { path: { name } } }))}
              onDone={() => {
                void refresh('consumers');
                navigate('/consumers');
              }}
            />
          </>
          )}
        </>
      }
    >
      <div className="stack gap-16">
        <Keys consumer={object} />
        <Credentials consumer={object} />
        <ConsumerQuotas consumer={name} groups={object.groups ?? []} />
        <Card title={t('consumers.mayCall')} testId="consumer-routes">
          {open.length === 0 ? (
            <p className="muted">{t('consumers.noRoutes')}</p>
          ) : (
            <span className="chips">
              {open.map((route) => (
                <Link key={route} to={`/routes/${route}?tab=use`} className="chip">
                  {route}
                </Link>
              ))}
            </span>
          )}
        </Card>
        <LimitBars kind="consumers" name={name} />
        <section className="stack gap-12">
          <h2>{t('charts.tab')}</h2>
          <SeriesFrame>
            <div className="stack gap-16">
              <TrafficCharts filter={{ consumer: name }} />
              <TopCard testId="top-limited" title={t('overview.topLimited')} lead={t('overview.topLimitedLead')} metric="limited" by="code" filter={{ consumer: name }} />
            </div>
          </SeriesFrame>
        </section>
        <Card title={t('usage.chart30')} testId="consumer-usage" extra={<Link to={`/usage?consumer=${encodeURIComponent(name)}`}>{t('usage.report')}</Link>}>
          <UsageChart filter={lastMonth(name)} />
        </Card>
        <TenantForm key={consumer.data.etag} kind="consumers" stored={consumer.data} onSaved={() => void consumer.refetch()} />
      </div>
    </Page>
  );
}
