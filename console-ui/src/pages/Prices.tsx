/* What models cost: the release's list, an operator's own, tables in and out, and a calculation to try. */
import { DownloadOutlined, PlusOutlined, UploadOutlined } from '@ant-design/icons';
import { App, Button, DatePicker, Form, Input, Modal, Select, Upload, type ButtonProps } from 'antd';
import dayjs, { type Dayjs } from 'dayjs';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, need, type Schemas } from '../api/client';
import { useMay, usePaged, useProviderTypes, useRefresh } from '../api/queries';
import { DeleteButton, useAction } from '../components/Bits';
import { Empty, List, Row, useDebounced } from '../components/List';
import { Page } from '../components/Page';
import { ProblemAlert } from '../components/Problem';
import { FormSelect } from '../forms/FormSelect';
import { useRules } from '../forms/inputs';
import { keepUnseen } from '../forms/keep';
import { useApiForm } from '../forms/useApiForm';
import { useFormats, useLocalText } from '../lib/format';
import { microToText, moneyText, textToMicro } from '../lib/money';
import { usePreferences } from '../lib/preferences';

type Price = Schemas['Price'];
const RATES = ['input', 'cached_input', 'cache_write', 'cache_write_1h', 'output', 'reasoning', 'audio_input', 'audio_output', 'image', 'request'] as const;
type Rate = (typeof RATES)[number];
/** Vendors of the delivered list that no type of provider is made for: their models are called through others. */
const VENDORS: Record<string, string> = { gemini: 'Google Gemini' };

interface Values {
  name: string;
  provider?: string;
  provider_type?: string;
  models: string[];
  currency: string;
  rates: Partial<Record<Rate, string>>;
  variants: string;
  valid_from?: string | null;
}

/** What stands in the form; of a stored price everything else as it is. */
export function priceFromForm({ rates, variants, provider, provider_type: type, ...rest }: Values, stored?: Price): Schemas['PriceWrite'] {
  const micro = Object.fromEntries(RATES.map((rate) => [rate, textToMicro(rates[rate]) ?? null]));
  const sent = { ...rest, provider: provider || null, provider_type: type || null, rates: micro, variants: variants.trim() ? JSON.parse(variants) : [] } as Schemas['PriceWrite'];
  return stored ? keepUnseen(stored, priceToForm(stored), sent) : sent;
}

export function priceToForm(price: Price | undefined): Values {
  if (!price) return { name: '', models: [], currency: 'USD', rates: {}, variants: '' };
  const rates = Object.fromEntries(RATES.map((rate) => [rate, microToText(price.rates[rate])])) as Record<Rate, string>;
  return {
    name: price.name, provider: price.provider ?? undefined, provider_type: price.provider_type ?? undefined, models: price.models,
    currency: price.currency ?? 'USD', rates, valid_from: price.valid_from ?? null, variants: (price.variants ?? []).length > 0 ? JSON.stringify(price.variants, null, 1) : '',
  };
}

function EditPrice({ price, onClose }: { price: Price | 'new' | null; onClose: () => void }) {
  const { t } = useTranslation();
  const rules = useRules();
  const refresh = useRefresh();
  const edit = useApiForm<Values>();
  const { setFieldsValue } = edit.form;
  useEffect(() => {
    if (price !== null) setFieldsValue(priceToForm(price === 'new' ? undefined : price));
  }, [price, setFieldsValue]);
  const close = () => {
    edit.form.resetFields();
    edit.clear();
    onClose();
  };
  const save = (values: Values) =>
    edit.submit(async () => {
      const answer = await need(api.PUT('/prices/{name}', { params: { path: { name: values.name } }, body: priceFromForm(values, price === 'new' ? undefined : (price ?? undefined)) }));
      await refresh('prices');
      close();
      return answer;
    });
  const decimal = { validator: async (_: unknown, value?: string) => { if (textToMicro(value) === undefined) throw new Error(t('prices.rateWrong')); } };
  const json = { validator: async (_: unknown, value?: string) => { if (value?.trim()) try { JSON.parse(value); } catch { throw new Error(t('prices.variantsWrong')); } } };
  return (
    <Modal
      open={price !== null}
      title={price === 'new' ? t('prices.newTitle') : t('prices.editTitle')}
      onCancel={close}
      onOk={() => edit.form.submit()}
      okText={t('common.save')}
      cancelText={t('common.cancel')}
      confirmLoading={edit.busy}
      okButtonProps={{ 'data-testid': 'price-save' } as ButtonProps}
      width={640}
      forceRender
    >
      <Form<Values> form={edit.form} layout="vertical" onFinish={save} name="price" initialValues={priceToForm(undefined)}>
        {price !== 'new' && price?.source === 'seed' && <p className="muted">{t('prices.overSeed')}</p>}
        <ProblemAlert error={edit.error} rest={edit.rest} />
        <Form.Item name="name" label={t('form.name')} rules={rules.name} validateFirst>
          <Input className="mono" spellCheck={false} disabled={price !== 'new'} data-testid="price-name" />
        </Form.Item>
        <Form.Item name="models" label={t('prices.models')} extra={t('prices.modelsHelp')} rules={[rules.required]}>
          <FormSelect mode="tags" open={false} suffixIcon={null} tokenSeparators={[',', ' ']} data-testid="price-models" />
        </Form.Item>
        <div className="line gap-12" style={{ flexWrap: 'wrap', alignItems: 'flex-start' }}>
          <Form.Item name="provider" label={t('prices.provider')} style={{ flex: '1 1 180px' }}>
            <Input className="mono" spellCheck={false} data-testid="price-provider" />
          </Form.Item>
          <Form.Item name="provider_type" label={t('prices.providerType')} style={{ flex: '1 1 180px' }}>
            <Input className="mono" spellCheck={false} data-testid="price-provider-type" />
          </Form.Item>
          <Form.Item name="currency" label={t('quotas.currency')} rules={[{ pattern: /^[A-Z]{3}$/, message: t('quotas.currencyHelp') }]} style={{ flex: '0 1 110px' }}>
            <Input maxLength={3} data-testid="price-currency" />
          </Form.Item>
        </div>
        <Form.Item
          name="valid_from"
          label={t('prices.validFrom')}
          extra={t('prices.validFromHelp')}
          getValueProps={(value?: string | null) => ({ value: value ? dayjs(value) : null })}
          normalize={(value: Dayjs | null) => value?.toISOString() ?? null}
        >
          <DatePicker showTime={{ format: 'HH:mm' }} format="YYYY-MM-DD HH:mm" data-testid="price-valid-from" />
        </Form.Item>
        <p className="muted" style={{ marginBottom: 12 }}>{t('prices.ratesHelp')}</p>
        <div className="line gap-12" style={{ flexWrap: 'wrap', alignItems: 'flex-start' }}>
          {RATES.map((rate) => (
            <Form.Item key={rate} name={['rates', rate]} label={t(`prices.rates.${rate}`)} rules={[decimal]} style={{ flex: '1 1 160px' }}>
              <Input inputMode="decimal" data-testid={`price-rate-${rate}`} />
            </Form.Item>
          ))}
        </div>
        <Form.Item name="variants" label={t('prices.variants')} extra={t('prices.variantsHelp')} rules={[json]}>
          <Input.TextArea className="mono" rows={4} spellCheck={false} data-testid="price-variants" />
        </Form.Item>
      </Form>
    </Modal>
  );
}

function useImport(): (file: File) => Promise<void> {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const action = useAction();
  const refresh = useRefresh();
  return async (file) => {
    const text = await file.text();
    await action.run(async () => {
      const body = file.name.endsWith('.json') ? { prices: JSON.parse(text).prices ?? JSON.parse(text) } : { csv: text };
      const said = await need(api.POST('/price-import', { body }));
      await refresh('prices');
      message.success(t('prices.imported', { created: said.created, replaced: said.replaced }));
    });
  };
}

function priceWords(price: Price, locale: string): string {
  const one = (rate: Rate) => (price.rates[rate] === null || price.rates[rate] === undefined ? null : moneyText(price.rates[rate] ?? 0, price.currency ?? '', locale));
  return [one('input'), one('cached_input') && `(${one('cached_input')})`, '/', one('output') ?? '–'].filter(Boolean).join(' ');
}

export function PricesPage() {
  const { t } = useTranslation();
  const { language } = usePreferences();
  const may = useMay('operator');
  const refresh = useRefresh();
  const importFile = useImport();
  const [search, setSearch] = useState('');
  const [source, setSource] = useState<'' | 'operator' | 'seed'>('');
  const [edited, setEdited] = useState<Price | 'new' | null>(null);
  const [date, setDate] = useState('');
  const q = useDebounced(search);
  const types = useProviderTypes();
  const local = useLocalText();
  const formats = useFormats();
  const vendor = (type: string | null | undefined) =>
    local(types.data?.find((entry) => entry.type === type)?.label) || (type && VENDORS[type]) || type || t('prices.anyProvider');
  const query = usePaged(['prices', 'list', q, source], async (cursor) => {
    const page = (await need(
      api.GET('/prices', { params: { query: { cursor, q: q || undefined, source: source || undefined, limit: 500 } } }),
    )) as Schemas['PriceList'];
    setDate(page.seed.date);
    return page;
  });
  return (
    <Page
      title={t('prices.title')}
      lead={t('prices.lead', { date })}
      actions={
        <>
          <Button icon={<DownloadOutlined />} href="/api/v1/prices?format=csv" download="prices.csv" data-testid="prices-csv">
            {t('usage.csv')}
          </Button>
          {may && (
            <>
              <Upload accept=".csv,.json" showUploadList={false} beforeUpload={(file) => { void importFile(file); return false; }}>
                <Button icon={<UploadOutlined />} data-testid="prices-import">{t('prices.import')}</Button>
              </Upload>
              <Button type="primary" icon={<PlusOutlined />} onClick={() => setEdited('new')} data-testid="price-add">
                {t('prices.add')}
              </Button>
            </>
          )}
        </>
      }
    >
      <List
        query={query}
        testId="prices"
        label={t('prices.title')}
        search={{ value: search, onChange: setSearch, placeholder: t('prices.search') }}
        tools={
          <Select<'' | 'operator' | 'seed'>
            value={source}
            onChange={setSource}
            aria-label={t('prices.source')}
            style={{ minWidth: 150 }}
            options={(['', 'operator', 'seed'] as const).map((value) => ({ value, label: t(`prices.sources.${value || 'all'}`) }))}
            data-testid="prices-source"
          />
        }
        keyOf={(price) => price.name}
        groupOf={(price) =>
          price.source === 'operator'
            ? { key: 'operator', title: t('prices.own'), open: true }
            : { key: price.provider_type ?? 'any', title: vendor(price.provider_type) }
        }
        empty={<Empty title={t('prices.emptyTitle')} text={t('prices.emptyText')} />}
        render={(price) => (
          <Row
            testId={`price-${price.name}`}
            title={price.name}
            sub={price.models.join(', ')}
            off={price.enabled === false}
            meta={[
              ...(price.source === 'operator' ? [{ label: t('prices.of'), value: price.provider ?? vendor(price.provider_type) }] : []),
              ...(price.valid_from ? [{ label: t('prices.validFrom'), value: formats.dateTime(price.valid_from) }] : []),
              { label: t('prices.inOut'), value: priceWords(price, language), grow: 2.4 },
            ]}
            actions={
              may && (
                <>
                  <Button size="small" onClick={() => setEdited(price)} data-testid={`price-${price.name}-edit`}>
                    {t('prices.edit')}
                  </Button>
                  {price.source === 'operator' && (
                    <DeleteButton
                      bare
                      size="small"
                      type="text"
                      label={t('prices.deleteOf', { name: price.name })}
                      testId={`price-${price.name}-delete`}
                      question={t('prices.deleteTitle', { name: price.name })}
                      text={t('prices.deleteText')}
                      onDelete={() => need(api.DELETE('/prices/{name}', { params: { path: { name: price.name } } }))}
                      onDone={() => void refresh('prices')}
                    />
                  )}
                </>
              )
            }
          />
        )}
      />
      <EditPrice price={edited} onClose={() => setEdited(null)} />
    </Page>
  );
}
