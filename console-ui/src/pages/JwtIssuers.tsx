/* Whose JSON Web Tokens are accepted, and whom they name. */
import { EditOutlined, PlusOutlined } from '@ant-design/icons';
import { Button, Form, Input, Modal, type ButtonProps } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, need, type Schemas } from '../api/client';
import { useAllConsumers, useMay, usePaged, useRefresh } from '../api/queries';
import { DeleteButton } from '../components/Bits';
import { EnableSwitch } from '../components/EnableSwitch';
import { Empty, List, Row, useDebounced } from '../components/List';
import { Page } from '../components/Page';
import { ProblemAlert } from '../components/Problem';
import { Fold } from '../components/Fold';
import { FormSelect } from '../forms/FormSelect';
import { SwitchItem } from '../forms/SwitchItem';
import { DurationItem, PairsInput, useRules } from '../forms/inputs';
import { held } from '../forms/keep';
import { useApiForm } from '../forms/useApiForm';

type Issuer = Schemas['JwtIssuer'];
type Write = Schemas['JwtIssuerWrite'];
type Values = Omit<Write, 'jwks'> & { jwks?: string };

const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'HS256', 'HS384', 'HS512'] as const;

/** What the form holds of a stored issuer; the secret never comes back. */
export function issuerToForm(issuer: Issuer | null): Partial<Values> {
  if (!issuer) return { algorithms: ['RS256', 'ES256'], consumer_claim: 'sub', require_expiry: true, clock_skew: '60s', jwks_refresh: '15m' };
  const { jwks, secret: _secret, created_at: _created, updated_at: _updated, revision: _revision, warnings: _warnings, ...rest } = issuer;
  return { ...rest, jwks: jwks ? JSON.stringify(jwks, null, 2) : '' };
}

export function issuerFromForm(values: Values): Write {
  const { jwks, secret, ...rest } = values;
  return { ...rest, jwks: jwks?.trim() ? (JSON.parse(jwks) as Record<string, unknown>) : null, ...(secret ? { secret } : {}) } as Write;
}

function IssuerDialog({ issuer, open, onClose }: { issuer: Issuer | null; open: boolean; onClose: () => void }) {
  const { t } = useTranslation();
  const rules = useRules();
  const refresh = useRefresh();
  const consumers = useAllConsumers();
  const edit = useApiForm<Values>();
  const algorithms = Form.useWatch('algorithms', edit.form) ?? [];
  const shared = algorithms.some((one) => one.startsWith('HS'));
  const close = () => {
    edit.clear();
    onClose();
  };
  const save = (values: Values) =>
    edit.submit(async () => {
      const body = issuerFromForm(held(edit.form, values));
      const answer = issuer
        ? await need(api.PUT('/jwt-issuers/{name}', { params: { path: { name: issuer.name } }, body: { ...body, name: issuer.name, enabled: issuer.enabled } }))
        : await need(api.POST('/jwt-issuers', { body }));
      await refresh('jwt-issuers');
      close();
      return answer;
    });
  const json = {
    validator: async (_rule: unknown, value: string | undefined) => {
      if (!value?.trim()) return;
      try {
        JSON.parse(value);
      } catch {
        throw new Error(t('issuers.jwksRule'));
      }
    },
  };
  return (
    <Modal
      open={open}
      title={issuer ? issuer.name : t('issuers.newTitle')}
      width={640}
      onCancel={close}
      onOk={() => edit.form.submit()}
      okText={t('common.save')}
      cancelText={t('common.cancel')}
      confirmLoading={edit.busy}
      okButtonProps={{ 'data-testid': 'issuer-save' } as ButtonProps}
      destroyOnHidden
    >
      <Form<Values> form={edit.form} layout="vertical" onFinish={save} initialValues={issuerToForm(issuer)} preserve={false} name="jwt-issuer">
        <ProblemAlert error={edit.error} rest={edit.rest} />
        {!issuer && (
          <Form.Item name="name" label={t('form.name')} rules={rules.name} validateFirst extra={t('form.nameHelp')}>
            <Input className="mono" spellCheck={false} placeholder="idp" data-testid="issuer-name" />
          </Form.Item>
        )}
        <Form.Item name="issuer" label={t('issuers.issuer')} extra={t('issuers.issuerHelp')} rules={[rules.required]}>
          <Input className="mono" spellCheck={false} placeholder="https://idp.example.com/" data-testid="issuer-issuer" />
        </Form.Item>
        <Form.Item name="audiences" label={t('issuers.audiences')} extra={t('issuers.audiencesHelp')}>
          <FormSelect mode="tags" open={false} suffixIcon={null} tokenSeparators={[',', ' ']} data-testid="issuer-audiences" />
        </Form.Item>
        <Form.Item name="algorithms" label={t('issuers.algorithms')} extra={t('issuers.algorithmsHelp')} rules={[rules.required]}>
          <FormSelect mode="multiple" options={ALGORITHMS.map((value) => ({ value, label: value }))} data-testid="issuer-algorithms" />
        </Form.Item>
        <Form.Item name="jwks_url" label={t('issuers.jwksUrl')} extra={t('issuers.jwksUrlHelp')} rules={[rules.url]}>
          <Input className="mono" spellCheck={false} placeholder="https://idp.example.com/.well-known/jwks.json" data-testid="issuer-jwks-url" />
        </Form.Item>
        <Form.Item name="jwks" label={t('issuers.jwks')} extra={t('issuers.jwksHelp')} rules={[json]}>
          <Input.TextArea className="mono" rows={3} spellCheck={false} data-testid="issuer-jwks" />
        </Form.Item>
        <Form.Item name="secret" label={t('issuers.secret')} extra={issuer?.secret ? t('issuers.secretKept') : t('issuers.secretHelp')} hidden={!shared}>
          <Input.Password autoComplete="new-password" data-testid="issuer-secret" />
        </Form.Item>
        <Form.Item name="consumer_claim" label={t('issuers.consumerClaim')} extra={t('issuers.consumerClaimHelp')} rules={[rules.required]}>
          <Input className="mono" spellCheck={false} data-testid="issuer-consumer-claim" />
        </Form.Item>
        <SwitchItem name={['claim_is_consumer']} label={t('issuers.claimIsConsumer')} help={t('issuers.claimIsConsumerHelp')} initialValue={false} testId="issuer-claim-is-consumer" />
        <Form.Item name="groups_claim" label={t('issuers.groupsClaim')} extra={t('issuers.groupsClaimHelp')}>
          <Input className="mono" spellCheck={false} placeholder="groups" data-testid="issuer-groups-claim" />
        </Form.Item>
        <Fold title={t('issuers.more')} hint={t('issuers.moreHint')} testId="issuer-more">
          <Form.Item name="default_consumer" label={t('issuers.defaultConsumer')} extra={t('issuers.defaultConsumerHelp')}>
            <FormSelect allowClear options={(consumers.data ?? []).map((one) => ({ value: one.name, label: one.name }))} data-testid="issuer-default-consumer" />
          </Form.Item>
          <Form.Item name="group_map" label={t('issuers.groupMap')}>
            <PairsInput keyLabel={t('issuers.groupValue')} valueLabel={t('issuers.group')} addText={t('issuers.addGroup')} testId="issuer-group-map" />
          </Form.Item>
          <DurationItem name={['clock_skew']} label={t('issuers.clockSkew')} placeholder="60s" min={0} max={600_000} testId="issuer-clock-skew" />
          <DurationItem name={['jwks_refresh']} label={t('issuers.refresh')} placeholder="15m" min={60_000} max={86_400_000} testId="issuer-refresh" />
          <SwitchItem name={['require_expiry']} label={t('issuers.requireExpiry')} help={t('issuers.requireExpiryHelp')} initialValue testId="issuer-require-expiry" />
        </Fold>
      </Form>
    </Modal>
  );
}

export function JwtIssuersPage() {
  const { t } = useTranslation();
  const may = useMay('operator');
  const refresh = useRefresh();
  const [search, setSearch] = useState('');
  const [shown, setShown] = useState<{ issuer: Issuer | null } | null>(null);
  const q = useDebounced(search);
  const query = usePaged(['jwt-issuers', 'list', q], (cursor) =>
    need(api.GET('/jwt-issuers', { params: { query: { cursor, q: q || undefined, limit: 50 } } })),
  );
  const add = (
    <Button type="primary" icon={<PlusOutlined />} onClick={() => setShown({ issuer: null })} data-testid="issuer-add">
      {t('issuers.add')}
    </Button>
  );
  return (
    <Page title={t('issuers.title')} lead={t('issuers.lead')} actions={may && add}>
      <List
        query={query}
        testId="jwt-issuers"
        label={t('issuers.title')}
        search={{ value: search, onChange: setSearch, placeholder: t('issuers.search') }}
        keyOf={(issuer) => issuer.name}
        empty={<Empty title={t('issuers.emptyTitle')} text={t('issuers.emptyText')} />}
        render={(issuer) => (
          <Row
            testId={`issuer-${issuer.name}`}
            title={issuer.name}
            sub={<code className="break">{issuer.issuer}</code>}
            off={issuer.enabled === false}
            meta={[
              { label: t('issuers.algorithms'), value: (issuer.algorithms ?? []).join(', ') },
              { label: t('issuers.audiences'), value: (issuer.audiences ?? []).join(', ') || t('issuers.anyAudience') },
            ]}
            actions={
              may && (
                <>
                  <Button size="small" icon={<EditOutlined />} onClick={() => setShown({ issuer })} data-testid={`issuer-${issuer.name}-edit`}>
                    {t('issuers.edit')}
                  </Button>
                  <DeleteButton
                    bare
                    size="small"
                    type="text"
                    label={t('issuers.deleteTitle', { name: issuer.name })}
                    testId={`issuer-${issuer.name}-delete`}
                    question={t('issuers.deleteTitle', { name: issuer.name })}
                    text={t('issuers.deleteText')}
                    onDelete={() => need(api.DELETE('/jwt-issuers/{name}', { params: { path: { name: issuer.name } } }))}
                    onDone={() => void refresh('jwt-issuers')}
                  />
                  <EnableSwitch
                    name={issuer.name}
                    enabled={issuer.enabled !== false}
                    testId={`issuer-${issuer.name}-enabled`}
                    onChange={async (enabled) => {
                      await need(api.PATCH('/jwt-issuers/{name}', { params: { path: { name: issuer.name } }, body: { enabled } }));
                      await refresh('jwt-issuers');
                    }}
                  />
                </>
              )
            }
          />
        )}
      />
      <IssuerDialog key={shown?.issuer?.name ?? 'new'} issuer={shown?.issuer ?? null} open={shown !== null} onClose={() => setShown(null)} />
    </Page>
  );
}
