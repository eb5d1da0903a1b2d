import { PlusOutlined } from '@ant-design/icons';
import { Alert, Button, Form, Input, Modal, type ButtonProps } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, need, type Schemas } from '../../api/client';
import { usePaged, useRefresh } from '../../api/queries';
import { Ago, DeleteButton } from '../../components/Bits';
import { SecretBox } from '../../components/Copy';
import { Empty, List, Row, useDebounced } from '../../components/List';
import { ProblemAlert } from '../../components/Problem';
import { ExpiryInput } from '../../forms/ExpiryInput';
import { useRules } from '../../forms/inputs';
import { RoleSelect } from '../../forms/RoleSelect';
import { useApiForm } from '../../forms/useApiForm';
import { isoOf } from '../../lib/expiry';

interface Values {
  name: string;
  role: Schemas['Role'];
  expires?: string;
}

function NewToken({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { t } = useTranslation();
  const rules = useRules();
  const refresh = useRefresh();
  const edit = useApiForm<Values>();
  const [secret, setSecret] = useState<string | null>(null);
  const close = () => {
    setSecret(null);
    edit.form.resetFields();
    edit.clear();
    onClose();
  };
  return (
    <Modal
      open={open}
      title={t('tokens.newTitle')}
      onCancel={close}
      onOk={() => (secret ? close() : edit.form.submit())}
      okText={secret ? t('keys.saved') : t('tokens.make')}
      cancelText={t('common.cancel')}
      confirmLoading={edit.busy}
      maskClosable={secret === null}
      okButtonProps={{ 'data-testid': secret ? 'token-saved' : 'token-create' } as ButtonProps}
      cancelButtonProps={{ style: secret ? { display: 'none' } : undefined }}
      forceRender
    >
      {secret && (
        <div className="stack gap-16">
          <Alert type="warning" showIcon message={t('tokens.once')} />
          <SecretBox secret={secret} testId="token-secret" />
        </div>
      )}
      <div hidden={secret !== null}>
        <Form<Values>
          form={edit.form}
          layout="vertical"
          initialValues={{ role: 'operator' }}
          name="new-token"
          onFinish={(values) =>
            edit.submit(async () => {
              const made = await need(api.POST('/tokens', { body: { name: values.name, role: values.role, expires_at: isoOf(values.expires) } }));
              await refresh('tokens');
              setSecret(made.secret);
            })
          }
        >
          <ProblemAlert error={edit.error} rest={edit.rest} />
          <Form.Item name="name" label={t('tokens.name')} extra={t('tokens.nameHelp')} rules={[rules.required]}>
            <Input maxLength={63} data-testid="token-name" />
          </Form.Item>
          <Form.Item name="role" label={t('users.role')}>
            <RoleSelect testId="token-role" />
          </Form.Item>
          <ExpiryInput name="expires" testId="token-expires" />
        </Form>
      </div>
    </Modal>
  );
}

export function Tokens() {
  const { t } = useTranslation();
  const refresh = useRefresh();
  const [search, setSearch] = useState('');
  const [open, setOpen] = useState(false);
  const q = useDebounced(search);
  const query = usePaged(['tokens', 'list', q], (cursor) => need(api.GET('/tokens', { params: { query: { cursor, q: q || undefined, limit: 50 } } })));
  return (
    <>
      <p className="muted" style={{ marginBottom: 14 }}>{t('tokens.lead')}</p>
      <List
        query={query}
        testId="tokens"
        label={t('settings.tabs.tokens')}
        search={{ value: search, onChange: setSearch, placeholder: t('tokens.search') }}
        tools={
          <Button icon={<PlusOutlined />} onClick={() => setOpen(true)} data-testid="token-add">
            {t('tokens.add')}
          </Button>
        }
        keyOf={(token) => token.id}
        empty={<Empty title={t('tokens.emptyTitle')} text={t('tokens.emptyText')} />}
        render={(token) => (
          <Row
            testId={`token-${token.name}`}
            title={token.name}
            sub={
              <code>
                {token.prefix}…{token.last4}
              </code>
            }
            meta={[
              { label: t('users.role'), value: t(`role.${token.role}`) },
              { label: t('keys.lastUse'), value: <Ago at={token.last_used_at} /> },
              { label: t('form.expires'), value: token.expires_at ? <Ago at={token.expires_at} /> : t('common.neverExpires') },
            ]}
            actions={
              <DeleteButton
                bare
                size="small"
                type="text"
                label={t('tokens.revokeOf', { name: token.name })}
                testId={`token-${token.name}-delete`}
                question={t('tokens.revokeTitle', { name: token.name })}
                text={t('tokens.revokeText')}
                action={t('keys.revoke')}
                onDelete={() => need(api.DELETE('/tokens/{id}', { params: { path: { id: token.id } } }))}
                onDone={() => void refresh('tokens')}
              />
            }
          />
        )}
      />
      <NewToken open={open} onClose={() => setOpen(false)} />
    </>
  );
}
