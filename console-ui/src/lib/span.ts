/* The span of time that charts show: one that follows the clock, or two fixed ends after zooming.  It stands in the address. */
import { useMemo } from 'react';
import { useSearchParams } from 'react-router-dom';

export const SPANS = { '15m': 900, '1h': 3600, '6h': 21_600, '24h': 86_400, '7d': 604_800, '30d': 2_592_000 } as const;
export type SpanName = keyof typeof SPANS;

export interface Span {
  name: SpanName | 'fixed';
  /** Unix seconds, of a fixed one. */
  from: number;
  to: number;
}

export function isSpanName(text: string | null): text is SpanName {
  return text !== null && Object.keys(SPANS).includes(text);
}

export function readSpan(params: URLSearchParams): Span {
  const from = Number(params.get('from'));
  const to = Number(params.get('to'));
  if (from > 0 && to > from) return { name: 'fixed', from, to };
  const name = params.get('span');
  return { name: isSpanName(name) ? name : '1h', from: 0, to: 0 };
}

/** The ends of the span, in Unix seconds; a span that follows the clock ends in the step that is being counted. */
export function endsOf(span: Span, now = Date.now()): { from: number; to: number } {
  if (span.name === 'fixed') return { from: span.from, to: span.to };
  const to = Math.ceil(now / 10_000) * 10;
  return { from: to - SPANS[span.name], to };
}

export function useSpan(): { span: Span; choose: (name: SpanName) => void; zoom: (from: number, to: number) => void } {
  const [params, setParams] = useSearchParams();
  const span = useMemo(() => readSpan(params), [params]);
  const set = (change: (next: URLSearchParams) => void) =>
    setParams(
      (old) => {
        const next = new URLSearchParams(old);
        ['span', 'from', 'to'].forEach((key) => next.delete(key));
        change(next);
        return next;
      },
      { replace: true },
    );
  return {
    span,
    choose: (name) => set((next) => next.set('span', name)),
    zoom: (from, to) =>
      set((next) => {
        /* Nothing is counted more finely than every ten seconds: one minute is as close as one can look. */
        const middle = (from + to) / 2;
        const half = Math.max(30, (to - from) / 2);
        next.set('from', String(Math.floor((middle - half) / 10) * 10));
        next.set('to', String(Math.ceil((middle + half) / 10) * 10));
      }),
  };
}
