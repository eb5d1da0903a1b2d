/* What else than a key a consumer is recognised by: tokens, signed requests, certificates. */
import { PlusOutlined } from '@ant-design/icons';
import { Button, Form, Input, Modal, type ButtonProps } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, need, type Schemas } from '../api/client';
import { useAllJwtIssuers, useMay, useRefresh } from '../api/queries';
import { Ago, DeleteButton, State } from '../components/Bits';
import { SecretBox } from '../components/Copy';
import { EnableSwitch } from '../components/EnableSwitch';
import { Empty, Row } from '../components/List';
import { Card } from '../components/Page';
import { ProblemAlert } from '../components/Problem';
import { ExpiryInput } from '../forms/ExpiryInput';
import { FormSelect } from '../forms/FormSelect';
import { useRules } from '../forms/inputs';
import { useApiForm } from '../forms/useApiForm';
import { isoOf } from '../lib/expiry';

type Credential = Schemas['ConsumerCredential'];
type Create = Schemas['ConsumerCredentialCreate'];
type Values = Create & { expires?: string };

function what(credential: Credential): string {
  if (credential.type === 'jwt') return `${credential.issuer}: ${credential.value}`;
  if (credential.type === 'hmac') return `${credential.key_id} · …${credential.last4 ?? ''}`;
  return `${credential.match}: ${credential.value}`;
}

function NewCredential({ consumer, open, onClose, onMade }: { consumer: string; open: boolean; onClose: () => void; onMade: (made: Schemas['ConsumerCredentialCreated']) => void }) {
  const { t } = useTranslation();
  const rules = useRules();
  const refresh = useRefresh();
  const issuers = useAllJwtIssuers();
  const edit = useApiForm<Values>();
  const type = Form.useWatch('type', edit.form) ?? 'jwt';
  const close = () => {
    edit.form.resetFields();
    edit.clear();
    onClose();
  };
  const make = ({ expires, ...values }: Values) =>
    edit.submit(async () => {
      const body = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined && value !== '')) as Create;
      const made = await need(
        api.POST('/consumers/{name}/credentials', { params: { path: { name: consumer } }, body: { ...body, expires_at: isoOf(expires) } }),
      );
      await refresh('consumers');
      close();
      onMade(made);
    });
  return (
    <Modal
      open={open}
      title={t('credentials.newTitle', { name: consumer })}
      onCancel={close}
      onOk={() => edit.form.submit()}
      okText={t('credentials.make')}
      cancelText={t('common.cancel')}
      confirmLoading={edit.busy}
      okButtonProps={{ 'data-testid': 'credential-create' } as ButtonProps}
      forceRender
    >
      <Form<Values> form={edit.form} layout="vertical" onFinish={make} initialValues={{ type: 'jwt', name: 'default', match: 'san' }} name="new-credential">
        <ProblemAlert error={edit.error} rest={edit.rest} />
        <Form.Item name="type" label={t('credentials.type')} extra={t(`credentials.typeHelp.${type}`)}>
          <FormSelect
            options={(['jwt', 'hmac', 'mtls'] as const).map((value) => ({ value, label: t(`credentials.types.${value}`) }))}
            data-testid="credential-type"
          />
        </Form.Item>
        <Form.Item name="name" label={t('form.name')} rules={[rules.required]}>
          <Input maxLength={63} data-testid="credential-name" />
        </Form.Item>
        {type === 'jwt' && (
          <Form.Item name="issuer" label={t('credentials.issuer')} rules={[rules.required]}>
            <FormSelect options={(issuers.data ?? []).map((one) => ({ value: one.name, label: one.name }))} data-testid="credential-issuer" />
          </Form.Item>
        )}
        {type === 'mtls' && (
          <Form.Item name="match" label={t('credentials.match')}>
            <FormSelect
              options={(['subject', 'san', 'fingerprint'] as const).map((value) => ({ value, label: t(`credentials.matches.${value}`) }))}
              data-testid="credential-match"
            />
          </Form.Item>
        )}
        {type !== 'hmac' && (
          <Form.Item name="value" label={t('credentials.value')} extra={t(`credentials.valueHelp.${type}`)} rules={[rules.required]}>
            <Input className="mono" maxLength={1024} spellCheck={false} data-testid="credential-value" />
          </Form.Item>
        )}
        {type === 'hmac' && (
          <Form.Item name="key_id" label={t('credentials.keyId')} extra={t('credentials.keyIdHelp')}>
            <Input className="mono" maxLength={64} spellCheck={false} data-testid="credential-key-id" />
          </Form.Item>
        )}
        <ExpiryInput name="expires" testId="credential-expires" />
      </Form>
    </Modal>
  );
}

export function Credentials({ consumer }: { consumer: Schemas['Consumer'] }) {
  const { t } = useTranslation();
  const may = useMay('operator');
  const refresh = useRefresh();
  const [adding, setAdding] = useState(false);
  const [made, setMade] = useState<Schemas['ConsumerCredentialCreated'] | null>(null);
  const list = consumer.credentials ?? [];
  const path = (id: string) => ({ params: { path: { name: consumer.name, id } } });
  return (
    <Card
      title={t('credentials.title')}
      lead={t('credentials.lead')}
      flush
      testId="consumer-credentials"
      extra={
        may && (
          <Button icon={<PlusOutlined />} onClick={() => setAdding(true)} data-testid="credential-add">
            {t('credentials.add')}
          </Button>
        )
      }
    >
      {list.length === 0 ? (
        <Empty title={t('credentials.emptyTitle')} text={t('credentials.emptyText')} icon={<></>} />
      ) : (
        <ul className="rows" aria-label={t('credentials.title')}>
          {list.map((credential) => {
            const over = credential.expires_at !== null && new Date(credential.expires_at).getTime() <= Date.now();
            const state = over ? 'expired' : credential.enabled ? 'active' : 'disabled';
            return (
              <li key={credential.id}>
                <Row
                  testId={`credential-${credential.name}`}
                  title={`${t(`credentials.types.${credential.type}`)} · ${credential.name}`}
                  sub={<code className="break">{what(credential)}</code>}
                  off={state !== 'active'}
                  meta={[
                    { label: t('keys.state'), value: <State level={state === 'active' ? 'ok' : 'idle'}>{t(`keys.states.${state}`)}</State> },
                    { label: t('keys.lastUse'), value: <Ago at={credential.last_used_at} /> },
                    { label: t('form.expires'), value: credential.expires_at ? <Ago at={credential.expires_at} /> : t('common.neverExpires') },
                  ]}
                  actions={
                    may && (
                      <>
                        <DeleteButton
                          bare
                          size="small"
                          type="text"
                          label={t('credentials.deleteTitle', { name: credential.name })}
                          testId={`credential-${credential.name}-delete`}
                          question={t('credentials.deleteTitle', { name: credential.name })}
                          text={t('credentials.deleteText')}
                          action={t('keys.revoke')}
                          onDelete={() => need(api.DELETE('/consumers/{name}/credentials/{id}', path(credential.id)))}
                          onDone={() => void refresh('consumers')}
                        />
                        <EnableSwitch
                          name={credential.name}
                          enabled={credential.enabled}
                          testId={`credential-${credential.name}-enabled`}
                          onChange={async (enabled) => {
                            await need(api.PATCH('/consumers/{name}/credentials/{id}', { ...path(credential.id), body: { enabled } }));
                            await refresh('consumers');
                          }}
                        />
                      </>
                    )
                  }
                />
              </li>
            );
          })}
        </ul>
      )}
      <NewCredential consumer={consumer.name} open={adding} onClose={() => setAdding(false)} onMade={(one) => setMade(one.secret ? one : null)} />
      <Modal
        open={made !== null}
        title={t('credentials.shownTitle', { id: made?.key_id ?? '' })}
        maskClosable={false}
        onCancel={() => setMade(null)}
        onOk={() => setMade(null)}
        okText={t('keys.saved')}
        okButtonProps={{ 'data-testid': 'credential-saved' } as ButtonProps}
        cancelButtonProps={{ style: { display: 'none' } }}
        forceRender
      >
        {made?.secret && (
          <div className="stack gap-16">
            <p>{t('credentials.once')}</p>
            <SecretBox secret={made.secret} testId="credential-secret" />
          </div>
        )}
      </Modal>
    </Card>
  );
}
