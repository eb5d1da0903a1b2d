/* Who did what, when, from where; with the object before and after. */
import { Select } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'react-router-dom';
import { api, need, type Schemas } from '../api/client';
import { usePaged } from '../api/queries';
import { Ago, State } from '../components/Bits';
import { DiffView, useKindWord } from '../components/Changes';
import { Empty, List, Row, useDebounced } from '../components/List';
import { Page } from '../components/Page';
import { useFormats } from '../lib/format';

const KINDS = ['provider', 'route', 'consumer', 'global-plugin', 'settings', 'user', 'token', 'join-token'];

const VERBS = ['create', 'update', 'delete', 'rotate', 'login', 'logout', 'setup', 'apply', 'rollback', 'password', 'test'] as const;
type Verb = (typeof VERBS)[number];

export function AuditPage() {
  const { t } = useTranslation();
  const kind = useKindWord();
  const formats = useFormats();
  /* "route.create" in words where we have them; a newer server may know more than this page. */
  const words = (entry: Schemas['AuditEntry']) => {
    const verb = entry.action.split('.').pop() ?? '';
    const did = (VERBS as readonly string[]).includes(verb) ? t(`audit.verb.${verb as Verb}`) : entry.action;
    return t('audit.did', { action: did, kind: kind(entry.kind), name: entry.name ?? '' }).trim();
  };
  const [search, setSearch] = useState('');
  const [only, setOnly] = useState<string | undefined>();
  const q = useDebounced(search);
  const query = usePaged(['audit', 'list', q, only ?? ''], (cursor) =>
    need(api.GET('/audit', { params: { query: { cursor, q: q || undefined, kind: only, limit: 50 } } })),
  );
  return (
    <Page title={t('audit.title')} lead={t('audit.lead')}>
      <List
        query={query}
        testId="audit"
        label={t('audit.title')}
        search={{ value: search, onChange: setSearch, placeholder: t('audit.search') }}
        tools={
          <Select
            allowClear
            style={{ minWidth: 160 }}
            value={only}
            onChange={setOnly}
            placeholder={t('audit.everyKind')}
            aria-label={t('audit.kind')}
            options={KINDS.map((value) => ({ value, label: kind(value) }))}
            data-testid="audit-kind"
          />
        }
        keyOf={(entry) => String(entry.id)}
        empty={<Empty title={t('audit.emptyTitle')} text={t('audit.emptyText')} />}
        render={(entry) => (
          <details className="row-details" data-testid={`audit-${entry.id}`}>
            <summary data-testid={`audit-${entry.id}-details`}>
            <Row
              title={words(entry)}
              sub={
                <span className="line gap-8">
                  <code>{entry.action}</code>
                  {entry.outcome !== 'ok' && <State level={entry.outcome === 'denied' ? 'warn' : 'bad'}>{t(`audit.outcome.${entry.outcome}`)}</State>}
                </span>
              }
              meta={[
                { label: t('audit.who'), value: entry.actor.name || t(`audit.actor.${entry.actor.type}`) },
                { label: t('audit.from'), value: entry.address ?? t('audit.local') },
                { label: t('audit.when'), value: <Ago at={entry.at} /> },
              ]}
            />
            </summary>
            <div className="inside stack gap-8">
              {entry.before || entry.after ? <DiffView before={entry.before} after={entry.after} /> : <p className="muted">{t('audit.noObject')}</p>}
              <span className="line gap-16 faint">
                <span>{formats.dateTime(entry.at)}</span>
                {entry.revision !== null && <Link to={`/revisions/${entry.revision}`}>{t('revisions.one', { revision: entry.revision })}</Link>}
                {entry.request_id && <span>{t('problem.requestId', { id: entry.request_id })}</span>}
              </span>
            </div>
          </details>
        )}
      />
    </Page>
  );
}
