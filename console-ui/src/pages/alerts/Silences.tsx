/* Silences: times in which events are recorded and nobody is told. */
import { PlusOutlined } from '@ant-design/icons';
import { Button, Form, Input, InputNumber } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useQuery } from '@tanstack/react-query';
import { api, need } from '../../api/client';
import { useMay, usePaged, useRefresh } from '../../api/queries';
import { Ago, DeleteButton, State } from '../../components/Bits';
import { Empty, List, Row } from '../../components/List';
import { FormSelect } from '../../forms/FormSelect';
import { useRules } from '../../forms/inputs';
import { Editor } from './Editor';

interface Values {
  name: string;
  rule?: string;
  object?: string;
  hours: number;
}

export function Silences() {
  const { t } = useTranslation();
  const may = useMay('operator');
  const refresh = useRefresh();
  const rules = useRules();
  const [open, setOpen] = useState(false);
  const query = usePaged(['silences', 'list'], (cursor) => need(api.GET('/silences', { params: { query: { cursor, limit: 50 } } })), { refetchInterval: 30_000 });
  const alerts = useQuery({ queryKey: ['alerts', 'all'], queryFn: async () => (await need(api.GET('/alerts', { params: { query: { limit: 500 } } }))).items });
  const isOn = (from: string, to: string) => Date.parse(from) <= Date.now() && Date.now() < Date.parse(to);
  return (
    <>
      <List
        query={query}
        testId="silences"
        label={t('alerts.tabs.silences')}
        tools={
          may && (
            <Button type="primary" icon={<PlusOutlined />} onClick={() => setOpen(true)} data-testid="silence-add">
              {t('alerts.addSilence')}
            </Button>
          )
        }
        keyOf={(silence) => silence.name}
        empty={<Empty title={t('alerts.noSilences')} text={t('alerts.noSilencesText')} />}
        render={(silence) => (
          <Row
            testId={`silence-${silence.name}`}
            title={silence.name}
            sub={[silence.rule || t('alerts.everyRule'), silence.object || t('alerts.everyObject')].join(' · ')}
            off={!isOn(silence.starts_at, silence.ends_at)}
            meta={[
              { label: t('alerts.state'), value: isOn(silence.starts_at, silence.ends_at) ? <State level="warn">{t('alerts.inForce')}</State> : <State level="idle">{t('alerts.notInForce')}</State> },
              { label: t('alerts.since'), value: <Ago at={silence.starts_at} /> },
              { label: t('alerts.until'), value: <Ago at={silence.ends_at} /> },
            ]}
            actions={
              may && (
                <DeleteButton bare size="small" type="text" label={t('alerts.deleteOf', { name: silence.name })} testId={`silence-${silence.name}-delete`}
                  question={t('alerts.deleteTitle', { name: silence.name })} text={t('alerts.deleteSilenceText')}
                  onDelete={() => need(api.DELETE('/silences/{name}', { params: { path: { name: silence.name } } }))} onDone={() => void refresh('silences')} />
              )
            }
          />
        )}
      />
      <Editor<Values>
        open={open}
        title={t('alerts.addSilence')}
        kind="silences"
        testId="silence"
        initial={{ hours: 2 }}
        onClose={() => setOpen(false)}
        save={({ name, rule, object, hours }) => {
          const from = Date.now();
          const body = { name, rule: rule ?? '', object: object ?? '', starts_at: new Date(from).toISOString(), ends_at: new Date(from + hours * 3_600_000).toISOString() };
          return need(api.POST('/silences', { body }));
        }}
      >
        {() => (
          <>
            <Form.Item name="name" label={t('alerts.name')} rules={rules.name} validateFirst>
              <Input autoCapitalize="none" spellCheck={false} data-testid="silence-name" />
            </Form.Item>
            <div className="fields-2">
              <Form.Item name="rule" label={t('alerts.rule')}>
                <FormSelect allowClear placeholder={t('alerts.everyRule')} options={(alerts.data ?? []).map((rule) => ({ value: rule.name, label: rule.name }))} data-testid="silence-rule" />
              </Form.Item>
              <Form.Item name="object" label={t('alerts.object')}>
                <Input placeholder={t('alerts.everyObject')} data-testid="silence-object" />
              </Form.Item>
              <Form.Item name="hours" label={t('alerts.hours')} rules={[rules.required]}>
                <InputNumber min={1} max={720} precision={0} style={{ width: '100%' }} data-testid="silence-hours" />
              </Form.Item>
            </div>
          </>
        )}
      </Editor>
    </>
  );
}
