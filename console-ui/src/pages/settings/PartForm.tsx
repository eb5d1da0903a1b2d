/* One member of the settings as a form of its own: saved as a patch of that member, everything else stays as it is. */
import { App, Form } from 'antd';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { api, need, type Schemas } from '../../api/client';
import { ifMatch, useMay, useRefresh, useSettings, type Guarded } from '../../api/queries';
import { LoadingRows } from '../../components/List';
import { ProblemAlert } from '../../components/Problem';
import { emptyToNull } from '../../forms/keep';
import { SaveBar } from '../../forms/SaveBar';
import { useApiForm } from '../../forms/useApiForm';

type Part = 'counters' | 'tls';
type Stored = Required<Schemas['Settings']>;
type Write = Schemas['SettingsWrite'];

interface PartProps<P extends Part> {
  part: P;
  /** What the inputs show: without masked secrets, which must not be sent back. */
  show: (stored: Stored[P]) => object;
  /** What is sent for what stands in the form; without it, emptied inputs go back to their defaults. */
  send?: (values: NonNullable<Write[P]>) => object;
  children: (stored: Stored[P]) => ReactNode;
}

type Loaded = Guarded<Schemas['Settings']>;

/** The settings as they are stored, once they have been read. */
export function WithSettings({ children }: { children: (settings: Loaded) => ReactNode }) {
  const settings = useSettings();
  if (settings.isError) return <ProblemAlert error={settings.error} onRetry={() => void settings.refetch()} />;
  if (!settings.data) {
    return (
      <div className="card">
        <LoadingRows />
      </div>
    );
  }
  return children(settings.data);
}

export function SettingsPart<P extends Part>(props: PartProps<P>) {
  return <WithSettings>{(settings) => <PartForm key={settings.etag} settings={settings} {...props} />}</WithSettings>;
}

function PartForm<P extends Part>({ part, show, send, children, settings }: PartProps<P> & { settings: Loaded }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const refresh = useRefresh();
  const may = useMay('operator');
  const edit = useApiForm<Write>();
  const stored = settings.object[part] as Stored[P];
  const save = async (seen: Write) => {
    /* Inputs that are not on the screen keep their values: a change of `backend` and back loses nothing. */
    const values = ((edit.form.getFieldsValue(true) as Write)[part] ?? seen[part] ?? {}) as NonNullable<Write[P]>;
    const body = { [part]: send ? send(values) : emptyToNull(values as Record<string, unknown>) } as Write;
    const done = await edit.submit(() => need(api.PATCH('/settings', { params: { header: ifMatch(settings.etag) }, body })));
    if (!done) return;
    await refresh('settings');
    message.success(t('common.saved'));
  };
  return (
    <Form<Write>
      form={edit.form}
      layout="vertical"
      className="card form-card"
      initialValues={{ [part]: show(stored) }}
      onFinish={save}
      onFinishFailed={edit.onFinishFailed as never}
      disabled={!may}
      name={part}
      data-testid={`${part}-form`}
    >
      {children(stored)}
      <ProblemAlert error={edit.error} rest={edit.rest} />
      {may && <SaveBar busy={edit.busy} what={part} />}
    </Form>
  );
}
