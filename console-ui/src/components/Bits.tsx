/* Small things that many pages show. */
import { DeleteOutlined } from '@ant-design/icons';
import { App, Button, Modal, Tooltip, type ButtonProps } from 'antd';
import { useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { asApiError } from '../api/errors';
import { useFormats } from '../lib/format';
import { ProblemAlert, useProblemText } from './Problem';

/* Pairs of ink and paper for monograms; each pair has a contrast of at least 4.5. */
const INKS: [string, string][] = [
  ['#0b625e', '#d8f0ed'],
  ['#1d4e89', '#dce9f8'],
  ['#6a3d9a', '#ece2f7'],
  ['#8a4b08', '#faead3'],
  ['#9c2f4f', '#fbe2ea'],
  ['#356322', '#e2f1d9'],
  ['#4a5560', '#e6ebee'],
];

export function Avatar({ text, seed, large }: { text: string; seed: string; large?: boolean }) {
  let sum = 0;
  for (const letter of seed) sum = (sum * 31 + letter.charCodeAt(0)) % 9973;
  const [ink, paper] = INKS[sum % INKS.length] ?? INKS[0]!;
  const wide = /[\u3400-\u9fff]/.exec(text)?.[0];
  const letters = wide ?? text.replace(/[^A-Za-z0-9]/g, '').slice(0, 2);
  return (
    <span className={large ? 'avatar lg' : 'avatar'} style={{ color: ink, background: paper }} aria-hidden>
      {letters || '·'}
    </span>
  );
}

export function State({ level, children }: { level: 'ok' | 'info' | 'warn' | 'bad' | 'idle'; children: ReactNode }) {
  return <span className={`state ${level}`}>{children}</span>;
}

export function Ago({ at }: { at: string | null | undefined }) {
  const { t } = useTranslation();
  const formats = useFormats();
  if (!at) return <span className="faint">{t('common.never')}</span>;
  return (
    <Tooltip title={formats.dateTime(at)}>
      <time dateTime={at} className="nowrap">
        {formats.ago(at)}
      </time>
    </Tooltip>
  );
}

interface DeleteProps extends Omit<ButtonProps, 'onClick' | 'danger'> {
  /** What will be gone, as a question. */
  question: string;
  text: ReactNode;
  action?: string;
  onDelete: () => Promise<unknown>;
  onDone?: () => void;
  testId: string;
  label: string;
  bare?: boolean;
}

/** Asks first; a refusal (something still refers to it) is shown in the same window, with links. */
export function DeleteButton({ question, text, action, onDelete, onDone, testId, label, bare, ...button }: DeleteProps) {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const confirm = async () => {
    setBusy(true);
    setError(null);
    try {
      await onDelete();
      setOpen(false);
      onDone?.();
    } catch (fault) {
      setError(fault);
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <Button
        danger
        {...button}
        icon={<DeleteOutlined />}
        aria-label={label}
        onClick={() => {
          setError(null);
          setOpen(true);
        }}
        data-testid={testId}
      >
        {bare ? null : label}
      </Button>
      <Modal
        open={open}
        title={question}
        width={460}
        onCancel={() => setOpen(false)}
        onOk={confirm}
        okText={action ?? t('common.delete')}
        cancelText={t('common.cancel')}
        okButtonProps={{ danger: true, loading: busy, 'data-testid': 'confirm-ok' } as ButtonProps}
        cancelButtonProps={{ autoFocus: true, 'data-testid': 'confirm-cancel' } as ButtonProps}
        destroyOnHidden
      >
        {error ? <ProblemAlert error={error} /> : <p>{text}</p>}
        {error !== null && asApiError(error).kind === 'in-use' && <p className="muted">{t('problem.inUseHint')}</p>}
      </Modal>
    </>
  );
}

/** Runs something once at a time and tells how it failed. */
export function useAction(): { run: (work: () => Promise<unknown>) => Promise<boolean>; busy: boolean } {
  const { notification } = App.useApp();
  const { t } = useTranslation();
  const words = useProblemText();
  const [busy, setBusy] = useState(false);
  return {
    busy,
    async run(work) {
      setBusy(true);
      try {
        await work();
        return true;
      } catch (error) {
        const problem = asApiError(error);
        notification.error({
          message: words(problem),
          description: problem.requestId ? t('problem.requestId', { id: problem.requestId }) : undefined,
          duration: 8,
          role: 'alert',
        });
        return false;
      } finally {
        setBusy(false);
      }
    },
  };
}
