/* First run: whoever holds the setup token becomes the first administrator, and is logged in at once. */
import { useQueryClient } from '@tanstack/react-query';
import { Button, Form, Input } from 'antd';
import { Trans, useTranslation } from 'react-i18next';
import { api, need } from '../api/client';
import { changePerson } from '../api/queries';
import { ProblemAlert } from '../components/Problem';
import { StrengthMeter } from '../components/StrengthMeter';
import { useRules } from '../forms/inputs';
import { useApiForm } from '../forms/useApiForm';
import { MIN_PASSWORD } from '../lib/password';
import { Door } from './Door';

interface Values {
  setup_token: string;
  username: string;
  password: string;
}

/** An installer may hand the token over in the address' fragment, which never reaches a server. */
function tokenInAddress(): string | undefined {
  return /[#&]token=(tgs_[A-Za-z0-9_-]+)/.exec(window.location.hash)?.[1];
}

export function SetupPage() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const rules = useRules();
  const edit = useApiForm<Values>();
  const password = Form.useWatch('password', edit.form) ?? '';
  const username = Form.useWatch('username', edit.form) ?? '';
  const submit = (values: Values) =>
    edit.submit(async () => {
      const session = await need(api.POST('/setup', { body: { ...values, setup_token: values.setup_token.trim() } }));
      changePerson(client, session);
    });
  return (
    <Door title={t('setup.title')} lead={t('setup.lead')}>
      <Form<Values>
        form={edit.form}
        layout="vertical"
        size="large"
        onFinish={submit}
        initialValues={{ username: 'admin', setup_token: tokenInAddress() }}
        name="setup"
        data-testid="setup-form"
      >
        <ProblemAlert error={edit.error} rest={edit.rest} />
        <Form.Item
          name="setup_token"
          label={t('setup.token')}
          rules={[rules.required]}
          extra={<Trans i18nKey="setup.tokenHelp" components={{ c: <code /> }} />}
        >
          <Input autoComplete="off" spellCheck={false} className="mono" autoFocus placeholder="tgs_…" data-testid="setup-token" />
        </Form.Item>
        <Form.Item name="username" label={t('login.username')} rules={[rules.required]}>
          <Input autoComplete="username" autoCapitalize="none" spellCheck={false} data-testid="setup-username" />
        </Form.Item>
        <Form.Item
          name="password"
          label={t('login.password')}
          validateFirst
          rules={[rules.required, { min: MIN_PASSWORD, message: t('setup.passwordRule', { min: MIN_PASSWORD }) }]}
          extra={password === '' ? t('setup.passwordRule', { min: MIN_PASSWORD }) : <StrengthMeter password={password} username={username} />}
        >
          <Input.Password autoComplete="new-password" data-testid="setup-password" />
        </Form.Item>
        <Button type="primary" htmlType="submit" block loading={edit.busy} data-testid="setup-submit">
          {t('setup.submit')}
        </Button>
      </Form>
    </Door>
  );
}
