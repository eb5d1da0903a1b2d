/* The application in a pretended browser, against a pretended control plane. */
import { cleanup, configure, fireEvent, render, screen, waitFor, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import i18next from 'i18next';
import { createMemoryRouter, RouterProvider } from 'react-router-dom';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

type Handler = (request: { method: string; path: string; body: unknown; headers: Headers; query: URLSearchParams }) => unknown;

class Answer {
  constructor(
    readonly status: number,
    readonly body: unknown,
    readonly headers: Record<string, string> = {},
  ) {}
}

const problem = (status: number, kind: string, detail: string, errors: object[] = []) =>
  new Answer(status, { type: `urn:tidegate:problem:${kind}`, title: kind, status, detail, request_id: 'req-1', errors });

const list = (items: unknown[]) => ({ items, next_cursor: null, total: items.length });
const session = { user: { username: 'admin', role: 'admin' }, csrf_token: 'csrf-1', expires_at: null };
const figures = { requests: 0, errors: 0, prompt_tokens: 0, completion_tokens: 0, cached_tokens: 0, reasoning_tokens: 0, cost: 0, top_models: [], top_consumers: [], series: [] };
const overview = {
  workers: { connected: 1, total: 1, current: 1 },
  revision: 1,
  counts: { providers: 0, routes: 0, consumers: 0, consumer_keys: 0 },
  data_plane_url: null,
  data_plane_port: 8080,
  first_request_at: null,
  last_hour: figures,
  last_day: figures,
};
const deepseek = {
  type: 'deepseek',
  label: { en: 'DeepSeek', zh: '深度求索' },
  default_base_url: 'https://api.deepseek.com/v1',
  dialects: ['openai-chat'],
  base_url_required: false,
  api_key_required: true,
  options: [],
  docs_url: null,
  doc: { en: '', zh: '' },
};

let handlers: Record<string, Handler>;
let calls: { what: string; body: unknown; headers: Headers }[];

configure({ asyncUtilTimeout: 15000 });

beforeAll(async () => {
  const style = window.getComputedStyle.bind(window);
  vi.stubGlobal('getComputedStyle', (element: Element) => style(element)); /* jsdom has no pseudo-elements */
  vi.stubGlobal('matchMedia', () => ({ matches: false, addListener() {}, removeListener() {}, addEventListener() {}, removeEventListener() {} }));
  vi.stubGlobal('scrollTo', () => {});
  const { startI18n } = await import('../src/i18n');
  await startI18n();
});

beforeEach(() => {
  calls = [];
  handlers = {
    'GET /setup': () => ({ initialised: true }),
    'GET /session': () => session,
    'GET /overview': () => overview,
    'GET /version': () => ({ version: '0', commit: '', api: 'v1', started_at: '2026-01-01T00:00:00Z' }),
    'GET /provider-types': () => list([deepseek]),
    'GET /plugins': () => list([]),
    'GET /providers': () => list([]),
    'GET /routes': () => list([]),
    'GET /consumers': () => list([]),
  };
  /* jsdom's Request does not know relative addresses or bodies as the browser does; the client is given this instead. */
  vi.stubGlobal('fetch', async (request: Request) => {
    const url = new URL(request.url);
    const path = url.pathname.replace('/api/v1', '');
    const text = await request.text();
    const what = `${request.method} ${path}`;
    const body = text ? (JSON.parse(text) as unknown) : undefined;
    calls.push({ what, body, headers: request.headers });
    const handler = handlers[what];
    const result = handler ? handler({ method: request.method, path, body, headers: request.headers, query: url.searchParams }) : problem(404, 'not-found', `nothing at ${what}`);
    const answer = result instanceof Answer ? result : new Answer(200, result);
    return new Response(answer.status === 204 ? null : JSON.stringify(answer.body), {
      status: answer.status,
      headers: { 'Content-Type': answer.status >= 400 ? 'application/problem+json' : 'application/json', ...answer.headers },
    });
  });
});

afterEach(() => {
  cleanup();
});

/** Typing, letter by letter, is the browser tests' business. */
function fill(field: HTMLElement, value: string): void {
  fireEvent.change(field, { target: { value } });
}

async function open(path: string) {
  const { routes } = await import('../src/app/router');
  const router = createMemoryRouter(routes, { initialEntries: [path] });
  render(<RouterProvider router={router} />);
  return { router, user: userEvent.setup({ delay: null }) };
}

describe('doors', () => {
  it('lead to the setup first, and show its faults at their field', async () => {
    handlers['GET /setup'] = () => ({ initialised: false });
    handlers['GET /session'] = () => problem(401, 'unauthenticated', 'log in');
    handlers['POST /setup'] = () => problem(403, 'forbidden', 'no', [{ path: '/setup_token', code: 'bad_format', message: 'the setup token is wrong' }]);
    const { router, user } = await open('/routes');
    fill(await screen.findByTestId('setup-token'), 'tgs_wrong-one');
    expect(router.state.location.pathname).toBe('/setup');
    fill(screen.getByTestId('setup-password'), 'vQ7#kz!9Lm2$Wp');
    await user.click(screen.getByTestId('setup-submit'));
    await screen.findByText(i18next.t('faultAt.setup_token'));
    expect(screen.queryByTestId('problem')).toBeNull();

    handlers['POST /setup'] = () => new Answer(201, session);
    await user.click(screen.getByTestId('setup-submit'));
    await screen.findByTestId('overview-state');
    expect(calls.find((call) => call.what === 'POST /setup')?.body).toEqual({ setup_token: 'tgs_wrong-one', username: 'admin', password: 'vQ7#kz!9Lm2$Wp' });
  });

  it('take one back to the page one wanted', async () => {
    let inside = false;
    handlers['GET /session'] = () => (inside ? session : problem(401, 'unauthenticated', 'log in'));
    handlers['POST /session'] = ({ body }) => {
      inside = (body as { password: string }).password === 'right';
      return inside ? session : problem(401, 'bad-credentials', 'no');
    };
    const { router, user } = await open('/providers?x=1');
    fill(await screen.findByTestId('login-username'), 'admin');
    fill(screen.getByTestId('login-password'), 'wrong');
    await user.click(screen.getByTestId('login-submit'));
    await screen.findByText(i18next.t('problem.badCredentials'));
    fill(screen.getByTestId('login-password'), 'right');
    await user.click(screen.getByTestId('login-submit'));
    await screen.findByTestId('empty');
    expect(router.state.location.pathname + router.state.location.search).toBe('/providers?x=1');
  });

  it('close when the session ends', async () => {
    const { router } = await open('/routes');
    await screen.findByTestId('empty');
    handlers['GET /routes'] = () => problem(401, 'unauthenticated', 'log in');
    handlers['GET /session'] = () => problem(401, 'unauthenticated', 'log in');
    await router.navigate('/routes/new');
    await screen.findByTestId('login-form');
    expect(router.state.location.search).toContain('next=%2Froutes');
  });
});

describe('pages', () => {
  it('offer to try again when a list cannot be read', async () => {
    handlers['GET /consumers'] = () => problem(400, 'validation', 'the list is ill');
    const { user } = await open('/consumers');
    await screen.findByText('the list is ill');
    expect(screen.getByText(/req-1/)).toBeTruthy();
    handlers['GET /consumers'] = () => list([]);
    await user.click(screen.getByTestId('retry'));
    await screen.findByTestId('empty');
  });

  it('send what was typed, with the CSRF token, and show a refusal at its field', async () => {
    handlers['POST /providers'] = () => problem(400, 'validation', 'no', [{ path: '/base_url', code: 'bad_format', message: 'base_url must be reachable' }]);
    const { user } = await open('/providers/new?type=deepseek');
    const key = await screen.findByTestId('provider-key-0');
    await user.click(screen.getByTestId('provider-save'));
    await screen.findByText(i18next.t('form.required'));
    expect(calls.some((call) => call.what === 'POST /providers')).toBe(false);
    fill(key, 'sk-123456');
    await user.click(screen.getByTestId('provider-save'));
    await screen.findByText('base_url must be reachable');
    const call = calls.find((entry) => entry.what === 'POST /providers');
    expect(call?.headers.get('X-CSRF-Token')).toBe('csrf-1');
    expect(call?.body).toMatchObject({ name: 'deepseek', type: 'deepseek', base_url: null, api_keys: [{ name: 'main', value: 'sk-123456' }] });
    expect(JSON.stringify(document.body.innerHTML)).not.toContain('undefined');
  });

  it('ask before they delete, and say who still needs it', async () => {
    const provider = { name: 'p', type: 'deepseek', api_keys: [], models: [], endpoints: [], timeouts: {}, key_failover: {}, tls: {}, headers: {}, options: {}, enabled: true };
    handlers['GET /providers/p'] = () => new Answer(200, provider, { ETag: '"3"' });
    handlers['GET /providers/p/health'] = () => ({ provider: 'p', workers: 1, keys: [], endpoints: [] });
    handlers['DELETE /providers/p'] = () => problem(409, 'in-use', 'in use', [{ path: '', code: 'referenced', message: 'route r uses it', url: '/api/v1/routes/r' }]);
    const { user } = await open('/providers/p');
    await user.click(await screen.findByTestId('provider-delete'));
    expect(calls.some((call) => call.what.startsWith('DELETE'))).toBe(false);
    await user.click(await screen.findByTestId('confirm-ok'));
    const link = await screen.findByRole('link', { name: 'route r uses it' });
    expect(link.getAttribute('href')).toBe('/routes/r');
  });

  it('let a viewer look and not touch', async () => {
    handlers['GET /session'] = () => ({ ...session, user: { username: 'eve', role: 'viewer' } });
    await open('/providers');
    await screen.findByTestId('empty');
    expect(screen.queryByTestId('provider-add')).toBeNull();
    expect(screen.queryByTestId('provider-add-first')).toBeNull();
  });

  it('lead a newcomer from step to step', async () => {
    handlers['GET /overview'] = () => ({ ...overview, counts: { ...overview.counts, providers: 1 } });
    await open('/');
    const steps = await screen.findByTestId('first-steps');
    expect(within(steps).getByTestId('step-provider').dataset.done).toBe('true');
    expect(within(steps).getByTestId('step-route').className).toBe('next');
    await waitFor(() => expect(document.title).toBe('Overview · Tidegate'));
  });
});
