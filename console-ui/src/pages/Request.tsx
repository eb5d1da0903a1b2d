/* One request: what it was, what it cost, its tries as a waterfall, and what was said, for those who may read it. */
import { useQuery } from '@tanstack/react-query';
import { Button } from 'antd';
import { useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useParams } from 'react-router-dom';
import { api, need, type Schemas } from '../api/client';
import { useMay } from '../api/queries';
import { State } from '../components/Bits';
import { LoadingRows } from '../components/List';
import { Card, Page } from '../components/Page';
import { ProblemAlert } from '../components/Problem';
import { Waterfall } from '../components/Waterfall';
import { useFormats } from '../lib/format';
import { fellBack, levelOf } from './Requests';

function Facts({ request }: { request: Schemas['RequestDetail'] }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const named = (kind: 'consumers' | 'routes' | 'providers', name: string | null): ReactNode => name && <Link to={`/${kind}/${name}`}>{name}</Link>;
  const same = (field: 'trace_id' | 'client_ip' | 'error_code' | 'key_id', value: string | null): ReactNode =>
    value && (
      <Link to={`/requests?${field}=${encodeURIComponent(value)}`} className="mono break">
        {value}
      </Link>
    );
  const facts: [string, ReactNode][] = [
    [t('requests.when'), formats.dateTime(request.started_at)],
    [t('requests.field.consumer'), named('consumers', request.consumer)],
    [t('requests.field.key_id'), same('key_id', request.key_id)],
    [t('requests.field.route'), named('routes', request.route)],
    [t('requests.field.provider'), named('providers', request.provider)],
    [t('requests.field.model'), request.model && <span className="mono break">{request.model}</span>],
    [t('requests.served'), request.served_model && <span className="mono break">{request.served_model}</span>],
    [t('requests.field.client_ip'), same('client_ip', request.client_ip)],
    [t('requests.field.error_code'), same('error_code', request.error_code)],
    [t('requests.refusedBy'), fellBack(request) ? t('requests.fellBack', { by: request.refused_by }) : request.refused_by],
    [t('requests.field.trace_id'), same('trace_id', request.trace_id)],
    [t('requests.cost'), request.cost !== null && request.currency ? `${(request.cost / 1_000_000).toLocaleString(undefined, { maximumFractionDigits: 6 })} ${request.currency}` : null],
    [
      t('requests.tokens'),
      t('requests.tokensText', {
        prompt: formats.number(request.prompt_tokens),
        completion: formats.number(request.completion_tokens),
        source: t(`requests.source.${request.usage_source}`),
      }),
    ],
    [t('requests.cached'), request.cached_tokens > 0 ? formats.number(request.cached_tokens) : null],
    [
      t('requests.cacheWrites'),
      request.cache_write_1h_tokens > 0
        ? t('requests.cacheWritesHour', { all: formats.number(request.cache_write_tokens), hour: formats.number(request.cache_write_1h_tokens) })
        : request.cache_write_tokens > 0
          ? formats.number(request.cache_write_tokens)
          : null,
    ],
    [t('requests.reasoning'), request.reasoning_tokens > 0 ? formats.number(request.reasoning_tokens) : null],
    [t('requests.bytes'), `${formats.number(request.request_bytes)} / ${formats.number(request.response_bytes)}`],
  ];
  return (
    <dl className="facts" data-testid="request-facts">
      {facts
        .filter(([, value]) => value !== null && value !== '' && value !== undefined)
        .map(([label, value]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

function Prompts({ id }: { id: string }) {
  const { t } = useTranslation();
  const may = useMay('operator');
  const [shown, setShown] = useState(false);
  const query = useQuery({
    queryKey: ['requests', 'prompts', id],
    queryFn: () => need(api.GET('/requests/{id}/prompts', { params: { path: { id } } })),
    enabled: shown,
    staleTime: Infinity,
  });
  if (!may) return <p className="muted">{t('requests.promptsHidden')}</p>;
  if (!shown) {
    return (
      <div className="stack gap-8">
        <p className="muted">{t('requests.promptsAudited')}</p>
        <span>
          <Button onClick={() => setShown(true)} data-testid="prompts-show">
            {t('requests.promptsShow')}
          </Button>
        </span>
      </div>
    );
  }
  if (query.isError) return <ProblemAlert error={query.error} onRetry={() => void query.refetch()} />;
  if (!query.data) return <LoadingRows rows={1} />;
  const { prompt, answer, mode, masked, note } = query.data;
  return (
    <div className="stack gap-12">
      <p className="muted">{mode === 'masked' ? t('requests.maskedPlaces', { count: masked }) : t('requests.fullText')}</p>
      {note && <p className="muted">{note}</p>}
      {(
        [
          ['prompt', prompt],
          ['answer', answer],
        ] as const
      ).map(
        ([name, text]) =>
          text !== null && (
            <div key={name}>
              <h3>{t(`requests.${name}`)}</h3>
              <pre className="said" tabIndex={0} data-testid={`said-${name}`}>
                {text}
              </pre>
            </div>
          ),
      )}
    </div>
  );
}

export function RequestPage() {
  const { t } = useTranslation();
  const { id = '' } = useParams();
  const back = { to: '/requests', text: t('requests.title') };
  const query = useQuery({ queryKey: ['requests', 'one', id], queryFn: () => need(api.GET('/requests/{id}', { params: { path: { id } } })) });
  if (!query.data) {
    return (
      <Page title={id} back={back}>
        {query.isError ? (
          <ProblemAlert error={query.error} onRetry={() => void query.refetch()} />
        ) : (
          <div className="card">
            <LoadingRows />
          </div>
        )}
      </Page>
    );
  }
  const request = query.data;
  return (
    <Page
      title={request.request_id}
      back={back}
      lead={
        <State level={levelOf(request)}>
          {request.status || '–'} · {t(`requests.end.${request.end_reason}`)}
        </State>
      }
    >
      <div className="stack gap-16">
        <Card title={t('requests.waterfall')} lead={t('requests.waterfallLead')}>
          <Waterfall request={request} />
        </Card>
        <Card title={t('requests.facts')}>
          <Facts request={request} />
        </Card>
        {request.has_prompts && (
          <Card title={t('requests.prompts')} testId="request-prompts">
            <Prompts id={request.id} />
          </Card>
        )}
      </div>
    </Page>
  );
}
