/* Another worker: a join token and the command that uses it, ready to be pasted on the other machine. */
import { Alert, Button, Form, Input } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, need, type Schemas } from '../api/client';
import { useRefresh } from '../api/queries';
import { CodeBlock } from '../components/Copy';
import { ProblemAlert } from '../components/Problem';
import { ExpiryInput } from '../forms/ExpiryInput';
import { useRules } from '../forms/inputs';
import { useApiForm } from '../forms/useApiForm';
import { isoOf } from '../lib/expiry';

export function joinCommand(token: Pick<Schemas['JoinTokenCreated'], 'secret' | 'channel_port'>, hostname: string): string {
  return [
    `export TIDEGATE_JOIN_TOKEN='${token.secret}'`,
    'tidegate-worker \\',
    `  --control wss://${hostname}:${token.channel_port} \\`,
    '  --state-dir /var/lib/tidegate-worker \\',
    '  --listen 0.0.0.0:8080',
  ].join('\n');
}

export function JoinTokenMaker() {
  const { t } = useTranslation();
  const rules = useRules();
  const refresh = useRefresh();
  const edit = useApiForm<{ name: string; expires?: string }>();
  const [made, setMade] = useState<Schemas['JoinTokenCreated'] | null>(null);
  if (made) {
    return (
      <div className="stack gap-16">
        <Alert type="warning" showIcon message={t('join.once')} />
        <p>{t('join.run')}</p>
        <CodeBlock code={joinCommand(made, window.location.hostname)} testId="join-command" label={t('join.command')} />
        <p className="muted">{t('join.after')}</p>
      </div>
    );
  }
  return (
    <Form
      form={edit.form}
      layout="vertical"
      name="join-token"
      initialValues={{ name: 'worker', expires: 'day' }}
      onFinish={(values) =>
        edit.submit(async () => {
          setMade(await need(api.POST('/join-tokens', { body: { name: values.name, expires_at: isoOf(values.expires) } })));
          await refresh('join-tokens');
        })
      }
    >
      <p className="muted" style={{ marginBottom: 16 }}>{t('join.lead')}</p>
      <ProblemAlert error={edit.error} rest={edit.rest} />
      <Form.Item name="name" label={t('tokens.name')} rules={[rules.required]}>
        <Input maxLength={63} data-testid="join-name" />
      </Form.Item>
      <ExpiryInput name="expires" testId="join-expires" />
      <Button type="primary" htmlType="submit" loading={edit.busy} data-testid="join-create">
        {t('join.make')}
      </Button>
    </Form>
  );
}
