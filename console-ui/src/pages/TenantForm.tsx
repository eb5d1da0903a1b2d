/* The settings of a consumer or of a group: who it is, which models it grants, its plugins. */
import { App, Form, Input, type FormInstance } from 'antd';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { api, need, type Schemas } from '../api/client';
import { ifMatch, useMay, usePlugins, useRefresh, type Guarded } from '../api/queries';
import { Section } from '../components/Page';
import { ProblemAlert } from '../components/Problem';
import { PluginsEditor, pluginsFromForm, pluginsToForm } from '../forms/PluginsEditor';
import { PairsInput, useRules } from '../forms/inputs';
import { held, keepUnseen } from '../forms/keep';
import { SaveBar } from '../forms/SaveBar';
import { useApiForm } from '../forms/useApiForm';
import { GroupsSelect, ModelsSelect } from './Consumers';

type Kind = 'consumers' | 'groups';
type Tenant = Schemas['Consumer'] | Schemas['Group'];
type Values = Pick<Schemas['ConsumerWrite'], 'description' | 'labels' | 'groups' | 'models' | 'plugins'>;

export function tenantToForm(tenant: Tenant, plugins: Schemas['Plugin'][]): Values {
  return {
    description: tenant.description,
    labels: tenant.labels,
    ...('groups' in tenant ? { groups: tenant.groups } : {}),
    models: tenant.models ?? [],
    plugins: pluginsToForm(plugins, tenant.plugins),
  };
}

/** The whole object: what the form shows, changed, and everything else as it is stored. */
export function tenantFromForm<T extends Tenant>(stored: T, values: Values, plugins: Schemas['Plugin'][]): T {
  const sent = {
    ...values,
    name: stored.name,
    /* A group without a list grants whatever its members' lists grant. */
    models: values.models?.length ? values.models : 'groups' in stored ? [] : null,
    plugins: pluginsFromForm(values.plugins, stored.plugins, plugins),
  };
  const { keys: _keys, credentials: _credentials, ...rest } = stored as Record<string, unknown>;
  return keepUnseen(rest, tenantToForm(stored, plugins), sent) as unknown as T;
}

interface FormProps {
  kind: Kind;
  stored: Guarded<Tenant>;
  onSaved: () => void;
}

export function TenantForm({ kind, stored, onSaved }: FormProps) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const rules = useRules();
  const may = useMay('operator');
  const refresh = useRefresh();
  const plugins = usePlugins();
  const edit = useApiForm<Values>();
  const tenant = stored.object;
  const what = kind === 'consumers' ? 'consumer' : 'group';
  const initial = useMemo(() => tenantToForm(tenant, plugins.data ?? []), [tenant, plugins.data]);
  if (plugins.isPending) return null;
  const save = async (values: Values) => {
    const body = tenantFromForm(tenant, held(edit.form, values), plugins.data ?? []);
    const params = { path: { name: tenant.name }, header: ifMatch(stored.etag) };
    const done = await edit.submit(() =>
      kind === 'consumers'
        ? need(api.PUT('/consumers/{name}', { params, body: body as Schemas['ConsumerWrite'] }))
        : need(api.PUT('/groups/{name}', { params, body: body as Schemas['GroupWrite'] })),
    );
    if (!done) return;
    await refresh(kind);
    message.success(t('common.saved'));
    onSaved();
  };
  return (
    <Form<Values>
      form={edit.form}
      layout="vertical"
      className="card form-card"
      initialValues={initial}
      onFinish={save}
      onFinishFailed={edit.onFinishFailed as never}
      disabled={!may}
      name={what}
      data-testid={`${what}-form`}
    >
      <Section title={t('form.about')}>
        <Form.Item name="description" label={t('form.description')}>
          <Input maxLength={1024} data-testid={`${what}-description`} />
        </Form.Item>
        {kind === 'consumers' && (
          <Form.Item name="groups" label={t('consumers.groups')} extra={t('consumers.groupsHelp')}>
            <GroupsSelect testId="consumer-groups" />
          </Form.Item>
        )}
        <Form.Item name="labels" label={t('form.labels')}>
          <PairsInput keyLabel={t('form.key')} valueLabel={t('form.value')} addText={t('form.addLabel')} testId={`${what}-labels`} />
        </Form.Item>
      </Section>
      <Section title={t(`${kind}.models`)} lead={t(`${kind}.modelsLead`)}>
        <Form.Item name="models" label={t(`${kind}.models`)} extra={t(`${kind}.modelsHelp`)} rules={kind === 'consumers' ? [rules.required] : []}>
          <ModelsSelect testId={`${what}-models`} />
        </Form.Item>
      </Section>
      <Section title={t('routeForm.plugins')} lead={t(`${kind}.pluginsLead`)}>
        <div style={{ marginBottom: 20 }}>
          <PluginsEditor form={edit.form as unknown as FormInstance} stored={tenant.plugins} faults={edit.faults} />
        </div>
      </Section>
      <ProblemAlert error={edit.error} rest={edit.rest} />
      {may && <SaveBar busy={edit.busy} what={what} />}
    </Form>
  );
}
