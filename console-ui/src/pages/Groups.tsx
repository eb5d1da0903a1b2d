/* Groups of consumers, and the one form that reserves a model for one of them. */
import { LockOutlined, PlusOutlined } from '@ant-design/icons';
import { App, Button, Form, Input, Modal, type ButtonProps } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router-dom';
import { api, need, type Schemas } from '../api/client';
import { useAllConsumers, useAllGroups, useAllRoutes, useMay, usePaged, useRefresh } from '../api/queries';
import { EnableSwitch } from '../components/EnableSwitch';
import { Empty, List, Row, useDebounced } from '../components/List';
import { Page } from '../components/Page';
import { ProblemAlert } from '../components/Problem';
import { FormSelect } from '../forms/FormSelect';
import { useRules } from '../forms/inputs';
import { useApiForm } from '../forms/useApiForm';
import { ModelsSelect, modelsWords } from './Consumers';

type Route = Schemas['Route'];

interface Values {
  name: string;
  description?: string;
  models?: string[];
}

function NewGroup({ open, onClose, onMade }: { open: boolean; onClose: () => void; onMade: (name: string) => void }) {
  const { t } = useTranslation();
  const rules = useRules();
  const refresh = useRefresh();
  const edit = useApiForm<Values>();
  const close = () => {
    edit.form.resetFields();
    edit.clear();
    onClose();
  };
  const make = ({ models, ...values }: Values) =>
    edit.submit(async () => {
      const answer = await need(api.POST('/groups', { body: { ...values, models: models?.length ? models : null } }));
      await refresh('groups');
      close();
      onMade(values.name);
      return answer;
    });
  return (
    <Modal
      open={open}
      title={t('groups.newTitle')}
      onCancel={close}
      onOk={() => edit.form.submit()}
      okText={t('groups.create')}
      cancelText={t('common.cancel')}
      confirmLoading={edit.busy}
      okButtonProps={{ 'data-testid': 'group-create' } as ButtonProps}
      forceRender
    >
      <Form<Values> form={edit.form} layout="vertical" onFinish={make} name="new-group">
        <ProblemAlert error={edit.error} rest={edit.rest} />
        <Form.Item name="name" label={t('form.name')} rules={rules.name} validateFirst extra={t('form.nameHelp')}>
          <Input className="mono" spellCheck={false} placeholder="design" data-testid="group-name" />
        </Form.Item>
        <Form.Item name="description" label={t('form.description')}>
          <Input maxLength={1024} data-testid="group-description" />
        </Form.Item>
        <Form.Item name="models" label={t('groups.models')} extra={t('groups.modelsHelp')}>
          <ModelsSelect testId="group-models" />
        </Form.Item>
      </Form>
    </Modal>
  );
}

/** Enabled routes that lead to a target of this one: whoever may not call it could come there through them. */
export function routesToSame(routes: Route[], name: string): string[] {
  const asked = (route: Route) => route.targets.map((target) => `${target.provider}/${target.model ?? ''}`);
  const chosen = routes.find((route) => route.name === name);
  if (!chosen) return [];
  const wanted = new Set(asked(chosen));
  return routes.filter((route) => route.name !== name && route.enabled !== false && asked(route).some((target) => wanted.has(target))).map((route) => route.name);
}

interface Reservation {
  route: string;
  group: string;
  consumers?: string[];
  also?: string[];
}

/** "Only this department may call that model": group, members and routes in one transaction. */
export function ReserveDialog({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const rules = useRules();
  const refresh = useRefresh();
  const routes = useAllRoutes();
  const groups = useAllGroups();
  const consumers = useAllConsumers();
  const edit = useApiForm<Reservation>();
  const route = Form.useWatch('route', edit.form);
  const others = routesToSame(routes.data ?? [], route ?? '');
  const close = () => {
    edit.form.resetFields();
    edit.clear();
    onClose();
  };
  const reserve = (values: Reservation) =>
    edit.submit(async () => {
      const { group, route: chosen, consumers: members = [], also = [] } = values;
      await need(api.POST('/groups/{name}/reserve', { params: { path: { name: group } }, body: { routes: [...also, chosen], consumers: members } }));
      await refresh('groups', 'consumers', 'routes');
      close();
      message.success(t('groups.reserved', { route: values.route, group }));
    });
  return (
    <Modal
      open={open}
      title={t('groups.reserveTitle')}
      onCancel={close}
      onOk={() => edit.form.submit()}
      okText={t('groups.reserve')}
      cancelText={t('common.cancel')}
      confirmLoading={edit.busy}
      okButtonProps={{ 'data-testid': 'reserve-save' } as ButtonProps}
      forceRender
    >
      <p className="muted" style={{ marginBottom: 16 }}>{t('groups.reserveLead')}</p>
      <Form<Reservation>
        form={edit.form}
        layout="vertical"
        onFinish={reserve}
        onValuesChange={(changed) => {
          if (changed.route) edit.form.setFieldValue('also', routesToSame(routes.data ?? [], changed.route));
        }}
        name="reserve"
      >
        <ProblemAlert error={edit.error} rest={edit.rest} />
        <Form.Item name="route" label={t('groups.reserveRoute')} rules={[rules.required]}>
          <FormSelect
            showSearch
            options={(routes.data ?? []).map((one) => ({ value: one.name, label: one.name }))}
            placeholder={t('groups.chooseRoute')}
            data-testid="reserve-route"
          />
        </Form.Item>
        <Form.Item name="group" label={t('groups.reserveGroup')} rules={rules.name} validateFirst extra={t('groups.reserveGroupHelp')}>
          <Input className="mono" spellCheck={false} placeholder="design" list="reserve-groups" data-testid="reserve-group" />
        </Form.Item>
        <datalist id="reserve-groups">
          {(groups.data ?? []).map((one) => (
            <option key={one.name} value={one.name} />
          ))}
        </datalist>
        <Form.Item name="consumers" label={t('groups.reserveMembers')} extra={t('groups.reserveMembersHelp')}>
          <FormSelect
            mode="multiple"
            options={(consumers.data ?? []).map((one) => ({ value: one.name, label: one.name }))}
            placeholder={t('routeForm.chooseConsumers')}
            data-testid="reserve-consumers"
          />
        </Form.Item>
        <Form.Item name="also" label={t('groups.reserveAlso')} extra={t('groups.reserveAlsoHelp')} hidden={others.length === 0}>
          <FormSelect mode="multiple" options={others.map((value) => ({ value, label: value }))} data-testid="reserve-also" />
        </Form.Item>
      </Form>
    </Modal>
  );
}

export function GroupsPage() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const may = useMay('operator');
  const refresh = useRefresh();
  const consumers = useAllConsumers();
  const [search, setSearch] = useState('');
  const [open, setOpen] = useState(false);
  const [reserving, setReserving] = useState(false);
  const q = useDebounced(search);
  const query = usePaged(['groups', 'list', q], (cursor) =>
    need(api.GET('/groups', { params: { query: { cursor, q: q || undefined, limit: 50 } } })),
  );
  const members = (name: string) => (consumers.data ?? []).filter((one) => one.groups?.includes(name)).length;
  return (
    <Page
      title={t('groups.title')}
      lead={t('groups.lead')}
      actions={
        may && (
          <>
            <Button icon={<LockOutlined />} onClick={() => setReserving(true)} data-testid="group-reserve">
              {t('groups.reserveOpen')}
            </Button>
            <Button type="primary" icon={<PlusOutlined />} onClick={() => setOpen(true)} data-testid="group-add">
              {t('groups.add')}
            </Button>
          </>
        )
      }
    >
      <List
        query={query}
        testId="groups"
        label={t('groups.title')}
        search={{ value: search, onChange: setSearch, placeholder: t('groups.search') }}
        keyOf={(group) => group.name}
        empty={
          <Empty
            title={t('groups.emptyTitle')}
            text={t('groups.emptyText')}
            actions={
              may && (
                <Button type="primary" onClick={() => setOpen(true)} data-testid="group-add-first">
                  {t('groups.add')}
                </Button>
              )
            }
          />
        }
        render={(group) => (
          <Row
            testId={`group-${group.name}`}
            title={group.name}
            to={`/groups/${group.name}`}
            sub={group.description}
            off={group.enabled === false}
            meta={[
              { label: t('groups.members'), value: String(members(group.name)) },
              { label: t('groups.models'), value: group.models === null ? t('groups.noBound') : modelsWords(group.models, t('consumers.allModels')) },
              { label: t('nav.plugins'), value: String(Object.keys(group.plugins ?? {}).length) },
            ]}
            actions={
              may && (
                <EnableSwitch
                  name={group.name}
                  enabled={group.enabled !== false}
                  testId={`group-${group.name}-enabled`}
                  onChange={async (enabled) => {
                    await need(api.PATCH('/groups/{name}', { params: { path: { name: group.name } }, body: { enabled } }));
                    await refresh('groups');
                  }}
                />
              )
            }
          />
        )}
      />
      <NewGroup open={open} onClose={() => setOpen(false)} onMade={(name) => navigate(`/groups/${name}`)} />
      <ReserveDialog open={reserving} onClose={() => setReserving(false)} />
    </Page>
  );
}
