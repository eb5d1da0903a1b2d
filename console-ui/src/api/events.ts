/*
 * Live pages: the control plane says what changed (GET /events), and what shows it is read again.  Forms are left alone:
 * what somebody types is never replaced under his hands.  A page that nobody looks at does not listen, because a browser
 * opens only six connections to one server for all its tabs.
 */
import { useQueryClient, type Query } from '@tanstack/react-query';
import { useEffect } from 'react';

type Change = 'revision' | 'nodes' | 'alerts' | 'series';

const isList = (query: Query) => query.queryKey[1] === 'list';
const isOneOf =
  (...kinds: string[]) =>
  (query: Query) =>
    kinds.includes(String(query.queryKey[0]));

/** Which of the queries on the page show what changed. */
export const READ_AGAIN: Record<Change, (query: Query) => boolean> = {
  revision: (query) => (isList(query) && query.queryKey[0] !== 'requests') || isOneOf('overview', 'revisions', 'audit')(query),
  nodes: isOneOf('nodes', 'overview'),
  alerts: isOneOf('alert-events'),
  series: isOneOf('series', 'overview'),
};

/** Listens as long as the page is seen. */
export function useLiveEvents(): void {
  const client = useQueryClient();
  useEffect(() => {
    if (typeof EventSource === 'undefined') return undefined;
    let source: EventSource | null = null;
    const listen = () => {
      if (source !== null) return;
      source = new EventSource('/api/v1/events');
      for (const change of Object.keys(READ_AGAIN) as Change[])
        source.addEventListener(change, () => void client.invalidateQueries({ predicate: READ_AGAIN[change] }));
    };
    const leave = () => {
      source?.close();
      source = null;
    };
    const follow = () => (document.visibilityState === 'visible' ? listen() : leave());
    follow();
    document.addEventListener('visibilitychange', follow);
    return () => {
      document.removeEventListener('visibilitychange', follow);
      leave();
    };
  }, [client]);
}
