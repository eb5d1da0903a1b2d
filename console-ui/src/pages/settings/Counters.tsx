/* Where limits, quotas and budgets are counted: in each worker, or together in Redis. */
import { useQuery } from '@tanstack/react-query';
import { Alert, Checkbox, Form, Input, Radio } from 'antd';
import { useTranslation } from 'react-i18next';
import { api, need, type Schemas } from '../../api/client';
import { storedSecret } from '../../lib/secret';
import { Section } from '../../components/Page';
import { FormSelect } from '../../forms/FormSelect';
import { SwitchItem } from '../../forms/SwitchItem';
import { useRules } from '../../forms/inputs';
import { emptyToNull } from '../../forms/keep';
import { SettingsPart } from './PartForm';

type Counters = NonNullable<Schemas['Settings']['counters']>;

const MODES = ['single', 'sentinel', 'cluster'] as const;
const ON_FAILURE = ['local_share', 'open', 'closed'] as const;

export function countersToForm({ password: _password, sentinel_password: _sentinels, ...plain }: Counters): object {
  return plain;
}

type Values = Record<string, unknown>;
const SECRETS = ['password', 'sentinel_password'] as const;

/** A password is sent only when one was typed, or when the stored one is to go; otherwise that one stays, and is never shown. */
export function countersFromForm({ forget, ...values }: Values): object {
  const removed = (forget ?? {}) as Partial<Record<(typeof SECRETS)[number], boolean>>;
  const out = emptyToNull(values);
  for (const name of SECRETS) {
    if (removed[name]) out[name] = null;
    else if (!values[name]) delete out[name];
  }
  return out;
}


function Secret({ name, stored }: { name: (typeof SECRETS)[number]; stored: Schemas['SecretInfo'] | null | undefined }) {
  const { t } = useTranslation();
  const form = Form.useFormInstance();
  const forget: unknown = Form.useWatch(['counters', 'forget', name], form);
  return (
    <div>
      <Form.Item name={['counters', name]} label={t(`counters.${name}`)} extra={stored ? t('counters.kept') : undefined} style={stored ? { marginBottom: 4 } : undefined}>
        <Input.Password
          autoComplete="new-password"
          disabled={forget === true}
          placeholder={stored ? storedSecret(t, stored) : undefined}
          data-testid={`counters-${name}`}
        />
      </Form.Item>
      {stored && (
        <Form.Item name={['counters', 'forget', name]} valuePropName="checked">
          <Checkbox data-testid={`counters-${name}-forget`}>{t('counters.forget')}</Checkbox>
        </Form.Item>
      )}
    </div>
  );
}

function Redis({ stored }: { stored: Counters }) {
  const { t } = useTranslation();
  const rules = useRules();
  const form = Form.useFormInstance();
  const mode: unknown = Form.useWatch(['counters', 'mode'], form) ?? 'single';
  const url: unknown = Form.useWatch(['counters', 'url'], form);
  const tls = typeof url === 'string' && url.startsWith('rediss:');
  const nodes = useQuery({ queryKey: ['nodes', 'counters'], queryFn: () => need(api.GET('/nodes', { params: { query: { limit: 100 } } })), refetchInterval: 5_000 });
  const away = (nodes.data?.items ?? []).filter((node) => node.counters_away).map((node) => node.name);
  return (
    <>
      <Section title={t('counters.server')} lead={t('counters.serverLead')}>
        {away.length > 0 && <Alert type="warning" showIcon style={{ marginBottom: 16 }} message={t('workers.countersAwayOf', { names: away.join(', ') })} data-testid="counters-away" />}
        <Form.Item name={['counters', 'mode']} label={t('counters.mode')}>
          <Radio.Group data-testid="counters-mode">
            {MODES.map((value) => (
              <Radio key={value} value={value} data-testid={`counters-mode-${value}`}>
                {t(`counters.modes.${value}`)}
              </Radio>
            ))}
          </Radio.Group>
        </Form.Item>
        <Form.Item
          name={['counters', 'url']}
          label={t('counters.url')}
          extra={t('counters.urlHelp')}
          rules={[rules.required, { pattern: /^rediss?:\/\/[^\s?#@]+$/, message: t('counters.urlRule') }]}
        >
          <Input className="mono" spellCheck={false} placeholder="redis://redis:6379" data-testid="counters-url" />
        </Form.Item>
        {mode !== 'single' && (
          <Form.Item name={['counters', 'members']} label={t('counters.members')} extra={t('counters.membersHelp')}>
            <FormSelect mode="tags" open={false} suffixIcon={null} tokenSeparators={[',', ' ', '\n']} placeholder="redis-2:6379" data-testid="counters-members" />
          </Form.Item>
        )}
        {mode === 'sentinel' && (
          <Form.Item name={['counters', 'master_name']} label={t('counters.master')} rules={[rules.required]}>
            <Input className="mono" spellCheck={false} placeholder="mymaster" style={{ maxWidth: 320 }} data-testid="counters-master" />
          </Form.Item>
        )}
        <div className="fields-2">
          <Form.Item name={['counters', 'username']} label={t('counters.username')} extra={t('counters.usernameHelp')}>
            <Input className="mono" autoComplete="off" spellCheck={false} data-testid="counters-username" />
          </Form.Item>
          <Secret name="password" stored={stored.password} />
          {mode === 'sentinel' && <Secret name="sentinel_password" stored={stored.sentinel_password} />}
        </div>
        {tls && (
          <>
            <SwitchItem name={['counters', 'verify']} label={t('counters.verify')} help={t('counters.verifyHelp')} testId="counters-verify" />
            <Form.Item name={['counters', 'ca_pem']} label={t('counters.ca')} extra={t('counters.caHelp')}>
              <Input.TextArea className="mono" rows={3} spellCheck={false} placeholder="-----BEGIN CERTIFICATE-----" data-testid="counters-ca" />
            </Form.Item>
          </>
        )}
      </Section>
      <Section title={t('counters.failure')} lead={t('counters.failureLead')}>
        <Form.Item name={['counters', 'on_failure']}>
          <Radio.Group aria-label={t('counters.failure')} data-testid="counters-on-failure">
            <div className="stack gap-8">
              {ON_FAILURE.map((value) => (
                <Radio key={value} value={value} data-testid={`counters-on-failure-${value}`}>
                  {t(`counters.failures.${value}`)}
                </Radio>
              ))}
            </div>
          </Radio.Group>
        </Form.Item>
      </Section>
    </>
  );
}

function Fields({ stored }: { stored: Counters }) {
  const { t } = useTranslation();
  const form = Form.useFormInstance();
  const backend: unknown = Form.useWatch(['counters', 'backend'], form) ?? stored.backend;
  return (
    <>
      <Section title={t('counters.title')} lead={t('counters.lead')}>
        <Form.Item name={['counters', 'backend']}>
          <Radio.Group aria-label={t('counters.title')} data-testid="counters-backend">
            <div className="stack gap-8">
              <Radio value="local" data-testid="counters-local">{t('counters.local')}</Radio>
              <Radio value="redis" data-testid="counters-redis">{t('counters.redis')}</Radio>
            </div>
          </Radio.Group>
        </Form.Item>
        <p className="muted" style={{ marginBottom: 16 }}>{t('counters.fresh')}</p>
      </Section>
      {backend === 'redis' && <Redis stored={stored} />}
    </>
  );
}

export function CountersSettings() {
  return (
    <SettingsPart part="counters" show={countersToForm} send={(values) => countersFromForm(values as Values)}>
      {(stored) => <Fields stored={stored} />}
    </SettingsPart>
  );
}
