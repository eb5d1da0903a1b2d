/* Programs that call a route, ready to be pasted: real address, path and model; only the key is left to fill in. */
import type { Schemas } from '../api/client';

export const KEY_PLACEHOLDER = '<consumer key>';

export interface CallExample {
  /** Ends with /v1, as SDKs want it. */
  baseUrl: string;
  model: string;
  headers: Record<string, string>;
  key: string;
  stream: boolean;
  prompt: string;
}

export type SnippetLanguage = 'curl' | 'python' | 'node';

/** Where applications reach the workers, as well as can be known from here. */
export function dataPlaneUrl(
  overview: Pick<Schemas['Overview'], 'data_plane_url' | 'data_plane_port'> | undefined,
  place: { hostname: string },
): string {
  if (overview?.data_plane_url) return overview.data_plane_url.replace(/\/+$/, '');
  const host = place.hostname === '' ? 'localhost' : place.hostname;
  return `http://${host}:${overview?.data_plane_port ?? 8080}`;
}

function hostOf(route: Schemas['Route']): string | undefined {
  return route.hosts?.find((host) => !host.startsWith('*'));
}

/** The address for this route: its own host if it has one, its path prefix if that does not lead into /v1 anyway. */
export function baseUrlFor(route: Schemas['Route'] | undefined, dataPlane: string): string {
  let url = dataPlane;
  const host = route && hostOf(route);
  if (host) {
    const at = new URL(dataPlane);
    url = `${at.protocol}//${host}${at.port ? `:${at.port}` : ''}`;
  }
  const prefix = (route?.path_prefix ?? '/').replace(/\/+$/, '');
  if (prefix === '' || prefix === '/v1' || prefix.startsWith('/v1/')) return `${url}/v1`;
  return `${url}${prefix}${/(^|\/)v1(\/|$)/.test(prefix) ? '' : '/v1'}`;
}

/** A model that this route serves: an exact one, else one made from a prefix, else one that a target has. */
export function modelFor(route: Schemas['Route'] | undefined, providers: Schemas['Provider'][] = []): string {
  const models = route?.match.models ?? [];
  const exact = models.find((model) => model.type === 'exact');
  if (exact) return exact.value;
  const offered = (route?.targets ?? []).flatMap(
    (target) => providers.find((provider) => provider.name === target.provider)?.models ?? [],
  );
  const prefix = models.find((model) => model.type === 'prefix');
  if (prefix) return offered.find((model) => model.startsWith(prefix.value)) ?? prefix.value;
  if (models.length > 0) return '<model>';
  return offered[0] ?? '<model>';
}

export function exampleFor(
  route: Schemas['Route'] | undefined,
  providers: Schemas['Provider'][],
  dataPlane: string,
  options: { stream: boolean; prompt: string; key?: string },
): CallExample {
  const headers: Record<string, string> = {};
  for (const header of route?.match.headers ?? []) headers[header.name] = header.type === 'regex' ? '…' : header.value;
  const open = route !== undefined && route.auth.required === false;
  return {
    baseUrl: baseUrlFor(route, dataPlane),
    model: modelFor(route, providers),
    headers,
    key: options.key ?? (open ? 'unused' : KEY_PLACEHOLDER),
    stream: options.stream,
    prompt: options.prompt,
  };
}

const py = (text: string): string => JSON.stringify(text);
const sh = (text: string): string => `'${text.replace(/'/g, `'\\''`)}'`;

function curl(example: CallExample): string {
  const body = {
    model: example.model,
    messages: [{ role: 'user', content: example.prompt }],
    ...(example.stream ? { stream: true } : {}),
  };
  const headers = { Authorization: `Bearer ${example.key}`, 'Content-Type': 'application/json', ...example.headers };
  return [
    `curl ${example.stream ? '-N ' : ''}${example.baseUrl}/chat/completions \\`,
    ...Object.entries(headers).map(([name, value]) => `  -H ${sh(`${name}: ${value}`)} \\`),
    `  -d ${sh(JSON.stringify(body))}`,
  ].join('\n');
}

function python(example: CallExample): string {
  const extra = Object.keys(example.headers).length > 0 ? `, default_headers=${py2(example.headers)}` : '';
  const head = [
    'from openai import OpenAI',
    '',
    `client = OpenAI(api_key=${py(example.key)}, base_url=${py(example.baseUrl)}${extra})`,
  ];
  const call = [
    `    model=${py(example.model)},`,
    `    messages=[{"role": "user", "content": ${py(example.prompt)}}],`,
  ];
  if (!example.stream) {
    return [...head, 'answer = client.chat.completions.create(', ...call, ')', 'print(answer.choices[0].message.content)'].join('\n');
  }
  return [
    ...head,
    'stream = client.chat.completions.create(',
    ...call,
    '    stream=True,',
    ')',
    'for chunk in stream:',
    '    if chunk.choices:',
    '        print(chunk.choices[0].delta.content or "", end="", flush=True)',
  ].join('\n');
}

function py2(headers: Record<string, string>): string {
  return `{${Object.entries(headers)
    .map(([name, value]) => `${py(name)}: ${py(value)}`)
    .join(', ')}}`;
}

function node(example: CallExample): string {
  const extra = Object.keys(example.headers).length > 0 ? `, defaultHeaders: ${JSON.stringify(example.headers)}` : '';
  const head = [
    'import OpenAI from "openai";',
    '',
    `const client = new OpenAI({ apiKey: ${py(example.key)}, baseURL: ${py(example.baseUrl)}${extra} });`,
  ];
  const call = [
    `  model: ${py(example.model)},`,
    `  messages: [{ role: "user", content: ${py(example.prompt)} }],`,
  ];
  if (!example.stream) {
    return [
      ...head,
      'const answer = await client.chat.completions.create({',
      ...call,
      '});',
      'console.log(answer.choices[0].message.content);',
    ].join('\n');
  }
  return [
    ...head,
    'const stream = await client.chat.completions.create({',
    ...call,
    '  stream: true,',
    '});',
    'for await (const chunk of stream) {',
    '  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");',
    '}',
  ].join('\n');
}

export function snippet(language: SnippetLanguage, example: CallExample): string {
  return { curl, python, node }[language](example);
}
