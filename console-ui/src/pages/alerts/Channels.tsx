/* Channels: where people are told, with a button to try each. */
import { PlusOutlined, SendOutlined } from '@ant-design/icons';
import { App, Button, Form, Input, InputNumber } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, need, type Schemas } from '../../api/client';
import { useMay, usePaged, useRefresh } from '../../api/queries';
import { DeleteButton, useAction } from '../../components/Bits';
import { Empty, List, Row } from '../../components/List';
import { FormSelect } from '../../forms/FormSelect';
import { useRules } from '../../forms/inputs';
import { SwitchItem } from '../../forms/SwitchItem';
import { Editor } from './Editor';

type Channel = Schemas['AlertChannel'];
type Write = Schemas['AlertChannelWrite'];

const TYPES = ['webhook', 'dingtalk', 'feishu', 'wecom', 'slack', 'email'] as const;
const SIGNED: readonly string[] = ['webhook', 'dingtalk', 'feishu'];

/** What was not typed is not sent: a stored secret then stays. */
function withoutBlank(values: Write): Write {
  const { url, secret, password, ...rest } = values;
  return { ...rest, ...(url ? { url } : {}), ...(secret ? { secret } : {}), ...(password ? { password } : {}) };
}

export function AlertChannels() {
  const { t } = useTranslation();
  const { notification } = App.useApp();
  const may = useMay('operator');
  const refresh = useRefresh();
  const rules = useRules();
  const { run, busy } = useAction();
  const [editing, setEditing] = useState<Channel | 'new' | null>(null);
  const query = usePaged(['alert-channels', 'list'], (cursor) => need(api.GET('/alert-channels', { params: { query: { cursor, limit: 50 } } })));
  const stored = editing && editing !== 'new' ? editing : null;
  const secretHelp = (secret: { last4: string } | undefined) => (secret ? t('alerts.secretStored', { last4: secret.last4 || '…' }) : undefined);
  const tryIt = (name: string) =>
    run(async () => {
      const result = await need(api.POST('/alert-channels/{name}/test', { params: { path: { name } } }));
      if (result.ok) notification.success({ message: t('alerts.testOk', { name }), role: 'status' });
      else notification.error({ message: t('alerts.testFailed', { name }), description: result.detail, duration: 10, role: 'alert' });
    });
  return (
    <>
      <List
        query={query}
        testId="alert-channels"
        label={t('alerts.tabs.channels')}
        tools={
          may && (
            <Button type="primary" icon={<PlusOutlined />} onClick={() => setEditing('new')} data-testid="channel-add">
              {t('alerts.addChannel')}
            </Button>
          )
        }
        keyOf={(channel) => channel.name}
        empty={<Empty title={t('alerts.noChannels')} text={t('alerts.noChannelsText')} />}
        render={(channel) => (
          <Row
            testId={`channel-${channel.name}`}
            title={channel.name}
            sub={t(`alerts.types.${channel.type}`)}
            off={!channel.enabled}
            meta={[
              { label: t('alerts.where'), value: channel.type === 'email' ? channel.smtp.to.join(', ') : channel.url ? `…${channel.url.last4}` : '–', grow: 2 },
              { label: t('alerts.language'), value: t(`alerts.languages.${channel.language}`) },
            ]}
            actions={
              may && (
                <>
                  <Button size="small" icon={<SendOutlined />} loading={busy} onClick={() => void tryIt(channel.name)} data-testid={`channel-${channel.name}-test`}>
                    {t('alerts.test')}
                  </Button>
                  <Button size="small" onClick={() => setEditing(channel)} data-testid={`channel-${channel.name}-edit`}>
                    {t('alerts.edit')}
                  </Button>
                  <DeleteButton bare size="small" type="text" label={t('alerts.deleteOf', { name: channel.name })} testId={`channel-${channel.name}-delete`}
                    question={t('alerts.deleteTitle', { name: channel.name })} text={t('alerts.deleteChannelText')}
                    onDelete={() => need(api.DELETE('/alert-channels/{name}', { params: { path: { name: channel.name } } }))}
                    onDone={() => void refresh('alert-channels')} />
                </>
              )
            }
          />
        )}
      />
      <Editor<Write>
        open={editing !== null}
        title={stored ? stored.name : t('alerts.addChannel')}
        kind="alert-channels"
        testId="channel"
        initial={
          stored
            ? { name: stored.name, type: stored.type, enabled: stored.enabled, language: stored.language, allow_private: stored.allow_private, ca_pem: stored.ca_pem, smtp: stored.smtp }
            : { type: 'webhook', enabled: true, language: 'en', allow_private: false, smtp: { port: 587, security: 'starttls', to: [] } }
        }
        onClose={() => setEditing(null)}
        save={(values) =>
          stored
            ? need(api.PATCH('/alert-channels/{name}', { params: { path: { name: stored.name } }, body: { ...withoutBlank(values), name: undefined } }))
            : need(api.POST('/alert-channels', { body: withoutBlank(values) }))
        }
      >
        {() => (
          <>
            <Form.Item name="name" label={t('alerts.name')} rules={rules.name} validateFirst>
              <Input disabled={stored !== null} autoCapitalize="none" spellCheck={false} data-testid="channel-name" />
            </Form.Item>
            <div className="fields-2">
              <Form.Item name="type" label={t('alerts.type')}>
                <FormSelect disabled={stored !== null} options={TYPES.map((value) => ({ value, label: t(`alerts.types.${value}`) }))} data-testid="channel-type" />
              </Form.Item>
              <Form.Item name="language" label={t('alerts.language')}>
                <FormSelect options={(['en', 'zh'] as const).map((value) => ({ value, label: t(`alerts.languages.${value}`) }))} data-testid="channel-language" />
              </Form.Item>
            </div>
            <Form.Item noStyle shouldUpdate={(a: Write, b: Write) => a.type !== b.type}>
              {({ getFieldValue }) => {
                const type = getFieldValue('type') as Write['type'];
                return type === 'email' ? (
                  <>
                    <div className="fields-2">
                      <Form.Item name={['smtp', 'host']} label={t('alerts.smtpHost')} rules={[rules.required]}>
                        <Input placeholder="smtp.example.com" data-testid="channel-smtp-host" />
                      </Form.Item>
                      <Form.Item name={['smtp', 'port']} label={t('alerts.smtpPort')}>
                        <InputNumber min={1} max={65535} precision={0} style={{ width: '100%' }} data-testid="channel-smtp-port" />
                      </Form.Item>
                      <Form.Item name={['smtp', 'security']} label={t('alerts.smtpSecurity')}>
                        <FormSelect options={(['starttls', 'tls', 'none'] as const).map((value) => ({ value, label: t(`alerts.securities.${value}`) }))} data-testid="channel-smtp-security" />
                      </Form.Item>
                      <Form.Item name={['smtp', 'username']} label={t('alerts.smtpUser')}>
                        <Input autoComplete="off" data-testid="channel-smtp-username" />
                      </Form.Item>
                      <Form.Item name="password" label={t('alerts.smtpPassword')} extra={secretHelp(stored?.password)}>
                        <Input.Password autoComplete="new-password" data-testid="channel-password" />
                      </Form.Item>
                      <Form.Item name={['smtp', 'from']} label={t('alerts.smtpFrom')} rules={[rules.required]}>
                        <Input placeholder="tidegate@example.com" data-testid="channel-smtp-from" />
                      </Form.Item>
                    </div>
                    <Form.Item name={['smtp', 'to']} label={t('alerts.smtpTo')} rules={[rules.required]}>
                      <FormSelect mode="tags" open={false} suffixIcon={null} tokenSeparators={[',', ' ']} placeholder="ops@example.com" data-testid="channel-smtp-to" />
                    </Form.Item>
                  </>
                ) : (
                  <>
                    <Form.Item name="url" label={t('alerts.url')} extra={secretHelp(stored?.url) ?? t('alerts.urlHelp')} rules={stored ? [] : [rules.required]}>
                      <Input.Password autoComplete="off" data-testid="channel-url" />
                    </Form.Item>
                    {SIGNED.includes(type) && (
                      <Form.Item name="secret" label={t('alerts.secret')} extra={secretHelp(stored?.secret) ?? t('alerts.secretHelp')}>
                        <Input.Password autoComplete="new-password" data-testid="channel-secret" />
                      </Form.Item>
                    )}
                  </>
                );
              }}
            </Form.Item>
            <SwitchItem name="enabled" label={t('common.enabled')} testId="channel-enabled" />
            <SwitchItem name="allow_private" label={t('alerts.allowPrivate')} help={t('alerts.allowPrivateHelp')} testId="channel-allow-private" />
          </>
        )}
      </Editor>
    </>
  );
}
