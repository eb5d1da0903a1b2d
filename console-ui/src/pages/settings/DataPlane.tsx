import { DeleteOutlined, PlusOutlined } from '@ant-design/icons';
import { App, Button, Form, Input, InputNumber } from 'antd';
import { useTranslation } from 'react-i18next';
import { api, need, type Schemas } from '../../api/client';
import { ifMatch, useMay, useRefresh, type Guarded } from '../../api/queries';
import { Section } from '../../components/Page';
import { ProblemAlert } from '../../components/Problem';
import { DurationItem, useRules } from '../../forms/inputs';
import { emptyToNull } from '../../forms/keep';
import { SwitchItem } from '../../forms/SwitchItem';
import { SaveBar } from '../../forms/SaveBar';
import { useApiForm } from '../../forms/useApiForm';
import { FormSelect } from '../../forms/FormSelect';
import { WithSettings } from './PartForm';

type Write = Schemas['SettingsWrite'];

const SIZES = [
  ['max_body_bytes', 1024, 1073741824, '33554432'],
  ['max_header_bytes', 1024, 1048576, '32768'],
  ['max_headers', 8, 1000, '100'],
  ['max_request_line_bytes', 1024, 1048576, '16384'],
  ['stream_buffer_bytes', 4096, 16777216, '262144'],
  ['max_connections', 1, 1000000, '10000'],
] as const;
const TIMES = [
  ['header_timeout', '10s'],
  ['body_timeout', '60s'],
  ['keepalive_idle', '75s'],
  ['write_stall_timeout', '60s'],
  ['sse_keepalive', '15s'],
  ['drain_timeout', '30s'],
] as const;

const KEPT = [
  ['series_10s', '3h'],
  ['series_1m', '72h'],
  ['series_1h', '9600h'],
  ['requests', '2160h'],
  ['usage_kept', '87600h'],
  ['prompts_kept', '168h'],
] as const;

const MOST = [
  ['requests_max', 1000, 1000000000, '10000000'],
  ['prompts_max', 100, 10000000, '100000'],
] as const;

export function DataPlane() {
  return <WithSettings>{(stored) => <SettingsForm key={stored.etag} stored={stored} />}</WithSettings>;
}

function SettingsForm({ stored }: { stored: Guarded<Schemas['Settings']> }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const rules = useRules();
  const refresh = useRefresh();
  const may = useMay('operator');
  const edit = useApiForm<Write>();
  const save = async (values: Write) => {
    /* A patch: what this form does not show (counters, TLS) stays as it is. */
    const body = {
      data_plane: emptyToNull(values.data_plane as Record<string, unknown>),
      console: { data_plane_url: values.console?.data_plane_url?.trim() || null },
      retention: emptyToNull(values.retention as Record<string, unknown>),
      tracing: {
        ...emptyToNull((values.tracing ?? {}) as Record<string, unknown>),
        headers: (values.tracing?.headers ?? []).map(({ name, value }) => (typeof value === 'string' && value ? { name, value } : { name })),
      },
    };
    const done = await edit.submit(() => need(api.PATCH('/settings', { params: { header: ifMatch(stored.etag) }, body })));
    if (!done) return;
    await refresh('settings');
    message.success(t('common.saved'));
  };
  return (
    <Form<Write>
      form={edit.form}
      layout="vertical"
      className="card form-card"
      initialValues={{ data_plane: stored.object.data_plane, console: { data_plane_url: stored.object.console.data_plane_url ?? undefined }, retention: stored.object.retention, tracing: stored.object.tracing as Write['tracing'] }}
      onFinish={save}
      onFinishFailed={edit.onFinishFailed as never}
      disabled={!may}
      name="settings"
      data-testid="settings-form"
    >
      <Section title={t('dataPlane.address')} lead={t('dataPlane.addressLead')}>
        <Form.Item name={['console', 'data_plane_url']} label={t('dataPlane.url')} extra={t('dataPlane.urlHelp')} rules={[rules.url]}>
          <Input className="mono" placeholder="https://ai.example.com" data-testid="settings-data-plane-url" />
        </Form.Item>
        <Form.Item name={['data_plane', 'trusted_proxies']} label={t('dataPlane.proxies')} extra={t('dataPlane.proxiesHelp')}>
          <FormSelect mode="tags" open={false} suffixIcon={null} tokenSeparators={[',', ' ']} placeholder="10.0.0.0/8" data-testid="settings-trusted-proxies" />
        </Form.Item>
        <Form.Item name={['data_plane', 'cors_origins']} label={t('dataPlane.origins')} extra={t('dataPlane.originsHelp')}>
          <FormSelect mode="tags" open={false} suffixIcon={null} tokenSeparators={[',', ' ']} placeholder="https://chat.example.com" data-testid="settings-cors-origins" />
        </Form.Item>
      </Section>
      <Section title={t('dataPlane.limits')} lead={t('dataPlane.limitsLead')}>
        <div className="fields-2">
          {SIZES.map(([name, min, max, normal]) => (
            <Form.Item key={name} name={['data_plane', name]} label={t(`dataPlane.${name}`)}>
              <InputNumber
                min={min}
                max={max}
                precision={0}
                placeholder={normal}
                style={{ width: 180 }}
                addonAfter={name.endsWith('_bytes') ? t('dataPlane.bytes') : undefined}
                data-testid={`settings-${name}`}
              />
            </Form.Item>
          ))}
        </div>
      </Section>
      <Section title={t('dataPlane.times')} lead={t('dataPlane.timesLead')}>
        <div className="fields-2">
          {TIMES.map(([name, normal]) => (
            <DurationItem key={name} name={['data_plane', name]} label={t(`dataPlane.${name}`)} help={t(`dataPlane.${name}_help`)} placeholder={normal} testId={`settings-${name}`} />
          ))}
        </div>
      </Section>
      <Section title={t('dataPlane.log')} lead={t('dataPlane.logLead')}>
        <SwitchItem name={['data_plane', 'access_log', 'enabled']} label={t('dataPlane.logOn')} testId="settings-log-enabled" />
        <div className="fields-2">
          <Form.Item name={['data_plane', 'access_log', 'target']} label={t('dataPlane.logTarget')}>
            <FormSelect options={(['stdout', 'file', 'syslog'] as const).map((value) => ({ value, label: t(`dataPlane.logTo.${value}`) }))} data-testid="settings-log-target" />
          </Form.Item>
          <Form.Item name={['data_plane', 'access_log', 'path']} label={t('dataPlane.logPath')} extra={t('dataPlane.logPathHelp')}>
            <Input className="mono" placeholder="access.log" data-testid="settings-log-path" />
          </Form.Item>
          <Form.Item name={['data_plane', 'access_log', 'sample_percent']} label={t('dataPlane.logSample')} extra={t('dataPlane.logSampleHelp')}>
            <InputNumber min={0} max={100} precision={0} placeholder="100" addonAfter="%" style={{ width: 180 }} data-testid="settings-log-sample" />
          </Form.Item>
          <Form.Item name={['data_plane', 'access_log', 'fields']} label={t('dataPlane.logFields')} extra={t('dataPlane.logFieldsHelp')}>
            <FormSelect mode="tags" suffixIcon={null} tokenSeparators={[',', ' ']} data-testid="settings-log-fields" />
          </Form.Item>
        </div>
        <SwitchItem name={['data_plane', 'access_log', 'prompts']} label={t('dataPlane.prompts')} help={t('dataPlane.promptsHelp')} testId="settings-log-prompts" />
      </Section>
      <Section title={t('dataPlane.kept')} lead={t('dataPlane.keptLead')}>
        <div className="fields-2">
          {KEPT.map(([name, normal]) => (
            <DurationItem key={name} name={['retention', name.replace('_kept', '')]} label={t(`dataPlane.${name}`)} placeholder={normal} testId={`settings-${name}`} />
          ))}
          {MOST.map(([name, min, max, normal]) => (
            <Form.Item key={name} name={['retention', name]} label={t(`dataPlane.${name}`)}>
              <InputNumber min={min} max={max} precision={0} placeholder={normal} style={{ width: 180 }} data-testid={`settings-${name}`} />
            </Form.Item>
          ))}
        </div>
      </Section>
      <Section title={t('dataPlane.tracing')} lead={t('dataPlane.tracingLead')}>
        <SwitchItem name={['tracing', 'enabled']} label={t('dataPlane.tracingOn')} testId="settings-tracing-enabled" />
        <Form.Item name={['tracing', 'endpoint']} label={t('dataPlane.endpoint')} extra={t('dataPlane.endpointHelp')}>
          <Input className="mono" placeholder="http://collector:4318" data-testid="settings-tracing-endpoint" />
        </Form.Item>
        <div className="fields-2">
          <Form.Item name={['tracing', 'service_name']} label={t('dataPlane.service')}>
            <Input className="mono" placeholder="tidegate" data-testid="settings-tracing-service" />
          </Form.Item>
          <Form.Item name={['tracing', 'sample_per_million']} label={t('dataPlane.ratio')} extra={t('dataPlane.ratioHelp')}>
            <InputNumber min={0} max={1000000} step={10000} precision={0} placeholder="1000000" style={{ width: 180 }} data-testid="settings-tracing-ratio" />
          </Form.Item>
        </div>
        <Form.List name={['tracing', 'headers']}>
          {(items, { add, remove }) => (
            <div style={{ marginBottom: 16 }}>
              {items.map((item, i) => (
                <div className="line-item" key={item.key}>
                  <Form.Item name={[item.name, 'name']} rules={[rules.required]} style={{ flex: '1 1 140px' }}>
                    <Input className="mono" placeholder="authorization" aria-label={t('dataPlane.headerName')} data-testid={`tracing-header-${i}-name`} />
                  </Form.Item>
                  <Form.Item name={[item.name, 'value']} getValueProps={(value) => ({ value: typeof value === 'string' ? value : '' })} style={{ flex: '2 1 180px' }}>
                    <Input.Password autoComplete="off" placeholder={t('dataPlane.headerKept')} aria-label={t('form.value')} data-testid={`tracing-header-${i}-value`} />
                  </Form.Item>
                  <Button type="text" icon={<DeleteOutlined />} aria-label={t('common.removeLine', { number: i + 1 })} onClick={() => remove(item.name)} />
                </div>
              ))}
              <Button size="small" type="dashed" icon={<PlusOutlined />} onClick={() => add({ name: '' })} data-testid="tracing-header-add">
                {t('dataPlane.headerAdd')}
              </Button>
            </div>
          )}
        </Form.List>
      </Section>
      <ProblemAlert error={edit.error} rest={edit.rest} />
      {may && <SaveBar busy={edit.busy} what="settings" />}
    </Form>
  );
}
