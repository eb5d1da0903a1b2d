/* Rules: what is watched, from when on it is too much, who is told. */
import { PlusOutlined } from '@ant-design/icons';
import { Button, Form, Input, InputNumber } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useQuery } from '@tanstack/react-query';
import { api, need, type Schemas } from '../../api/client';
import { useAllConsumers, useAllProviders, useAllRoutes, useMay, usePaged, useRefresh } from '../../api/queries';
import { DeleteButton } from '../../components/Bits';
import { EnableSwitch } from '../../components/EnableSwitch';
import { Empty, List, Row, useDebounced } from '../../components/List';
import { FormSelect } from '../../forms/FormSelect';
import { DurationItem, useRules } from '../../forms/inputs';
import { Editor } from './Editor';

type Rule = Schemas['Alert'];
type Write = Schemas['AlertWrite'];

const WATCHES = ['series', 'provider_down', 'worker_lost', 'certificate_expiry', 'config_rejected', 'budget'] as const;
const METRICS = ['failures', 'errors', 'limited', 'refused', 'requests', 'tokens', 'duration', 'first_token', 'time_per_token', 'overhead', 'queue', 'counters_wait', 'loop_delay', 'in_flight', 'memory', 'attempts', 'fallbacks', 'cost'] as const;
const STATISTICS = ['share', 'total', 'rate', 'p50', 'p95', 'p99', 'mean', 'value'] as const;
const BY = ['none', 'route', 'provider', 'model', 'consumer', 'node'] as const;
const ONLY = ['route', 'provider', 'consumer'] as const;
const SEVERITIES = ['info', 'warning', 'critical'] as const;
const FRESH: Partial<Write> = {
  severity: 'warning', watch: 'series', metric: 'failures', statistic: 'share', by: 'provider', op: 'above', threshold: 5, min_count: 20,
  window: '5m', for: '1m', repeat: '4h', channels: [],
};

export function AlertRules() {
  const { t } = useTranslation();
  const may = useMay('operator');
  const refresh = useRefresh();
  const rules = useRules();
  const [search, setSearch] = useState('');
  const [editing, setEditing] = useState<Rule | 'new' | null>(null);
  const q = useDebounced(search);
  const query = usePaged(['alerts', 'list', q], (cursor) => need(api.GET('/alerts', { params: { query: { cursor, q: q || undefined, limit: 50 } } })));
  const channels = useQuery({ queryKey: ['alert-channels', 'all'], queryFn: async () => (await need(api.GET('/alert-channels', { params: { query: { limit: 500 } } }))).items });
  const names = { route: useAllRoutes().data, provider: useAllProviders().data, consumer: useAllConsumers().data };
  const options = (words: readonly string[], of: 'watches' | 'metrics' | 'statistics' | 'bys' | 'severities' | 'ops') =>
    words.map((value) => ({ value, label: t(`alerts.${of}.${value}` as 'alerts.watches.series') }));
  const condition = (rule: Rule) =>
    rule.watch === 'series'
      ? `${t(`alerts.metrics.${rule.metric as 'errors'}`)}, ${t(`alerts.statistics.${rule.statistic}`)} ${rule.op === 'above' ? '>' : '<'} ${rule.threshold} (${rule.window})${ONLY.map((name) => (rule.only[name] ? ` · ${t(`alerts.bys.${name}`)} ${rule.only[name]}` : '')).join('')}`
      : t(`alerts.watches.${rule.watch}`);
  const stored: Partial<Write> = editing && editing !== 'new' ? { ...editing, warnings: undefined } : FRESH;
  return (
    <>
      <List
        query={query}
        testId="alert-rules"
        label={t('alerts.tabs.rules')}
        search={{ value: search, onChange: setSearch, placeholder: t('alerts.searchRules') }}
        tools={
          may && (
            <Button type="primary" icon={<PlusOutlined />} onClick={() => setEditing('new')} data-testid="rule-add">
              {t('alerts.addRule')}
            </Button>
          )
        }
        keyOf={(rule) => rule.name}
        empty={<Empty title={t('alerts.noRules')} text={t('alerts.noRulesText')} />}
        render={(rule) => (
          <Row
            testId={`rule-${rule.name}`}
            title={rule.name}
            sub={condition(rule)}
            off={!rule.enabled}
            meta={[
              { label: t('alerts.severity'), value: t(`alerts.severities.${rule.severity}`) },
              { label: t('alerts.for'), value: rule.for },
              { label: t('alerts.told'), value: rule.channels.join(', ') || t('alerts.nobody'), grow: 2 },
            ]}
            actions={
              may && (
                <>
                  <EnableSwitch
                    name={rule.name}
                    enabled={rule.enabled}
                    testId={`rule-${rule.name}-enabled`}
                    onChange={async (enabled) => {
                      await need(api.PATCH('/alerts/{name}', { params: { path: { name: rule.name } }, body: { enabled } }));
                      await refresh('alerts');
                    }}
                  />
                  <Button size="small" onClick={() => setEditing(rule)} data-testid={`rule-${rule.name}-edit`}>
                    {t('alerts.edit')}
                  </Button>
                  <DeleteButton bare size="small" type="text" label={t('alerts.deleteOf', { name: rule.name })} testId={`rule-${rule.name}-delete`}
                    question={t('alerts.deleteTitle', { name: rule.name })} text={t('alerts.deleteRuleText')}
                    onDelete={() => need(api.DELETE('/alerts/{name}', { params: { path: { name: rule.name } } }))} onDone={() => void refresh('alerts')} />
                </>
              )
            }
          />
        )}
      />
      <Editor<Write>
        open={editing !== null}
        title={editing === 'new' || editing === null ? t('alerts.addRule') : editing.name}
        kind="alerts"
        testId="rule"
        initial={stored}
        onClose={() => setEditing(null)}
        save={(values) =>
          editing === 'new'
            ? need(api.POST('/alerts', { body: values }))
            : need(api.PATCH('/alerts/{name}', { params: { path: { name: values.name } }, body: { ...values, name: undefined } }))
        }
      >
        {() => (
          <>
            <Form.Item name="name" label={t('alerts.name')} rules={rules.name} validateFirst>
              <Input disabled={editing !== 'new'} autoCapitalize="none" spellCheck={false} data-testid="rule-name" />
            </Form.Item>
            <div className="fields-2">
              <Form.Item name="watch" label={t('alerts.watch')}>
                <FormSelect options={options(WATCHES, 'watches')} data-testid="rule-watch" />
              </Form.Item>
              <Form.Item name="severity" label={t('alerts.severity')}>
                <FormSelect options={options(SEVERITIES, 'severities')} data-testid="rule-severity" />
              </Form.Item>
            </div>
            <Form.Item noStyle shouldUpdate={(a: Write, b: Write) => a.watch !== b.watch}>
              {({ getFieldValue }) => {
                const watch = getFieldValue('watch') as Write['watch'];
                return (
                  <>
                    {watch === 'series' && (
                      <div className="fields-2">
                        <Form.Item name="metric" label={t('alerts.metric')}>
                          <FormSelect showSearch optionFilterProp="label" options={options(METRICS, 'metrics')} data-testid="rule-metric" />
                        </Form.Item>
                        <Form.Item name="statistic" label={t('alerts.statistic')}>
                          <FormSelect options={options(STATISTICS, 'statistics')} data-testid="rule-statistic" />
                        </Form.Item>
                        <Form.Item name="by" label={t('alerts.by')}>
                          <FormSelect options={options(BY, 'bys')} data-testid="rule-by" />
                        </Form.Item>
                        <Form.Item name="op" label={t('alerts.op')}>
                          <FormSelect options={options(['above', 'below'], 'ops')} data-testid="rule-op" />
                        </Form.Item>
                      </div>
                    )}
                    {(watch === 'series' || watch === 'provider_down') && (
                      <div className="fields-2">
                        {ONLY.filter((name) => watch === 'series' || name === 'provider').map((name) => (
                          <Form.Item key={name} name={['only', name]} label={t(`alerts.only.${name}`)} normalize={(value?: string) => value ?? ''} getValueProps={(value?: string) => ({ value: value || undefined })}>
                            <FormSelect allowClear showSearch placeholder={t('alerts.only.any')} options={(names[name] ?? []).map((item) => ({ value: item.name, label: item.name }))} data-testid={`rule-only-${name}`} />
                          </Form.Item>
                        ))}
                      </div>
                    )}
                    <div className="fields-2">
                      {(watch === 'series' || watch === 'certificate_expiry' || watch === 'budget') && (
                        <Form.Item name="threshold" label={t(watch === 'series' ? 'alerts.threshold' : watch === 'budget' ? 'alerts.thresholdPercent' : 'alerts.thresholdDays')}
                          extra={watch === 'series' ? t('alerts.thresholdHelp') : undefined} rules={[rules.required]}>
                          <InputNumber min={0} precision={0} style={{ width: '100%' }} data-testid="rule-threshold" />
                        </Form.Item>
                      )}
                      {(watch === 'series' || watch === 'provider_down') && (
                        <>
                          <Form.Item name="min_count" label={t('alerts.minCount')} extra={t('alerts.minCountHelp')}>
                            <InputNumber min={0} precision={0} style={{ width: '100%' }} data-testid="rule-min-count" />
                          </Form.Item>
                          <DurationItem name={['window']} label={t('alerts.window')} placeholder="5m" testId="rule-window" required />
                        </>
                      )}
                      <DurationItem name={['for']} label={t('alerts.for')} help={t('alerts.forHelp')} placeholder="1m" testId="rule-for" required />
                      <DurationItem name={['repeat']} label={t('alerts.repeat')} help={t('alerts.repeatHelp')} placeholder="4h" testId="rule-repeat" required />
                    </div>
                  </>
                );
              }}
            </Form.Item>
            <Form.Item name="channels" label={t('alerts.told')} extra={t('alerts.channelsHelp')}>
              <FormSelect mode="multiple" options={(channels.data ?? []).map((channel) => ({ value: channel.name, label: channel.name }))} data-testid="rule-channels" />
            </Form.Item>
          </>
        )}
      </Editor>
    </>
  );
}
