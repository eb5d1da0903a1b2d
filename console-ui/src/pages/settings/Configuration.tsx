/* The configuration as one document: take it out, put one in after seeing what it would do. */
import { DownloadOutlined, UploadOutlined } from '@ant-design/icons';
import { App, Button, Input } from 'antd';
import { useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, need, type Schemas } from '../../api/client';
import { useMay, useRefresh } from '../../api/queries';
import { useAction } from '../../components/Bits';
import { ChangeList } from '../../components/Changes';
import { Card } from '../../components/Page';
import { ProblemAlert, useWarningText } from '../../components/Problem';

type Document = Schemas['ConfigDocument'];

export function fileNameFor(now: Date): string {
  return `tidegate-${now.toISOString().slice(0, 16).replace(/[:T]/g, '-')}.json`;
}

function Export() {
  const { t } = useTranslation();
  const { run, busy } = useAction();
  const download = () =>
    run(async () => {
      const config = await need(api.GET('/config'));
      const url = URL.createObjectURL(new Blob([`${JSON.stringify(config, null, 2)}\n`], { type: 'application/json' }));
      const link = document.createElement('a');
      link.href = url;
      link.download = fileNameFor(new Date());
      link.click();
      URL.revokeObjectURL(url);
    });
  return (
    <Card title={t('configuration.export')} lead={t('configuration.exportLead')}>
      <Button icon={<DownloadOutlined />} onClick={() => void download()} loading={busy} data-testid="config-export">
        {t('configuration.download')}
      </Button>
    </Card>
  );
}

function Import() {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const refresh = useRefresh();
  const words = useWarningText();
  const file = useRef<HTMLInputElement>(null);
  const [text, setText] = useState('');
  const [fault, setFault] = useState<string | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [plan, setPlan] = useState<Schemas['ApplyResult'] | null>(null);
  const [busy, setBusy] = useState(false);

  const change = (next: string) => {
    setText(next);
    setPlan(null);
    setFault(null);
    setError(null);
  };
  const apply = async (dryRun: boolean) => {
    let body: Document;
    try {
      body = JSON.parse(text) as Document;
    } catch (broken) {
      setFault(t('configuration.notJson', { reason: broken instanceof Error ? broken.message : '' }));
      return;
    }
    setBusy(true);
    setFault(null);
    setError(null);
    try {
      const result = await need(api.PUT('/config', { params: { query: { dry_run: dryRun } }, body }));
      if (dryRun) {
        setPlan(result);
      } else {
        await refresh('providers', 'routes', 'consumers', 'settings', 'global-plugins');
        message.success(t('configuration.applied', { revision: result.revision ?? 0 }));
        change('');
      }
    } catch (thrown) {
      setPlan(null);
      setError(thrown);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Card title={t('configuration.import')} lead={t('configuration.importLead')} testId="config-import">
      <div className="stack gap-12">
        <input
          ref={file}
          type="file"
          accept="application/json,.json"
          hidden
          data-testid="config-file"
          onChange={async (event) => {
            const chosen = event.target.files?.[0];
            if (chosen) change(await chosen.text());
            event.target.value = '';
          }}
        />
        <div>
          <Button icon={<UploadOutlined />} onClick={() => file.current?.click()} data-testid="config-choose">
            {t('configuration.choose')}
          </Button>
        </div>
        <Input.TextArea
          className="mono"
          aria-label={t('configuration.document')}
          placeholder={'{\n  "format": 1,\n  "providers": []\n}'}
          autoSize={{ minRows: 6, maxRows: 20 }}
          spellCheck={false}
          value={text}
          status={fault ? 'error' : undefined}
          onChange={(event) => change(event.target.value)}
          data-testid="config-text"
        />
        {fault && (
          <p role="alert" className="state bad">
            {fault}
          </p>
        )}
        <ProblemAlert error={error} />
        {plan && (
          <section className="stack gap-12" data-testid="config-plan">
            <h3>{t('configuration.plan', { count: plan.plan.length })}</h3>
            {plan.warnings.map((warning, i) => (
              <p key={i} className="state warn">{words(warning)}</p>
            ))}
            <ChangeList changes={plan.plan} empty={t('configuration.nothing')} />
          </section>
        )}
        <div className="line gap-8">
          <Button type={plan ? 'default' : 'primary'} disabled={text.trim() === ''} loading={busy && !plan} onClick={() => void apply(true)} data-testid="config-preview">
            {t('configuration.preview')}
          </Button>
          {plan && plan.plan.length > 0 && (
            <Button type="primary" loading={busy} onClick={() => void apply(false)} data-testid="config-apply">
              {t('configuration.apply', { count: plan.plan.length })}
            </Button>
          )}
        </div>
      </div>
    </Card>
  );
}

export function Configuration() {
  const may = useMay('operator');
  return (
    <div className="stack gap-16">
      <Export />
      {may && <Import />}
    </div>
  );
}
