/* Changing a password: one's own with the old one, somebody else's as an administrator. */
import { App, Form, Input, Modal, type ButtonProps } from 'antd';
import { useTranslation } from 'react-i18next';
import { api, need } from '../api/client';
import { ProblemAlert } from '../components/Problem';
import { StrengthMeter } from '../components/StrengthMeter';
import { useRules } from '../forms/inputs';
import { useApiForm } from '../forms/useApiForm';
import { MIN_PASSWORD } from '../lib/password';

interface Values {
  current_password?: string;
  new_password: string;
}

export function PasswordDialog(props: { username: string; own: boolean; open: boolean; onClose: () => void }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const rules = useRules();
  const edit = useApiForm<Values>();
  const typed = Form.useWatch('new_password', edit.form) ?? '';
  const close = () => {
    edit.form.resetFields();
    edit.clear();
    props.onClose();
  };
  const save = async (values: Values) => {
    const done = await edit.submit(() =>
      need(api.PUT('/users/{username}/password', { params: { path: { username: props.username } }, body: values })),
    );
    if (done) {
      message.success(t('password.changed'));
      close();
    }
  };
  return (
    <Modal
      open={props.open}
      title={props.own ? t('password.own') : t('password.of', { name: props.username })}
      onCancel={close}
      onOk={() => edit.form.submit()}
      okText={t('password.change')}
      cancelText={t('common.cancel')}
      confirmLoading={edit.busy}
      okButtonProps={{ 'data-testid': 'password-save' } as ButtonProps}
      destroyOnHidden
      forceRender
    >
      <Form form={edit.form} layout="vertical" onFinish={save} name="change-password">
        <ProblemAlert error={edit.error} rest={edit.rest} />
        {props.own && (
          <Form.Item name="current_password" label={t('password.current')} rules={[rules.required]}>
            <Input.Password autoComplete="current-password" data-testid="password-current" />
          </Form.Item>
        )}
        <Form.Item
          name="new_password"
          label={t('password.new')}
          rules={[rules.required, { min: MIN_PASSWORD, message: t('setup.passwordRule', { min: MIN_PASSWORD }) }]}
          validateFirst
          extra={<StrengthMeter password={typed} username={props.username} />}
        >
          <Input.Password autoComplete="new-password" data-testid="password-new" />
        </Form.Item>
      </Form>
    </Modal>
  );
}
