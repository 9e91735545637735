import type { Problem } from '../domain/errors.ts';
import { RelayRefused, RelayUnreachable } from './errors.ts';

/** No answer, or none in time. */
export function unreachable(base: string, timeoutMs: number, thrown: unknown): RelayUnreachable {
  if (thrown instanceof Error && thrown.name === 'TimeoutError') {
    return new RelayUnreachable('relay_timeout', `${base} did not answer within ${timeoutMs / 1000} s.`, {
      hint: 'Look at the log of `relay serve`; it may be busy, or stopped in a debugger.',
    });
  }
  const reason = reasonOf(thrown);
  if (reason === 'bad port') {
    return new RelayUnreachable(
      'port_refused',
      `Port ${new URL(base).port} is one of those that fetch never connects to.`,
      { hint: 'Choose another for the relay (`server.port`), or put a proxy with another port before it.' },
    );
  }
  return new RelayUnreachable('relay_unreachable', `No relay answers at ${base} (${reason}).`, {
    hint: 'Start it with `relay serve`, or set RELAY_URL to where it runs.',
  });
}

/** fetch hides the reason one or two causes deep. */
function reasonOf(thrown: unknown): string {
  let reason = 'no answer';
  for (let at = thrown; at instanceof Error; at = at.cause) {
    const inner = at instanceof AggregateError ? at.errors[0] : at;
    const { code, message } = inner as { code?: unknown; message?: string };
    reason = typeof code === 'string' ? code : (message ?? reason);
  }
  return reason;
}

/** Somebody answered, and it was no relay. */
export function notARelay(base: string, answer: Response): RelayUnreachable {
  const type = answer.headers.get('content-type')?.split(';')[0] ?? 'no content type';
  const location = answer.headers.get('location');
  return new RelayUnreachable(
    'not_a_relay',
    location
      ? `${base} answered ${answer.status} and points to ${originOf(location, base)}; redirects are not followed.`
      : `${base} answered ${answer.status} with ${type}, and is not a relay.`,
    {
      hint: 'Set RELAY_URL to the base URL of a relay; something else may be listening on that port, or a proxy before it answers or drops the header `relay-version`.',
    },
  );
}

function originOf(location: string, base: string): string {
  return URL.canParse(location, base) ? new URL(location, base).origin : 'somewhere else';
}

/** The relay's own words for why not. @param body the answer's JSON. */
export function refusalOf(base: string, answer: Response, body: unknown): RelayRefused | RelayUnreachable {
  const problem = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  if (typeof problem.code !== 'string') return notARelay(base, answer);
  const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : null);
  return new RelayRefused(
    {
      code: problem.code,
      status: answer.status,
      message:
        messageFor(problem.code) ??
        text(problem.detail) ??
        text(problem.title) ??
        `The relay answered ${answer.status}.`,
      problems: problemsOf(problem.problems),
      retryAfterMs: retryAfterMsOf(answer),
    },
    { hint: hintFor(answer, problem.code) ?? text(problem.hint) ?? 'Look at the log of `relay serve`.' },
  );
}

/** Who calls by functions wrote neither a body nor a query. */
const callsOwn = ['invalid_body', 'invalid_query'];

function messageFor(code: string): string | null {
  return callsOwn.includes(code) ? 'The relay does not take that.' : null;
}

/** For what the caller's own surroundings decide, the relay cannot know the remedy. */
function hintFor(answer: Response, code: string): string | null {
  if (callsOwn.includes(code)) return 'Correct what is named; `--help` says what each option takes.';
  if (answer.status === 401) {
    return 'Set RELAY_TOKEN to a token of this relay that is still valid (`relay token create`), or RELAY_JWT_SECRET to the secret that it runs with.';
  }
  if (answer.status === 403) return 'Use a token with that scope: `relay token create --scope …`.';
  if (answer.status === 429) {
    const afterMs = retryAfterMsOf(answer);
    return afterMs === null ? 'Try again in a minute.' : `Try again in ${afterMs / 1000} s.`;
  }
  return null;
}

function retryAfterMsOf(answer: Response): number | null {
  const seconds = answer.headers.get('retry-after') ?? '';
  return /^\d{1,9}$/.test(seconds) ? Number(seconds) * 1_000 : null;
}

function problemsOf(value: unknown): readonly Problem[] {
  if (!Array.isArray(value)) return [];
  return value.map((item: unknown) => {
    const { path, message } = (typeof item === 'object' && item !== null ? item : {}) as Partial<Problem>;
    return { path: String(path ?? ''), message: String(message ?? '') };
  });
}
