/* One small call through a worker: does it answer, and how fast? */
import { CheckCircleFilled, CloseCircleFilled, ThunderboltOutlined } from '@ant-design/icons';
import { useMutation } from '@tanstack/react-query';
import { Button, Modal } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, need, type Schemas } from '../api/client';
import { ProblemAlert } from '../components/Problem';
import { Suggest } from '../forms/Suggest';

export function TestPanel({ provider }: { provider: Schemas['Provider'] }) {
  const { t } = useTranslation();
  const models = provider.models ?? [];
  const [model, setModel] = useState(models[0] ?? '');
  const test = useMutation({
    mutationFn: () => need(api.POST('/providers/{name}/test', { params: { path: { name: provider.name } }, body: model ? { model } : {} })),
  });
  const reset = test.reset;
  useEffect(() => {
    setModel(models[0] ?? '');
    reset();
    // eslint-disable-next-line -- another provider, another model; its list alone decides
  }, [provider.name, models.join('\n')]);
  const result = test.data;
  return (
    <div className="stack gap-12" data-testid="test-panel">
      <div className="line gap-8">
        <div style={{ flex: '1 1 200px', minWidth: 0 }}>
          <Suggest value={model} onChange={setModel} options={models} placeholder={t('test.anyModel')} label={t('test.model')} testId="test-model" />
        </div>
        <Button
          type="primary"
          icon={<ThunderboltOutlined />}
          loading={test.isPending}
          onClick={() => test.mutate()}
          data-testid="test-run"
        >
          {t('test.run')}
        </Button>
      </div>
      <div aria-live="polite">
        {test.error && <ProblemAlert error={test.error} />}
        {result && (
          <div className="boxed" style={{ paddingBottom: 12, marginBottom: 0 }} data-testid="test-result" data-ok={result.ok}>
            <div className="boxed-head" style={{ marginBottom: 4, color: result.ok ? 'var(--ok)' : 'var(--bad)' }}>
              {result.ok ? <CheckCircleFilled aria-hidden /> : <CloseCircleFilled aria-hidden />}
              <span className="grow">{result.ok ? t('test.ok', { ms: result.latency_ms }) : t('test.failed')}</span>
              {result.status !== null && <span className="chip mono">{t('test.status', { status: result.status })}</span>}
            </div>
            <p className="muted break">
              {t('test.detail', { model: result.model, detail: result.detail })}
              {result.model_from !== 'request' && ` ${t(`test.from.${result.model_from}`)}`}
            </p>
          </div>
        )}
      </div>
    </div>
  );
}

export function ProviderTest({ provider, onClose }: { provider: Schemas['Provider'] | null; onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <Modal open={provider !== null} onCancel={onClose} footer={null} title={provider ? t('test.title', { name: provider.name }) : ''} destroyOnHidden>
      <p className="muted" style={{ marginBottom: 16 }}>{t('test.lead')}</p>
      {provider && <TestPanel provider={provider} />}
    </Modal>
  );
}
