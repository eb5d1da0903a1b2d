import { PlusOutlined } from '@ant-design/icons';
import { App, Button, Form, Input, Modal, type ButtonProps } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, need, type Schemas } from '../../api/client';
import { usePaged, useRefresh, useSession } from '../../api/queries';
import { Ago, DeleteButton, useAction } from '../../components/Bits';
import { EnableSwitch } from '../../components/EnableSwitch';
import { Empty, List, Row, useDebounced } from '../../components/List';
import { ProblemAlert } from '../../components/Problem';
import { StrengthMeter } from '../../components/StrengthMeter';
import { useRules } from '../../forms/inputs';
import { RoleSelect } from '../../forms/RoleSelect';
import { useApiForm } from '../../forms/useApiForm';
import { MIN_PASSWORD } from '../../lib/password';
import { PasswordDialog } from '../PasswordDialog';

type Create = Schemas['UserCreate'];

function NewUser({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const rules = useRules();
  const refresh = useRefresh();
  const edit = useApiForm<Create>();
  const password = Form.useWatch('password', edit.form) ?? '';
  const username = Form.useWatch('username', edit.form) ?? '';
  const close = () => {
    edit.form.resetFields();
    edit.clear();
    onClose();
  };
  return (
    <Modal
      open={open}
      title={t('users.newTitle')}
      onCancel={close}
      onOk={() => edit.form.submit()}
      okText={t('users.create')}
      cancelText={t('common.cancel')}
      confirmLoading={edit.busy}
      okButtonProps={{ 'data-testid': 'user-create' } as ButtonProps}
      forceRender
    >
      <Form<Create>
        form={edit.form}
        layout="vertical"
        initialValues={{ role: 'operator' }}
        name="new-user"
        onFinish={async (values) => {
          const done = await edit.submit(() => need(api.POST('/users', { body: values })));
          if (!done) return;
          await refresh('users');
          message.success(t('common.saved'));
          close();
        }}
      >
        <ProblemAlert error={edit.error} rest={edit.rest} />
        <Form.Item name="username" label={t('login.username')} rules={[rules.required]}>
          <Input autoComplete="off" autoCapitalize="none" spellCheck={false} data-testid="user-name" />
        </Form.Item>
        <Form.Item name="role" label={t('users.role')}>
          <RoleSelect testId="user-role" />
        </Form.Item>
        <Form.Item
          name="password"
          label={t('login.password')}
          validateFirst
          rules={[rules.required, { min: MIN_PASSWORD, message: t('setup.passwordRule', { min: MIN_PASSWORD }) }]}
          extra={<StrengthMeter password={password} username={username} />}
        >
          <Input.Password autoComplete="new-password" data-testid="user-password" />
        </Form.Item>
      </Form>
    </Modal>
  );
}

export function Users() {
  const { t } = useTranslation();
  const session = useSession();
  const refresh = useRefresh();
  const { run } = useAction();
  const [search, setSearch] = useState('');
  const [open, setOpen] = useState(false);
  const [password, setPassword] = useState<string | null>(null);
  const q = useDebounced(search);
  const query = usePaged(['users', 'list', q], (cursor) => need(api.GET('/users', { params: { query: { cursor, q: q || undefined, limit: 50 } } })));
  const change = async (username: string, body: Schemas['UserPatch']) => {
    await need(api.PATCH('/users/{username}', { params: { path: { username } }, body }));
    await refresh('users');
  };
  const me = session.data?.user.username;
  return (
    <>
      <List
        query={query}
        testId="users"
        label={t('settings.tabs.users')}
        search={{ value: search, onChange: setSearch, placeholder: t('users.search') }}
        tools={
          <Button icon={<PlusOutlined />} onClick={() => setOpen(true)} data-testid="user-add">
            {t('users.add')}
          </Button>
        }
        keyOf={(user) => user.username}
        empty={<Empty title={t('users.emptyTitle')} />}
        render={(user) => (
          <Row
            testId={`user-${user.username}`}
            title={user.username}
            sub={user.username === me ? t('users.you') : undefined}
            off={!user.enabled}
            meta={[
              {
                label: t('users.role'),
                value:
                  user.username === me ? (
                    t(`role.${user.role}`)
                  ) : (
                    <RoleSelect
                      size="small"
                      value={user.role}
                      label={t('users.roleOf', { name: user.username })}
                      testId={`user-${user.username}-role`}
                      onChange={(role) => void run(() => change(user.username, { role }))}
                    />
                  ),
              },
              { label: t('users.lastLogin'), value: <Ago at={user.last_login_at} /> },
            ]}
            actions={
              <>
                <Button size="small" onClick={() => setPassword(user.username)} data-testid={`user-${user.username}-password`}>
                  {t('users.password')}
                </Button>
                {user.username !== me && (
                  <>
                    <DeleteButton
                      bare
                      size="small"
                      type="text"
                      label={t('users.deleteOf', { name: user.username })}
                      testId={`user-${user.username}-delete`}
                      question={t('users.deleteTitle', { name: user.username })}
                      text={t('users.deleteText')}
                      onDelete={() => need(api.DELETE('/users/{username}', { params: { path: { username: user.username } } }))}
                      onDone={() => void refresh('users')}
                    />
                    <EnableSwitch
                      name={user.username}
                      enabled={user.enabled !== false}
                      testId={`user-${user.username}-enabled`}
                      onChange={(enabled) => change(user.username, { enabled })}
                    />
                  </>
                )}
              </>
            }
          />
        )}
      />
      <NewUser open={open} onClose={() => setOpen(false)} />
      <PasswordDialog username={password ?? ''} own={password === me} open={password !== null} onClose={() => setPassword(null)} />
    </>
  );
}
