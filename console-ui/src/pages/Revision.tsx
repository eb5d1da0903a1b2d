/* One revision: what it changed (or how it differs from another), and the way back to it. */
import { RollbackOutlined } from '@ant-design/icons';
import { useQuery } from '@tanstack/react-query';
import { App, Button, InputNumber, Modal, type ButtonProps } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate, useParams } from 'react-router-dom';
import { api, need } from '../api/client';
import { useMay, useOverview, useRefresh } from '../api/queries';
import { Ago } from '../components/Bits';
import { ChangeList } from '../components/Changes';
import { LoadingRows } from '../components/List';
import { Card, Page } from '../components/Page';
import { ProblemAlert, useWarningText } from '../components/Problem';

function RollbackDialog({ revision, open, onClose }: { revision: number; open: boolean; onClose: () => void }) {
  const { t } = useTranslation();
  const { message } = App.useApp();
  const navigate = useNavigate();
  const refresh = useRefresh();
  const words = useWarningText();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const plan = useQuery({
    queryKey: ['rollback-plan', revision],
    queryFn: () => need(api.POST('/revisions/{revision}/rollback', { params: { path: { revision }, query: { dry_run: true } } })),
    enabled: open,
    staleTime: 0,
    gcTime: 0,
    retry: false,
  });
  const go = async () => {
    setBusy(true);
    setError(null);
    try {
      const done = await need(api.POST('/revisions/{revision}/rollback', { params: { path: { revision } } }));
      await refresh('providers', 'routes', 'consumers', 'settings', 'global-plugins');
      message.success(t('revisions.rolledBack', { revision }));
      onClose();
      if (done.revision !== null) navigate(`/revisions/${done.revision}`);
    } catch (fault) {
      setError(fault);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Modal
      open={open}
      width={720}
      title={t('revisions.rollbackTitle', { revision })}
      onCancel={onClose}
      onOk={go}
      okText={t('revisions.rollbackGo')}
      cancelText={t('common.cancel')}
      okButtonProps={{ loading: busy, disabled: !plan.data || plan.data.plan.length === 0, 'data-testid': 'rollback-confirm' } as ButtonProps}
      destroyOnHidden
    >
      <p className="muted" style={{ marginBottom: 12 }}>{t('revisions.rollbackText')}</p>
      <ProblemAlert error={error ?? plan.error} />
      {plan.isPending && open && <LoadingRows rows={2} />}
      {plan.data && <ChangeList changes={plan.data.plan} empty={t('revisions.rollbackNothing')} />}
      {plan.data?.warnings.map((warning, i) => (
        <p key={i} className="state warn" data-testid="rollback-warning">{words(warning)}</p>
      ))}
    </Modal>
  );
}

export function RevisionPage() {
  const { t } = useTranslation();
  const params = useParams();
  const revision = Number(params.revision ?? 0);
  const may = useMay('operator');
  const overview = useOverview();
  const [against, setAgainst] = useState<number | null>(null);
  const [rolling, setRolling] = useState(false);
  const from = against ?? Math.max(0, revision - 1);
  const summary = useQuery({
    queryKey: ['revisions', 'one', revision],
    queryFn: () => need(api.GET('/revisions/{revision}', { params: { path: { revision } } })),
  });
  const diff = useQuery({
    queryKey: ['revisions', 'diff', from, revision],
    queryFn: () => need(api.GET('/revisions/{from}/diff/{to}', { params: { path: { from, to: revision } } })),
  });
  const current = overview.data?.revision;
  return (
    <Page
      title={t('revisions.one', { revision })}
      lead={
        summary.data && (
          <>
            {summary.data.summary} · {summary.data.actor} · <Ago at={summary.data.created_at} />
          </>
        )
      }
      back={{ to: '/revisions', text: t('revisions.title') }}
      actions={
        may &&
        current !== undefined &&
        revision !== current && (
          <Button icon={<RollbackOutlined />} onClick={() => setRolling(true)} data-testid="rollback">
            {t('revisions.rollback')}
          </Button>
        )
      }
    >
      {summary.isError && <ProblemAlert error={summary.error} onRetry={() => void summary.refetch()} />}
      <Card
        title={t('revisions.changes')}
        extra={
          <label className="line gap-8">
            <span className="muted">{t('revisions.against')}</span>
            <InputNumber
              min={0}
              max={current}
              value={from}
              onChange={(value) => setAgainst(value)}
              style={{ width: 92 }}
              data-testid="revision-against"
            />
          </label>
        }
      >
        {diff.isPending && <LoadingRows rows={2} />}
        {diff.isError && <ProblemAlert error={diff.error} onRetry={() => void diff.refetch()} />}
        {diff.data && <ChangeList changes={diff.data.changes} empty={t('revisions.noChanges')} />}
      </Card>
      <RollbackDialog revision={revision} open={rolling} onClose={() => setRolling(false)} />
    </Page>
  );
}
