/* What went wrong with a call, in the form of RFC 9457 problems. */
import type { components } from './schema.gen';

export type Problem = components['schemas']['Problem'];
export type ProblemError = components['schemas']['ProblemError'];

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly kind: string,
    readonly detail: string,
    readonly requestId: string,
    readonly errors: ProblemError[],
    readonly retryAfter: number,
  ) {
    super(detail);
    this.name = 'ApiError';
  }

  /** No answer came: the control plane is down or the network is. */
  static unreachable(cause: unknown): ApiError {
    return new ApiError(0, 'unreachable', cause instanceof Error ? cause.message : '', '', [], 0);
  }

  static fromAnswer(response: Response, body: unknown): ApiError {
    const problem = (typeof body === 'object' && body !== null ? body : {}) as Partial<Problem>;
    return new ApiError(
      response.status,
      (problem.type ?? '').replace('urn:tidegate:problem:', '') || String(response.status),
      problem.detail ?? problem.title ?? response.statusText,
      problem.request_id ?? response.headers.get('X-Request-Id') ?? '',
      problem.errors ?? [],
      Number(response.headers.get('Retry-After') ?? 0) || 0,
    );
  }
}

export function asApiError(error: unknown): ApiError {
  return error instanceof ApiError ? error : ApiError.unreachable(error);
}
