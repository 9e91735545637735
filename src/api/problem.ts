import { STATUS_CODES } from 'node:http';
import {
  ClaimLost,
  Conflict,
  InvalidInput,
  NotFound,
  type Problem,
  RelayError,
  StoreUnavailable,
} from '../domain/errors.ts';

/** An error as the API tells it. Source: RFC 9457; `code` is for programs and never changes. */
export interface ProblemDocument {
  readonly type: 'about:blank';
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly hint: string;
  readonly requestId: string;
  readonly problems?: readonly Problem[];
}

/** The status of each code that its class does not decide. */
const statusOfCode: Readonly<Record<string, number>> = {
  record_too_large: 400,
  challenge_not_set: 400,
  event_unreadable: 400,
  signature_refused: 401,
  clinic_not_named: 422,
  clinic_not_read: 422,
  unauthorized: 401,
  forbidden: 403,
  route_not_found: 404,
  method_not_allowed: 405,
  signing_secret_unusable: 409,
  body_unreadable: 410,
  position_gone: 410,
  body_too_large: 413,
  media_type_unsupported: 415,
  handshake_failed: 422,
  rate_limited: 429,
  too_many_listeners: 429,
  not_ready: 503,
};

function statusOf(error: RelayError): number {
  const known = statusOfCode[error.code];
  if (known !== undefined) return known;
  if (error instanceof InvalidInput) return 400;
  if (error instanceof NotFound) return 404;
  if (error instanceof Conflict || error instanceof ClaimLost) return 409;
  if (error instanceof StoreUnavailable) return 503;
  return 500;
}

/** Whatever was thrown, as a problem; what nobody expected says its request id and nothing else. */
export function problemOf(thrown: unknown, requestId: string): ProblemDocument {
  const error = thrown instanceof RelayError ? thrown : badRequestOf(thrown);
  const status = error === null ? 500 : statusOf(error);
  const title = STATUS_CODES[status] ?? 'Error';
  if (error === null || status === 500) {
    return {
      type: 'about:blank',
      title,
      status,
      code: error?.code ?? 'unexpected',
      detail: 'The relay could not do this, and the fault is its own.',
      hint: `Look for the request id ${requestId} in the log of the relay.`,
      requestId,
    };
  }
  const problems = error instanceof InvalidInput && error.problems.length > 0 ? error.problems : undefined;
  return {
    type: 'about:blank',
    title,
    status,
    code: error.code,
    detail: error.message,
    hint: error.hint,
    requestId,
    ...(problems && { problems }),
  };
}

/** What Express refuses by itself, a path that cannot be decoded; `null` for everything else. */
function badRequestOf(thrown: unknown): RelayError | null {
  if (!(thrown instanceof URIError)) return null;
  return new InvalidInput('invalid_path', 'The path cannot be read.', {
    hint: 'Escape ids by percent-encoding.',
  });
}
