/* A window with the form of one object: new, or as it is stored. */
import { App, Form, Modal, type ButtonProps, type FormInstance } from 'antd';
import { useEffect, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { useRefresh } from '../../api/queries';
import { ProblemAlert } from '../../components/Problem';
import { useApiForm } from '../../forms/useApiForm';

interface EditorProps<V extends object> {
  open: boolean;
  title: string;
  kind: string;
  initial: Partial<V>;
  save: (values: V) => Promise<unknown>;
  onClose: () => void;
  testId: string;
  children: (form: FormInstance<V>) => ReactNode;
}

export function Editor<V extends object>({ open, title, kind, initial, save, onClose, testId, children }: EditorProps<V>) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const refresh = useRefresh();
  const edit = useApiForm<V>();
  const { form, clear } = edit;
  useEffect(() => {
    form.resetFields(); /* also when it closes: a secret that was typed does not stay in the page */
    if (!open) return;
    form.setFieldsValue(initial as never);
    clear();
    // Only opening it fills it in.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [open]);
  return (
    <Modal
      open={open}
      title={title}
      width={680}
      onCancel={onClose}
      onOk={() => form.submit()}
      okText={t('common.save')}
      cancelText={t('common.cancel')}
      confirmLoading={edit.busy}
      okButtonProps={{ 'data-testid': `${testId}-save` } as ButtonProps}
      forceRender
    >
      <Form<V>
        form={form}
        layout="vertical"
        name={testId}
        onFinishFailed={edit.onFinishFailed as never}
        onFinish={async (values) => {
          if (!(await edit.submit(() => save(values)))) return;
          await refresh(kind);
          message.success(t('common.saved'));
          onClose();
        }}
      >
        <ProblemAlert error={edit.error} rest={edit.rest} />
        {children(form)}
      </Form>
    </Modal>
  );
}
