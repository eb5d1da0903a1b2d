/* Plugins of a route or a consumer: switch one on, fill in the form that its field table draws. */
import { PlusOutlined, DeleteOutlined } from '@ant-design/icons';
import { Button, Dropdown, Form, Switch, type FormInstance } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Schemas } from '../api/client';
import { usePlugins } from '../api/queries';
import { useLocalText } from '../lib/format';
import type { FieldPath } from '../lib/pointer';
import { FieldTable, partSecrets, spell, withoutEmpty, type Field } from './FieldTable';
import { isMasked } from './keep';
import { SwitchItem } from './SwitchItem';

type Configs = Record<string, Schemas['PluginConfig']>;

/** The form's value for stored settings: without masked secrets. */
export function pluginsToForm(plugins: Schemas['Plugin'][], stored: Configs | undefined): Configs {
  const out: Configs = {};
  for (const [name, config] of Object.entries(stored ?? {})) {
    const fields = plugins.find((plugin) => plugin.name === name)?.fields ?? [];
    out[name] = partSecrets(fields, config).plain as Schemas['PluginConfig'];
  }
  return out;
}

/**
 * Members of stored settings that had no input: the build's catalogue does not know them, or what they depend on is as it was.
 * The others were emptied, or do not matter any more.
 */
function unshown(fields: Field[], stored: Record<string, unknown> | undefined, config: Record<string, unknown>): Record<string, unknown> {
  const decides = (values: Record<string, unknown>, name: string) => values[name] ?? fields.find((field) => field.name === name)?.default;
  return Object.fromEntries(
    Object.entries(stored ?? {}).filter(([name, value]) => {
      const field = fields.find((entry) => entry.name === name);
      if (name in config || isMasked(value)) return false;
      return !field || (field.when ? decides(stored ?? {}, field.when.field) === decides(config, field.when.field) : false);
    }),
  );
}

/** The settings of one plugin as they are sent. */
export function pluginFromForm(config: Record<string, unknown>, stored?: Record<string, unknown>, fields: Field[] = []): Schemas['PluginConfig'] {
  return { ...unshown(fields, stored, config), ...withoutEmpty(config) } as Schemas['PluginConfig'];
}

export function pluginsFromForm(configs: Configs | undefined, stored?: Configs, plugins: Schemas['Plugin'][] = []): Configs {
  return Object.fromEntries(
    Object.entries(configs ?? {})
      .filter(([, config]) => config !== undefined)
      .map(([name, config]) => [name, pluginFromForm(config, stored?.[name], plugins.find((plugin) => plugin.name === name)?.fields)]),
  );
}

interface EditorProps {
  form: FormInstance;
  stored?: Configs;
  faults: FieldPath[];
}

export function PluginsEditor({ form, stored, faults }: EditorProps) {
  const { t } = useTranslation();
  const local = useLocalText();
  const plugins = usePlugins();
  const all = plugins.data ?? [];
  const [extra, setExtra] = useState<string[]>([]);
  const [removed, setRemoved] = useState<string[]>([]);
  const used = [...new Set([...Object.keys(stored ?? {}), ...extra])].filter((name) => !removed.includes(name));
  const free = all.filter((plugin) => !used.includes(plugin.name));
  const title = (plugin: Schemas['Plugin'] | undefined, name: string) => (plugin?.label ? local(plugin.label) : spell(name));

  if (plugins.isSuccess && all.length === 0) return <p className="muted">{t('plugins.noneInBuild')}</p>;
  return (
    <div data-testid="plugins-editor">
      {used.map((name) => {
        const plugin = all.find((entry) => entry.name === name);
        const fault = faults.some((path) => path[0] === 'plugins' && path[1] === name);
        return (
          <div className="boxed" key={name} data-testid={`plugin-${name}`}>
            <div className="boxed-head">
              <span className="grow">{title(plugin, name)}</span>
              {fault && <span className="state bad">{t('form.seeBelow')}</span>}
              <Form.Item name={['plugins', name, 'enabled']} valuePropName="checked" initialValue noStyle>
                <Switch size="small" aria-label={t('plugins.on', { name: title(plugin, name) })} data-testid={`plugin-${name}-enabled`} />
              </Form.Item>
              <Button
                type="text"
                size="small"
                icon={<DeleteOutlined />}
                aria-label={t('plugins.remove', { name: title(plugin, name) })}
                data-testid={`plugin-${name}-remove`}
                onClick={() => {
                  form.setFieldValue(['plugins', name], undefined);
                  setRemoved([...removed, name]);
                  setExtra(extra.filter((entry) => entry !== name));
                }}
              />
            </div>
            {plugin && (
              <p className="muted" style={{ marginBottom: 12 }} data-testid={`plugin-${name}-about`}>
                {local(plugin.doc)} {t(plugin.adds_up ? 'plugins.addsUp' : 'plugins.replaces')}
              </p>
            )}
            <FieldTable fields={plugin?.fields ?? []} at={['plugins', name]} stored={partSecrets(plugin?.fields ?? [], stored?.[name]).stored} />
            <SwitchItem
              name={['plugins', name, 'fail_open']}
              label={t('plugins.failOpen')}
              help={t('plugins.failOpenHelp')}
              initialValue={false}
              testId={`plugin-${name}-fail-open`}
            />
          </div>
        );
      })}
      <Dropdown
        trigger={['click']}
        menu={{
          items: free.map((plugin) => ({ key: plugin.name, label: title(plugin, plugin.name) })),
          onClick: ({ key }) => {
            setRemoved(removed.filter((name) => name !== key));
            setExtra([...extra, key]);
          },
        }}
        disabled={free.length === 0}
      >
        <Button type="dashed" icon={<PlusOutlined />} loading={plugins.isPending} data-testid="plugin-add">
          {t('plugins.add')}
        </Button>
      </Dropdown>
    </div>
  );
}
