/* Which request goes where. */
import { CodeOutlined, CopyOutlined, PlusOutlined, QuestionCircleOutlined } from '@ant-design/icons';
import { Button, Modal, Tooltip } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router-dom';
import { api, need, type Schemas } from '../api/client';
import { useMay, usePaged, useRefresh } from '../api/queries';
import { EnableSwitch } from '../components/EnableSwitch';
import { Empty, List, Row, useDebounced } from '../components/List';
import { Page } from '../components/Page';
import { UsageSnippet } from '../components/Snippet';
import { ExplainDrawer } from './Explain';
import { MatchChips, TargetWords, WhoWords } from './routeText';

export function RoutesPage() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const may = useMay('operator');
  const refresh = useRefresh();
  const [search, setSearch] = useState('');
  const [explain, setExplain] = useState(false);
  const [shown, setShown] = useState<Schemas['Route'] | null>(null);
  const q = useDebounced(search);
  const query = usePaged(['routes', 'list', q], (cursor) =>
    need(api.GET('/routes', { params: { query: { cursor, q: q || undefined, limit: 50 } } })),
  );
  return (
    <Page
      title={t('routes.title')}
      lead={t('routes.lead')}
      actions={
        <>
          <Button icon={<QuestionCircleOutlined />} onClick={() => setExplain(true)} data-testid="explain-open">
            {t('explain.open')}
          </Button>
          {may && (
            <Button type="primary" icon={<PlusOutlined />} onClick={() => navigate('/routes/new')} data-testid="route-add">
              {t('routes.add')}
            </Button>
          )}
        </>
      }
    >
      <List
        query={query}
        testId="routes"
        label={t('routes.title')}
        search={{ value: search, onChange: setSearch, placeholder: t('routes.search') }}
        keyOf={(route) => route.name}
        empty={
          <Empty
            title={t('routes.emptyTitle')}
            text={t('routes.emptyText')}
            actions={
              may && (
                <Button type="primary" onClick={() => navigate('/routes/new')} data-testid="route-add-first">
                  {t('routes.add')}
                </Button>
              )
            }
          />
        }
        render={(route) => (
          <Row
            testId={`route-${route.name}`}
            title={route.name}
            to={`/routes/${route.name}`}
            sub={<MatchChips route={route} />}
            off={route.enabled === false}
            meta={[
              { label: t('routes.to'), value: <TargetWords route={route} /> },
              { label: t('routes.who'), value: <WhoWords route={route} /> },
            ]}
            actions={
              <>
                <Button size="small" icon={<CodeOutlined />} onClick={() => setShown(route)} data-testid={`route-${route.name}-use`}>
                  {t('routes.use')}
                </Button>
                {may && (
                  <>
                    <Tooltip title={t('routes.duplicate')}>
                      <Button
                        size="small"
                        type="text"
                        icon={<CopyOutlined />}
                        aria-label={t('routes.duplicateOf', { name: route.name })}
                        onClick={() => navigate(`/routes/new?from=${route.name}`)}
                        data-testid={`route-${route.name}-duplicate`}
                      />
                    </Tooltip>
                    <EnableSwitch
                      name={route.name}
                      enabled={route.enabled !== false}
                      testId={`route-${route.name}-enabled`}
                      onChange={async (enabled) => {
                        await need(api.PATCH('/routes/{name}', { params: { path: { name: route.name } }, body: { enabled } }));
                        await refresh('routes');
                      }}
                    />
                  </>
                )}
              </>
            }
          />
        )}
      />
      <Modal
        open={shown !== null}
        onCancel={() => setShown(null)}
        footer={null}
        width={720}
        title={shown ? t('snippet.title', { name: shown.name }) : ''}
        destroyOnHidden
      >
        {shown && <UsageSnippet route={shown} />}
      </Modal>
      <ExplainDrawer open={explain} onClose={() => setExplain(false)} />
    </Page>
  );
}
