/* What pages read, and what they must read again after a change. */
import { type QueryClient, keepPreviousData, useInfiniteQuery, useQuery, useQueryClient } from '@tanstack/react-query';
import { api, need, needWithHeaders, setCsrfToken, type Schemas } from './client';
import { ApiError } from './errors';

export type Session = Schemas['Session'];

interface PageOf<T> {
  items: T[];
  next_cursor: string | null;
  total: number;
}

export interface PagedResult<T> {
  items: T[];
  total: number;
  isPending: boolean;
  isSuccess: boolean;
  isError: boolean;
  error: unknown;
  hasMore: boolean;
  loadingMore: boolean;
  more: () => void;
  refetch: () => void;
}

/** A list of any length, page after page.  The first member of `key` is the kind, for useRefresh(). */
export function usePaged<T>(
  key: unknown[],
  fetchPage: (cursor: string | undefined) => Promise<PageOf<T>>,
  options: { refetchInterval?: number } = {},
): PagedResult<T> {
  const query = useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam }) => fetchPage(pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
    placeholderData: keepPreviousData,
    ...options,
  });
  const pages = query.data?.pages ?? [];
  return {
    items: pages.flatMap((page) => page.items),
    total: pages[0]?.total ?? 0,
    isPending: query.isPending,
    isSuccess: query.isSuccess,
    isError: query.isError,
    error: query.error,
    hasMore: query.hasNextPage,
    loadingMore: query.isFetchingNextPage,
    more: () => void query.fetchNextPage(),
    refetch: () => void query.refetch(),
  };
}

/** After a change: the kinds that may look different now are read again. */
export function useRefresh(): (...kinds: string[]) => Promise<void> {
  const client = useQueryClient();
  return async (...kinds) => {
    await Promise.all([...kinds, 'overview', 'revisions', 'audit'].map((kind) => client.invalidateQueries({ queryKey: [kind] })));
  };
}

export function useSetup() {
  return useQuery({ queryKey: ['setup'], queryFn: () => need(api.GET('/setup')), staleTime: 60_000 });
}

/** null: nobody is logged in. */
export async function readSession(): Promise<Session | null> {
  try {
    const session = await need(api.GET('/session'));
    setCsrfToken(session.csrf_token);
    return session;
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return null;
    throw error;
  }
}

const LEFT = ['left'];

/** Did the last person log out, rather than lose the session?  Then nobody wants to come back to this page. */
export function hasLeft(client: QueryClient): boolean {
  return client.getQueryData(LEFT) === true;
}

/** Another person, or nobody: nothing that the last one has seen stays. */
export function changePerson(client: QueryClient, session: Session | null, how: 'left' | 'ended' = 'ended'): void {
  client.setQueryData(LEFT, session === null && how === 'left');
  setCsrfToken(session?.csrf_token ?? '');
  client.setQueryData(['setup'], { initialised: true });
  client.setQueryData(['session'], session);
  client.removeQueries({ predicate: (query) => !['setup', 'session', 'left'].includes(String(query.queryKey[0])) });
}

export function useSession() {
  return useQuery({ queryKey: ['session'], queryFn: readSession, staleTime: 300_000 });
}

const RANKS: Record<Schemas['Role'], number> = { viewer: 0, operator: 1, admin: 2 };

export function roleReaches(role: Schemas['Role'] | undefined, least: Schemas['Role']): boolean {
  return role !== undefined && RANKS[role] >= RANKS[least];
}

/** May the person at this browser do what needs the role `least`? */
export function useMay(least: Schemas['Role']): boolean {
  const session = useSession();
  return roleReaches(session.data?.user.role, least);
}

export function useOverview(refetchInterval = 10_000) {
  return useQuery({
    queryKey: ['overview'],
    queryFn: () => need(api.GET('/overview')),
    /* A change on its way arrives within a second: look again soon. */
    refetchInterval: ({ state }) => (state.data && state.data.workers.current < state.data.workers.connected ? 700 : refetchInterval),
  });
}

export function useProviderTypes() {
  return useQuery({
    queryKey: ['provider-types'],
    queryFn: async () => (await need(api.GET('/provider-types'))).items,
    staleTime: Infinity,
  });
}

export function usePlugins() {
  return useQuery({
    queryKey: ['plugins'],
    queryFn: async () => (await need(api.GET('/plugins'))).items,
    staleTime: Infinity,
  });
}

const ALL = { limit: 500 } as const;

export function useAllProviders() {
  return useQuery({
    queryKey: ['providers', 'all'],
    queryFn: async () => (await need(api.GET('/providers', { params: { query: ALL } }))).items,
  });
}

export function useAllRoutes() {
  return useQuery({
    queryKey: ['routes', 'all'],
    queryFn: async () => (await need(api.GET('/routes', { params: { query: ALL } }))).items,
  });
}

export function useAllConsumers() {
  return useQuery({
    queryKey: ['consumers', 'all'],
    queryFn: async () => (await need(api.GET('/consumers', { params: { query: ALL } }))).items,
  });
}

export function useAllGroups() {
  return useQuery({
    queryKey: ['groups', 'all'],
    queryFn: async () => (await need(api.GET('/groups', { params: { query: ALL } }))).items,
  });
}

export function useAllJwtIssuers() {
  return useQuery({
    queryKey: ['jwt-issuers', 'all'],
    queryFn: async () => (await need(api.GET('/jwt-issuers', { params: { query: ALL } }))).items,
  });
}

/** One object with the ETag that guards its change. */
export interface Guarded<T> {
  object: T;
  etag: string | undefined;
}

async function guarded<T>(pending: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<Guarded<T>> {
  const { data, headers } = await needWithHeaders(pending);
  return { object: data, etag: headers.get('ETag') ?? undefined };
}

export function useProvider(name: string | undefined) {
  return useQuery({
    queryKey: ['providers', 'one', name],
    queryFn: () => guarded(api.GET('/providers/{name}', { params: { path: { name: name ?? '' } } })),
    enabled: name !== undefined,
  });
}

export function useRoute(name: string | undefined) {
  return useQuery({
    queryKey: ['routes', 'one', name],
    queryFn: () => guarded(api.GET('/routes/{name}', { params: { path: { name: name ?? '' } } })),
    enabled: name !== undefined,
  });
}

export function useConsumer(name: string | undefined) {
  return useQuery({
    queryKey: ['consumers', 'one', name],
    queryFn: () => guarded(api.GET('/consumers/{name}', { params: { path: { name: name ?? '' } } })),
    enabled: name !== undefined,
  });
}

export function useGroup(name: string | undefined) {
  return useQuery({
    queryKey: ['groups', 'one', name],
    queryFn: () => guarded(api.GET('/groups/{name}', { params: { path: { name: name ?? '' } } })),
    enabled: name !== undefined,
  });
}

export function useSettings() {
  return useQuery({ queryKey: ['settings'], queryFn: () => guarded(api.GET('/settings')) });
}

/** Header that refuses the write when somebody else was faster. */
export function ifMatch(etag: string | undefined): { 'If-Match'?: string } {
  return etag ? { 'If-Match': etag } : {};
}
