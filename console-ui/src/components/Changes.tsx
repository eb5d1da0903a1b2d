/* Differences of configuration, object by object. */
import { useTranslation } from 'react-i18next';
import type { Schemas } from '../api/client';
import { condense, diffJson } from '../lib/diff';
import { Fold } from './Fold';

export function DiffView({ before, after }: { before: unknown; after: unknown }) {
  const { t } = useTranslation();
  const lines = condense(diffJson(before, after));
  if (lines.length === 0) return <p className="muted">{t('changes.same')}</p>;
  return (
    <div className="diff" tabIndex={0} role="region" aria-label={t('changes.diff')}>
      {lines.map((line, i) =>
        line === undefined ? (
          <div key={i} className="cut" aria-hidden>
            ···
          </div>
        ) : (
          <div key={i} className={line.op === '+' ? 'add' : line.op === '-' ? 'del' : ''}>
            {line.op} {line.text}
          </div>
        ),
      )}
    </div>
  );
}

export function Operation({ op }: { op: Schemas['Change']['op'] }) {
  const { t } = useTranslation();
  return <span className={`tag-op ${op}`}>{t(`changes.op.${op}`)}</span>;
}

const KINDS = ['provider', 'route', 'consumer', 'global-plugin', 'settings', 'user', 'token', 'join-token', 'node', 'consumer-key'] as const;
type Kind = (typeof KINDS)[number];

/** A kind in the words of the page; one that a newer server knows is shown as it is. */
export function useKindWord(): (kind: string | null) => string {
  const { t } = useTranslation();
  return (kind) => {
    if (!kind) return '';
    return (KINDS as readonly string[]).includes(kind) ? t(`changes.kind.${kind as Kind}`) : kind;
  };
}

export function ChangeList({ changes, empty }: { changes: Schemas['Change'][]; empty: string }) {
  const kind = useKindWord();
  if (changes.length === 0) return <p className="muted" data-testid="changes-empty">{empty}</p>;
  return (
    <div data-testid="changes">
      {changes.map((change) => (
        <Fold
          key={`${change.kind}/${change.name}`}
          testId={`change-${change.kind}-${change.name}`}
          title={
            <span className="line gap-8">
              <Operation op={change.op} />
              <span className="muted">{kind(change.kind)}</span>
              {change.kind !== 'settings' && <span className="break">{change.name}</span>}
            </span>
          }
        >
          <div style={{ paddingBottom: 12 }}>
            <DiffView before={change.before} after={change.after} />
          </div>
        </Fold>
      ))}
    </div>
  );
}
