import { describe, expect, it } from 'vitest';
import type { Schemas } from '../src/api/client';
import { lonely, unlike } from '../src/components/Chart';
import { pageOf } from '../src/components/Problem';
import { condense, diffJson } from '../src/lib/diff';
import { durationMs, durationText } from '../src/lib/duration';
import { isoOf } from '../src/lib/expiry';
import { formatsFor } from '../src/lib/format';
import { passwordStrength } from '../src/lib/password';
import { fieldOf, parsePointer } from '../src/lib/pointer';
import { storedSecret } from '../src/lib/secret';
import { detectLanguage } from '../src/lib/preferences';
import { baseUrlFor, dataPlaneUrl, exampleFor, modelFor, packageOf, snippet } from '../src/lib/snippets';

type Route = Schemas['Route'];

const route = (part: object): Route =>
  ({
    name: 'r',
    hosts: [],
    path_prefix: '/',
    match: { models: [{ type: 'exact', value: 'deepseek-r1' }], headers: [], query: [] },
    targets: [{ provider: 'deepseek' }],
    auth: { required: true, consumers: [], groups: [] },
    ...part,
  }) as unknown as Route;

describe('JSON pointers', () => {
  it('are taken apart with their escapes', () => {
    expect(parsePointer('/targets/0/provider')).toEqual(['targets', 0, 'provider']);
    expect(parsePointer('/headers/a~1b~0c')).toEqual(['headers', 'a/b~c']);
    expect(parsePointer('')).toEqual([]);
  });
  it('find the nearest field above them', () => {
    const fields = [['name'], ['targets', 0, 'provider'], ['headers']];
    expect(fieldOf('/targets/0/provider', fields)).toEqual(['targets', 0, 'provider']);
    expect(fieldOf('/headers/x-team', fields)).toEqual(['headers']);
    expect(fieldOf('/targets/1/provider', fields)).toBeUndefined();
    expect(fieldOf('?limit', fields)).toBeUndefined();
    expect(fieldOf('', fields)).toBeUndefined();
  });
});

describe('durations', () => {
  it('are read and written as the API does', () => {
    expect(durationMs('250ms')).toBe(250);
    expect(durationMs('5m')).toBe(300000);
    expect(durationMs('5 m')).toBeUndefined();
    expect(durationMs('-1s')).toBeUndefined();
    expect(durationText(90000)).toBe('90s');
    expect(durationText(3600000)).toBe('1h');
    expect(durationText(0)).toBe('0ms');
  });
});

describe('expiry', () => {
  it('is a moment without fractions, or none', () => {
    const now = new Date('2026-03-01T08:00:00.123Z');
    expect(isoOf('week', now)).toBe('2026-03-08T08:00:00Z');
    expect(isoOf('never', now)).toBeNull();
    expect(isoOf(undefined, now)).toBeNull();
  });
});

describe('differences', () => {
  it('show what is new, gone and left', () => {
    expect(diffJson({ a: 1, b: 2 }, { b: 2, a: 3 }).map((line) => line.op + line.text)).toEqual([' {', '-  "a": 1,', '+  "a": 3,', '   "b": 2', ' }']);
    expect(diffJson(null, { a: 1 }).every((line) => line.op === '+')).toBe(true);
    expect(condense(diffJson({ a: 1 }, { a: 1 }))).toEqual([undefined]);
  });
  it('leave out what is far from a change', () => {
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`k${String(i).padStart(2, '0')}`, i]));
    const shown = condense(diffJson(many, { ...many, k20: -1 }), 2);
    expect(shown.filter((line) => line === undefined)).toHaveLength(2);
    expect(shown.length).toBeLessThan(10);
  });
});

describe('passwords', () => {
  it('are judged by length, variety and the obvious', () => {
    expect(passwordStrength('short1!')).toBe('short');
    expect(passwordStrength('aaaaaaaaaaaa')).toBe('weak');
    expect(passwordStrength('abcdefghijkl')).toBe('weak');
    expect(passwordStrength('marta-2024-x', 'marta')).toBe('weak');
    expect(['good', 'strong']).toContain(passwordStrength('correct horse battery staple'));
    expect(passwordStrength('vQ7#kz!9Lm2$Wp')).toBe('strong');
  });
});

describe('language', () => {
  it('is the remembered one, else the browser’s, else English', () => {
    expect(detectLanguage('zh', ['en-US'])).toBe('zh');
    expect(detectLanguage(null, ['fr-FR', 'zh-TW', 'en'])).toBe('zh');
    expect(detectLanguage('xx', ['fr-FR'])).toBe('en');
  });
});

describe('formats', () => {
  it('are those of the language', () => {
    const now = Date.parse('2026-03-01T08:00:00Z');
    expect(formatsFor('en').ago('2026-03-01T07:58:00Z', now)).toBe('2 minutes ago');
    expect(formatsFor('zh-CN').ago('2026-03-01T07:58:00Z', now)).toBe('2分钟前');
    const at = (day: number, hour: number) => new Date(2026, 2, day, hour).toISOString();
    const morning = new Date(2026, 2, 10, 8).getTime();
    expect(formatsFor('en').ago(at(12, 6), morning), '46 hours').toBe('in 2 days');
    expect(formatsFor('en').ago(at(11, 10), morning), '26 hours').toBe('tomorrow');
    expect(formatsFor('en').ago(at(8, 9), morning), '47 hours').toBe('2 days ago');
    expect(formatsFor('zh-CN').ago(at(12, 6), morning)).toBe('后天');
    expect(formatsFor('en').compact(1234)).toBe('1,234');
    expect(formatsFor('en').compact(1234567)).toBe('1.2M');
  });
});

describe('usage snippets', () => {
  const place = { hostname: 'gate.local' };
  it('know where the data plane is', () => {
    expect(dataPlaneUrl({ data_plane_url: 'https://ai.example.com/', data_plane_port: 8080 }, place)).toBe('https://ai.example.com');
    expect(dataPlaneUrl({ data_plane_url: null, data_plane_port: 18080 }, place)).toBe('http://gate.local:18080');
    expect(dataPlaneUrl(undefined, place)).toBe('http://gate.local:8080');
    expect(dataPlaneUrl({ data_plane_url: null, data_plane_port: null }, { hostname: '[::1]' })).toBe('http://[::1]:8080');
  });
  it('use the route’s host and path', () => {
    const at = 'http://gate.local:8080';
    expect(baseUrlFor(route({}), at)).toBe('http://gate.local:8080/v1');
    expect(baseUrlFor(route({ path_prefix: '/v1/chat' }), at)).toBe('http://gate.local:8080/v1');
    expect(baseUrlFor(route({ path_prefix: '/team-a/' }), at)).toBe('http://gate.local:8080/team-a/v1');
    expect(baseUrlFor(route({ hosts: ['*.x.org', 'ai.x.org'] }), at)).toBe('http://ai.x.org:8080/v1');
  });
  it('name a model that the route takes', () => {
    const providers = [{ name: 'deepseek', models: ['gpt-4o', 'deepseek-chat'] }] as unknown as Schemas['Provider'][];
    const models = (list: object[]) => route({ match: { models: list } });
    expect(modelFor(models([{ type: 'regex', value: 'x+' }, { type: 'exact', value: 'm' }]), providers)).toBe('m');
    expect(modelFor(models([{ type: 'prefix', value: 'deepseek-' }]), providers)).toBe('deepseek-chat');
    expect(modelFor(models([]), providers)).toBe('gpt-4o');
    expect(modelFor(undefined)).toBe('<model>');
  });
  it('are programs with everything but the key', () => {
    const example = exampleFor(route({ match: { models: [{ type: 'exact', value: 'qwq-32b' }], headers: [{ name: 'x-team', type: 'exact', value: "a'b" }], query: [] } }), [], 'http://gate.local:8080', {
      stream: true,
      prompt: '写一首"七言诗"',
    });
    const curl = snippet('curl', example);
    expect(curl).toContain('curl -N http://gate.local:8080/v1/chat/completions');
    expect(curl).toContain("-H 'Authorization: Bearer <consumer key>'");
    expect(curl).toContain(`x-team: a'\\''b`);
    expect(curl).toContain('"stream":true');
    const python = snippet('python', example);
    expect(python).toContain('base_url="http://gate.local:8080/v1"');
    expect(python).toContain('"写一首\\"七言诗\\""');
    expect(python).toContain('stream=True');
    expect(snippet('node', example)).toContain('for await (const chunk of stream)');
  });
  it('speak Anthropic’s API where no target speaks the other', () => {
    const providers = [{ name: 'claude', type: 'anthropic', models: [] }, { name: 'own', type: 'vllm', models: [] }] as unknown as Schemas['Provider'][];
    const types = [
      { type: 'anthropic', dialects: ['anthropic-messages'] },
      { type: 'vllm', dialects: ['openai-chat', 'anthropic-messages'] },
    ] as unknown as Schemas['ProviderType'][];
    const to = (...names: string[]) =>
      exampleFor(route({ match: { models: [{ type: 'exact', value: 'claude' }] }, targets: names.map((provider) => ({ provider })) }), providers, 'http://x:1', {
        stream: names.length > 1,
        prompt: 'p',
        key: 'tgk_k',
        types,
      });
    expect(to('own').api).toBe('openai');
    expect(to('claude', 'own').api).toBe('openai');
    expect(exampleFor(route({ targets: [{ provider: 'gone' }] }), providers, 'http://x:1', { stream: false, prompt: 'p', types }).api).toBe('openai');
    const plain = to('claude');
    const stream = to('claude', 'claude');
    expect(plain.baseUrl).toBe('http://x:1');
    expect(snippet('curl', plain)).toContain('curl http://x:1/v1/messages');
    expect(snippet('curl', plain)).toContain('"max_tokens":1000');
    expect(snippet('python', plain)).toContain('Anthropic(api_key="tgk_k", base_url="http://x:1")');
    expect(snippet('python', stream)).toContain('with client.messages.stream(');
    expect(snippet('node', plain)).toContain('client.messages.create(');
    expect(snippet('node', stream)).toContain('client.messages.stream(');
    expect([packageOf('curl', plain), packageOf('python', plain), packageOf('node', plain)]).toEqual([undefined, 'pip install anthropic', 'npm install @anthropic-ai/sdk']);
    expect(packageOf('python', to('own'))).toBe('pip install openai');
  });
  it('say that no key is needed where none is', () => {
    const open = exampleFor(route({ auth: { required: false } }), [], 'http://x:1', { stream: false, prompt: 'p' });
    expect(open.key).toBe('unused');
  });
});

describe('charts', () => {
  it('finds values that no line leads to', () => {
    expect(lonely([null, 1, null, 2, 3, null, 4])).toEqual([1, 6]);
    expect(lonely([5])).toEqual([0]);
    expect(lonely([])).toEqual([]);
  });
  it('says nothing twice beside an axis', () => {
    expect(unlike(['0', '0', '1', '1', '1', '2'])).toEqual(['0', '', '1', '', '', '2']);
  });
});

describe('what refers to something', () => {
  it('is found on a page that there is', () => {
    expect(pageOf('/api/v1/routes/a')).toBe('/routes/a');
    expect(pageOf('/api/v1/quotas/q1')).toBe('/quotas');
    expect(pageOf('/api/v1/alerts/errors')).toBe('/alerts/rules');
  });
});

describe('a stored secret', () => {
  const t = ((key: string, how?: { last4: string }) => (how ? `${key} ${how.last4}` : key)) as never;
  it('shows its end, if that is known', () => {
    expect(storedSecret(t, { last4: 'x9Zt' })).toBe('form.secretStored x9Zt');
    expect(storedSecret(t, { last4: '' })).toBe('form.secretKept');
  });
});
