/* Every member that the API knows survives a form that is opened and saved: stored → form → sent. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { Schemas } from '../src/api/client';
import type { Field } from '../src/forms/FieldTable';
import { isMasked, keepUnseen, unmasked } from '../src/forms/keep';
import { pluginFromForm, pluginsFromForm, pluginsToForm } from '../src/forms/PluginsEditor';
import { issuerFromForm, issuerToForm } from '../src/pages/JwtIssuers';
import { priceFromForm, priceToForm } from '../src/pages/Prices';
import { exchangeOf, ratesOf } from '../src/pages/Quotas';
import { providerFromForm, providerToForm } from '../src/pages/ProviderForm';
import { routeFromForm, routeToForm } from '../src/pages/RouteForm';
import { countersToForm } from '../src/pages/settings/Counters';
import { tlsFromForm, tlsToForm } from '../src/pages/settings/Tls';
import { tenantFromForm, tenantToForm } from '../src/pages/TenantForm';

interface Schema {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  default?: unknown;
  properties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  items?: Schema;
  allOf?: Schema[];
  oneOf?: Schema[];
  anyOf?: Schema[];
  minimum?: number;
  pattern?: string;
  readOnly?: boolean;
}

const schemas = (parse(readFileSync('../proto/openapi.yaml', 'utf8')) as { components: { schemas: Record<string, Schema> } }).components.schemas;

function resolved(schema: Schema): Schema {
  if (schema.$ref) return resolved(schemas[schema.$ref.split('/').pop() ?? ''] as Schema);
  const one = [...(schema.allOf ?? []), ...(schema.oneOf ?? []), ...(schema.anyOf ?? [])].map(resolved).filter((part) => part.type !== 'null');
  return one.length > 0 ? Object.assign({}, ...one, schema, { allOf: undefined, oneOf: undefined, anyOf: undefined }) : schema;
}

/** A value of it that is not its default, with every member that it names. */
function sample(given: Schema, name = 'x'): unknown {
  const schema = resolved(given);
  const type = Array.isArray(schema.type) ? schema.type.find((one) => one !== 'null') : schema.type;
  const other = (values: unknown[]) => values.find((value) => value !== schema.default) ?? values[0];
  if (schema.enum) return other(schema.enum.filter((value) => value !== null));
  switch (type) {
    case 'boolean':
      return schema.default !== true;
    case 'integer':
    case 'number':
      return typeof schema.default === 'number' ? schema.default + 1 : (schema.minimum ?? 0) + 3;
    case 'array':
      return [sample(schema.items ?? {}, name)];
    case 'object': {
      const members = Object.entries(schema.properties ?? {}).map(([member, about]) => [member, sample(about, member)]);
      const more = typeof schema.additionalProperties === 'object' ? [['more', sample(schema.additionalProperties)]] : schema.additionalProperties === true ? [['more', 'v']] : [];
      return Object.fromEntries([...members, ...more]);
    }
    default:
      if (schema.pattern?.includes('ms|s|m|h')) return '7s';
      if (schema.pattern?.includes('http')) return `https://${name}.example.com/v1`;
      if (schema.pattern?.startsWith('^/')) return `/${name}`;
      if (schema.pattern?.includes('A-Z')) return 'EUR';
      return `a-${name.replace(/_/g, '-')}`;
  }
}

/** Members that a client may send. */
function writable(write: string): string[] {
  return Object.entries(schemas[write]?.properties ?? {}).filter(([, about]) => !about.readOnly).map(([name]) => name);
}

function check(write: string, stored: object, sent: object, except: string[] = []) {
  const names = writable(write);
  expect(names.length).toBeGreaterThan(3);
  for (const name of names) {
    const value = (stored as Record<string, unknown>)[name];
    if (value === undefined || isMasked(value) || except.includes(name)) continue;
    expect({ [name]: (sent as Record<string, unknown>)[name] }).toEqual({ [name]: unmasked(value) });
  }
  expect(JSON.stringify(sent)).not.toContain('fingerprint');
}

const stored = <T>(read: string) => sample(schemas[read] as Schema) as T;
const fields = (...names: string[]) => names.map((name) => ({ name, type: 'text', required: false, min: null, max: null, default: null, options: [], doc: { en: '', zh: '' } }) as Field);

describe('every member of the API survives its form:', () => {
  it('a route', () => {
    const route = stored<Schemas['Route']>('Route');
    route.auth = { ...route.auth, required: true };
    check('RouteWrite', route, routeFromForm(routeToForm(route, []), route, []));
  });
  it('a route that keeps nothing, with what it would keep', () => {
    for (const prompts of ['off', 'masked', 'full'] as const) {
      const route = { ...stored<Schemas['Route']>('Route'), log: { prompts, max_bytes: 512, sample_percent: 7, mask: ['secret-[0-9]+'] } } as Schemas['Route'];
      expect(routeFromForm(routeToForm(route, []), route, []).log).toEqual(route.log);
    }
  });
  it('a provider, with one address or with many', () => {
    const provider = stored<Schemas['Provider']>('Provider');
    const type = { type: provider.type, options: [] } as unknown as Schemas['ProviderType'];
    check('ProviderWrite', provider, providerFromForm(providerToForm(provider, type), type.type, true, provider, type), ['base_url']);
    check('ProviderWrite', provider, providerFromForm(providerToForm(provider, type), type.type, false, provider, type), ['endpoints']);
  });
  it('a consumer and a group', () => {
    const consumer = stored<Schemas['Consumer']>('Consumer');
    check('ConsumerWrite', consumer, tenantFromForm(consumer, tenantToForm(consumer, []), []));
    const group = stored<Schemas['Group']>('Group');
    check('GroupWrite', group, tenantFromForm(group, tenantToForm(group, []), []));
    expect(tenantFromForm({ ...group, models: null }, tenantToForm({ ...group, models: null }, []), []).models).toBeNull();
  });
  it('an issuer of tokens', () => {
    const issuer = stored<Schemas['JwtIssuer']>('JwtIssuer');
    check('JwtIssuerWrite', issuer, issuerFromForm(issuerToForm(issuer) as Parameters<typeof issuerFromForm>[0]));
  });
  it('rates of a budget', () => {
    const exchange = { USD: 7_100_000, JPY: 48_123 };
    expect(exchangeOf(ratesOf(exchange))).toEqual(exchange);
    expect(exchangeOf(undefined)).toEqual({});
  });
  it('a price', () => {
    const price = stored<Schemas['Price']>('Price');
    check('PriceWrite', price, priceFromForm(priceToForm(price), price));
  });
  it('the counters, and TLS', () => {
    const settings = stored<Schemas['Settings']>('Settings');
    expect(countersToForm(settings.counters as Parameters<typeof countersToForm>[0])).toEqual(unmasked(settings.counters));
    const tls = settings.tls as Parameters<typeof tlsToForm>[0];
    expect(tlsFromForm(tlsToForm(tls))).toEqual(unmasked(tls));
  });
});

describe('plugins', () => {
  const when = { field: 'by', values: ['header'], needed: true };
  const plugin = { name: 'p', rank: 'LIMIT', adds_up: true, doc: { en: '', zh: '' }, fields: [...fields('by', 'n'), { ...fields('header')[0], when } as Field] } as Schemas['Plugin'];
  it('keep what has no input: settings of another build, and inputs that are out of sight', () => {
    const config = { enabled: true, fail_open: false, by: 'ip', header: 'x-team', newer: { deep: [1] } };
    expect(pluginFromForm({ enabled: true, fail_open: false, by: 'ip' }, config, plugin.fields)).toEqual(config);
    expect(pluginsFromForm({ gone: { enabled: false } } as never, { gone: { enabled: true, rules: [1] } } as never, [plugin])).toEqual({ gone: { enabled: false, rules: [1] } });
  });
  it('drop what was emptied, and what another choice made meaningless', () => {
    expect(pluginFromForm({ enabled: true, by: 'ip', n: '' }, { enabled: true, by: 'header', header: 'x-team', n: '3' }, plugin.fields)).toEqual({ enabled: true, by: 'ip' });
    expect(pluginsFromForm({ p: undefined } as never, { p: { enabled: true } } as never, [plugin])).toEqual({});
    expect(pluginsToForm([plugin], { p: { enabled: true, newer: 1 } } as never)).toEqual({ p: { enabled: true, newer: 1 } });
  });
});

describe('what a form was not filled with', () => {
  it('is kept at any depth, in lists by name, and secrets are not', () => {
    const secret = { last4: 'cdef', fingerprint: '00', created_at: '' };
    const was = { a: 1, b: { c: 1, d: 2 }, list: [{ name: 'x', n: 1, m: 2 }, { name: 'y', n: 1, m: 2 }], secret, plain: [1, 2] };
    const seen = { b: { c: 1 }, list: [{ name: 'x', n: 1 }, { name: 'y', n: 1 }], plain: [1, 2] };
    expect(keepUnseen(was, seen, { b: { c: 5 }, list: [{ name: 'y', n: 7 }, { name: 'z', n: 9 }], plain: [] })).toEqual({
      a: 1, b: { c: 5, d: 2 }, list: [{ name: 'y', n: 7, m: 2 }, { name: 'z', n: 9 }], plain: [],
    });
  });
  it('is not what was emptied', () => {
    expect(keepUnseen({ a: 1, b: 2 }, { a: 1, b: 2 }, { b: 2 })).toEqual({ b: 2 });
  });
});
