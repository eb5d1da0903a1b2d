import { PlusOutlined } from '@ant-design/icons';
import { Button, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { api, need } from '../../api/client';
import { usePaged, useRefresh } from '../../api/queries';
import { Ago, DeleteButton } from '../../components/Bits';
import { Empty, List, Row, useDebounced } from '../../components/List';
import { JoinTokenMaker } from '../JoinTokenMaker';

export function JoinTokens() {
  const { t } = useTranslation();
  const refresh = useRefresh();
  const [search, setSearch] = useState('');
  const [open, setOpen] = useState(false);
  const q = useDebounced(search);
  const query = usePaged(['join-tokens', 'list', q], (cursor) =>
    need(api.GET('/join-tokens', { params: { query: { cursor, q: q || undefined, limit: 50 } } })),
  );
  return (
    <>
      <p className="muted" style={{ marginBottom: 14 }}>{t('join.lead')}</p>
      <List
        query={query}
        testId="join-tokens"
        label={t('settings.tabs.join-tokens')}
        search={{ value: search, onChange: setSearch, placeholder: t('tokens.search') }}
        tools={
          <Button icon={<PlusOutlined />} onClick={() => setOpen(true)} data-testid="join-add">
            {t('join.add')}
          </Button>
        }
        keyOf={(token) => token.id}
        empty={<Empty title={t('join.emptyTitle')} text={t('join.emptyText')} />}
        render={(token) => (
          <Row
            testId={`join-${token.name}`}
            title={token.name}
            sub={t('tokens.by', { name: token.created_by })}
            meta={[
              { label: t('join.uses'), value: token.uses },
              { label: t('keys.lastUse'), value: <Ago at={token.last_used_at} /> },
              { label: t('form.expires'), value: token.expires_at ? <Ago at={token.expires_at} /> : t('common.neverExpires') },
            ]}
            actions={
              <DeleteButton
                bare
                size="small"
                type="text"
                label={t('tokens.revokeOf', { name: token.name })}
                testId={`join-${token.name}-delete`}
                question={t('tokens.revokeTitle', { name: token.name })}
                text={t('join.revokeText')}
                action={t('keys.revoke')}
                onDelete={() => need(api.DELETE('/join-tokens/{id}', { params: { path: { id: token.id } } }))}
                onDone={() => void refresh('join-tokens')}
              />
            }
          />
        )}
      />
      <Modal open={open} onCancel={() => setOpen(false)} footer={null} title={t('workers.addTitle')} width={680} destroyOnHidden>
        <JoinTokenMaker />
      </Modal>
    </>
  );
}
