/* Who calls. */
import { PlusOutlined } from '@ant-design/icons';
import { Button, Checkbox, Form, Input, Modal, type ButtonProps } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate, useSearchParams } from 'react-router-dom';
import { api, need, type Schemas } from '../api/client';
import { useAllGroups, useMay, usePaged, useRefresh } from '../api/queries';
import { Ago } from '../components/Bits';
import { EnableSwitch } from '../components/EnableSwitch';
import { Empty, List, Row, useDebounced } from '../components/List';
import { Page } from '../components/Page';
import { ProblemAlert } from '../components/Problem';
import { useRules } from '../forms/inputs';
import { useApiForm } from '../forms/useApiForm';
import { ShownKeyDialog } from './KeyDialogs';
import { FormSelect } from '../forms/FormSelect';

export function ModelsSelect(props: { value?: string[]; onChange?: (value: string[]) => void; testId: string; id?: string }) {
  const { t } = useTranslation();
  return (
    <FormSelect
      id={props.id}
      mode="tags"
      value={props.value}
      onChange={props.onChange}
      tokenSeparators={[',', ' ', '\n']}
      options={[{ value: '*', label: t('consumers.allModels') }]}
      placeholder="deepseek-r1, gpt-*"
      data-testid={props.testId}
    />
  );
}

/** Groups that there are, and any other word. */
export function GroupsSelect(props: { value?: string[]; onChange?: (value: string[]) => void; testId: string; id?: string }) {
  const groups = useAllGroups();
  return (
    <FormSelect
      id={props.id}
      mode="tags"
      value={props.value}
      onChange={props.onChange}
      tokenSeparators={[',', ' ']}
      options={(groups.data ?? []).map(({ name }) => ({ value: name, label: name }))}
      data-testid={props.testId}
    />
  );
}

export function modelsWords(models: string[] | null | undefined, all: string): string {
  return !models || models.includes('*') ? all : models.join(', ');
}

function lastUse(consumer: Schemas['Consumer']): string | null {
  return (consumer.keys ?? []).map((key) => key.last_used_at).reduce<string | null>((last, at) => (at && (!last || at > last) ? at : last), null);
}

interface Values {
  name: string;
  description?: string;
  models: string[];
  groups?: string[];
  with_key: boolean;
}

function NewConsumer({ open, onClose, onMade }: { open: boolean; onClose: () => void; onMade: (name: string, secret: string | null) => void }) {
  const { t } = useTranslation();
  const rules = useRules();
  const refresh = useRefresh();
  const edit = useApiForm<Values>();
  const close = () => {
    edit.form.resetFields();
    edit.clear();
    onClose();
  };
  const make = ({ with_key: withKey, ...body }: Values) =>
    edit.submit(async () => {
      const answer = await need(api.POST('/consumers', { body: { ...body, groups: body.groups ?? [] } }));
      const key = withKey
        ? await need(api.POST('/consumers/{name}/keys', { params: { path: { name: body.name } }, body: { name: 'default' } }))
        : null;
      await refresh('consumers');
      close();
      onMade(body.name, key?.secret ?? null);
      return answer;
    });
  return (
    <Modal
      open={open}
      title={t('consumers.newTitle')}
      onCancel={close}
      onOk={() => edit.form.submit()}
      okText={t('consumers.create')}
      cancelText={t('common.cancel')}
      confirmLoading={edit.busy}
      okButtonProps={{ 'data-testid': 'consumer-create' } as ButtonProps}
      forceRender
    >
      <p className="muted" style={{ marginBottom: 16 }}>{t('consumers.newLead')}</p>
      <Form<Values> form={edit.form} layout="vertical" onFinish={make} initialValues={{ models: ['*'], with_key: true }} name="new-consumer">
        <ProblemAlert error={edit.error} rest={edit.rest} />
        <Form.Item name="name" label={t('form.name')} rules={rules.name} validateFirst extra={t('form.nameHelp')}>
          <Input className="mono" spellCheck={false} placeholder="app1" data-testid="consumer-name" />
        </Form.Item>
        <Form.Item name="description" label={t('form.description')}>
          <Input maxLength={1024} data-testid="consumer-description" />
        </Form.Item>
        <Form.Item name="models" label={t('consumers.models')} extra={t('consumers.modelsHelp')} rules={[rules.required]}>
          <ModelsSelect testId="consumer-models" />
        </Form.Item>
        <Form.Item name="groups" label={t('consumers.groups')} extra={t('consumers.groupsHelp')}>
          <GroupsSelect testId="consumer-groups" />
        </Form.Item>
        <Form.Item name="with_key" valuePropName="checked">
          <Checkbox data-testid="consumer-with-key">{t('consumers.withKey')}</Checkbox>
        </Form.Item>
      </Form>
    </Modal>
  );
}

export function ConsumersPage() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const may = useMay('operator');
  const refresh = useRefresh();
  const [params, setParams] = useSearchParams();
  const [search, setSearch] = useState('');
  const [open, setOpen] = useState(false);
  const [made, setMade] = useState<{ name: string; secret: string } | null>(null);
  const wanted = params.get('new') !== null;
  useEffect(() => {
    if (wanted && may) {
      setOpen(true);
      setParams({}, { replace: true });
    }
  }, [wanted, may, setParams]);
  const q = useDebounced(search);
  const query = usePaged(['consumers', 'list', q], (cursor) =>
    need(api.GET('/consumers', { params: { query: { cursor, q: q || undefined, limit: 50 } } })),
  );
  return (
    <Page
      title={t('consumers.title')}
      lead={t('consumers.lead')}
      actions={
        may && (
          <Button type="primary" icon={<PlusOutlined />} onClick={() => setOpen(true)} data-testid="consumer-add">
            {t('consumers.add')}
          </Button>
        )
      }
    >
      <List
        query={query}
        testId="consumers"
        label={t('consumers.title')}
        search={{ value: search, onChange: setSearch, placeholder: t('consumers.search') }}
        keyOf={(consumer) => consumer.name}
        empty={
          <Empty
            title={t('consumers.emptyTitle')}
            text={t('consumers.emptyText')}
            actions={
              may && (
                <Button type="primary" onClick={() => setOpen(true)} data-testid="consumer-add-first">
                  {t('consumers.add')}
                </Button>
              )
            }
          />
        }
        render={(consumer) => (
          <Row
            testId={`consumer-${consumer.name}`}
            title={consumer.name}
            to={`/consumers/${consumer.name}`}
            sub={consumer.description || (consumer.groups ?? []).map((group) => t('routes.group', { name: group })).join(', ')}
            off={consumer.enabled === false}
            meta={[
              { label: t('consumers.models'), value: modelsWords(consumer.models, t('consumers.allModels')) },
              { label: t('consumers.keys'), value: t('providers.keyCount', { count: (consumer.keys ?? []).filter((key) => key.enabled).length }) },
              { label: t('consumers.lastUse'), value: <Ago at={lastUse(consumer)} /> },
            ]}
            actions={
              may && (
                <EnableSwitch
                  name={consumer.name}
                  enabled={consumer.enabled !== false}
                  testId={`consumer-${consumer.name}-enabled`}
                  onChange={async (enabled) => {
                    await need(api.PATCH('/consumers/{name}', { params: { path: { name: consumer.name } }, body: { enabled } }));
                    await refresh('consumers');
                  }}
                />
              )
            }
          />
        )}
      />
      <NewConsumer
        open={open}
        onClose={() => setOpen(false)}
        onMade={(name, secret) => (secret ? setMade({ name, secret }) : navigate(`/consumers/${name}`))}
      />
      <ShownKeyDialog
        consumer={made?.name ?? ''}
        secret={made?.secret ?? null}
        onClose={() => {
          const name = made?.name ?? '';
          setMade(null);
          navigate(`/consumers/${name}`);
        }}
      />
    </Page>
  );
}
