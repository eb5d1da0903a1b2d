/* "Which route would take this request, and why?" */
import { useMutation } from '@tanstack/react-query';
import { Button, Drawer, Form, Input } from 'antd';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router-dom';
import { api, need, type Schemas } from '../api/client';
import { useAllConsumers } from '../api/queries';
import { State } from '../components/Bits';
import { Fold } from '../components/Fold';
import { ProblemAlert } from '../components/Problem';
import { PairsInput, useRules } from '../forms/inputs';
import { useFormats } from '../lib/format';
import { FormSelect } from '../forms/FormSelect';

type Request = Schemas['ExplainRequest'];

export function ExplainTool({ model }: { model?: string }) {
  const { t } = useTranslation();
  const rules = useRules();
  const formats = useFormats();
  const consumers = useAllConsumers();
  const explain = useMutation({ mutationFn: (body: Request) => need(api.POST('/routes/explain', { body })) });
  const result = explain.data;
  return (
    <div className="stack gap-16">
      <Form<Request>
        layout="vertical"
        initialValues={{ model, path: '/v1/chat/completions', host: window.location.hostname }}
        onFinish={(values) => explain.mutate({ ...values, consumer: values.consumer ?? null })}
        name="explain"
        data-testid="explain-form"
      >
        <div className="fields-2">
          <Form.Item name="model" label={t('explain.model')} rules={[rules.required]}>
            <Input className="mono" spellCheck={false} data-testid="explain-model" />
          </Form.Item>
          <Form.Item name="consumer" label={t('explain.consumer')}>
            <FormSelect
              allowClear
              showSearch
              placeholder={t('explain.noKey')}
              options={(consumers.data ?? []).map((consumer) => ({ value: consumer.name, label: consumer.name }))}
              data-testid="explain-consumer"
            />
          </Form.Item>
        </div>
        <Fold title={t('explain.more')} hint={t('explain.moreHint')}>
          <div className="fields-2">
            <Form.Item name="path" label={t('routeForm.path')}>
              <Input className="mono" data-testid="explain-path" />
            </Form.Item>
            <Form.Item name="host" label={t('explain.host')}>
              <Input className="mono" data-testid="explain-host" />
            </Form.Item>
          </div>
          <Form.Item name="headers" label={t('routeForm.headers')}>
            <PairsInput keyLabel={t('form.header')} valueLabel={t('form.value')} addText={t('form.addHeader')} testId="explain-headers" />
          </Form.Item>
        </Fold>
        <Button type="primary" htmlType="submit" loading={explain.isPending} style={{ marginTop: 16 }} data-testid="explain-run">
          {t('explain.run')}
        </Button>
      </Form>
      <div aria-live="polite">
        {explain.error && <ProblemAlert error={explain.error} />}
        {result && (
          <div className="stack gap-16" data-testid="explain-result" data-route={result.route ?? ''} data-status={result.status}>
            <div className="boxed" style={{ paddingBottom: 14 }}>
              <div className="boxed-head">
                <State level={result.status === 200 ? 'ok' : 'bad'}>
                  {result.route ? <Link to={`/routes/${result.route}`}>{result.route}</Link> : t('explain.none')}
                </State>
                <span className="chip mono" style={{ marginLeft: 'auto' }}>{result.status}</span>
              </div>
              <p className="break">{result.reason}</p>
            </div>
            {result.targets.length > 0 && (
              <section className="stack gap-8">
                <h3>{t('routeForm.targets')}</h3>
                <ul className="stack gap-4">
                  {result.targets.map((target, i) => (
                    <li key={i} className="line gap-8">
                      <span className="chip mono">{formats.percent(target.share)}</span>
                      <span>{target.provider}</span>
                      <span className="arrow" aria-hidden>→</span>
                      <code>{target.model}</code>
                      {!target.usable && <State level="warn">{t('explain.unusable')}</State>}
                    </li>
                  ))}
                </ul>
              </section>
            )}
            {result.fallback.length > 0 && (
              <section className="stack gap-8">
                <h3>{t('routeForm.fallback')}</h3>
                <ol className="stack gap-4">
                  {result.fallback.map((target, i) => (
                    <li key={i} className="line gap-8">
                      <span className="chip mono">{i + 1}</span>
                      <span>{target.provider}</span>
                      <span className="arrow" aria-hidden>→</span>
                      <code>{target.model}</code>
                      {!target.usable && <State level="warn">{t('explain.unusable')}</State>}
                    </li>
                  ))}
                </ol>
              </section>
            )}
            {result.considered.length > 0 && (
              <section className="stack gap-8">
                <h3>{t('explain.considered')}</h3>
                <ul className="stack gap-8">
                  {result.considered.map((entry) => (
                    <li key={entry.route}>
                      <State level={entry.matches ? 'ok' : 'idle'}>{entry.route}</State>
                      <p className="muted break">{entry.reason}</p>
                    </li>
                  ))}
                </ul>
              </section>
            )}
          </div>
        )}
      </div>
    </div>
  );
}

export function ExplainDrawer({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <Drawer open={open} onClose={onClose} title={t('explain.title')} width="min(560px, 100vw)" destroyOnHidden>
      <p className="muted" style={{ marginBottom: 16 }}>{t('explain.lead')}</p>
      <ExplainTool />
    </Drawer>
  );
}
