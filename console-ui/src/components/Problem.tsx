/* What went wrong, in words, with the id under which the server's log has it. */
import { Alert, App, Button } from 'antd';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router-dom';
import { asApiError, type ApiError, type ProblemError } from '../api/errors';
import type { Schemas } from '../api/client';

/* Kinds without a page for each object are edited in their list. */
const LISTS: Record<string, string> = { quotas: '/quotas', alerts: '/alerts/rules', 'jwt-issuers': '/jwt-issuers' };

/** "/api/v1/routes/a" is shown to people as the page that edits it. */
export function pageOf(url: string): string {
  const page = url.replace(/^.*\/api\/v1/, '');
  return LISTS[page.split('/')[1] ?? ''] ?? page;
}

export function useProblemText(): (error: ApiError) => string {
  const { t } = useTranslation();
  return (error) => {
    switch (error.kind) {
      case 'unreachable':
        return t('problem.unreachable');
      case 'too-many-requests':
        return error.retryAfter > 0 ? t('problem.waitSeconds', { seconds: error.retryAfter }) : t('problem.wait');
      case 'no-worker':
        return t('problem.noWorker');
      case 'stale':
        return t('problem.stale');
      case 'in-use':
        return t('problem.inUse');
      case 'bad-credentials':
        return t('problem.badCredentials');
      case 'csrf':
        return t('problem.csrf');
      default:
        return error.detail || t('problem.status', { status: error.status });
    }
  };
}

/* Members that can be wrong in one way alone: these faults have a sentence of ours. */
const PLAIN = ['setup_token', 'current_password'] as const;

/** A fault's sentence, with its kind in the page's language before it. */
export function useFaultText(): (fault: ProblemError) => string {
  const { t, i18n } = useTranslation();
  return (fault) => {
    const plain = PLAIN.find((member) => fault.path === `/${member}` && ['conflict', 'bad_format'].includes(fault.code));
    if (plain) return t(`faultAt.${plain}`);
    return i18n.exists(`fault.${fault.code}`) ? t(`fault.${fault.code}`, { message: fault.message }) : fault.message;
  };
}

/** A warning's sentence, likewise. */
export function useWarningText(): (warning: Schemas['Warning']) => string {
  const { t } = useTranslation();
  return (warning) => t(`warning.${warning.code}`, { message: warning.message });
}

/** Tells what was saved, but probably not meant so: the warnings of a write's answer, if it has any. */
export function useTellWarnings(): (answer: unknown) => void {
  const { t } = useTranslation();
  const { notification } = App.useApp();
  const words = useWarningText();
  return (answer) => {
    const warnings = (answer as { warnings?: Schemas['Warning'][] } | undefined)?.warnings ?? [];
    if (warnings.length === 0) return;
    notification.warning({
      message: t('common.warnings'),
      description: (
        <ul data-testid="warnings">
          {warnings.map((warning, i) => (
            <li key={i}>{words(warning)}</li>
          ))}
        </ul>
      ),
      duration: 12,
    });
  };
}

interface ProblemProps {
  error: unknown;
  /** Those faults of the error that no field shows; all of them when left out. */
  rest?: ProblemError[];
  onRetry?: () => void;
}

/* A hundred lines push the buttons out of sight. */
const SHOWN = 12;

export function ProblemAlert({ error, rest, onRetry }: ProblemProps) {
  const { t } = useTranslation();
  const text = useProblemText();
  const words = useFaultText();
  if (!error) return null;
  const problem = asApiError(error);
  const faults = rest ?? problem.errors;
  return (
    <Alert
      type="error"
      showIcon
      role="alert"
      data-testid="problem"
      style={{ marginBottom: 16 }}
      message={text(problem)}
      description={
        <div className="stack gap-4">
          {faults.length > 0 && (
            <ul className="stack gap-4">
              {faults.slice(0, SHOWN).map((fault, i) => (
                <li key={i} className="break">
                  {fault.url ? <Link to={pageOf(fault.url)}>{words(fault)}</Link> : words(fault)}
                  {!fault.url && fault.path && <code className="faint"> {fault.path}</code>}
                </li>
              ))}
              {faults.length > SHOWN && <li className="faint">{t('problem.more', { count: faults.length - SHOWN })}</li>}
            </ul>
          )}
          {problem.requestId && <span className="faint">{t('problem.requestId', { id: problem.requestId })}</span>}
        </div>
      }
      action={
        onRetry && (
          <Button size="small" onClick={onRetry} data-testid="retry">
            {t('common.retry')}
          </Button>
        )
      }
    />
  );
}
