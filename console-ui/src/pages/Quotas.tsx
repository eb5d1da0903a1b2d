/* Prepaid amounts and budgets: what is left of each, and the book behind it. */
import { DeleteOutlined, PlusOutlined } from '@ant-design/icons';
import { useQuery } from '@tanstack/react-query';
import { Button, Form, Input, InputNumber, Modal, Radio, type ButtonProps } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, need, type Schemas } from '../api/client';
import { useAllConsumers, useAllGroups, useMay, usePaged, useRefresh } from '../api/queries';
import { Ago, DeleteButton } from '../components/Bits';
import { EnableSwitch } from '../components/EnableSwitch';
import { Fold } from '../components/Fold';
import { Empty, List, LoadingRows, useDebounced } from '../components/List';
import { Card, Page } from '../components/Page';
import { ProblemAlert } from '../components/Problem';
import { QuotaBar, useAmount } from '../components/QuotaBar';
import { FormSelect } from '../forms/FormSelect';
import { Suggest } from '../forms/Suggest';
import { useRules } from '../forms/inputs';
import { useApiForm, within } from '../forms/useApiForm';
import { microToText, textToMicro } from '../lib/money';

type Quota = Schemas['Quota'];

interface Values {
  name: string;
  subject: 'consumer' | 'group' | 'key';
  who: string;
  unit: Quota['unit'];
  currency?: string;
  limit: string;
  period: Quota['period'];
  time_zone: string;
  on_exceeded: Quota['on_exceeded'];
  thresholds: string[];
  exchange: Rate[];
  unpriced: Quota['unpriced'];
  status: Quota['status'];
  on_failure: Quota['on_failure'];
  assumed_tokens: number;
}

/** What one unit of another currency is worth in the quota's, as it is typed. */
interface Rate {
  currency?: string;
  worth?: string;
}

/** Rates as the API's object, and back. */
export function exchangeOf(rates: readonly (Rate | undefined)[] | undefined): Record<string, number> {
  return Object.fromEntries((rates ?? []).map((rate) => [rate?.currency ?? '', textToMicro(rate?.worth) ?? 0]));
}

export function ratesOf(exchange: Record<string, number> | undefined): Rate[] {
  return Object.entries(exchange ?? {}).map(([currency, worth]) => ({ currency, worth: microToText(worth) }));
}

/** What a person typed as the API's amount; undefined: not one. */
export function amountOf(unit: Quota['unit'], text: string): number | undefined {
  if (unit === 'money') return textToMicro(text) ?? undefined;
  return /^[0-9]{1,15}$/.test(text.trim()) ? Number(text) : undefined;
}

/** Thresholds as the API wants them; undefined: not whole numbers of per cent from 1 to 1000, at most five. */
export function percents(texts: string[]): number[] | undefined {
  const numbers = [...new Set(texts.map((text) => (/^[0-9]{1,4}\s*%?$/.test(text.trim()) ? parseInt(text, 10) : 0)))];
  return numbers.length <= 5 && numbers.every((n) => n >= 1 && n <= 1000) ? numbers.sort((a, b) => a - b) : undefined;
}

function bodyOf({ subject, who, limit, thresholds, exchange, ...rest }: Values): Schemas['QuotaWrite'] {
  return {
    ...rest,
    exchange: rest.unit === 'money' ? exchangeOf(exchange) : {},
    [subject]: who,
    currency: rest.unit === 'money' ? rest.currency : null,
    limit: amountOf(rest.unit, limit) ?? 0,
    thresholds: percents(thresholds) ?? [],
  } as Schemas['QuotaWrite'];
}

/* What can be changed of a quota, and is asked of a new one too. */

function LimitItem({ unit, testId }: { unit: Quota['unit']; testId: string }) {
  const { t } = useTranslation();
  const number = { validator: async (_: unknown, value?: string) => { if (amountOf(unit, value ?? '') === undefined) throw new Error(t('quotas.limitWrong')); } };
  return (
    <Form.Item name="limit" label={t('quotas.limit')} extra={unit === 'money' ? t('quotas.limitMoneyHelp') : undefined} rules={[number]}>
      <Input inputMode="decimal" data-testid={`${testId}-limit`} />
    </Form.Item>
  );
}

function WhenUsedItems({ testId }: { testId: string }) {
  const { t } = useTranslation();
  const whole = { validator: async (_: unknown, value?: string[]) => { if (percents(value ?? []) === undefined) throw new Error(t('quotas.thresholdsWrong')); } };
  return (
    <>
      <Form.Item name="on_exceeded" label={t('quotas.onExceeded')}>
        <Radio.Group options={(['refuse', 'allow'] as const).map((value) => ({ value, label: t(`quotas.exceeded.${value}`) }))} data-testid={`${testId}-exceeded`} />
      </Form.Item>
      <Form.Item name="thresholds" label={t('quotas.thresholds')} extra={t('quotas.thresholdsHelp')} rules={[whole]}>
        <FormSelect mode="tags" open={false} suffixIcon={null} tokenSeparators={[',', ' ']} data-testid={`${testId}-thresholds`} />
      </Form.Item>
    </>
  );
}

/** What is counted when the prices are in another currency, or when there is none. */
function MoneyItems({ currency, testId }: { currency: string; testId: string }) {
  const { t } = useTranslation();
  const worth = { validator: async (_: unknown, value?: string) => { if (!textToMicro(value)) throw new Error(t('quotas.limitWrong')); } };
  return (
    <>
      <Form.List name="exchange">
        {(rates, { add, remove }) => (
          <Form.Item label={t('quotas.exchange')} extra={t('quotas.exchangeHelp', { currency })}>
            {rates.map((rate, i) => (
              <div key={rate.key} className="line gap-8" style={{ alignItems: 'baseline' }}>
                <span>1</span>
                <Form.Item name={[rate.name, 'currency']} rules={[{ required: true, pattern: /^[A-Z]{3}$/, message: t('quotas.currencyHelp') }]} style={{ flex: '1 1 90px', marginBottom: 8 }}>
                  <Input maxLength={3} aria-label={t('quotas.currency')} data-testid={`${testId}-rate-${i}-currency`} />
                </Form.Item>
                <span>=</span>
                <Form.Item name={[rate.name, 'worth']} rules={[worth]} style={{ flex: '1 1 90px', marginBottom: 8 }}>
                  <Input inputMode="decimal" placeholder="7.1" aria-label={t('quotas.worth', { currency })} data-testid={`${testId}-rate-${i}-worth`} />
                </Form.Item>
                <span>{currency}</span>
                <Button type="text" icon={<DeleteOutlined />} aria-label={t('common.removeLine', { number: i + 1 })} onClick={() => remove(rate.name)} data-testid={`${testId}-rate-${i}-remove`} />
              </div>
            ))}
            <Button size="small" type="dashed" icon={<PlusOutlined />} onClick={() => add({})} data-testid={`${testId}-rate-add`}>
              {t('quotas.exchangeAdd')}
            </Button>
          </Form.Item>
        )}
      </Form.List>
      <Form.Item name="unpriced" label={t('quotas.unpriced')}>
        <Radio.Group options={(['allow', 'refuse'] as const).map((value) => ({ value, label: t(`quotas.unpricedIs.${value}`) }))} data-testid={`${testId}-unpriced`} />
      </Form.Item>
    </>
  );
}

function MoreItems({ unit, testId, open }: { unit: Quota['unit']; testId: string; open: boolean }) {
  const { t } = useTranslation();
  return (
    <Fold title={t('quotas.more')} hint={t('quotas.moreHint')} forceOpen={open} testId={`${testId}-more`}>
      <Form.Item name="status" label={t('quotas.status')}>
        <Radio.Group options={([429, 402] as const).map((value) => ({ value, label: t(`quotas.statuses.${value}`) }))} data-testid={`${testId}-status`} />
      </Form.Item>
      <Form.Item name="on_failure" label={t('quotas.onFailure')} extra={t('quotas.onFailureHelp')}>
        <Radio.Group options={(['closed', 'open'] as const).map((value) => ({ value, label: t(`quotas.failure.${value}`) }))} data-testid={`${testId}-failure`} />
      </Form.Item>
      {unit !== 'requests' && (
        <Form.Item name="assumed_tokens" label={t('quotas.assumed')} extra={t('quotas.assumedHelp')}>
          <InputNumber min={0} max={1_000_000} precision={0} style={{ width: 160 }} data-testid={`${testId}-assumed`} />
        </Form.Item>
      )}
    </Fold>
  );
}

/* What the browser knows; the control plane decides, and takes every name of its system's database. */
const zones = ['UTC', ...(Intl.supportedValuesOf?.('timeZone') ?? [])];
const REFUSAL = { unpriced: 'allow', status: 429, on_failure: 'closed', assumed_tokens: 1024 } as const;

type Changed = Pick<Values, 'limit' | 'on_exceeded' | 'thresholds' | 'exchange' | 'unpriced' | 'status' | 'on_failure' | 'assumed_tokens'>;

/** Whose it is, of what and how often cannot change: its book is kept in that. */
function EditQuota({ quota, onClose }: { quota: Quota | null; onClose: () => void }) {
  const { t } = useTranslation();
  const refresh = useRefresh();
  const edit = useApiForm<Changed>();
  const unit = quota?.unit ?? 'tokens';
  const { setFieldsValue } = edit.form;
  useEffect(() => {
    if (!quota) return;
    const { unpriced, status, on_failure, assumed_tokens } = { ...REFUSAL, ...quota };
    setFieldsValue({
      limit: quota.unit === 'money' ? microToText(quota.limit) : String(quota.limit), on_exceeded: quota.on_exceeded, thresholds: (quota.thresholds ?? []).map(String),
      exchange: ratesOf(quota.exchange), unpriced, status, on_failure, assumed_tokens,
    });
  }, [quota, setFieldsValue]);
  const close = () => {
    edit.clear();
    onClose();
  };
  const save = ({ limit, thresholds, exchange, unpriced, ...rest }: Changed) =>
    edit.submit(async () => {
      /* A merge patch: a currency that is no longer listed goes by null. */
      const gone = Object.fromEntries(Object.keys(quota?.exchange ?? {}).map((currency) => [currency, null]));
      const money = unit === 'money' ? { exchange: { ...gone, ...exchangeOf(exchange) } as Record<string, number>, unpriced } : {};
      const body = { ...rest, ...money, limit: amountOf(unit, limit), thresholds: percents(thresholds) };
      const answer = await need(api.PATCH('/quotas/{name}', { params: { path: { name: quota?.name ?? '' } }, body }));
      await refresh('quotas');
      close();
      return answer;
    });
  return (
    <Modal
      open={quota !== null}
      title={t('quotas.editTitle', { name: quota?.name ?? '' })}
      onCancel={close}
      onOk={() => edit.form.submit()}
      okText={t('common.save')}
      cancelText={t('common.cancel')}
      confirmLoading={edit.busy}
      okButtonProps={{ 'data-testid': 'quota-save' } as ButtonProps}
      forceRender
    >
      <Form<Changed> form={edit.form} layout="vertical" onFinish={save} name="quota">
        <p className="muted" style={{ marginBottom: 16 }}>{t('quotas.editLead')}</p>
        <ProblemAlert error={edit.error} rest={edit.rest} />
        <LimitItem unit={unit} testId="quota-edit" />
        {unit === 'money' && <MoneyItems currency={quota?.currency ?? ''} testId="quota-edit" />}
        <WhenUsedItems testId="quota-edit" />
        <MoreItems unit={unit} testId="quota-edit" open={within(edit.faults, 'status', 'on_failure', 'assumed_tokens')} />
      </Form>
    </Modal>
  );
}

/** Those who can have a quota; a key goes by its id, which is not known by heart. */
function WhoItem({ subject }: { subject: Values['subject'] }) {
  const { t } = useTranslation();
  const rules = useRules();
  const consumers = useAllConsumers();
  const groups = useAllGroups();
  const keys = (consumers.data ?? []).flatMap((consumer) =>
    (consumer.keys ?? []).map((key) => ({ value: key.id, label: `${consumer.name} · ${key.name} · ${key.prefix}…${key.last4}` })),
  );
  return (
    <Form.Item name="who" label={t(`quotas.whoOf.${subject}`)} rules={[rules.required]}>
      {subject === 'key' ? (
        <FormSelect showSearch optionFilterProp="label" options={keys} data-testid="quota-who" />
      ) : (
        <Suggest options={((subject === 'group' ? groups.data : consumers.data) ?? []).map(({ name }) => name)} testId="quota-who" />
      )}
    </Form.Item>
  );
}

function NewQuota({ open, onClose, consumer }: { open: boolean; onClose: () => void; consumer?: string }) {
  const { t } = useTranslation();
  const rules = useRules();
  const refresh = useRefresh();
  const edit = useApiForm<Values>();
  const unit = Form.useWatch('unit', edit.form) ?? 'tokens';
  const subject = Form.useWatch('subject', edit.form) ?? 'consumer';
  const currency = Form.useWatch('currency', edit.form) ?? '';
  const period = Form.useWatch('period', edit.form) ?? 'month';
  const close = () => {
    edit.form.resetFields();
    edit.clear();
    onClose();
  };
  const make = (values: Values) =>
    edit.submit(async () => {
      const answer = await need(api.POST('/quotas', { body: bodyOf(values) }));
      await refresh('quotas');
      close();
      return answer;
    });
  return (
    <Modal
      open={open}
      title={t('quotas.newTitle')}
      onCancel={close}
      onOk={() => edit.form.submit()}
      okText={t('quotas.create')}
      cancelText={t('common.cancel')}
      confirmLoading={edit.busy}
      okButtonProps={{ 'data-testid': 'quota-create' } as ButtonProps}
      forceRender
    >
      <Form<Values>
        form={edit.form}
        layout="vertical"
        onFinish={make}
        name="new-quota"
        initialValues={{
          subject: 'consumer', who: consumer, unit: 'tokens', currency: 'USD', period: 'month',
          time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC', on_exceeded: 'refuse', thresholds: ['80'], exchange: [], ...REFUSAL,
        }}
      >
        <ProblemAlert error={edit.error} rest={edit.rest} />
        <Form.Item name="name" label={t('form.name')} rules={rules.name} validateFirst extra={t('form.nameHelp')}>
          <Input className="mono" spellCheck={false} placeholder="design-monthly" data-testid="quota-name" />
        </Form.Item>
        <Form.Item name="subject" label={t('quotas.subject')}>
          <Radio.Group
            options={(['consumer', 'group', 'key'] as const).map((value) => ({ value, label: t(`quotas.subjects.${value}`) }))}
            onChange={() => edit.form.setFieldValue('who', undefined)}
            data-testid="quota-subject"
          />
        </Form.Item>
        <WhoItem subject={subject} />
        <Form.Item name="unit" label={t('quotas.unit')}>
          <Radio.Group options={(['tokens', 'requests', 'money'] as const).map((value) => ({ value, label: t(`quotas.units.${value}`) }))} data-testid="quota-unit" />
        </Form.Item>
        {unit === 'money' && (
          <Form.Item name="currency" label={t('quotas.currency')} rules={[{ pattern: /^[A-Z]{3}$/, message: t('quotas.currencyHelp') }]}>
            <Input maxLength={3} data-testid="quota-currency" />
          </Form.Item>
        )}
        <LimitItem unit={unit} testId="quota" />
        {unit === 'money' && <MoneyItems currency={currency} testId="quota" />}
        <Form.Item name="period" label={t('quotas.period')}>
          <FormSelect options={(['total', 'day', 'week', 'month'] as const).map((value) => ({ value, label: t(`quotas.periods.${value}`) }))} data-testid="quota-period" />
        </Form.Item>
        <Form.Item name="time_zone" label={t('quotas.timeZone')} hidden={period === 'total'} rules={[rules.required]}>
          <Suggest options={zones} testId="quota-zone" />
        </Form.Item>
        <WhenUsedItems testId="quota" />
        <MoreItems unit={unit} testId="quota" open={within(edit.faults, 'status', 'on_failure', 'assumed_tokens')} />
      </Form>
    </Modal>
  );
}

interface Change {
  kind: 'add' | 'subtract' | 'refresh';
  amount?: string;
  reason: string;
}

function Book({ quota, onClose }: { quota: Quota | null; onClose: () => void }) {
  const { t } = useTranslation();
  const may = useMay('operator');
  const refresh = useRefresh();
  const amount = useAmount();
  const edit = useApiForm<Change>();
  const rules = useRules();
  const name = quota?.name ?? '';
  const kind = Form.useWatch('kind', edit.form) ?? 'add';
  /* Only setting it anew has an amount of its own: the limit. */
  const number = {
    validator: async (_: unknown, value?: string) => {
      const empty = !value?.trim();
      if (empty ? kind !== 'refresh' : amountOf(quota?.unit ?? 'tokens', value ?? '') === undefined) throw new Error(t('quotas.limitWrong'));
    },
  };
  const book = useQuery({
    queryKey: ['quotas', 'book', name],
    queryFn: () => need(api.GET('/quotas/{name}/entries', { params: { path: { name }, query: { limit: 50 } } })),
    enabled: quota !== null,
  });
  const change = ({ kind, amount: text, reason }: Change) =>
    edit.submit(async () => {
      const value = text ? amountOf(quota?.unit ?? 'tokens', text) : null;
      await need(api.POST('/quotas/{name}/entries', { params: { path: { name } }, body: { kind, amount: value ?? null, reason } }));
      edit.form.resetFields();
      await refresh('quotas');
    });
  return (
    <Modal open={quota !== null} title={t('quotas.bookOf', { name })} onCancel={onClose} footer={null} width={640} destroyOnHidden>
      <div className="stack gap-16">
        {may && (
          <Form<Change> form={edit.form} layout="vertical" onFinish={change} name="quota-change" initialValues={{ kind: 'add' }}>
            <ProblemAlert error={edit.error} rest={edit.rest} />
            <Form.Item name="kind" label={t('quotas.change')}>
              <Radio.Group
                options={(['add', 'subtract', 'refresh'] as const).map((value) => ({ value, label: t(`quotas.kinds.${value}`) }))}
                data-testid="quota-change-kind"
              />
            </Form.Item>
            <Form.Item name="amount" label={t('quotas.amountLabel')} extra={kind === 'refresh' ? t('quotas.amountHelp') : undefined} dependencies={['kind']} rules={[number]}>
              <Input inputMode="decimal" placeholder={quota?.unit === 'money' ? microToText(quota.limit) : String(quota?.limit ?? '')} data-testid="quota-change-amount" />
            </Form.Item>
            <Form.Item name="reason" label={t('quotas.reason')} rules={[rules.required]}>
              <Input maxLength={500} data-testid="quota-change-reason" />
            </Form.Item>
            <Button type="primary" htmlType="submit" loading={edit.busy} data-testid="quota-change-save">
              {t('quotas.enter')}
            </Button>
          </Form>
        )}
        {book.isPending ? (
          <LoadingRows rows={2} />
        ) : (
          <ul className="rows" aria-label={t('quotas.bookOf', { name })} data-testid="quota-book">
            {(book.data?.items ?? []).map((entry) => (
              <li key={entry.id} style={{ padding: '8px 0' }}>
                <div className="line gap-8" style={{ flexWrap: 'wrap', justifyContent: 'space-between' }}>
                  <span>
                    <strong>{t(`quotas.kinds.${entry.kind}`)}</strong>{' '}
                    {entry.kind === 'threshold' ? `${entry.amount} %` : entry.kind === 'exhausted' || !quota ? '' : `${amount(quota, entry.amount)} ${entry.reason}`}
                  </span>
                  <span className="muted">
                    {entry.actor} · <Ago at={entry.at} />
                  </span>
                </div>
              </li>
            ))}
            {book.data?.items.length === 0 && <li className="muted">{t('quotas.bookEmpty')}</li>}
          </ul>
        )}
      </div>
    </Modal>
  );
}

function QuotaRow({ quota, onBook, onEdit }: { quota: Quota; onBook: () => void; onEdit: () => void }) {
  const { t } = useTranslation();
  const may = useMay('operator');
  const refresh = useRefresh();
  const who = quota.consumer ?? quota.group ?? quota.key ?? '';
  const subject = quota.consumer ? 'consumer' : quota.group ? 'group' : 'key';
  return (
    <div className="stack gap-8" style={{ padding: '14px 20px' }} data-testid={`quota-${quota.name}`}>
      <div className="line gap-8" style={{ flexWrap: 'wrap', justifyContent: 'space-between' }}>
        <span>
          <strong className="break">{quota.name}</strong>{' '}
          <span className="muted">
            {t(`quotas.subjects.${subject}`)} {who} · {t(`quotas.periods.${quota.period}`)}
            {quota.period === 'total' ? '' : ` · ${quota.time_zone}`}
            {quota.on_exceeded === 'allow' ? ` · ${t('quotas.exceeded.allow')}` : ''}
          </span>
        </span>
        <span className="line gap-8">
          <Button size="small" onClick={onBook} data-testid={`quota-${quota.name}-book`}>
            {t('quotas.book')}
          </Button>
          {may && (
            <>
              <Button size="small" onClick={onEdit} data-testid={`quota-${quota.name}-edit`}>
                {t('quotas.edit')}
              </Button>
              <DeleteButton
                bare
                size="small"
                type="text"
                label={t('quotas.deleteOf', { name: quota.name })}
                testId={`quota-${quota.name}-delete`}
                question={t('quotas.deleteTitle', { name: quota.name })}
                text={t('quotas.deleteText')}
                onDelete={() => need(api.DELETE('/quotas/{name}', { params: { path: { name: quota.name } } }))}
                onDone={() => void refresh('quotas')}
              />
              <EnableSwitch
                name={quota.name}
                enabled={quota.enabled !== false}
                testId={`quota-${quota.name}-enabled`}
                onChange={async (enabled) => {
                  await need(api.PATCH('/quotas/{name}', { params: { path: { name: quota.name } }, body: { enabled } }));
                  await refresh('quotas');
                }}
              />
            </>
          )}
        </span>
      </div>
      <QuotaBar quota={quota} />
    </div>
  );
}

export function QuotasPage() {
  const { t } = useTranslation();
  const may = useMay('operator');
  const [search, setSearch] = useState('');
  const [open, setOpen] = useState(false);
  const [book, setBook] = useState<Quota | null>(null);
  const [edited, setEdited] = useState<Quota | null>(null);
  const q = useDebounced(search);
  const query = usePaged(
    ['quotas', 'list', q],
    (cursor) => need(api.GET('/quotas', { params: { query: { cursor, q: q || undefined, limit: 50 } } })),
    { refetchInterval: 5000 },
  );
  const add = may && (
    <Button type="primary" icon={<PlusOutlined />} onClick={() => setOpen(true)} data-testid="quota-add">
      {t('quotas.add')}
    </Button>
  );
  return (
    <Page title={t('quotas.title')} lead={t('quotas.lead')} actions={add}>
      <List
        query={query}
        testId="quotas"
        label={t('quotas.title')}
        search={{ value: search, onChange: setSearch, placeholder: t('quotas.search') }}
        keyOf={(quota) => quota.name}
        empty={<Empty title={t('quotas.emptyTitle')} text={t('quotas.emptyText')} />}
        render={(quota) => <QuotaRow quota={quota} onBook={() => setBook(quota)} onEdit={() => setEdited(quota)} />}
      />
      <NewQuota open={open} onClose={() => setOpen(false)} />
      <Book quota={book} onClose={() => setBook(null)} />
      <EditQuota quota={edited} onClose={() => setEdited(null)} />
    </Page>
  );
}

/** The quotas of one consumer and of its groups, live. */
export function ConsumerQuotas({ consumer, groups }: { consumer: string; groups: readonly string[] }) {
  const { t } = useTranslation();
  const may = useMay('operator');
  const [open, setOpen] = useState(false);
  const [book, setBook] = useState<Quota | null>(null);
  const [edited, setEdited] = useState<Quota | null>(null);
  const subjects = [`consumer:${consumer}`, ...groups.map((group) => `group:${group}`)];
  const query = useQuery({
    queryKey: ['quotas', 'of', subjects],
    queryFn: async () => {
      const pages = await Promise.all(subjects.map((subject) => need(api.GET('/quotas', { params: { query: { subject, limit: 50 } } }))));
      return pages.flatMap((page) => page.items);
    },
    refetchInterval: 5000,
  });
  return (
    <Card
      title={t('quotas.title')}
      testId="consumer-quotas"
      flush
      extra={
        may && (
          <Button icon={<PlusOutlined />} onClick={() => setOpen(true)} data-testid="consumer-quota-add">
            {t('quotas.add')}
          </Button>
        )
      }
    >
      {query.isPending ? (
        <LoadingRows rows={1} />
      ) : (query.data ?? []).length === 0 ? (
        <p className="muted" style={{ padding: '0 20px 12px' }}>{t('quotas.noneOfConsumer')}</p>
      ) : (
        <ul className="rows" aria-label={t('quotas.title')}>
          {(query.data ?? []).map((quota) => (
            <li key={quota.name}>
              <QuotaRow quota={quota} onBook={() => setBook(quota)} onEdit={() => setEdited(quota)} />
            </li>
          ))}
        </ul>
      )}
      <NewQuota open={open} onClose={() => setOpen(false)} consumer={consumer} />
      <Book quota={book} onClose={() => setBook(null)} />
      <EditQuota quota={edited} onClose={() => setEdited(null)} />
    </Card>
  );
}
