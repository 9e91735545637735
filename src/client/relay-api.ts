import { InvalidInput, RelayError } from '../domain/errors.ts';
import { RelayUnreachable } from './errors.ts';
import { notARelay, refusalOf, unreachable } from './refusal.ts';

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
 * Makes one call and gives back the answer's JSON, or `null` where it has none. In every
 * view instants are ISO 8601 in UTC, and `null` is "not yet" or "none".
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
  const base = baseOf(address);
  return async (call) => {
    const { answer, text } = await exchange(address, base, call);
    if (!answer.headers.has('relay-version')) throw notARelay(base, answer);
    if (answer.status === 204) return null;
    const body = jsonIn(answer, text);
    // A relay's answers are objects, each of them.
    if (typeof body !== 'object' || body === null || Array.isArray(body)) throw notARelay(base, answer);
    if (answer.ok) return body;
    throw refusalOf(base, answer, body);
  };
}

/**
 * Asks for something that is not over when it is answered. The answer's body is what comes.
 *
 * @param timeoutMs after how long the signal aborts when there is no answer, with a `TimeoutError`.
 * @throws RelayUnreachable, RelayRefused
 */
export async function openStream(
  address: RelayAddress,
  call: ApiCall,
  { signal, timeoutMs }: { readonly signal: AbortSignal; readonly timeoutMs: number },
): Promise<ReadableStream<Uint8Array>> {
  const base = baseOf(address);
  let answer: Response;
  try {
    answer = await send(address, base, call, 'text/event-stream', signal);
  } catch (thrown) {
    if (thrown instanceof RelayError) throw thrown;
    throw unreachable(base, timeoutMs, thrown);
  }
  if (!answer.headers.has('relay-version')) throw notARelay(base, answer);
  const isStream = /^text\/event-stream\b/i.test(answer.headers.get('content-type') ?? '');
  if (answer.ok && isStream && answer.body) return answer.body as ReadableStream<Uint8Array>;
  const body = jsonIn(answer, await textOf(answer, base));
  throw body === undefined ? notARelay(base, answer) : refusalOf(base, answer, body);
}

function baseOf({ url }: RelayAddress): string {
  return url.replace(/\/+$/, '');
}

function jsonIn(answer: Response, text: string): unknown {
  const isJson = /^application\/([a-z.]+\+)?json\b/i.test(answer.headers.get('content-type') ?? '');
  return isJson ? parsed(text) : undefined;
}

async function exchange(
  address: RelayAddress,
  base: string,
  call: ApiCall,
): Promise<{ answer: Response; text: string }> {
  const timeoutMs = address.timeoutMs ?? defaultTimeoutMs;
  try {
    const answer = await send(address, base, call, 'application/json', AbortSignal.timeout(timeoutMs));
    return { answer, text: await textOf(answer, base) };
  } catch (thrown) {
    if (thrown instanceof RelayError) throw thrown;
    throw unreachable(base, timeoutMs, thrown);
  }
}

function send(
  address: RelayAddress,
  base: string,
  call: ApiCall,
  accept: string,
  signal: AbortSignal,
): Promise<Response> {
  const url = new URL(base + call.path);
  for (const [name, value] of Object.entries(call.query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  const headers: Record<string, string> = { accept, authorization: `Bearer ${address.token()}` };
  if (call.body !== undefined) headers['content-type'] = 'application/json';
  return fetch(url, {
    method: call.method,
    headers,
    // The token goes to the address that was named, and to no other.
    redirect: 'manual',
    signal,
    ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
  });
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
