/* Who did what, when, from where; with the object before and after. */
import { Select } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, need } from '../api/client';
import { usePaged } from '../api/queries';
import { Ago, State } from '../components/Bits';
import { DiffView, useKindWord } from '../components/Changes';
import { Fold } from '../components/Fold';
import { Empty, List, Row, useDebounced } from '../components/List';
import { Page } from '../components/Page';

const KINDS = ['provider', 'route', 'consumer', 'global-plugin', 'settings', 'user', 'token', 'join-token'];

export function AuditPage() {
  const { t } = useTranslation();
  const kind = useKindWord();
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
          <div data-testid={`audit-${entry.id}`}>
            <Row
              title={entry.name ? t('audit.did', { action: entry.action, name: entry.name }) : entry.action}
              sub={
                entry.outcome === 'ok' ? undefined : <State level={entry.outcome === 'denied' ? 'warn' : 'bad'}>{t(`audit.outcome.${entry.outcome}`)}</State>
              }
              meta={[
                { label: t('audit.who'), value: entry.actor.name || t(`audit.actor.${entry.actor.type}`) },
                { label: t('audit.from'), value: entry.address ?? t('audit.local') },
                { label: t('audit.when'), value: <Ago at={entry.at} /> },
              ]}
            />
            {(entry.before || entry.after || entry.request_id) && (
              <div style={{ padding: '0 20px 14px' }}>
                <Fold title={t('audit.details')} hint={entry.revision ? t('revisions.one', { revision: entry.revision }) : undefined} testId={`audit-${entry.id}-details`}>
                  <div className="stack gap-8" style={{ paddingBottom: 12 }}>
                    {(entry.before || entry.after) && <DiffView before={entry.before} after={entry.after} />}
                    {entry.request_id && <span className="faint">{t('problem.requestId', { id: entry.request_id })}</span>}
                  </div>
                </Fold>
              </div>
            )}
          </div>
        )}
      />
    </Page>
  );
}
