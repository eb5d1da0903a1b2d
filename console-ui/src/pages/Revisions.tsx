/* Every change that was committed; each can be looked at and gone back to. */
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, need } from '../api/client';
import { useOverview, usePaged } from '../api/queries';
import { Ago } from '../components/Bits';
import { useKindWord } from '../components/Changes';
import { Empty, List, Row, useDebounced } from '../components/List';
import { Page } from '../components/Page';

export function RevisionsPage() {
  const { t } = useTranslation();
  const kind = useKindWord();
  const overview = useOverview();
  const [search, setSearch] = useState('');
  const q = useDebounced(search);
  const query = usePaged(['revisions', 'list', q], (cursor) =>
    need(api.GET('/revisions', { params: { query: { cursor, q: q || undefined, limit: 50 } } })),
  );
  return (
    <Page title={t('revisions.title')} lead={t('revisions.lead')}>
      <List
        query={query}
        testId="revisions"
        label={t('revisions.title')}
        search={{ value: search, onChange: setSearch, placeholder: t('revisions.search') }}
        keyOf={(revision) => String(revision.revision)}
        empty={<Empty title={t('revisions.emptyTitle')} text={t('revisions.emptyText')} />}
        render={(revision) => (
          <Row
            testId={`revision-${revision.revision}`}
            icon={<span className="avatar" style={{ background: 'var(--brand-soft)', color: 'var(--brand)' }}>{revision.revision}</span>}
            to={`/revisions/${revision.revision}`}
            title={
              revision.kind && revision.action !== 'initial'
                ? t('revisions.did', {
                    action: t(`revisions.action.${revision.action}`),
                    kind: kind(revision.kind),
                    name: revision.kind === 'settings' ? '' : (revision.name ?? ''),
                  })
                : t(`revisions.action.${revision.action}`)
            }
            sub={
              <span className="line gap-8">
                {revision.revision === overview.data?.revision && <span className="state ok">{t('revisions.current')}</span>}
                {!revision.kind && <span>{revision.summary}</span>}
              </span>
            }
            meta={[
              { label: t('revisions.who'), value: revision.actor },
              { label: t('revisions.when'), value: <Ago at={revision.created_at} /> },
            ]}
          />
        )}
      />
    </Page>
  );
}
