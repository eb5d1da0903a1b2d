/* Which pages read again when something changed: never a form, never the request log unless it is wanted live. */
import type { Query } from '@tanstack/react-query';
import { describe, expect, it } from 'vitest';
import { READ_AGAIN } from '../src/api/events';

const query = (...queryKey: unknown[]) => ({ queryKey }) as unknown as Query;

describe('events of the control plane', () => {
  it('refresh lists and the overview after a change of the configuration, and leave forms alone', () => {
    expect(READ_AGAIN.revision(query('routes', 'list', ''))).toBe(true);
    expect(READ_AGAIN.revision(query('overview'))).toBe(true);
    expect(READ_AGAIN.revision(query('routes', 'one', 'r1'))).toBe(false);
    expect(READ_AGAIN.revision(query('settings'))).toBe(false);
    expect(READ_AGAIN.revision(query('requests', 'list', '{}'))).toBe(false);
  });
  it('refresh what shows workers, alerts and figures', () => {
    expect(READ_AGAIN.nodes(query('nodes', 'list'))).toBe(true);
    expect(READ_AGAIN.alerts(query('alert-events', 'all'))).toBe(true);
    expect(READ_AGAIN.series(query('series', 'requests', ''))).toBe(true);
    expect(READ_AGAIN.series(query('consumers', 'list'))).toBe(false);
  });
});
