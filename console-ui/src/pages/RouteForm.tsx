/* The form of a route: what matches, where it goes, what happens when that fails, who may call. */
import { ArrowDownOutlined, ArrowUpOutlined, DeleteOutlined, PlusOutlined } from '@ant-design/icons';
import { App, Button, Form, Input, InputNumber, Radio, type FormInstance } from 'antd';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { api, need, type Schemas } from '../api/client';
import { ifMatch, useAllConsumers, useAllGroups, useAllProviders, useMay, usePlugins, useRefresh, type Guarded } from '../api/queries';
import { Fold } from '../components/Fold';
import { Section } from '../components/Page';
import { ProblemAlert } from '../components/Problem';
import { withoutEmpty } from '../forms/FieldTable';
import { PluginsEditor, pluginsFromForm, pluginsToForm } from '../forms/PluginsEditor';
import { DurationItem, PairsInput, useRules } from '../forms/inputs';
import { held, keepUnseen } from '../forms/keep';
import { Suggest } from '../forms/Suggest';
import { SwitchItem } from '../forms/SwitchItem';
import { SaveBar } from '../forms/SaveBar';
import { useApiForm, within } from '../forms/useApiForm';
import { shares } from './routeText';
import { FormSelect } from '../forms/FormSelect';

type Route = Schemas['Route'];
type Write = Schemas['RouteWrite'];
export type Values = Write & { who: 'any' | 'some' | 'open' };

const CONDITIONS = ['connect_error', 'timeout', 'rate_limited', '429', '4xx', '5xx', '500', '502', '503', '504'];
const MATCH_TYPES = ['exact', 'prefix', 'regex'] as const;

export function routeToForm(route: Route, plugins: Schemas['Plugin'][]): Values {
  const { consumers = [], groups = [], required } = route.auth;
  return {
    name: route.name,
    description: route.description,
    labels: route.labels,
    enabled: route.enabled,
    hosts: route.hosts,
    path_prefix: route.path_prefix,
    ignore_case: route.ignore_case,
    match: route.match,
    targets: route.targets.map((target) => ({ ...target, model: target.model ?? undefined })),
    fallback: {
      ...route.fallback,
      targets: (route.fallback.targets ?? []).map((target) => ({ ...target, model: target.model ?? undefined, timeout: target.timeout ?? undefined })),
    },
    retry: route.retry,
    timeout: route.timeout ?? undefined,
    auth: route.auth,
    plugins: pluginsToForm(plugins, route.plugins),
    log: route.log ?? { prompts: 'off' },
    who: required === false ? 'open' : consumers.length + groups.length > 0 ? 'some' : 'any',
  };
}

/** `stored`, when there is one: what the form does not show of it is sent as it is. */
export function routeFromForm({ who, ...values }: Values, stored?: Route, plugins: Schemas['Plugin'][] = []): Write {
  const end = <T extends { model?: string | null; model_map?: Record<string, string> }>(target: T): T =>
    ({ ...target, model: target.model?.trim() || null, model_map: target.model_map ?? {} }) as T;
  const sent: Write = {
    ...values,
    path_prefix: values.path_prefix?.trim() || '/',
    match: {
      models: (values.match?.models ?? []).map((model) => ({ ...model, value: model.value.trim() })),
      headers: values.match?.headers ?? [],
      query: values.match?.query ?? [],
    },
    targets: (values.targets ?? []).map((target) => ({ ...end(target), weight: target.weight ?? 1 })),
    fallback: {
      ...withoutEmpty(values.fallback as Record<string, unknown>),
      targets: (values.fallback?.targets ?? []).map((target) => ({ ...end(target), timeout: target.timeout?.trim() || null })),
    },
    retry: withoutEmpty(values.retry as Record<string, unknown>),
    timeout: values.timeout?.trim() || null,
    auth: {
      required: who !== 'open',
      consumers: who === 'some' ? (values.auth?.consumers ?? []) : [],
      groups: who === 'some' ? (values.auth?.groups ?? []) : [],
    },
    plugins: pluginsFromForm(values.plugins, stored?.plugins, plugins),
    log: { prompts: 'off', ...withoutEmpty(values.log as Record<string, unknown>) } as Write['log'],
  };
  return stored ? keepUnseen(stored, routeToForm(stored, plugins), sent) : sent;
}

function MatchLines({ name, kind }: { name: string[]; kind: 'header' | 'query' }) {
  const { t } = useTranslation();
  const rules = useRules();
  const testId = `match-${kind}`;
  return (
    <Form.List name={name}>
      {(items, { add, remove }) => (
        <div style={{ marginBottom: 16 }}>
          {items.map((item, i) => (
            <div className="line-item" key={item.key}>
              <Form.Item name={[item.name, 'name']} rules={[rules.required]} style={{ flex: '2 1 120px' }}>
                <Input className="mono" placeholder={kind === 'header' ? 'x-team' : 'team'} aria-label={t(`routeForm.${kind}Name`)} data-testid={`${testId}-${i}-name`} />
              </Form.Item>
              <Form.Item name={[item.name, 'type']} initialValue="exact" style={{ flex: '1 1 110px' }}>
                <FormSelect options={MATCH_TYPES.map((value) => ({ value, label: t(`routeForm.type.${value}`) }))} aria-label={t('routeForm.compare')} />
              </Form.Item>
              <Form.Item name={[item.name, 'value']} style={{ flex: '2 1 120px' }}>
                <Input className="mono" aria-label={t('form.value')} placeholder={t('form.value')} data-testid={`${testId}-${i}-value`} />
              </Form.Item>
              <Button type="text" icon={<DeleteOutlined />} aria-label={t('common.removeLine', { number: i + 1 })} onClick={() => remove(item.name)} />
            </div>
          ))}
          <Button size="small" type="dashed" icon={<PlusOutlined />} onClick={() => add({ type: 'exact', name: '', value: '' })} data-testid={`${testId}-add`}>
            {t(`routeForm.add.${kind}`)}
          </Button>
        </div>
      )}
    </Form.List>
  );
}

interface TargetProps {
  form: FormInstance<Values>;
  at: (string | number)[];
  index: number;
  label: string;
}

/** Provider and model of one target; the models offered are those of the provider. */
function TargetFields({ form, at, index, label, local }: TargetProps & { local: (string | number)[] }) {
  const { t } = useTranslation();
  const rules = useRules();
  const providers = useAllProviders();
  const chosen = Form.useWatch([...at, 'provider'] as never, form) as string | undefined;
  const models = providers.data?.find((provider) => provider.name === chosen)?.models ?? [];
  return (
    <>
      <Form.Item name={[...local, 'provider']} label={t('routeForm.provider')} rules={[rules.required]} style={{ flex: '2 1 150px' }}>
        <FormSelect
          showSearch
          loading={providers.isPending}
          placeholder={t('routeForm.chooseProvider')}
          options={(providers.data ?? []).map((provider) => ({
            value: provider.name,
            label: provider.enabled === false ? t('routeForm.providerOff', { name: provider.name }) : provider.name,
          }))}
          data-testid={`${label}-${index}-provider`}
        />
      </Form.Item>
      <Form.Item name={[...local, 'model']} label={t('routeForm.targetModel')} style={{ flex: '3 1 170px' }}>
        <Suggest options={models} placeholder={t('routeForm.keepModel')} testId={`${label}-${index}-model`} />
      </Form.Item>
    </>
  );
}

function ModelMap({ local, testId }: { local: (string | number)[]; testId: string }) {
  const { t } = useTranslation();
  return (
    <Form.Item name={[...local, 'model_map']} label={t('routeForm.modelMap')} extra={t('routeForm.modelMapHelp')}>
      <PairsInput
        keyLabel={t('routeForm.clientModel')}
        valueLabel={t('routeForm.providerModel')}
        keyPlaceholder="gpt-*"
        valuePlaceholder="qwq-32b"
        addText={t('routeForm.addMapping')}
        testId={testId}
      />
    </Form.Item>
  );
}

interface FormProps {
  stored?: Guarded<Route>;
  template?: Partial<Values>;
  onSaved: (name: string) => void;
}

export function RouteForm({ stored, template, onSaved }: FormProps) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const rules = useRules();
  const refresh = useRefresh();
  const may = useMay('operator');
  const plugins = usePlugins();
  const consumers = useAllConsumers();
  const edit = useApiForm<Values>();
  const { form } = edit;
  const isNew = stored === undefined;
  const route = stored?.object;
  const targets = Form.useWatch('targets', form) ?? [];
  const fallbackOn = Form.useWatch(['fallback', 'enabled'], form) ?? false;
  const who = Form.useWatch('who', form) ?? 'any';
  const keeping = Form.useWatch(['log', 'prompts'], form) ?? 'off';
  const parts = shares(targets.map((target) => ({ weight: target?.weight ?? 1 })));
  const known = useAllGroups();
  const groups = useMemo(
    () => [...new Set([...(known.data ?? []).map((group) => group.name), ...(consumers.data ?? []).flatMap((consumer) => consumer.groups ?? [])])].sort(),
    [known.data, consumers.data],
  );

  const initial = useMemo<Partial<Values>>(
    () =>
      route
        ? routeToForm(route, plugins.data ?? [])
        : {
            enabled: true,
            path_prefix: '/',
            match: { models: [{ type: 'exact', value: '' }], headers: [], query: [] },
            targets: [{ provider: undefined as unknown as string, weight: 1 }],
            fallback: { enabled: false, on: ['connect_error', 'timeout', 'rate_limited', '429', '5xx'], targets: [] },
            retry: { attempts: 2, on: ['connect_error', '429', '503'] },
            who: 'any',
            ...template,
          },
    [route, plugins.data, template],
  );
  if (plugins.isPending) return null;

  const save = async (values: Values) => {
    const body = routeFromForm(held(form, values), route, plugins.data ?? []);
    const done = await edit.submit(() =>
      isNew
        ? need(api.POST('/routes', { body }))
        : need(api.PUT('/routes/{name}', { params: { path: { name: route?.name ?? '' }, header: ifMatch(stored.etag) }, body })),
    );
    if (!done) return;
    await refresh('routes');
    message.success(t('common.saved'));
    onSaved(body.name);
  };

  return (
    <Form<Values>
      form={form}
      layout="vertical"
      className="card form-card"
      initialValues={initial}
      onFinish={save}
      onFinishFailed={edit.onFinishFailed as never}
      disabled={!may}
      name="route"
      data-testid="route-form"
    >
      <Section title={isNew ? t('routeForm.identity') : t('form.about')} lead={isNew ? t('routeForm.identityLead') : undefined}>
        <div className="fields-2">
          <Form.Item name="name" label={t('form.name')} rules={rules.name} validateFirst extra={t('form.nameHelp')} hidden={!isNew}>
            <Input className="mono" spellCheck={false} placeholder="my-deepseek-r1" data-testid="route-name" />
          </Form.Item>
          <Form.Item name="description" label={t('form.description')}>
            <Input maxLength={1024} data-testid="route-description" />
          </Form.Item>
        </div>
      </Section>

      <Section title={t('routeForm.match')} lead={t('routeForm.matchLead')}>
        <Form.List name={['match', 'models']}>
          {(items, { add, remove }) => (
            <div style={{ marginBottom: 16 }}>
              {items.length === 0 && <p className="muted" style={{ marginBottom: 8 }}>{t('routeForm.everyModel')}</p>}
              {items.map((item, i) => (
                <div className="line-item" key={item.key}>
                  <Form.Item name={[item.name, 'type']} label={i === 0 ? t('routeForm.model') : undefined} style={{ flex: '1 1 130px' }}>
                    <FormSelect
                      options={MATCH_TYPES.map((value) => ({ value, label: t(`routeForm.type.${value}`) }))}
                      aria-label={t('routeForm.compare')}
                      data-testid={`match-model-${i}-type`}
                    />
                  </Form.Item>
                  <Form.Item name={[item.name, 'value']} label={i === 0 ? t('routeForm.modelValue') : undefined} rules={[rules.required]} style={{ flex: '3 1 200px' }}>
                    <Input className="mono" spellCheck={false} placeholder="deepseek-r1" aria-label={t('routeForm.modelValue')} data-testid={`match-model-${i}-value`} />
                  </Form.Item>
                  <Button
                    type="text"
                    icon={<DeleteOutlined />}
                    className={i === 0 ? 'under-label' : undefined}
                    aria-label={t('common.removeLine', { number: i + 1 })}
                    onClick={() => remove(item.name)}
                    data-testid={`match-model-${i}-remove`}
                  />
                </div>
              ))}
              <Button size="small" type="dashed" icon={<PlusOutlined />} onClick={() => add({ type: 'exact', value: '' })} data-testid="match-model-add">
                {t('routeForm.add.model')}
              </Button>
            </div>
          )}
        </Form.List>
        <Fold title={t('routeForm.moreConditions')} hint={t('routeForm.moreConditionsHint')} forceOpen={within(edit.faults, 'path_prefix', 'hosts') || edit.faults.some((f) => f[0] === 'match' && f[1] !== 'models')} testId="fold-conditions">
          <div className="fields-2">
            <Form.Item name="path_prefix" label={t('routeForm.path')} rules={[{ pattern: /^\//, message: t('routeForm.pathRule') }]}>
              <Input className="mono" placeholder="/" data-testid="route-path" />
            </Form.Item>
            <Form.Item name="hosts" label={t('routeForm.hosts')} extra={t('routeForm.hostsHelp')}>
              <FormSelect mode="tags" open={false} suffixIcon={null} tokenSeparators={[',', ' ']} placeholder="*.example.com" data-testid="route-hosts" />
            </Form.Item>
          </div>
          <h3 style={{ marginBottom: 8 }}>{t('routeForm.headers')}</h3>
          <MatchLines name={['match', 'headers']} kind="header" />
          <h3 style={{ marginBottom: 8 }}>{t('routeForm.query')}</h3>
          <MatchLines name={['match', 'query']} kind="query" />
        </Fold>
      </Section>

      <Section title={t('routeForm.targets')} lead={t('routeForm.targetsLead')}>
        <Form.List name="targets">
          {(items, { add, remove }) => (
            <div style={{ marginBottom: 16 }}>
              {items.map((item, i) => (
                <div className="boxed" key={item.key}>
                  <div className="line-item">
                    <TargetFields form={form} at={['targets', item.name]} local={[item.name]} index={i} label="target" />
                    <Form.Item name={[item.name, 'weight']} label={t('form.weight')} style={{ flex: '0 0 86px' }} hidden={items.length === 1}>
                      <InputNumber min={0} max={10000} style={{ width: '100%' }} placeholder="1" data-testid={`target-${i}-weight`} />
                    </Form.Item>
                    {items.length > 1 && (
                      <>
                        <span className="share under-label">{Math.round((parts[i] ?? 0) * 100)}%</span>
                        <Button
                          type="text"
                          icon={<DeleteOutlined />}
                          className="under-label"
                          aria-label={t('common.removeLine', { number: i + 1 })}
                          onClick={() => remove(item.name)}
                          data-testid={`target-${i}-remove`}
                        />
                      </>
                    )}
                  </div>
                  <Fold title={t('routeForm.mapping')} hint={t('routeForm.mappingHint')}>
                    <ModelMap local={[item.name]} testId={`target-${i}-map`} />
                  </Fold>
                  <div style={{ height: 12 }} />
                </div>
              ))}
              <Button size="small" type="dashed" icon={<PlusOutlined />} onClick={() => add({ weight: 1 })} data-testid="target-add">
                {t('routeForm.addTarget')}
              </Button>
            </div>
          )}
        </Form.List>
      </Section>

      <Section title={t('routeForm.fallback')} lead={t('routeForm.fallbackLead')}>
        <SwitchItem name={['fallback', 'enabled']} label={t('routeForm.fallbackOn')} testId="fallback-enabled" />
        <div hidden={!fallbackOn}>
          <Form.List name={['fallback', 'targets']}>
            {(items, { add, remove, move }) => (
              <div style={{ marginBottom: 16 }}>
                {items.map((item, i) => (
                  <div className="boxed" key={item.key}>
                    <div className="boxed-head">
                      <span className="grow">{t('routeForm.step', { number: i + 1 })}</span>
                      <Button type="text" size="small" icon={<ArrowUpOutlined />} disabled={i === 0} aria-label={t('routeForm.up')} onClick={() => move(i, i - 1)} />
                      <Button type="text" size="small" icon={<ArrowDownOutlined />} disabled={i === items.length - 1} aria-label={t('routeForm.down')} onClick={() => move(i, i + 1)} />
                      <Button type="text" size="small" icon={<DeleteOutlined />} aria-label={t('common.removeLine', { number: i + 1 })} onClick={() => remove(item.name)} />
                    </div>
                    <div className="line-item">
                      <TargetFields form={form} at={['fallback', 'targets', item.name]} local={[item.name]} index={i} label="fallback" />
                      <DurationItem name={[item.name, 'timeout']} label={t('routeForm.firstByte')} placeholder="30s" testId={`fallback-${i}-timeout`} />
                    </div>
                  </div>
                ))}
                <Button size="small" type="dashed" icon={<PlusOutlined />} onClick={() => add({})} data-testid="fallback-add">
                  {t('routeForm.addFallback')}
                </Button>
              </div>
            )}
          </Form.List>
          <Form.Item name={['fallback', 'on']} label={t('routeForm.fallbackWhen')}>
            <FormSelect mode="tags" tokenSeparators={[',', ' ']} options={CONDITIONS.map((value) => ({ value, label: value }))} data-testid="fallback-on" />
          </Form.Item>
        </div>
      </Section>

      <Section title={t('routeForm.who')} lead={t('routeForm.whoLead')}>
        <Form.Item name="who">
          <Radio.Group data-testid="route-who">
            <div className="stack gap-8">
              <Radio value="any" data-testid="who-any">{t('routeForm.whoAny')}</Radio>
              <Radio value="some" data-testid="who-some">{t('routeForm.whoSome')}</Radio>
              <Radio value="open" data-testid="who-open">{t('routeForm.whoOpen')}</Radio>
            </div>
          </Radio.Group>
        </Form.Item>
        <div className="fields-2" hidden={who !== 'some'}>
          <Form.Item name={['auth', 'consumers']} label={t('routeForm.consumers')}>
            <FormSelect
              mode="multiple"
              loading={consumers.isPending}
              options={(consumers.data ?? []).map((consumer) => ({ value: consumer.name, label: consumer.name }))}
              placeholder={t('routeForm.chooseConsumers')}
              notFoundContent={t('routeForm.noConsumers')}
              data-testid="route-consumers"
            />
          </Form.Item>
          <Form.Item name={['auth', 'groups']} label={t('routeForm.groups')}>
            <FormSelect mode="tags" options={groups.map((value) => ({ value, label: value }))} placeholder={t('routeForm.chooseGroups')} data-testid="route-groups" />
          </Form.Item>
        </div>
      </Section>

      <Section title={t('routeForm.keep')} lead={t('routeForm.keepLead')}>
        <Form.Item name={['log', 'prompts']} label={t('routeForm.keepMode')} initialValue="off">
          <FormSelect options={(['off', 'masked', 'full'] as const).map((value) => ({ value, label: t(`routeForm.keepModes.${value}`) }))} data-testid="route-log-prompts" />
        </Form.Item>
        <div hidden={keeping === 'off'}>
          <div className="fields-2">
            <Form.Item name={['log', 'sample_percent']} label={t('routeForm.keepSample')}>
              <InputNumber min={0} max={100} precision={0} placeholder="100" addonAfter="%" style={{ width: 180 }} data-testid="route-log-sample" />
            </Form.Item>
            <Form.Item name={['log', 'max_bytes']} label={t('routeForm.keepBytes')}>
              <InputNumber min={256} max={262144} precision={0} placeholder="16384" addonAfter={t('dataPlane.bytes')} style={{ width: 200 }} data-testid="route-log-bytes" />
            </Form.Item>
            <Form.Item name={['log', 'mask']} label={t('routeForm.keepMask')} extra={t('routeForm.keepMaskHelp')} hidden={keeping !== 'masked'}>
              <FormSelect mode="tags" open={false} suffixIcon={null} data-testid="route-log-mask" />
            </Form.Item>
          </div>
        </div>
      </Section>
      <Section title={t('routeForm.plugins')} lead={t('routeForm.pluginsLead')}>
        <div style={{ marginBottom: 20 }}>
          <PluginsEditor form={form as unknown as FormInstance} stored={route?.plugins} faults={edit.faults} />
        </div>
      </Section>

      <Section title={t('form.advanced')}>
        <Fold title={t('routeForm.retry')} hint={t('routeForm.retryHint')} forceOpen={within(edit.faults, 'retry', 'timeout', 'labels')} testId="fold-retry">
          <div className="fields-2">
            <Form.Item name={['retry', 'attempts']} label={t('routeForm.attempts')} extra={t('routeForm.attemptsHelp')}>
              <InputNumber min={1} max={4} placeholder="2" data-testid="retry-attempts" />
            </Form.Item>
            <DurationItem name={['timeout']} label={t('routeForm.total')} help={t('routeForm.totalHelp')} placeholder="5m" testId="route-timeout" />
          </div>
          <Form.Item name={['retry', 'on']} label={t('routeForm.retryWhen')}>
            <FormSelect mode="tags" tokenSeparators={[',', ' ']} options={CONDITIONS.map((value) => ({ value, label: value }))} data-testid="retry-on" />
          </Form.Item>
          <Form.Item name="labels" label={t('form.labels')}>
            <PairsInput keyLabel={t('form.key')} valueLabel={t('form.value')} addText={t('form.addLabel')} testId="route-labels" />
          </Form.Item>
        </Fold>
      </Section>

      <ProblemAlert error={edit.error} rest={edit.rest} />
      {may && <SaveBar busy={edit.busy} what="route" create={isNew ? { text: t('routeForm.create'), cancelTo: '/routes' } : undefined} />}
    </Form>
  );
}
