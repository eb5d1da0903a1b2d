/* What forms make of stored objects, and what they send. */
import { describe, expect, it } from 'vitest';
import type { Schemas } from '../src/api/client';
import { roleReaches } from '../src/api/queries';
import { named, partSecrets, withoutEmpty, type Field } from '../src/forms/FieldTable';
import { pluginsFromForm, pluginsToForm } from '../src/forms/PluginsEditor';
import { spread } from '../src/forms/useApiForm';
import { routesOpenTo } from '../src/pages/Consumer';
import { joinCommand } from '../src/pages/JoinTokenMaker';
import { verdictOf } from '../src/pages/Overview';
import { freeName, providerFromForm, providerToForm } from '../src/pages/ProviderForm';
import { matchesType } from '../src/pages/ProviderNew';
import { routeFromForm, routeToForm } from '../src/pages/RouteForm';
import { shares } from '../src/pages/routeText';
import { fellBack } from '../src/pages/Requests';
import { countersToForm } from '../src/pages/settings/Counters';
import { tlsFromForm, tlsToForm } from '../src/pages/settings/Tls';

const field = (name: string, type: Field['type']): Field => ({ name, type, required: false, min: null, max: null, default: null, options: [], doc: { en: '', zh: '' } });

const type: Schemas['ProviderType'] = {
  type: 'qwen',
  label: { en: 'Qwen', zh: '通义千问' },
  default_base_url: 'https://dashscope.aliyuncs.com/compatible-mode/v1',
  dialects: ['openai-chat'],
  base_url_required: false,
  api_key_required: true,
  options: [field('workspace', 'text'), field('extra', 'secret')],
  docs_url: null,
  doc: { en: 'Alibaba Cloud', zh: '阿里云' },
};

const secret = { last4: 'cdef', fingerprint: '00', created_at: '2026-01-01T00:00:00Z' };

const provider = {
  name: 'qwen',
  type: 'qwen',
  description: '',
  labels: { team: 'a' },
  enabled: true,
  base_url: null,
  api_keys: [{ name: 'main', value: secret, weight: 1, enabled: true }],
  models: ['qwq-32b'],
  endpoints: [],
  load_balance: 'round_robin',
  timeouts: { connect: '2s', first_byte: '60s', idle: '60s', total: '10m' },
  key_failover: { enabled: true, failure_threshold: 3, cooldown: '30s' },
  tls: { verify: true, ca_pem: null },
  headers: {},
  options: { workspace: 'w', extra: secret },
  created_at: '',
  updated_at: '',
  revision: 3,
} as unknown as Schemas['Provider'];

describe('provider form', () => {
  it('never sends a masked secret back', () => {
    const sent = providerFromForm(providerToForm(provider, type), 'qwen', false);
    expect(JSON.stringify(sent)).not.toContain('cdef');
    expect(sent.api_keys).toEqual([{ name: 'main', weight: 1, enabled: true }]);
    expect(sent.options).toEqual({ workspace: 'w' });
    expect(sent.labels).toEqual({ team: 'a' });
    expect(sent.base_url).toBeNull();
  });
  it('sends a key that was typed, without blanks', () => {
    const values = { ...providerToForm(provider, type), api_keys: [{ name: 'main', value: ' sk-new \n' }] };
    expect(providerFromForm(values, 'qwen', false).api_keys).toEqual([{ name: 'main', value: 'sk-new' }]);
  });
  it('sends either one address or a pool', () => {
    const values = { name: 'p', base_url: ' http://a/v1 ', endpoints: [{ url: 'http://b/v1', weight: 1 }] };
    expect(providerFromForm(values, 'vllm', false)).toMatchObject({ base_url: 'http://a/v1', endpoints: [] });
    expect(providerFromForm(values, 'vllm', true)).toMatchObject({ base_url: null, endpoints: [{ url: 'http://b/v1', weight: 1 }] });
  });
  it('leaves empty times to the server', () => {
    expect(providerFromForm({ name: 'p', timeouts: { connect: '', idle: '5s' } }, 'vllm', false).timeouts).toEqual({ idle: '5s' });
  });
  it('makes lines of rules and times, and maps of lines', () => {
    const stored = { ...provider, on_status: { '404': 'next_target' }, model_timeouts: { 'qwq-*': { idle: '9s' } }, tls: { verify: true, ca_pem: null, server_name: 'a.b', min_version: '1.3' } } as Schemas['Provider'];
    const values = providerToForm(stored, type);
    expect(values.on_status).toEqual([{ status: '404', then: 'next_target' }]);
    values.on_status?.push({ status: ' 5xx ', then: 'return' }, { status: '', then: 'return' });
    values.model_timeouts?.push({ models: 'x', idle: '', total: '1m' }, { models: '' });
    const sent = providerFromForm(values, 'qwen', false);
    expect(sent.on_status).toEqual({ '404': 'next_target', '5xx': 'return' });
    expect(sent.model_timeouts).toEqual({ 'qwq-*': { idle: '9s' }, x: { total: '1m' } });
    expect(sent.tls).toEqual({ verify: true, ca_pem: null, server_name: 'a.b', min_version: '1.3' });
  });
  it('proposes a free name and finds vendors in both languages', () => {
    expect(freeName('qwen', [])).toBe('qwen');
    expect(freeName('qwen', ['qwen', 'qwen-2'])).toBe('qwen-3');
    expect(matchesType(type, '千问')).toBe(true);
    expect(matchesType(type, 'alibaba QWEN')).toBe(true);
    expect(matchesType(type, 'openai')).toBe(false);
  });
});

const stored = {
  name: 'r',
  description: '',
  labels: {},
  enabled: true,
  hosts: [],
  path_prefix: '/',
  ignore_case: false,
  match: { models: [{ type: 'exact', value: 'm', ignore_case: true }], headers: [], query: [] },
  targets: [{ provider: 'p', model: null, model_map: { '*': 'x' }, weight: 1 }],
  fallback: { enabled: true, on: ['429'], targets: [{ provider: 'q', model: 'z', model_map: {}, timeout: null }] },
  retry: { attempts: 2, on: ['503'] },
  timeout: null,
  auth: { required: true, consumers: ['app1'], groups: [] },
  plugins: { limit: { enabled: true, secret: secret } },
  created_at: '',
  updated_at: '',
  revision: 1,
} as unknown as Schemas['Route'];

const plugins: Schemas['Plugin'][] = [{ name: 'limit', rank: 'LIMIT', adds_up: true, doc: { en: '', zh: '' }, fields: [field('secret', 'secret'), field('n', 'int')] }];

describe('route form', () => {
  it('gives back what it was given', () => {
    const sent = routeFromForm(routeToForm(stored, plugins));
    expect(sent.targets).toEqual([{ provider: 'p', model: null, model_map: { '*': 'x' }, weight: 1 }]);
    expect(sent.fallback).toEqual(stored.fallback);
    expect(sent.match).toEqual(stored.match);
    expect(sent.auth).toEqual({ required: true, consumers: ['app1'], groups: [] });
    expect(sent.plugins).toEqual({ limit: { enabled: true } });
    expect(sent).not.toHaveProperty('who');
  });
  it('means what the choice of callers says', () => {
    const values = routeToForm(stored, plugins);
    expect(routeFromForm({ ...values, who: 'any' }).auth).toEqual({ required: true, consumers: [], groups: [] });
    expect(routeFromForm({ ...values, who: 'open' }).auth).toEqual({ required: false, consumers: [], groups: [] });
  });
  it('shows weights as shares', () => {
    expect(shares([{ weight: 3 }, { weight: 1 }])).toEqual([0.75, 0.25]);
    expect(shares([{ weight: 0 }])).toEqual([0]);
    expect(shares([{}])).toEqual([1]);
  });
});

describe('plugins', () => {
  it('keep stored secrets out of the form and removed ones out of the answer', () => {
    expect(pluginsToForm(plugins, stored.plugins)).toEqual({ limit: { enabled: true } });
    expect(pluginsFromForm({ limit: { enabled: true, n: null, x: '' }, gone: undefined as never })).toEqual({ limit: { enabled: true } });
  });
});

describe('field tables', () => {
  it('part secrets from what can be edited', () => {
    expect(partSecrets(type.options, { workspace: 'w', extra: secret })).toEqual({ plain: { workspace: 'w' }, stored: { extra: secret } });
    expect(withoutEmpty({ a: '', b: null, c: undefined, d: false, e: 0 })).toEqual({ d: false, e: 0 });
  });
});

describe('faults', () => {
  it('go to their fields; the others are told above', () => {
    const { placed, rest } = spread(
      [
        { path: '/name', code: 'duplicate', message: 'taken' },
        { path: '/name', code: 'bad_format', message: 'odd' },
        { path: '/secret_thing', code: 'unknown_member', message: 'unknown' },
        { path: '/name', code: 'referenced', message: 'route r uses it', url: '/api/v1/routes/r' },
      ],
      [['name'], ['description']],
    );
    expect(placed).toEqual([{ name: ['name'], errors: ['taken', 'odd'] }]);
    expect(rest.map((fault) => fault.message)).toEqual(['unknown', 'route r uses it']);
  });
});

describe('roles', () => {
  it('reach what is below them', () => {
    expect(roleReaches('admin', 'operator')).toBe(true);
    expect(roleReaches('viewer', 'operator')).toBe(false);
    expect(roleReaches(undefined, 'viewer')).toBe(false);
  });
});

describe('consumers', () => {
  it('see the routes that let them in', () => {
    const make = (name: string, auth: object, enabled = true) => ({ name, auth, enabled }) as unknown as Schemas['Route'];
    const routes = [
      make('any', { required: true, consumers: [], groups: [] }),
      make('mine', { required: true, consumers: ['app1'], groups: [] }),
      make('group', { required: true, consumers: [], groups: ['g'] }),
      make('other', { required: true, consumers: ['app2'], groups: [] }),
      make('open', { required: false, consumers: [], groups: [] }),
      make('off', { required: false }, false),
    ];
    expect(routesOpenTo(routes, { name: 'app1', groups: ['g'] })).toEqual(['any', 'mine', 'group', 'open']);
  });
});

describe('overview', () => {
  it('says the most important thing', () => {
    const overview = (part: object, hour: object = {}) =>
      ({ workers: { connected: 1, total: 1, current: 1 }, counts: { providers: 1, routes: 1, consumers: 1, consumer_keys: 1 }, last_hour: { requests: 5, errors: 0, ...hour }, ...part }) as unknown as Schemas['Overview'];
    expect(verdictOf(overview({}))).toBe('fine');
    expect(verdictOf(overview({}, { requests: 0 }))).toBe('quiet');
    expect(verdictOf(overview({}, { requests: 100, errors: 30 }))).toBe('errors');
    expect(verdictOf(overview({ workers: { connected: 0, total: 1, current: 0 } }))).toBe('down');
    expect(verdictOf(overview({ workers: { connected: 2, total: 2, current: 1 } }))).toBe('behind');
    expect(verdictOf(overview({ counts: { providers: 0, routes: 0, consumers: 0, consumer_keys: 0 } }))).toBe('empty');
  });
});

describe('join command', () => {
  it('can be pasted', () => {
    expect(joinCommand({ secret: 'tgj_a.b.c', channel_port: 8002 }, 'gate')).toContain("TIDEGATE_JOIN_TOKEN='tgj_a.b.c'");
    expect(joinCommand({ secret: 'tgj_a.b.c', channel_port: 9002 }, 'gate')).toContain('wss://gate:9002');
  });
});

describe('settings', () => {
  it('never send a masked password or key back', () => {
    const counters = { backend: 'redis', url: 'redis://a', members: [], password: secret, sentinel_password: secret } as unknown as Parameters<typeof countersToForm>[0];
    expect(countersToForm(counters)).toEqual({ backend: 'redis', url: 'redis://a', members: [] });
    const tls = { mode: 'optional', client_auth: 'off', client_ca_pem: '', certificates: [{ name: 'main', certificate_pem: 'PEM', private_key: secret }] } as unknown as Parameters<typeof tlsToForm>[0];
    expect(tlsFromForm(tlsToForm(tls))).toEqual({ mode: 'optional', client_auth: 'off', client_ca_pem: null, certificates: [{ name: 'main', certificate_pem: 'PEM' }] });
  });
  it('send a key that was typed', () => {
    const sent = tlsFromForm({ mode: 'required', certificates: [{ name: ' main ', certificate_pem: 'PEM', private_key: 'KEY' }] });
    expect(sent).toEqual({ mode: 'required', certificates: [{ name: 'main', certificate_pem: 'PEM', private_key: 'KEY' }] });
  });
});

describe('a fallback', () => {
  it('is told from a refusal', () => {
    expect(fellBack({ refused_by: 'token-ratelimit', end_reason: 'complete' })).toBe(true);
    expect(fellBack({ refused_by: 'token-ratelimit', end_reason: 'blocked' })).toBe(false);
    expect(fellBack({ refused_by: null, end_reason: 'complete' })).toBe(false);
  });
});

describe('names of values', () => {
  it('keep the word by which explanations call them', () => {
    expect(named('滑动窗口', 'sliding_window')).toBe('滑动窗口 (sliding_window)');
    expect(named('sliding window', 'sliding_window')).toBe('sliding window');
    expect(named('', 'brand_new')).toBe('brand_new');
  });
});
