import http, { type ClientRequest, type IncomingMessage } from 'node:http';
import https from 'node:https';
import type { Clock } from '../clock.ts';
import type { Phase } from '../domain/attempt.ts';
import type { EgressProxy } from '../domain/egress-proxy.ts';
import type { AddressGuard, Refusal, VettedUrl } from './address-guard.ts';
import { PhaseTimedOut, phaseOfConnection } from './connection-phases.ts';
import { AddressRefused, createGuardedAgents, type GuardedAgents } from './guarded-agents.ts';
import { networkFault } from './network-fault.ts';
import type { Post, PostRequest, PostResult, Unanswered } from './post.ts';
import { UnderWay } from './under-way.ts';

/** Since the start: requests that were answered, and those of them on a connection that an earlier one had left open. */
export interface ConnectionUse {
  readonly answered: number;
  readonly reused: number;
}

export interface WebhookSender {
  readonly post: Post;
  readonly connectionUse: () => ConnectionUse;
  /** Closes every connection, those in use too. */
  close(): void;
}

export interface SenderOptions {
  readonly guard: AddressGuard;
  readonly clock: Clock;
  /** PEM certificates to trust beside the well-known ones. */
  readonly extraAuthorities?: readonly string[];
  /** What public addresses are reached through. */
  readonly proxy?: EgressProxy | null;
}

const answerBytesMax = 16 * 1024;
const locationLengthMax = 512;
const headerBytesMax = 16 * 1024;

/** How long a body is read that decides nothing: long enough to keep an honest connection. */
const idleBodyMs = 1000;

const vettedUrlsMax = 10_000;

/** Headers that belong to the connection, or that would have the answer come back compressed. */
const senderOwnHeaders = new Set([
  'accept-encoding',
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * The relay's only way to a subscriber: one POST over a kept-alive connection whose
 * address was vetted when it was dialled. Redirects are not followed, answers neither
 * decompressed nor read beyond 16 KiB, proxies of the environment not used.
 *
 * A connection that the other side closed while it lay idle is found out by the next
 * POST on it: that one is sent once more, on a connection of its own, if nothing at all
 * was answered.
 */
export function createWebhookSender(options: SenderOptions): WebhookSender {
  const { guard, clock } = options;
  const pooled = createGuardedAgents({ ...options, keepAlive: true });
  const fresh = createGuardedAgents({ ...options, keepAlive: false });
  const vettedUrls = new Map<string, VettedUrl | Refusal>();
  const use = { answered: 0, reused: 0 };

  function count(result: PostResult): PostResult {
    if (result.kind !== 'answered') return result;
    use.answered += 1;
    if (result.reusedConnection) use.reused += 1;
    return result;
  }

  function vet(url: string): VettedUrl | Refusal {
    const known = vettedUrls.get(url);
    if (known !== undefined) return known;
    if (vettedUrls.size >= vettedUrlsMax) vettedUrls.clear();
    const vetted = guard.vetUrl(url);
    vettedUrls.set(url, vetted);
    return vetted;
  }

  return {
    post(request) {
      const vetted = vet(request.url);
      if (vetted.kind === 'refused') return Promise.resolve(blocked(vetted));
      if (request.signal?.aborted) return Promise.resolve({ kind: 'interrupted' });
      return new Promise((resolve) => {
        exchange(request, vetted, { pooled, fresh, clock }, (result) => resolve(count(result)));
      });
    },
    connectionUse: () => ({ ...use }),
    close() {
      for (const agents of [pooled, fresh]) {
        agents.http.destroy();
        agents.https.destroy();
      }
    },
  };
}

/** What is under way under each signal: exchanges share one, and a listener for each of them is slow to come and go. */
const underWay = new WeakMap<AbortSignal, UnderWay<() => void>>();

/** Calls `interrupt` when the signal aborts; the answer takes it back. */
function onAbort(signal: AbortSignal, interrupt: () => void): () => void {
  const known = underWay.get(signal);
  const interrupts = known ?? new UnderWay();
  if (known === undefined) {
    const interruptAll = () => {
      for (const each of interrupts.items()) each();
    };
    signal.addEventListener('abort', interruptAll, { once: true });
    underWay.set(signal, interrupts);
  }
  return interrupts.add(interrupt);
}

interface Means {
  readonly pooled: GuardedAgents;
  readonly fresh: GuardedAgents;
  readonly clock: Clock;
}

/** One POST from dialling to `resolve`, which is called exactly once; the connection is then either kept or destroyed. */
function exchange(
  request: PostRequest,
  vetted: VettedUrl,
  { pooled, fresh, clock }: Means,
  resolve: (result: PostResult) => void,
): void {
  const { signal, timeoutMs } = request;
  const startedAt = clock.monotonic();
  const headers = headersOf(request);
  let outgoing: ClientRequest | undefined;
  let response: IncomingMessage | undefined;
  let bytesReadBefore = 0;
  let chunks: Buffer[] = [];
  let length = 0;
  let cancelIdleBody: (() => void) | undefined;
  let isSettled = false;

  const interrupt = () => giveUp({ kind: 'interrupted' });
  const forget = signal && onAbort(signal, interrupt);
  // What came while the process was held up, or suspended, is read before anybody is called late.
  const cancelDeadline = clock.after(timeoutMs, () => setImmediate(expire));
  dial(pooled);

  function expire(): void {
    if (isSettled) return;
    if (response !== undefined && !awaitsBody(response)) answered(response, true);
    else giveUp({ kind: 'timedOut', phase: phase(), timeoutMs });
  }

  function dial(agents: GuardedAgents): void {
    const { host, port, isTls } = vetted.target;
    try {
      outgoing = (isTls ? https : http).request({
        method: 'POST',
        host,
        port,
        path: vetted.path,
        headers,
        agent: isTls ? agents.https : agents.http,
        maxHeaderSize: headerBytesMax,
        insecureHTTPParser: false,
      });
    } catch (error) {
      giveUp({ kind: 'unreachable', ...networkFault(error, 'send') });
      return;
    }
    outgoing.once('socket', (socket) => {
      bytesReadBefore = socket.bytesRead;
    });
    outgoing.once('response', take);
    outgoing.once('upgrade', () => giveUp(badStatus(101)));
    outgoing.on('error', (error) => {
      if (isSettled) return;
      if (response !== undefined) return broken(response, error);
      if (wasClosedWhileIdle(error)) return dial(fresh);
      giveUp(unanswered(error, phase()));
    });
    outgoing.end(request.body);
  }

  function wasClosedWhileIdle(error: NodeJS.ErrnoException): boolean {
    const isReset = error.code === 'ECONNRESET' || error.code === 'EPIPE';
    return isReset && outgoing?.reusedSocket === true && outgoing.socket?.bytesRead === bytesReadBefore;
  }

  function take(incoming: IncomingMessage): void {
    const status = incoming.statusCode ?? 0;
    if (status < 200 || status > 599) {
      giveUp(badStatus(status));
      return;
    }
    response = incoming;
    if (!awaitsBody(incoming)) cancelIdleBody = clock.after(idleBodyMs, () => answered(incoming, true));
    incoming.on('data', (chunk: Buffer) => {
      const room = answerBytesMax - length;
      chunks.push(chunk.length > room ? chunk.subarray(0, room) : chunk);
      length += chunk.length;
      if (chunk.length > room) answered(incoming, true);
    });
    incoming.once('end', () => answered(incoming, false));
    incoming.on('error', (error) => broken(incoming, error));
  }

  function awaitsBody({ statusCode = 0 }: IncomingMessage): boolean {
    return request.needsAnswerBody && statusCode >= 200 && statusCode <= 299;
  }

  /** The connection broke after the status line. */
  function broken(incoming: IncomingMessage, error: Error): void {
    if (awaitsBody(incoming)) giveUp(unanswered(error, 'body'));
    else answered(incoming, true);
  }

  function answered(incoming: IncomingMessage, isTruncated: boolean): void {
    const [only] = chunks;
    settle({
      kind: 'answered',
      status: incoming.statusCode ?? 0,
      retryAfter: single(incoming, 'retry-after'),
      location: single(incoming, 'location')?.slice(0, locationLengthMax),
      answer: chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks),
      isTruncated,
      durationMs: clock.monotonic() - startedAt,
      reusedConnection: outgoing?.reusedSocket ?? false,
    });
    if (isTruncated || !outgoing?.writableFinished) outgoing?.destroy();
  }

  function giveUp(result: Unanswered): void {
    settle(result);
    outgoing?.destroy();
  }

  function settle(result: PostResult): void {
    if (isSettled) return;
    isSettled = true;
    cancelDeadline();
    cancelIdleBody?.();
    forget?.();
    chunks = [];
    resolve(result);
  }

  function phase(): Phase {
    if (response !== undefined) return 'body';
    const socket = outgoing?.socket;
    if (!socket) return 'connect';
    return phaseOfConnection(socket) ?? (outgoing?.writableFinished ? 'headers' : 'send');
  }
}

function headersOf({ headers }: PostRequest): Record<string, string> {
  const sent: Record<string, string> = { 'accept-encoding': 'identity' };
  for (const name of Object.keys(headers)) {
    if (!senderOwnHeaders.has(name.toLowerCase())) sent[name] = headers[name] ?? '';
  }
  return sent;
}

/** A header that came once; two of them contradict each other. */
function single(incoming: IncomingMessage, name: string): string | undefined {
  if (incoming.headers[name] === undefined) return undefined;
  const values = incoming.headersDistinct[name];
  return values?.length === 1 ? values[0] : undefined;
}

function badStatus(status: number): Unanswered {
  return { kind: 'unreachable', error: 'badResponse', code: `STATUS_${status}` };
}

function unanswered(error: unknown, phase: Phase): Unanswered {
  if (error instanceof AddressRefused) return blocked(error.refusal);
  if (error instanceof PhaseTimedOut) {
    return { kind: 'timedOut', phase: error.phase, timeoutMs: error.timeoutMs };
  }
  return { kind: 'unreachable', ...networkFault(error, phase) };
}

function blocked({ reason, allowWith }: Refusal): Unanswered {
  return { kind: 'blocked', reason, allowWith };
}
