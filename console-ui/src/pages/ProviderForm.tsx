/* The form of a provider, new or stored.  Stored keys show their last characters and stay unless a new one is typed. */
import { DeleteOutlined, PlusOutlined } from '@ant-design/icons';
import { App, Button, Form, Input, InputNumber, Segmented, Switch } from 'antd';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, need, type Schemas } from '../api/client';
import { ifMatch, useAllProviders, useMay, useRefresh, type Guarded } from '../api/queries';
import { storedSecret } from '../lib/secret';
import { useAction } from '../components/Bits';
import { Fold } from '../components/Fold';
import { Section } from '../components/Page';
import { ProblemAlert } from '../components/Problem';
import { FieldTable, partSecrets, withoutEmpty } from '../forms/FieldTable';
import { PairsInput, useRules } from '../forms/inputs';
import { held, keepUnseen } from '../forms/keep';
import { SwitchItem } from '../forms/SwitchItem';
import { SaveBar } from '../forms/SaveBar';
import { useApiForm, within } from '../forms/useApiForm';
import { FormSelect } from '../forms/FormSelect';
import { FailoverFolds, TimeoutFold, modelLines, modelMap, statusLines, statusMap, type ModelLine, type StatusLine } from './ProviderFailover';

type Provider = Schemas['Provider'];
type Write = Schemas['ProviderWrite'];
type Values = Omit<Write, 'type' | 'model_timeouts' | 'on_status'> & { model_timeouts?: ModelLine[]; on_status?: StatusLine[] };

/** A name that is free: "deepseek", else "deepseek-2"… */
export function freeName(wanted: string, taken: string[]): string {
  if (!taken.includes(wanted)) return wanted;
  for (let i = 2; ; i++) if (!taken.includes(`${wanted}-${i}`)) return `${wanted}-${i}`;
}

export function providerToForm(provider: Provider, type: Schemas['ProviderType']): Values {
  return {
    name: provider.name,
    description: provider.description,
    labels: provider.labels,
    enabled: provider.enabled,
    base_url: provider.base_url ?? undefined,
    api_keys: (provider.api_keys ?? []).map((key) => ({ name: key.name, weight: key.weight, enabled: key.enabled })),
    models: provider.models,
    endpoints: provider.endpoints,
    load_balance: provider.load_balance,
    affinity: provider.affinity,
    timeouts: provider.timeouts,
    model_timeouts: modelLines(provider.model_timeouts),
    on_status: statusLines(provider.on_status),
    key_failover: provider.key_failover,
    breaker: provider.breaker,
    health_check: provider.health_check,
    pool: provider.pool,
    on_client_gone: provider.on_client_gone,
    allow_private: provider.allow_private,
    tls: {
      verify: provider.tls?.verify,
      ca_pem: provider.tls?.ca_pem ?? undefined,
      server_name: provider.tls?.server_name ?? undefined,
      min_version: provider.tls?.min_version,
    },
    headers: provider.headers,
    consumer_header: provider.consumer_header ?? undefined,
    options: partSecrets(type.options, provider.options).plain,
  };
}

/** `stored`, when there is one: what the form does not show of it is sent as it is. */
export function providerFromForm(values: Values, type: string, pool: boolean, stored?: Provider, about?: Schemas['ProviderType']): Write {
  const sent: Write = {
    ...values,
    type,
    base_url: pool ? null : values.base_url?.trim() || null,
    endpoints: pool ? (values.endpoints ?? []).map((endpoint) => ({ ...endpoint, url: endpoint.url.trim() })) : [],
    api_keys: (values.api_keys ?? [])
      .map((key) => withoutEmpty({ ...key, value: key.value?.trim() }) as Schemas['ProviderKeyWrite'])
      .filter((key) => key.name),
    affinity: withoutEmpty(values.affinity) as Write['affinity'],
    timeouts: withoutEmpty(values.timeouts) as Write['timeouts'],
    model_timeouts: modelMap(values.model_timeouts),
    on_status: statusMap(values.on_status),
    key_failover: withoutEmpty(values.key_failover) as Write['key_failover'],
    breaker: withoutEmpty(values.breaker) as Write['breaker'],
    health_check: withoutEmpty(values.health_check) as Write['health_check'],
    pool: withoutEmpty(values.pool) as Write['pool'],
    on_client_gone: withoutEmpty(values.on_client_gone) as Write['on_client_gone'],
    tls: {
      ...values.tls,
      verify: values.tls?.verify ?? true,
      ca_pem: values.tls?.ca_pem?.trim() || null,
      server_name: values.tls?.server_name?.trim() || null,
      min_version: values.tls?.min_version ?? '1.2',
    },
    consumer_header: values.consumer_header?.trim() || null,
    options: withoutEmpty(values.options),
  };
  return stored && about ? keepUnseen(stored, providerToForm(stored, about), sent) : sent;
}

interface FormProps {
  type: Schemas['ProviderType'];
  stored?: Guarded<Provider>;
  onSaved: (name: string) => void;
}

export function ProviderForm({ type, stored, onSaved }: FormProps) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const rules = useRules();
  const refresh = useRefresh();
  const may = useMay('operator');
  const others = useAllProviders();
  const edit = useApiForm<Values>();
  const { run, busy: asking } = useAction();
  const isNew = stored === undefined;
  const provider = stored?.object;
  const [pool, setPool] = useState((provider?.endpoints?.length ?? 0) > 0);
  const models = Form.useWatch('models', edit.form);

  const initial = useMemo<Values>(
    () =>
      provider
        ? providerToForm(provider, type)
        : {
            name: freeName(type.type, (others.data ?? []).map((entry) => entry.name)),
            enabled: true,
            api_keys: [{ name: 'main', weight: 1, enabled: true }],
            tls: { verify: true, min_version: '1.2' },
            key_failover: { enabled: true },
            breaker: { enabled: true },
            affinity: { by: 'consumer' },
            on_client_gone: { action: 'cancel' },
            load_balance: 'round_robin',
          },
    [provider, type, others.data],
  );
  if (isNew && others.isPending) return null;

  const storedKey = (name: string | undefined) => provider?.api_keys?.find((key) => key.name === name);

  const save = async (values: Values) => {
    let body = providerFromForm(held(edit.form, values), type.type, pool, provider, type);
    /* A lone, empty key field of a server that wants none is no key. */
    if (isNew) body = { ...body, api_keys: (body.api_keys ?? []).filter((key) => key.value || type.api_key_required) };
    const done = await edit.submit(() =>
      isNew
        ? need(api.POST('/providers', { body }))
        : need(
            api.PUT('/providers/{name}', {
              params: { path: { name: provider?.name ?? '' }, header: ifMatch(stored.etag) },
              body,
            }),
          ),
    );
    if (!done) return;
    await refresh('providers', 'health');
    message.success(t('common.saved'));
    onSaved(body.name);
  };

  const askVendor = () =>
    run(async () => {
      const answer = await need(api.GET('/providers/{name}/models', { params: { path: { name: provider?.name ?? '' } } }));
      const known = models ?? [];
      const fresh = answer.items.map((item) => item.id).filter((id) => !known.includes(id));
      edit.form.setFieldValue('models', [...known, ...fresh]);
      message.info(t('providerForm.modelsFound', { count: fresh.length }));
    });

  return (
    <Form<Values>
      form={edit.form}
      layout="vertical"
      className="card form-card"
      initialValues={initial}
      onFinish={save}
      onFinishFailed={edit.onFinishFailed as never}
      disabled={!may}
      scrollToFirstError
      name="provider"
      data-testid="provider-form"
    >
      <Section title={isNew ? t('providerForm.identity') : t('form.about')} lead={isNew ? t('providerForm.identityLead') : undefined}>
        <div className="fields-2">
          <Form.Item name="name" label={t('form.name')} rules={rules.name} validateFirst extra={t('form.nameHelp')} hidden={!isNew}>
            <Input className="mono" spellCheck={false} data-testid="provider-name" />
          </Form.Item>
          <Form.Item name="description" label={t('form.description')}>
            <Input maxLength={1024} data-testid="provider-description" />
          </Form.Item>
        </div>
      </Section>

      <Section
        title={t('providerForm.connection')}
        lead={
          type.docs_url ? (
            <a href={type.docs_url} target="_blank" rel="noreferrer">
              {t('providerForm.vendorDocs')}
            </a>
          ) : undefined
        }
      >
        <Form.List name="api_keys">
          {(keys, { add, remove }) => (
            <div style={{ marginBottom: 16 }}>
              {keys.map((key, i) => {
                const name = edit.form.getFieldValue(['api_keys', key.name, 'name']) as string | undefined;
                const known = storedKey(name);
                const lone = keys.length === 1;
                return (
                  <div className="line-item" key={key.key}>
                    <Form.Item
                      name={[key.name, 'name']}
                      label={i === 0 ? t('providerForm.keyName') : undefined}
                      rules={rules.name}
                      hidden={lone}
                      style={{ flex: '1 1 120px' }}
                    >
                      <Input disabled={known !== undefined} aria-label={t('providerForm.keyName')} data-testid={`provider-key-${i}-name`} />
                    </Form.Item>
                    <Form.Item
                      name={[key.name, 'value']}
                      label={i === 0 ? (type.api_key_required ? t('providerForm.key') : t('providerForm.keyOptional')) : undefined}
                      rules={type.api_key_required && !known ? [rules.required] : []}
                      style={{ flex: '3 1 220px' }}
                    >
                      <Input.Password
                        autoComplete="new-password"
                        aria-label={t('providerForm.key')}
                        className="mono"
                        placeholder={known ? storedSecret(t, known.value) : 'sk-…'}
                        data-testid={`provider-key-${i}`}
                      />
                    </Form.Item>
                    <Form.Item
                      name={[key.name, 'weight']}
                      label={i === 0 ? t('form.weight') : undefined}
                      hidden={lone}
                      style={{ flex: '0 0 86px' }}
                    >
                      <InputNumber min={0} max={10000} style={{ width: '100%' }} placeholder="1" aria-label={t('form.weight')} />
                    </Form.Item>
                    <Form.Item
                      name={[key.name, 'enabled']}
                      valuePropName="checked"
                      label={i === 0 ? t('form.on') : undefined}
                      hidden={lone}
                    >
                      <Switch size="small" aria-label={t('common.enabledOf', { name: name ?? '' })} />
                    </Form.Item>
                    {!lone && (
                      <Button
                        type="text"
                        icon={<DeleteOutlined />}
                        className={i === 0 ? 'under-label' : undefined}
                        aria-label={t('common.removeLine', { number: i + 1 })}
                        onClick={() => remove(key.name)}
                        data-testid={`provider-key-${i}-remove`}
                      />
                    )}
                  </div>
                );
              })}
              <Button
                size="small"
                type="dashed"
                icon={<PlusOutlined />}
                onClick={() => {
                  const taken = ((edit.form.getFieldValue('api_keys') as { name?: string }[] | undefined) ?? []).map((entry) => entry?.name ?? '');
                  add({ name: freeName(taken.length === 0 ? 'main' : 'key', taken), weight: 1, enabled: true });
                }}
                data-testid="provider-key-add"
              >
                {keys.length === 0 ? t('providerForm.addFirstKey') : t('providerForm.addKey')}
              </Button>
            </div>
          )}
        </Form.List>

        <Form.Item label={t('providerForm.where')}>
          <Segmented
            value={pool ? 'pool' : 'one'}
            onChange={(value) => {
              setPool(value === 'pool');
              if (value === 'pool' && !edit.form.getFieldValue('endpoints')?.length) {
                edit.form.setFieldValue('endpoints', [{ url: edit.form.getFieldValue('base_url') ?? '', weight: 1 }]);
              }
            }}
            options={[
              { value: 'one', label: <span data-testid="provider-where-one">{t('providerForm.oneAddress')}</span> },
              { value: 'pool', label: <span data-testid="provider-where-pool">{t('providerForm.pool')}</span> },
            ]}
          />
        </Form.Item>
        {pool ? (
          <Form.List name="endpoints">
            {(items, { add, remove }) => (
              <div style={{ marginBottom: 16 }}>
                {items.map((item, i) => (
                  <div className="line-item" key={item.key}>
                    <Form.Item name={[item.name, 'url']} rules={[rules.required, rules.url]} validateFirst style={{ flex: '4 1 240px' }}>
                      <Input
                        className="mono"
                        placeholder="http://10.0.0.7:8000/v1"
                        aria-label={t('providerForm.serverUrl', { number: i + 1 })}
                        data-testid={`provider-endpoint-${i}`}
                      />
                    </Form.Item>
                    <Form.Item name={[item.name, 'weight']} style={{ flex: '0 0 86px' }}>
                      <InputNumber min={0} max={10000} style={{ width: '100%' }} placeholder="1" aria-label={t('form.weight')} />
                    </Form.Item>
                    <Button type="text" icon={<DeleteOutlined />} aria-label={t('common.removeLine', { number: i + 1 })} onClick={() => remove(item.name)} />
                  </div>
                ))}
                <Button size="small" type="dashed" icon={<PlusOutlined />} onClick={() => add({ url: '', weight: 1 })} data-testid="provider-endpoint-add">
                  {t('providerForm.addServer')}
                </Button>
              </div>
            )}
          </Form.List>
        ) : (
          <Form.Item
            name="base_url"
            label={t('providerForm.baseUrl')}
            rules={[rules.url, ...(type.base_url_required ? [rules.required] : [])]}
            validateFirst
            extra={type.default_base_url ? t('providerForm.baseUrlDefault') : t('providerForm.baseUrlHelp')}
          >
            <Input className="mono" spellCheck={false} placeholder={type.default_base_url ?? 'http://10.0.0.7:8000/v1'} data-testid="provider-base-url" />
          </Form.Item>
        )}
      </Section>

      <Section title={t('providerForm.models')} lead={t('providerForm.modelsLead')}>
        <Form.Item name="models" label={t('providerForm.modelNames')}>
          <FormSelect
            mode="tags"
            tokenSeparators={[',', ' ', '\n']}
            options={(type.models ?? []).map((value) => ({ value, label: value }))}
            placeholder={type.models?.slice(0, 2).join(', ') || t('form.listHint')}
            data-testid="provider-models"
          />
        </Form.Item>
        {!isNew && (
          <Form.Item>
            <Button size="small" onClick={() => void askVendor()} loading={asking} data-testid="provider-models-ask">
              {t('providerForm.askVendor')}
            </Button>
          </Form.Item>
        )}
      </Section>

      {type.options.length > 0 && (
        <Section title={t('providerForm.options')} lead={t('providerForm.optionsLead')}>
          <FieldTable fields={type.options} at={['options']} stored={partSecrets(type.options, provider?.options).stored} />
        </Section>
      )}

      <Section title={t('form.advanced')} lead={t('providerForm.advancedLead')}>
        <TimeoutFold faults={edit.faults} />
        <FailoverFolds faults={edit.faults} />
        <Fold title={t('providerForm.tls')} hint={t('providerForm.tlsHint')} forceOpen={within(edit.faults, 'tls', 'headers', 'consumer_header', 'labels')} testId="fold-tls">
          <SwitchItem name={['tls', 'verify']} label={t('providerForm.verify')} help={t('providerForm.verifyHelp')} testId="tls-verify" />
          <div className="fields-2">
            <Form.Item name={['tls', 'min_version']} label={t('failover.tlsVersion')}>
              <FormSelect data-testid="tls-min-version" options={(['1.2', '1.3'] as const).map((value) => ({ value, label: `TLS ${value}` }))} />
            </Form.Item>
            <Form.Item name={['tls', 'server_name']} label={t('failover.serverName')} extra={t('failover.serverNameHelp')}>
              <Input className="mono" spellCheck={false} data-testid="tls-server-name" />
            </Form.Item>
          </div>
          <Form.Item name={['tls', 'ca_pem']} label={t('providerForm.ca')}>
            <Input.TextArea className="mono" autoSize={{ minRows: 2, maxRows: 8 }} placeholder="-----BEGIN CERTIFICATE-----" spellCheck={false} data-testid="tls-ca" />
          </Form.Item>
          <Form.Item name="headers" label={t('providerForm.headers')}>
            <PairsInput keyLabel={t('form.header')} valueLabel={t('form.value')} addText={t('form.addHeader')} testId="provider-headers" />
          </Form.Item>
          <Form.Item name="consumer_header" label={t('providerForm.consumerHeader')} extra={t('providerForm.consumerHeaderHelp')}>
            <Input className="mono" spellCheck={false} placeholder="x-tidegate-consumer" data-testid="provider-consumer-header" />
          </Form.Item>
          <Form.Item name="labels" label={t('form.labels')}>
            <PairsInput keyLabel={t('form.key')} valueLabel={t('form.value')} addText={t('form.addLabel')} testId="provider-labels" />
          </Form.Item>
        </Fold>
      </Section>

      <ProblemAlert error={edit.error} rest={edit.rest} />
      {may && <SaveBar busy={edit.busy} what="provider" create={isNew ? { text: t('providerForm.create'), cancelTo: '/providers' } : undefined} />}
    </Form>
  );
}
