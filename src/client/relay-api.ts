import { InvalidInput, type Problem } from '../domain/errors.ts';
import { RelayRefused, RelayUnreachable } from './errors.ts';

/** Where a relay runs and how to be let in. */
export interface RelayAddress {
  /** Its base URL, `http://127.0.0.1:8080`, with or without a slash at the end. */
  readonly url: string;
  /** Asked before each request, so that a short-lived token can be renewed. */
  readonly token: () => string;
  /** For the whole of one exchange; a minute unless given, for a handshake may take a while. */
  readonly timeoutMs?: number;
}

export interface ApiCall {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Below the base URL, with its slash: `/v1/status`. Ids in it are escaped by `pathOf`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: unknown;
}

/**
 * Makes one call and gives back the answer's JSON, or `null` where it has none.
 *
 * @throws RelayUnreachable, RelayRefused
 */
export type CallApi = (call: ApiCall) => Promise<unknown>;

const defaultTimeoutMs = 60_000;
const answerBytesMax = 64 * 1024 * 1024;

/**
 * A path whose parts are ids of any spelling: `pathOf('v1', 'deliveries', id)`.
 *
 * @throws InvalidInput for an empty part and for dots alone, which would lead to another
 *   route: the URL parser resolves them, escaped or not.
 */
export function pathOf(...parts: readonly string[]): string {
  return parts
    .map((part) => {
      if (/^\.*$/.test(part)) {
        throw new InvalidInput('id_invalid', part === '' ? 'The id is empty.' : `"${part}" is no id.`, {
          hint: 'List what there is to see the ids.',
        });
      }
      return `/${encodeURIComponent(part)}`;
    })
    .join('');
}

export function connectApi(address: RelayAddress): CallApi {
  const base = address.url.replace(/\/+$/, '');
  return async (call) => {
    const { answer, text } = await exchange(address, base, call);
    if (!answer.headers.has('relay-version')) throw notARelay(base, answer);
    if (answer.status === 204) return null;
    const isJson = /^application\/([a-z.]+\+)?json\b/i.test(answer.headers.get('content-type') ?? '');
    const body = isJson ? parsed(text) : undefined;
    if (body === undefined) throw notARelay(base, answer);
    if (answer.ok) return body;
    throw refusalOf(base, answer, body);
  };
}

async function exchange(
  address: RelayAddress,
  base: string,
  call: ApiCall,
): Promise<{ answer: Response; text: string }> {
  const url = new URL(base + call.path);
  for (const [name, value] of Object.entries(call.query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  const headers: Record<string, string> = {
    accept: 'application/json',
    authorization: `Bearer ${address.token()}`,
  };
  if (call.body !== undefined) headers['content-type'] = 'application/json';
  const timeoutMs = address.timeoutMs ?? defaultTimeoutMs;
  try {
    const answer = await fetch(url, {
      method: call.method,
      headers,
      // The token goes to the address that was named, and to no other.
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
    });
    return { answer, text: await textOf(answer, base) };
  } catch (thrown) {
    if (thrown instanceof RelayUnreachable) throw thrown;
    throw unreachable(base, timeoutMs, thrown);
  }
}

async function textOf(answer: Response, base: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of answer.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > answerBytesMax) {
      throw new RelayUnreachable('answer_too_large', `The answer of ${base} does not end.`, {
        hint: 'Check that RELAY_URL names a relay, or ask for a smaller page.',
      });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function unreachable(base: string, timeoutMs: number, thrown: unknown): RelayUnreachable {
  if (thrown instanceof Error && thrown.name === 'TimeoutError') {
    return new RelayUnreachable('relay_timeout', `${base} did not answer within ${timeoutMs / 1000} s.`, {
      hint: 'Look at the log of `relay serve`; it may be busy, or stopped in a debugger.',
    });
  }
  return new RelayUnreachable('relay_unreachable', `No relay answers at ${base} (${reasonOf(thrown)}).`, {
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

function notARelay(base: string, answer: Response): RelayUnreachable {
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

function refusalOf(base: string, answer: Response, body: unknown): RelayRefused | RelayUnreachable {
  const problem = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  if (typeof problem.code !== 'string') return notARelay(base, answer);
  const text = (value: unknown) => (typeof value === 'string' && value !== '' ? value : null);
  return new RelayRefused(
    {
      code: problem.code,
      status: answer.status,
      message: text(problem.detail) ?? text(problem.title) ?? `The relay answered ${answer.status}.`,
      problems: problemsOf(problem.problems),
      retryAfterMs: retryAfterMsOf(answer),
    },
    { hint: hintFor(answer) ?? text(problem.hint) ?? 'Look at the log of `relay serve`.' },
  );
}

/** For what the caller's own surroundings decide, the relay cannot know the remedy. */
function hintFor(answer: Response): string | null {
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
