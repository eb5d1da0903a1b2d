/* One group: its members, the routes that admit it, what it hands down. */
import { App, Button, Form, Input, type FormInstance } from 'antd';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useNavigate, useParams } from 'react-router-dom';
import { api, need, type Schemas } from '../api/client';
import { ifMatch, useAllConsumers, useAllRoutes, useGroup, useMay, usePlugins, useRefresh, type Guarded } from '../api/queries';
import { DeleteButton } from '../components/Bits';
import { EnableSwitch } from '../components/EnableSwitch';
import { LimitBars } from '../components/LimitBars';
import { LoadingRows } from '../components/List';
import { Card, Page, Section } from '../components/Page';
import { ProblemAlert } from '../components/Problem';
import { PluginsEditor, pluginsFromForm, pluginsToForm } from '../forms/PluginsEditor';
import { PairsInput } from '../forms/inputs';
import { useApiForm } from '../forms/useApiForm';
import { ModelsSelect } from './Consumers';

type Group = Schemas['Group'];
type Write = Schemas['GroupWrite'];

function GroupForm({ stored, onSaved }: { stored: Guarded<Group>; onSaved: () => void }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const may = useMay('operator');
  const refresh = useRefresh();
  const plugins = usePlugins();
  const edit = useApiForm<Write>();
  const group = stored.object;
  const initial = useMemo(
    () => ({
      description: group.description,
      models: group.models ?? [],
      labels: group.labels,
      plugins: pluginsToForm(plugins.data ?? [], group.plugins),
    }),
    [group, plugins.data],
  );
  if (plugins.isPending) return null;
  const save = async (values: Write) => {
    const all = { ...edit.form.getFieldsValue(true), ...values } as Write;
    const done = await edit.submit(() =>
      need(
        api.PUT('/groups/{name}', {
          params: { path: { name: group.name }, header: ifMatch(stored.etag) },
          body: { ...all, name: group.name, enabled: group.enabled, models: all.models?.length ? all.models : null, plugins: pluginsFromForm(all.plugins) },
        }),
      ),
    );
    if (!done) return;
    await refresh('groups');
    message.success(t('common.saved'));
    onSaved();
  };
  return (
    <Form<Write>
      form={edit.form}
      layout="vertical"
      className="card form-card"
      initialValues={initial}
      onFinish={save}
      onFinishFailed={edit.onFinishFailed as never}
      disabled={!may}
      name="group"
      data-testid="group-form"
    >
      <Section title={t('form.about')}>
        <Form.Item name="description" label={t('form.description')}>
          <Input maxLength={1024} data-testid="group-description" />
        </Form.Item>
        <Form.Item name="labels" label={t('form.labels')}>
          <PairsInput keyLabel={t('form.key')} valueLabel={t('form.value')} addText={t('form.addLabel')} testId="group-labels" />
        </Form.Item>
      </Section>
      <Section title={t('groups.models')} lead={t('groups.modelsLead')}>
        <Form.Item name="models" label={t('groups.models')} extra={t('groups.modelsHelp')}>
          <ModelsSelect testId="group-models" />
        </Form.Item>
      </Section>
      <Section title={t('routeForm.plugins')} lead={t('groups.pluginsLead')}>
        <div style={{ marginBottom: 20 }}>
          <PluginsEditor form={edit.form as unknown as FormInstance} stored={group.plugins} faults={edit.faults} />
        </div>
      </Section>
      <ProblemAlert error={edit.error} rest={edit.rest} />
      {may && (
        <div className="form-actions">
          <Button type="primary" htmlType="submit" loading={edit.busy} data-testid="group-save">
            {t('common.save')}
          </Button>
          <span className="grow">{t('common.liveSoon')}</span>
        </div>
      )}
    </Form>
  );
}

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
        <GroupForm key={group.data.etag} stored={group.data} onSaved={() => void group.refetch()} />
      </div>
    </Page>
  );
}
