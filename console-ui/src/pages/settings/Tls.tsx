/* TLS on the workers' data port: certificates by name, and whether clients show theirs. */
import { DeleteOutlined, PlusOutlined } from '@ant-design/icons';
import { Button, Form, Input, Radio } from 'antd';
import { useTranslation } from 'react-i18next';
import type { Schemas } from '../../api/client';
import { Section } from '../../components/Page';
import { useRules } from '../../forms/inputs';
import { emptyToNull } from '../../forms/keep';
import { SettingsPart } from './PartForm';

type Tls = NonNullable<Schemas['Settings']['tls']>;
type Write = NonNullable<Schemas['SettingsWrite']['tls']>;

const CHOICES = ['off', 'optional', 'required'] as const;

export function tlsToForm(stored: Tls): Write {
  return { ...stored, certificates: (stored.certificates ?? []).map(({ name, certificate_pem }) => ({ name, certificate_pem })) };
}

/** A key is sent only where one was typed; elsewhere the stored key of that name stays. */
export function tlsFromForm({ certificates, ...rest }: Write): object {
  return {
    ...emptyToNull(rest),
    certificates: (certificates ?? []).map(({ name, certificate_pem, private_key }) => ({
      name: name.trim(),
      certificate_pem,
      ...(private_key?.trim() ? { private_key } : {}),
    })),
  };
}

function Choice({ name, words }: { name: 'mode' | 'client_auth'; words: 'modes' | 'clients' }) {
  const { t } = useTranslation();
  return (
    <Form.Item name={['tls', name]}>
      <Radio.Group aria-label={t(`tls.${name}`)} data-testid={`tls-${name}`}>
        <div className="stack gap-8">
          {CHOICES.map((value) => (
            <Radio key={value} value={value} data-testid={`tls-${name}-${value}`}>
              {t(`tls.${words}.${value}`)}
            </Radio>
          ))}
        </div>
      </Radio.Group>
    </Form.Item>
  );
}

function Certificates({ stored }: { stored: Tls }) {
  const { t } = useTranslation();
  const rules = useRules();
  const form = Form.useFormInstance();
  const now = (Form.useWatch(['tls', 'certificates'], form) ?? []) as ({ name?: string } | undefined)[];
  const keyOf = (index: number) => stored.certificates?.find((one) => one.name === now[index]?.name)?.private_key;
  return (
    <Form.List name={['tls', 'certificates']}>
      {(items, { add, remove }) => (
        <div style={{ marginBottom: 16 }}>
          {items.map((item, i) => {
            const key = keyOf(i);
            return (
              <div className="boxed" key={item.key} data-testid={`certificate-${i}`}>
                <div className="boxed-head">
                  <span className="grow">{i === 0 ? t('tls.first') : t('tls.further', { number: i + 1 })}</span>
                  <Button
                    type="text"
                    size="small"
                    icon={<DeleteOutlined />}
                    aria-label={t('tls.remove', { number: i + 1 })}
                    onClick={() => remove(item.name)}
                    data-testid={`certificate-${i}-remove`}
                  />
                </div>
                <Form.Item name={[item.name, 'name']} label={t('form.name')} rules={rules.name} validateFirst>
                  <Input className="mono" spellCheck={false} placeholder="main" style={{ maxWidth: 320 }} data-testid={`certificate-${i}-name`} />
                </Form.Item>
                <Form.Item name={[item.name, 'certificate_pem']} label={t('tls.chain')} extra={t('tls.chainHelp')} rules={[rules.required]}>
                  <Input.TextArea className="mono" rows={4} spellCheck={false} placeholder="-----BEGIN CERTIFICATE-----" data-testid={`certificate-${i}-chain`} />
                </Form.Item>
                <Form.Item name={[item.name, 'private_key']} label={t('tls.key')} extra={key ? t('tls.keyKept') : t('tls.keyHelp')} rules={key ? [] : [rules.required]}>
                  <Input.TextArea
                    className="mono"
                    rows={3}
                    spellCheck={false}
                    autoComplete="off"
                    placeholder={key ? t('tls.keyStored') : '-----BEGIN PRIVATE KEY-----'}
                    data-testid={`certificate-${i}-key`}
                  />
                </Form.Item>
              </div>
            );
          })}
          {items.length < 16 && (
            <Button size="small" type="dashed" icon={<PlusOutlined />} onClick={() => add({ name: items.length === 0 ? 'main' : '' })} data-testid="certificate-add">
              {t('tls.add')}
            </Button>
          )}
        </div>
      )}
    </Form.List>
  );
}

function Fields({ stored }: { stored: Tls }) {
  const { t } = useTranslation();
  const rules = useRules();
  const form = Form.useFormInstance();
  const asks: unknown = Form.useWatch(['tls', 'client_auth'], form) ?? stored.client_auth;
  return (
    <>
      <Section title={t('tls.mode')} lead={t('tls.modeLead')}>
        <Choice name="mode" words="modes" />
      </Section>
      <Section title={t('tls.certificates')} lead={t('tls.certificatesLead')}>
        <Certificates stored={stored} />
      </Section>
      <Section title={t('tls.client_auth')} lead={t('tls.clientLead')}>
        <Choice name="client_auth" words="clients" />
        <Form.Item name={['tls', 'client_ca_pem']} label={t('tls.ca')} extra={t('tls.caHelp')} rules={asks === 'off' ? [] : [rules.required]} hidden={asks === 'off'}>
          <Input.TextArea className="mono" rows={4} spellCheck={false} placeholder="-----BEGIN CERTIFICATE-----" data-testid="tls-client-ca" />
        </Form.Item>
      </Section>
    </>
  );
}

export function TlsSettings() {
  return (
    <SettingsPart part="tls" show={tlsToForm} send={tlsFromForm}>
      {(stored) => <Fields stored={stored} />}
    </SettingsPart>
  );
}
