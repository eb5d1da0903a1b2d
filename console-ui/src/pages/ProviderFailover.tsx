/* The part of a provider's form that says what happens when something fails. */
import { DeleteOutlined, PlusOutlined } from '@ant-design/icons';
import { Button, Form, Input, InputNumber } from 'antd';
import { useTranslation } from 'react-i18next';
import type { Schemas } from '../api/client';
import { Fold } from '../components/Fold';
import { DurationItem, useRules } from '../forms/inputs';
import { SwitchItem } from '../forms/SwitchItem';
import { FormSelect } from '../forms/FormSelect';
import { within } from '../forms/useApiForm';

type Write = Schemas['ProviderWrite'];
type Then = NonNullable<Write['on_status']>[string];
type Times = NonNullable<Write['model_timeouts']>[string];

/** Maps as the lines that a person edits. */
export interface StatusLine {
  status: string;
  then: Then;
}
export type ModelLine = Times & { models: string };

export const statusLines = (map: Write['on_status']): StatusLine[] => Object.entries(map ?? {}).map(([status, then]) => ({ status, then }));
export const statusMap = (lines: StatusLine[] | undefined): Write['on_status'] =>
  Object.fromEntries((lines ?? []).filter((line) => line?.status).map((line) => [line.status.trim(), line.then]));

export const modelLines = (map: Write['model_timeouts']): ModelLine[] => Object.entries(map ?? {}).map(([models, times]) => ({ models, ...times }));
export const modelMap = (lines: ModelLine[] | undefined): Write['model_timeouts'] =>
  Object.fromEntries(
    (lines ?? [])
      .filter((line) => line?.models)
      .map(({ models, ...times }) => [models.trim(), Object.fromEntries(Object.entries(times).filter(([, value]) => value)) as Times]),
  );

const TIMES = ['connect', 'first_byte', 'idle', 'total', 'queue'] as const;

function ModelTimeouts() {
  const { t } = useTranslation();
  const rules = useRules();
  return (
    <Form.List name="model_timeouts">
      {(items, { add, remove }) => (
        <div style={{ marginBottom: 16 }} className="stack gap-8">
          <p className="muted">{t('failover.modelTimesHelp')}</p>
          {items.map((item, i) => (
            <div className="line-item" key={item.key} style={{ flexWrap: 'wrap' }}>
              <Form.Item name={[item.name, 'models']} rules={[rules.required]} style={{ flex: '2 1 160px' }}>
                <Input className="mono" placeholder="qwq-*" aria-label={t('failover.modelsOf', { number: i + 1 })} data-testid={`model-time-${i}`} />
              </Form.Item>
              {TIMES.map((time) => (
                <Form.Item key={time} name={[item.name, time]} rules={[rules.duration()]} style={{ flex: '1 1 96px' }}>
                  <Input placeholder={t(`failover.times.${time}`)} aria-label={`${t(`failover.times.${time}`)} ${i + 1}`} data-testid={`model-time-${i}-${time}`} />
                </Form.Item>
              ))}
              <Button type="text" icon={<DeleteOutlined />} aria-label={t('common.removeLine', { number: i + 1 })} onClick={() => remove(item.name)} />
            </div>
          ))}
          <div>
            <Button size="small" type="dashed" icon={<PlusOutlined />} onClick={() => add({ models: '' })} data-testid="model-time-add">
              {t('failover.addModel')}
            </Button>
          </div>
        </div>
      )}
    </Form.List>
  );
}

function OnStatus() {
  const { t } = useTranslation();
  const options = (['return', 'retry_same', 'next_key', 'next_target'] as const).map((value) => ({ value, label: t(`failover.then.${value}`) }));
  return (
    <Form.List name="on_status">
      {(items, { add, remove }) => (
        <div style={{ marginBottom: 16 }} className="stack gap-8">
          <p className="muted">{t('failover.onStatusHelp')}</p>
          {items.map((item, i) => (
            <div className="line-item" key={item.key}>
              <Form.Item name={[item.name, 'status']} rules={[{ pattern: /^([45][0-9]{2}|[45]xx)$/, message: t('failover.statusRule') }]} style={{ flex: '0 0 110px' }}>
                <Input className="mono" placeholder="404, 5xx" aria-label={t('failover.statusOf', { number: i + 1 })} data-testid={`on-status-${i}`} />
              </Form.Item>
              <Form.Item name={[item.name, 'then']} style={{ flex: '1 1 200px' }}>
                <FormSelect options={options} aria-label={t('failover.thenOf', { number: i + 1 })} data-testid={`on-status-${i}-then`} />
              </Form.Item>
              <Button type="text" icon={<DeleteOutlined />} aria-label={t('common.removeLine', { number: i + 1 })} onClick={() => remove(item.name)} />
            </div>
          ))}
          <div>
            <Button size="small" type="dashed" icon={<PlusOutlined />} onClick={() => add({ status: '', then: 'next_target' })} data-testid="on-status-add">
              {t('failover.addStatus')}
            </Button>
          </div>
        </div>
      )}
    </Form.List>
  );
}

function Balance() {
  const { t } = useTranslation();
  const balance = Form.useWatch('load_balance');
  const by = Form.useWatch(['affinity', 'by']);
  return (
    <div className="fields-2">
      <Form.Item name="load_balance" label={t('providerForm.balance')}>
        <FormSelect
          data-testid="provider-balance"
          options={(['round_robin', 'least_requests', 'random', 'hash'] as const).map((value) => ({ value, label: t(`failover.balances.${value}`) }))}
        />
      </Form.Item>
      <Form.Item name={['affinity', 'by']} label={t('failover.affinity')} hidden={balance !== 'hash'}>
        <FormSelect
          data-testid="affinity-by"
          options={(['consumer', 'session', 'header'] as const).map((value) => ({ value, label: t(`failover.affinities.${value}`) }))}
        />
      </Form.Item>
      <Form.Item name={['affinity', 'header']} label={t('form.header')} hidden={balance !== 'hash' || by !== 'header'}>
        <Input className="mono" placeholder="x-session-id" data-testid="affinity-header" />
      </Form.Item>
    </div>
  );
}

export function FailoverFolds({ faults }: { faults: Parameters<typeof within>[0] }) {
  const { t } = useTranslation();
  return (
    <>
      <Fold title={t('failover.keys')} hint={t('providerForm.failoverHint')} forceOpen={within(faults, 'key_failover', 'on_status')} testId="fold-failover">
        <SwitchItem name={['key_failover', 'enabled']} label={t('providerForm.failoverOn')} testId="failover-enabled" />
        <div className="fields-2">
          <Form.Item name={['key_failover', 'failure_threshold']} label={t('providerForm.threshold')}>
            <InputNumber min={1} max={100} placeholder="3" data-testid="failover-threshold" />
          </Form.Item>
          <DurationItem name={['key_failover', 'cooldown']} label={t('providerForm.cooldown')} placeholder="30s" testId="failover-cooldown" />
        </div>
        <OnStatus />
      </Fold>
      <Fold title={t('failover.servers')} hint={t('failover.serversHint')} forceOpen={within(faults, 'load_balance', 'affinity', 'breaker', 'health_check', 'pool')} testId="fold-servers">
        <Balance />
        <SwitchItem name={['breaker', 'enabled']} label={t('failover.breaker')} help={t('failover.breakerHelp')} testId="breaker-enabled" />
        <div className="fields-2">
          <Form.Item name={['breaker', 'failures']} label={t('failover.failures')}>
            <InputNumber min={1} max={100} placeholder="5" data-testid="breaker-failures" />
          </Form.Item>
          <DurationItem name={['breaker', 'window']} label={t('failover.window')} placeholder="30s" testId="breaker-window" />
          <DurationItem name={['breaker', 'cooldown']} label={t('failover.openFor')} placeholder="5s" testId="breaker-cooldown" />
          <Form.Item name={['breaker', 'max_ejected_percent']} label={t('failover.maxEjected')}>
            <InputNumber min={0} max={100} placeholder="100" data-testid="breaker-max-ejected" />
          </Form.Item>
          <DurationItem name={['breaker', 'slow_start']} label={t('failover.slowStart')} placeholder="0s" testId="breaker-slow-start" />
        </div>
        <SwitchItem name={['health_check', 'enabled']} label={t('failover.check')} help={t('failover.checkHelp')} testId="check-enabled" />
        <div className="fields-2">
          <Form.Item name={['health_check', 'path']} label={t('failover.checkPath')}>
            <Input className="mono" placeholder="/health" data-testid="check-path" />
          </Form.Item>
          <DurationItem name={['health_check', 'interval']} label={t('failover.checkInterval')} placeholder="10s" testId="check-interval" />
          <DurationItem name={['health_check', 'timeout']} label={t('failover.checkTimeout')} placeholder="2s" testId="check-timeout" />
          <Form.Item name={['health_check', 'unhealthy_after']} label={t('failover.unhealthyAfter')}>
            <InputNumber min={1} max={20} placeholder="3" data-testid="check-unhealthy" />
          </Form.Item>
          <Form.Item name={['health_check', 'healthy_after']} label={t('failover.healthyAfter')}>
            <InputNumber min={1} max={20} placeholder="2" data-testid="check-healthy" />
          </Form.Item>
          <Form.Item name={['pool', 'max_connections']} label={t('failover.maxConnections')} extra={t('failover.maxConnectionsHelp')}>
            <InputNumber min={0} max={65536} placeholder="0" data-testid="pool-max-connections" />
          </Form.Item>
          <Form.Item name={['pool', 'max_queue']} label={t('failover.maxQueue')}>
            <InputNumber min={0} max={65536} placeholder="1024" data-testid="pool-max-queue" />
          </Form.Item>
        </div>
      </Fold>
    </>
  );
}

export function TimeoutFold({ faults }: { faults: Parameters<typeof within>[0] }) {
  const { t } = useTranslation();
  return (
    <Fold title={t('providerForm.timeouts')} hint={t('providerForm.timeoutsHint')} forceOpen={within(faults, 'timeouts', 'model_timeouts', 'on_client_gone')} testId="fold-timeouts">
      <div className="fields-2">
        <DurationItem name={['timeouts', 'connect']} label={t('providerForm.connect')} placeholder="2s" testId="timeout-connect" />
        <DurationItem name={['timeouts', 'first_byte']} label={t('providerForm.firstByte')} placeholder="60s" testId="timeout-first-byte" />
        <DurationItem name={['timeouts', 'idle']} label={t('providerForm.idle')} placeholder="60s" testId="timeout-idle" />
        <DurationItem name={['timeouts', 'total']} label={t('providerForm.total')} placeholder="10m" testId="timeout-total" />
        <DurationItem name={['timeouts', 'queue']} label={t('failover.queue')} placeholder="5s" testId="timeout-queue" />
      </div>
      <ModelTimeouts />
      <div className="fields-2">
        <Form.Item name={['on_client_gone', 'action']} label={t('failover.gone')} extra={t('failover.goneHelp')}>
          <FormSelect data-testid="gone-action" options={(['cancel', 'drain'] as const).map((value) => ({ value, label: t(`failover.goneActions.${value}`) }))} />
        </Form.Item>
        <DurationItem name={['on_client_gone', 'limit']} label={t('failover.goneLimit')} placeholder="60s" testId="gone-limit" />
      </div>
    </Fold>
  );
}
