import { createParser, type EventSourceMessage } from 'eventsource-parser';
import type { Clock } from '../clock.ts';
import { RelayError } from '../domain/errors.ts';
import { RelayUnreachable } from './errors.ts';
import { openStream, type RelayAddress } from './relay-api.ts';

export interface ListenAsk {
  readonly eventTypes?: string;
  readonly clinicId?: string;
  readonly since?: string;
  /** The position of what was heard last; it wins over `since`. */
  readonly after?: string;
}

/** What the relay tells a listener, in the order in which it recorded it. */
export type Heard =
  | { readonly kind: 'event'; readonly position: string; readonly event: HeardEvent }
  /** So far has been looked; nothing before it is left to come. */
  | { readonly kind: 'position'; readonly position: string };

export interface HeardEvent {
  readonly id: string;
  readonly type: string;
  readonly clinicId: string;
  readonly category: string;
  readonly recordedAt: string;
  /** The exact text; `null` when it is no longer stored. */
  readonly body: string | null;
}

/** The relay says something every 15 s; a connection that is silent for longer than this is dead. */
const silentMs = 45_000;

/**
 * Streams until the relay ends it, or the connection breaks. What is not taken yet is not
 * asked for: whoever is slow slows the stream.
 *
 * @throws RelayUnreachable also when the connection breaks later
 * @throws RelayRefused
 */
export async function* listen(
  address: RelayAddress,
  ask: ListenAsk,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): AsyncGenerator<Heard> {
  const connection = new AbortController();
  const { signal: connected } = connection;
  const end = () => connection.abort();
  const inTime = async <T>(coming: Promise<T>): Promise<T> => {
    const cancel = clock.after(silentMs, () => connection.abort(new DOMException('silent', 'TimeoutError')));
    return coming.finally(cancel);
  };
  signal.addEventListener('abort', end, { once: true });
  try {
    const { after, since, ...rest } = ask;
    const query = after === undefined ? { ...rest, since } : { ...rest, after };
    const call = { method: 'GET', path: '/v1/listen', query } as const;
    const bytes = await inTime(openStream(address, call, { signal: connected, timeoutMs: silentMs }));
    const heard: EventSourceMessage[] = [];
    const parser = createParser({ onEvent: (message) => heard.push(message) });
    const decoder = new TextDecoder();
    const reader = bytes.getReader();
    for (;;) {
      const { done, value } = await inTime(reader.read());
      if (done) return;
      parser.feed(decoder.decode(value, { stream: true }));
      for (const { id: position = '', event, data } of heard.splice(0)) {
        if (event === 'position') yield { kind: 'position', position };
        if (event === 'event') yield { kind: 'event', position, event: eventIn(data) };
      }
    }
  } catch (thrown) {
    if (signal.aborted) return;
    if (thrown instanceof RelayError) throw thrown;
    throw new RelayUnreachable('stream_broken', 'The connection to the relay broke.', {
      hint: 'Look whether the relay still runs.',
      cause: thrown,
    });
  } finally {
    signal.removeEventListener('abort', end);
    connection.abort();
  }
}

function eventIn(data: string): HeardEvent {
  const { bodyBase64, ...event } = JSON.parse(data) as Omit<HeardEvent, 'body'> & {
    bodyBase64: string | null;
  };
  return { ...event, body: bodyBase64 === null ? null : Buffer.from(bodyBase64, 'base64').toString() };
}
