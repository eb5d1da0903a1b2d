/*
 * The one door to the control plane: typed by the API description, adds the CSRF token, turns every failure into an
 * ApiError and tells the application when the session has ended.
 */
import createClient, { type Middleware } from 'openapi-fetch';
import { ApiError } from './errors';
import type { components, paths } from './schema.gen';

export type Schemas = components['schemas'];

let csrfToken = '';
const endListeners = new Set<() => void>();

export function setCsrfToken(token: string): void {
  csrfToken = token;
}

/** Calls `listener` whenever an answer says that nobody is logged in (any more). */
export function onSessionEnd(listener: () => void): () => void {
  endListeners.add(listener);
  return () => endListeners.delete(listener);
}

const session: Middleware = {
  onRequest({ request }) {
    if (request.method !== 'GET' && csrfToken !== '') request.headers.set('X-CSRF-Token', csrfToken);
    if (request.method === 'PATCH') request.headers.set('Content-Type', 'application/merge-patch+json');
    return request;
  },
  onResponse({ response, schemaPath }) {
    if (response.status === 401 && schemaPath !== '/session') endListeners.forEach((listener) => listener());
    return undefined;
  },
};

export const api = createClient<paths>({ baseUrl: `${window.location.origin}/api/v1` });
api.use(session);

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The answer's body, or a thrown ApiError. */
export async function need<T>(pending: Promise<Answer<T>>): Promise<T> {
  return (await needWithHeaders(pending)).data;
}

export async function needWithHeaders<T>(pending: Promise<Answer<T>>): Promise<{ data: T; headers: Headers }> {
  let answer: Answer<T>;
  try {
    answer = await pending;
  } catch (cause) {
    throw ApiError.unreachable(cause);
  }
  if (!answer.response.ok) throw ApiError.fromAnswer(answer.response, answer.error);
  return { data: answer.data as T, headers: answer.response.headers };
}
