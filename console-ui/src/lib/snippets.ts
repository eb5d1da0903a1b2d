/* Programs that call a route, ready to be pasted: real address, path and model; only the key is left to fill in. */
import type { Schemas } from '../api/client';

export const KEY_PLACEHOLDER = '<consumer key>';

export interface CallExample {
  /** Whose API: OpenAI's chat, or Anthropic's Messages where no target speaks the other. */
  api: 'openai' | 'anthropic';
  /** As the SDK of that API wants it: with /v1 at its end for OpenAI's, without for Anthropic's. */
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

/** OpenAI's API, unless all that is known of the targets is that they speak Anthropic's only. */
export function apiFor(route: Schemas['Route'] | undefined, providers: Schemas['Provider'][], types: Schemas['ProviderType'][] = []): CallExample['api'] {
  const spoken = (route?.targets ?? []).map((target) => {
    const kind = providers.find((provider) => provider.name === target.provider)?.type;
    return types.find((type) => type.type === kind)?.dialects ?? ['openai-chat'];
  });
  return spoken.length > 0 && spoken.every((dialects) => dialects.includes('anthropic-messages') && !dialects.includes('openai-chat')) ? 'anthropic' : 'openai';
}

export function exampleFor(
  route: Schemas['Route'] | undefined,
  providers: Schemas['Provider'][],
  dataPlane: string,
  options: { stream: boolean; prompt: string; key?: string; types?: Schemas['ProviderType'][] },
): CallExample {
  const headers: Record<string, string> = {};
  for (const header of route?.match.headers ?? []) headers[header.name] = header.type === 'regex' ? '…' : header.value;
  const open = route !== undefined && route.auth.required === false;
  const api = apiFor(route, providers, options.types);
  const baseUrl = baseUrlFor(route, dataPlane);
  return {
    api,
    baseUrl: api === 'anthropic' ? baseUrl.replace(/\/v1$/, '') : baseUrl,
    model: modelFor(route, providers),
    headers,
    key: options.key ?? (open ? 'unused' : KEY_PLACEHOLDER),
    stream: options.stream,
    prompt: options.prompt,
  };
}

const py = (text: string): string => JSON.stringify(text);
const sh = (text: string): string => `'${text.replace(/'/g, `'\\''`)}'`;

/** What the SDKs want to be told, whatever the answer needs. */
const MAX_TOKENS = 1000;

function curl(example: CallExample): string {
  const messages = example.api === 'anthropic';
  const body = {
    model: example.model,
    ...(messages ? { max_tokens: MAX_TOKENS } : {}),
    messages: [{ role: 'user', content: example.prompt }],
    ...(example.stream ? { stream: true } : {}),
  };
  const headers = { Authorization: `Bearer ${example.key}`, 'Content-Type': 'application/json', ...example.headers };
  return [
    `curl ${example.stream ? '-N ' : ''}${example.baseUrl}${messages ? '/v1/messages' : '/chat/completions'} \\`,
    ...Object.entries(headers).map(([name, value]) => `  -H ${sh(`${name}: ${value}`)} \\`),
    `  -d ${sh(JSON.stringify(body))}`,
  ].join('\n');
}

function pythonMessages(example: CallExample): string {
  const extra = Object.keys(example.headers).length > 0 ? `, default_headers=${py2(example.headers)}` : '';
  const head = ['from anthropic import Anthropic', '', `client = Anthropic(api_key=${py(example.key)}, base_url=${py(example.baseUrl)}${extra})`];
  const call = [
    `    model=${py(example.model)},`,
    `    max_tokens=${MAX_TOKENS},`,
    `    messages=[{"role": "user", "content": ${py(example.prompt)}}],`,
  ];
  if (!example.stream) return [...head, 'message = client.messages.create(', ...call, ')', 'print(message.content[0].text)'].join('\n');
  return [
    ...head,
    'with client.messages.stream(',
    ...call,
    ') as stream:',
    '    for text in stream.text_stream:',
    '        print(text, end="", flush=True)',
  ].join('\n');
}

function nodeMessages(example: CallExample): string {
  const extra = Object.keys(example.headers).length > 0 ? `, defaultHeaders: ${JSON.stringify(example.headers)}` : '';
  const head = [
    'import Anthropic from "@anthropic-ai/sdk";',
    '',
    `const client = new Anthropic({ apiKey: ${py(example.key)}, baseURL: ${py(example.baseUrl)}${extra} });`,
  ];
  const call = [
    `  model: ${py(example.model)},`,
    `  max_tokens: ${MAX_TOKENS},`,
    `  messages: [{ role: "user", content: ${py(example.prompt)} }],`,
    '});',
  ];
  if (!example.stream) return [...head, 'const message = await client.messages.create({', ...call, 'console.log(message.content[0].text);'].join('\n');
  return [
    ...head,
    'const stream = client.messages.stream({',
    ...call,
    'stream.on("text", (text) => process.stdout.write(text));',
    'await stream.finalMessage();',
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

/** What has to be installed for it. */
export function packageOf(language: SnippetLanguage, example: CallExample): string | undefined {
  if (language === 'curl') return undefined;
  if (language === 'python') return `pip install ${example.api}`;
  return example.api === 'anthropic' ? 'npm install @anthropic-ai/sdk' : 'npm install openai';
}

export function snippet(language: SnippetLanguage, example: CallExample): string {
  if (example.api === 'anthropic') return { curl, python: pythonMessages, node: nodeMessages }[language](example);
  return { curl, python, node }[language](example);
}
