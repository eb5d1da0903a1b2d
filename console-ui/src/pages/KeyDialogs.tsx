/* Making and rotating keys, and the one moment in which a secret can be seen. */
import { Alert, Form, Input, Modal, type ButtonProps } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, need, type Schemas } from '../api/client';
import { useAllRoutes, useRefresh } from '../api/queries';
import { SecretBox } from '../components/Copy';
import { Fold } from '../components/Fold';
import { ProblemAlert } from '../components/Problem';
import { UsageSnippet } from '../components/Snippet';
import { DurationItem, useRules } from '../forms/inputs';
import { useApiForm } from '../forms/useApiForm';
import { isoOf } from '../lib/expiry';
import { ExpiryInput } from '../forms/ExpiryInput';

/** The route that a consumer would most likely call first. */
export function routeFor(routes: Schemas['Route'][] | undefined, consumer: string): Schemas['Route'] | undefined {
  const enabled = (routes ?? []).filter((route) => route.enabled !== false);
  return enabled.find((route) => (route.auth.consumers ?? []).includes(consumer)) ?? enabled[0];
}

export function ShownKey({ consumer, secret }: { consumer: string; secret: string }) {
  const { t } = useTranslation();
  const routes = useAllRoutes();
  const route = routeFor(routes.data, consumer);
  return (
    <div className="stack gap-16">
      <Alert type="warning" showIcon message={t('keys.once')} description={t('keys.onceText')} />
      <SecretBox secret={secret} testId="key-secret" />
      {route && (
        <Fold title={t('keys.tryIt')} hint={t('keys.tryItHint', { route: route.name })} testId="key-snippet">
          <div style={{ padding: '6px 0 14px' }}>
            <UsageSnippet route={route} consumerKey={secret} />
          </div>
        </Fold>
      )}
    </div>
  );
}

export function ShownKeyDialog({ consumer, secret, onClose }: { consumer: string; secret: string | null; onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <Modal
      open={secret !== null}
      title={t('keys.shownTitle', { name: consumer })}
      width={640}
      maskClosable={false}
      onCancel={onClose}
      onOk={onClose}
      okText={t('keys.saved')}
      okButtonProps={{ 'data-testid': 'key-saved' } as ButtonProps}
      cancelButtonProps={{ style: { display: 'none' } }}
      /* Drawn also while it closes: without a secret there is nothing left of it in the page. */
      forceRender
    >
      {secret && <ShownKey consumer={consumer} secret={secret} />}
    </Modal>
  );
}

interface Values {
  name: string;
  expires?: string;
  value?: string;
}

export function NewKeyDialog(props: { consumer: string; open: boolean; onClose: () => void; onMade: (secret: string) => void }) {
  const { t } = useTranslation();
  const rules = useRules();
  const refresh = useRefresh();
  const edit = useApiForm<Values>();
  const close = () => {
    edit.form.resetFields();
    edit.clear();
    props.onClose();
  };
  const make = (values: Values) =>
    edit.submit(async () => {
      const made = await need(
        api.POST('/consumers/{name}/keys', {
          params: { path: { name: props.consumer } },
          body: { name: values.name.trim(), expires_at: isoOf(values.expires), ...(values.value ? { value: values.value.trim() } : {}) },
        }),
      );
      await refresh('consumers');
      close();
      props.onMade(made.secret);
    });
  return (
    <Modal
      open={props.open}
      title={t('keys.newTitle', { name: props.consumer })}
      onCancel={close}
      onOk={() => edit.form.submit()}
      okText={t('keys.make')}
      cancelText={t('common.cancel')}
      confirmLoading={edit.busy}
      okButtonProps={{ 'data-testid': 'key-create' } as ButtonProps}
      forceRender
    >
      <Form<Values> form={edit.form} layout="vertical" onFinish={make} initialValues={{ name: 'default' }} name="new-key">
        <ProblemAlert error={edit.error} rest={edit.rest} />
        <Form.Item name="name" label={t('keys.name')} extra={t('keys.nameHelp')} rules={[rules.required]}>
          <Input maxLength={63} data-testid="key-name" />
        </Form.Item>
        <ExpiryInput name="expires" testId="key-expires" />
        <Fold title={t('keys.import')} hint={t('keys.importHint')}>
          <Form.Item name="value" label={t('keys.value')} extra={t('keys.valueHelp')} rules={[{ min: 16, message: t('keys.valueRule') }]}>
            <Input.Password autoComplete="new-password" data-testid="key-value" />
          </Form.Item>
        </Fold>
      </Form>
    </Modal>
  );
}

export function RotateDialog(props: {
  consumer: string;
  keyToRotate: Schemas['ConsumerKey'] | null;
  onClose: () => void;
  onMade: (secret: string) => void;
}) {
  const { t } = useTranslation();
  const refresh = useRefresh();
  const edit = useApiForm<{ grace?: string }>();
  const [shown, setShown] = useState<Schemas['ConsumerKey'] | null>(null);
  if (props.keyToRotate && props.keyToRotate !== shown) setShown(props.keyToRotate);
  const rotate = (values: { grace?: string }) =>
    edit.submit(async () => {
      const made = await need(
        api.POST('/consumers/{name}/keys/{id}/rotate', {
          params: { path: { name: props.consumer, id: props.keyToRotate?.id ?? '' } },
          body: { grace: values.grace?.trim() || '60s' },
        }),
      );
      await refresh('consumers');
      props.onClose();
      props.onMade(made.secret);
    });
  return (
    <Modal
      open={props.keyToRotate !== null}
      title={t('keys.rotateTitle', { name: shown?.name ?? '' })}
      onCancel={props.onClose}
      onOk={() => edit.form.submit()}
      okText={t('keys.rotate')}
      cancelText={t('common.cancel')}
      confirmLoading={edit.busy}
      okButtonProps={{ 'data-testid': 'rotate-confirm' } as ButtonProps}
      forceRender
    >
      <p className="muted" style={{ marginBottom: 16 }}>{t('keys.rotateText')}</p>
      <Form form={edit.form} layout="vertical" onFinish={rotate} initialValues={{ grace: '1h' }} name="rotate-key">
        <ProblemAlert error={edit.error} rest={edit.rest} />
        <DurationItem name={['grace']} label={t('keys.grace')} help={t('keys.graceHelp')} placeholder="60s" max={720 * 3600000} testId="rotate-grace" />
      </Form>
    </Modal>
  );
}
