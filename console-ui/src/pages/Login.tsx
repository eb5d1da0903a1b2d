import { useQueryClient } from '@tanstack/react-query';
import { Button, Form, Input } from 'antd';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'react-router-dom';
import { api, need } from '../api/client';
import { changePerson } from '../api/queries';
import { ProblemAlert } from '../components/Problem';
import { useRules } from '../forms/inputs';
import { useApiForm } from '../forms/useApiForm';
import { Door } from './Door';

interface Values {
  username: string;
  password: string;
}

export function LoginPage() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const place = useLocation();
  const rules = useRules();
  const edit = useApiForm<Values>();
  const back = new URLSearchParams(place.search).has('next');
  const submit = (values: Values) =>
    edit.submit(async () => {
      const session = await need(api.POST('/session', { body: values }));
      changePerson(client, session);
    });
  return (
    <Door title={t('login.title')} lead={back ? t('login.again') : t('login.lead')}>
      <Form<Values> form={edit.form} layout="vertical" size="large" onFinish={submit} name="login" data-testid="login-form">
        <ProblemAlert error={edit.error} rest={edit.rest} />
        <Form.Item name="username" label={t('login.username')} rules={[rules.required]}>
          <Input autoComplete="username" autoCapitalize="none" spellCheck={false} autoFocus data-testid="login-username" />
        </Form.Item>
        <Form.Item name="password" label={t('login.password')} rules={[rules.required]}>
          <Input.Password autoComplete="current-password" data-testid="login-password" />
        </Form.Item>
        <Button type="primary" htmlType="submit" block loading={edit.busy} data-testid="login-submit">
          {t('login.submit')}
        </Button>
      </Form>
    </Door>
  );
}
