/* One group: its members, the routes that admit it, what it hands down. */
import { useTranslation } from 'react-i18next';
import { Link, useNavigate, useParams } from 'react-router-dom';
import { api, need } from '../api/client';
import { useAllConsumers, useAllRoutes, useGroup, useMay, useRefresh } from '../api/queries';
import { DeleteButton } from '../components/Bits';
import { EnableSwitch } from '../components/EnableSwitch';
import { LimitBars } from '../components/LimitBars';
import { LoadingRows } from '../components/List';
import { Card, Page } from '../components/Page';
import { ProblemAlert } from '../components/Problem';
import { TenantForm } from './TenantForm';


function Chips({ names, to, none }: { names: string[]; to: (name: string) => string; none: string }) {
  if (names.length === 0) return <p className="muted">{none}</p>;
  return (
    <span className="chips">
      {names.map((name) => (
        <Link key={name} to={to(name)} className="chip">
          {name}
        </Link>
      ))}
    </span>
  );
}

export function GroupPage() {
  const { t } = useTranslation();
  const { name = '' } = useParams();
  const navigate = useNavigate();
  const may = useMay('operator');
  const refresh = useRefresh();
  const group = useGroup(name);
  const routes = useAllRoutes();
  const consumers = useAllConsumers();
  const back = { to: '/groups', text: t('groups.title') };
  if (group.isError || !group.data) {
    return (
      <Page title={name} back={back}>
        {group.isError ? (
          <ProblemAlert error={group.error} onRetry={() => void group.refetch()} />
        ) : (
          <div className="card">
            <LoadingRows />
          </div>
        )}
      </Page>
    );
  }
  const object = group.data.object;
  return (
    <Page
      title={name}
      lead={object.description}
      back={back}
      actions={
        may && (
          <>
            <label className="line gap-8">
              <EnableSwitch
                name={name}
                enabled={object.enabled !== false}
                testId="group-enabled"
                onChange={async (enabled) => {
                  await need(api.PATCH('/groups/{name}', { params: { path: { name } }, body: { enabled } }));
                  await refresh('groups');
                }}
              />
              <span>{object.enabled !== false ? t('common.enabled') : t('common.disabled')}</span>
            </label>
            <DeleteButton
              label={t('common.delete')}
              testId="group-delete"
              question={t('groups.deleteTitle', { name })}
              text={t('groups.deleteText')}
              onDelete={() => need(api.DELETE('/groups/{name}', { params: { path: { name } } }))}
              onDone={() => {
                void refresh('groups');
                navigate('/groups');
              }}
            />
          </>
        )
      }
    >
      <div className="stack gap-16">
        <Card title={t('groups.members')} testId="group-members">
          <Chips
            names={(consumers.data ?? []).filter((one) => one.groups?.includes(name)).map((one) => one.name)}
            to={(one) => `/consumers/${one}`}
            none={t('groups.noMembers')}
          />
        </Card>
        <Card title={t('groups.admits')} testId="group-routes">
          <Chips
            names={(routes.data ?? []).filter((one) => one.auth.groups?.includes(name)).map((one) => one.name)}
            to={(one) => `/routes/${one}`}
            none={t('groups.noRoutes')}
          />
        </Card>
        <LimitBars kind="groups" name={name} />
        <TenantForm key={group.data.etag} kind="groups" stored={group.data} onSaved={() => void group.refetch()} />
      </div>
    </Page>
  );
}
