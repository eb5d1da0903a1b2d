/* What can be switched on, and what is switched on for everybody. */
import { useQuery } from '@tanstack/react-query';
import { App, Button, Drawer, Form } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, need, type Schemas } from '../api/client';
import { useMay, usePlugins, useRefresh } from '../api/queries';
import { DeleteButton, State } from '../components/Bits';
import { Empty, LoadingRows, Row } from '../components/List';
import { Page } from '../components/Page';
import { ProblemAlert } from '../components/Problem';
import { FieldTable, partSecrets, spell } from '../forms/FieldTable';
import { pluginFromForm } from '../forms/PluginsEditor';
import { SwitchItem } from '../forms/SwitchItem';
import { useApiForm } from '../forms/useApiForm';
import { useLocalText } from '../lib/format';

interface Values {
  config: Record<string, unknown>;
}

function GlobalForm({ plugin, stored, onClose }: { plugin: Schemas['Plugin']; stored: Schemas['GlobalPlugin'] | undefined; onClose: () => void }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const refresh = useRefresh();
  const may = useMay('operator');
  const edit = useApiForm<Values>();
  const parted = partSecrets(plugin.fields, stored?.config);
  const save = async (values: Values) => {
    const done = await edit.submit(() =>
      need(
        api.PUT('/global-plugins/{plugin}', {
          params: { path: { plugin: plugin.name } },
          body: { config: pluginFromForm(values.config, stored?.config, plugin.fields) },
        }),
      ),
    );
    if (!done) return;
    await refresh('global-plugins');
    message.success(t('common.saved'));
    onClose();
  };
  return (
    <Form<Values> form={edit.form} layout="vertical" initialValues={{ config: { enabled: true, fail_open: false, ...parted.plain } }} onFinish={save} disabled={!may} name="global-plugin">
      <SwitchItem name={['config', 'enabled']} label={t('plugins.enabled')} testId="global-enabled" />
      <FieldTable fields={plugin.fields} at={['config']} stored={parted.stored} />
      <SwitchItem name={['config', 'fail_open']} label={t('plugins.failOpen')} help={t('plugins.failOpenHelp')} testId="global-fail-open" />
      <ProblemAlert error={edit.error} rest={edit.rest} />
      <div className="line gap-8">
        <Button type="primary" htmlType="submit" loading={edit.busy} data-testid="global-save">
          {t('common.save')}
        </Button>
        {stored && (
          <DeleteButton
            label={t('plugins.clear')}
            testId="global-delete"
            question={t('plugins.clearTitle', { name: plugin.name })}
            text={t('plugins.clearText')}
            action={t('plugins.clear')}
            onDelete={() => need(api.DELETE('/global-plugins/{plugin}', { params: { path: { plugin: plugin.name } } }))}
            onDone={() => {
              void refresh('global-plugins');
              onClose();
            }}
          />
        )}
      </div>
    </Form>
  );
}

export function PluginsPage() {
  const { t } = useTranslation();
  const local = useLocalText();
  const plugins = usePlugins();
  const globals = useQuery({ queryKey: ['global-plugins'], queryFn: async () => (await need(api.GET('/global-plugins'))).items });
  const [open, setOpen] = useState<Schemas['Plugin'] | null>(null);
  const storedOf = (name: string) => globals.data?.find((entry) => entry.name === name);
  const title = (plugin: Schemas['Plugin']) => (plugin.label ? local(plugin.label) : spell(plugin.name));
  return (
    <Page title={t('plugins.title')} lead={t('plugins.lead')}>
      <ProblemAlert error={plugins.error ?? globals.error} onRetry={() => void Promise.all([plugins.refetch(), globals.refetch()])} />
      <div className="card" data-testid="plugins">
        {(plugins.isPending || globals.isPending) && <LoadingRows />}
        {plugins.data?.length === 0 && <Empty title={t('plugins.emptyTitle')} text={t('plugins.noneInBuild')} />}
        {plugins.data && globals.data && plugins.data.length > 0 && (
          <ul className="rows" aria-label={t('plugins.title')}>
            {plugins.data.map((plugin) => {
              const stored = storedOf(plugin.name);
              const on = stored && stored.config.enabled !== false;
              return (
                <li key={plugin.name}>
                  <Row
                    testId={`plugin-${plugin.name}`}
                    title={title(plugin)}
                    sub={local(plugin.doc)}
                    meta={[
                      { label: t('plugins.stage'), value: <span className="chip mono">{plugin.rank}</span> },
                      { label: t('plugins.forAll'), value: <State level={on ? 'ok' : 'idle'}>{on ? t('plugins.isOn') : stored ? t('plugins.isOff') : t('plugins.isUnset')}</State> },
                    ]}
                    actions={
                      <Button size="small" onClick={() => setOpen(plugin)} data-testid={`plugin-${plugin.name}-edit`}>
                        {t('plugins.configure')}
                      </Button>
                    }
                  />
                </li>
              );
            })}
          </ul>
        )}
      </div>
      <Drawer open={open !== null} onClose={() => setOpen(null)} title={open ? t('plugins.forAllTitle', { name: title(open) }) : ''} width="min(520px, 100vw)" destroyOnHidden>
        {open && (
          <>
            <p className="muted" style={{ marginBottom: 16 }}>{t(open.adds_up ? 'plugins.addsUp' : 'plugins.scopeHelp')}</p>
            <GlobalForm plugin={open} stored={storedOf(open.name)} onClose={() => setOpen(null)} />
          </>
        )}
      </Drawer>
    </Page>
  );
}
