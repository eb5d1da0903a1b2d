/* One request as bars along its time: the gateway's own share, then every try at a provider in its phases. */
import { useTranslation } from 'react-i18next';
import type { Schemas } from '../api/client';
import { useFormats } from '../lib/format';
import { State } from './Bits';

type Try = Schemas['RequestTry'];

export const PHASES = ['gateway', 'queue', 'connect', 'send', 'wait', 'token', 'stream'] as const;
export type Phase = (typeof PHASES)[number];

export interface Span {
  phase: Phase;
  from: number;
  to: number;
}

/** The phases of one try. What did not happen has no bar; the last phase that began lasts until the end. */
export function phasesOf(entry: Try): Span[] {
  const end = entry.end_ms ?? entry.first_token_ms ?? entry.first_byte_ms ?? entry.start_ms ?? 0;
  const marks: [Phase, number | null][] = [
    ['queue', entry.start_ms],
    ['connect', entry.dial_ms],
    ['send', entry.connect_ms],
    ['wait', entry.sent_ms],
    ['token', entry.first_byte_ms],
    ['stream', entry.first_token_ms],
  ];
  const begun = marks.filter((mark): mark is [Phase, number] => mark[1] !== null);
  return begun
    .map(([phase, from], i) => ({ phase, from, to: begun[i + 1]?.[1] ?? end }))
    .map((span) => (span.phase === 'token' && entry.first_token_ms === null ? { ...span, phase: 'stream' as const } : span))
    .filter((span) => span.to > span.from);
}

export function Waterfall({ request }: { request: Schemas['RequestDetail'] }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const total = Math.max(1, request.total_ms ?? 0, ...request.attempt_log.map((entry) => entry.end_ms ?? 0));
  const first = request.attempt_log[0]?.start_ms ?? request.total_ms ?? 0;
  const ms = (value: number | null) => (value === null ? '–' : t('requests.ms', { value: formats.number(value) }));
  const bar = (span: Span) => (
    <span
      key={`${span.phase}-${span.from}`}
      className={`wf-bar wf-${span.phase}`}
      style={{ left: `${(span.from / total) * 100}%`, width: `max(2px, ${((span.to - span.from) / total) * 100}%)` }}
      title={`${t(`requests.phase.${span.phase}`)}: ${ms(span.to - span.from)}`}
    />
  );
  return (
    <div className="waterfall" data-testid="waterfall">
      <ul className="wf-legend" aria-label={t('requests.legend')}>
        {PHASES.map((phase) => (
          <li key={phase}>
            <span className={`wf-key wf-${phase}`} aria-hidden /> {t(`requests.phase.${phase}`)}
          </li>
        ))}
      </ul>
      <ol>
        <li className="wf-row">
          <div className="wf-head">
            <strong>{t('requests.gateway')}</strong>
            <span className="faint">{t('requests.gatewayShare', { ms: ms(first) })}</span>
          </div>
          <div className="wf-track" aria-hidden>
            {first > 0 && bar({ phase: 'gateway', from: 0, to: first })}
          </div>
        </li>
        {request.attempt_log.map((entry, i) => (
          <li className="wf-row" key={i} data-testid={`try-${i + 1}`}>
            <div className="wf-head">
              <strong>
                {t('requests.try', { number: i + 1 })} · {entry.provider ?? '–'}
              </strong>
              <span className="break">{entry.model}</span>
              <State level={entry.result === 'ok' ? 'ok' : 'bad'}>
                {entry.status ? `${entry.status} · ` : ''}
                {entry.result ?? '–'}
              </State>
              {entry.repeated && <span className="faint">{t('requests.repeated')}</span>}
            </div>
            <div className="wf-track" aria-hidden>
              {phasesOf(entry).map(bar)}
            </div>
            <dl className="wf-facts">
              {(
                [
                  ['start_ms', entry.start_ms],
                  ['connect_ms', entry.connect_ms],
                  ['first_byte_ms', entry.first_byte_ms],
                  ['first_token_ms', entry.first_token_ms],
                  ['end_ms', entry.end_ms],
                ] as const
              ).map(([name, value]) => (
                <div key={name}>
                  <dt>{t(`requests.at.${name}`)}</dt>
                  <dd>{ms(value)}</dd>
                </div>
              ))}
            </dl>
            {(entry.endpoint || entry.key || entry.reused) && (
              <p className="faint break">
                {[entry.endpoint, entry.key && t('requests.keyName', { name: entry.key }), entry.reused && t('requests.reused')].filter(Boolean).join(' · ')}
              </p>
            )}
            {entry.error && <p className="break wf-error">{entry.error}</p>}
          </li>
        ))}
      </ol>
    </div>
  );
}
