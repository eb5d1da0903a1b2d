/* The workers: do they serve what was configured? */
import { PlusOutlined } from '@ant-design/icons';
import { Alert, Button, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, need, type Schemas } from '../api/client';
import { useMay, usePaged, useRefresh } from '../api/queries';
import { Ago, DeleteButton, State } from '../components/Bits';
import { Empty, List, Row, useDebounced } from '../components/List';
import { Page } from '../components/Page';
import { useFormats } from '../lib/format';
import { JoinTokenMaker } from './JoinTokenMaker';

function levelOf(node: Schemas['Node']): 'ok' | 'warn' | 'bad' | 'idle' {
  if (node.state === 'disconnected') return 'idle';
  if (node.state === 'draining' || node.lag > 0 || node.counters_away) return 'warn';
  return 'ok';
}

export function WorkersPage() {
  const { t } = useTranslation();
  const formats = useFormats();
  const admin = useMay('admin');
  const refresh = useRefresh();
  const [search, setSearch] = useState('');
  const [adding, setAdding] = useState(false);
  const q = useDebounced(search);
  const query = usePaged(
    ['nodes', 'list', q],
    (cursor) => need(api.GET('/nodes', { params: { query: { cursor, q: q || undefined, limit: 100 } } })),
    { refetchInterval: 3_000 },
  );
  return (
    <Page
      title={t('workers.title')}
      lead={t('workers.lead')}
      actions={
        admin && (
          <Button type="primary" icon={<PlusOutlined />} onClick={() => setAdding(true)} data-testid="worker-add">
            {t('workers.add')}
          </Button>
        )
      }
    >
      <List
        query={query}
        testId="workers"
        label={t('workers.title')}
        search={{ value: search, onChange: setSearch, placeholder: t('workers.search') }}
        keyOf={(node) => node.id}
        empty={
          <Empty
            title={t('workers.emptyTitle')}
            text={t('workers.emptyText')}
            actions={
              admin && (
                <Button type="primary" onClick={() => setAdding(true)} data-testid="worker-add-first">
                  {t('workers.add')}
                </Button>
              )
            }
          />
        }
        render={(node) => (
          <>
            <Row
              testId={`worker-${node.name}`}
              title={node.name}
              to={`/workers/${node.id}`}
              sub={
                <State level={levelOf(node)}>
                  {t(`workers.state.${node.state}`)}
                  {node.state === 'connected' && node.lag > 0 && `, ${t('workers.behind', { count: node.lag })}`}
                  {node.counters_away && `, ${t('workers.countersAway')}`}
                </State>
              }
              off={node.state === 'disconnected'}
              meta={[
                { label: t('workers.version'), value: node.version },
                { label: t('workers.revision'), value: formats.number(node.revision_served) },
                { label: t('workers.address'), value: <span className="break">{node.listen ?? node.address}</span>, grow: 1.5 },
                { label: t('workers.requests'), value: t('workers.requestsNow', { all: formats.compact(node.requests), now: node.in_flight }) },
                { label: t('workers.seen'), value: <Ago at={node.last_seen_at} /> },
              ]}
              actions={
                <span className="worker-actions">
                {admin && node.state === 'disconnected' && (
                  <DeleteButton
                    bare
                    size="small"
                    type="text"
                    label={t('workers.forgetOf', { name: node.name })}
                    testId={`worker-${node.name}-forget`}
                    question={t('workers.forgetTitle', { name: node.name })}
                    text={t('workers.forgetText')}
                    action={t('workers.forget')}
                    onDelete={() => need(api.DELETE('/nodes/{id}', { params: { path: { id: node.id } } }))}
                    onDone={() => void refresh('nodes')}
                  />
                )}
                </span>
              }
            />
            {node.last_error && (
              <div style={{ padding: '0 20px 14px' }}>
                <Alert type={node.state === 'connected' ? 'warning' : 'info'} message={node.last_error} className="break" />
              </div>
            )}
          </>
        )}
      />
      <Modal open={adding} onCancel={() => setAdding(false)} footer={null} title={t('workers.addTitle')} width={680} destroyOnHidden>
        <JoinTokenMaker />
      </Modal>
    </Page>
  );
}
