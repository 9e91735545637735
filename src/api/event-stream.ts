import type { Response } from 'express';
import { type Clock, wait } from '../clock.ts';

/** One message of a stream. Source: WHATWG HTML, "Server-sent events". */
export interface ServerSentEvent {
  readonly name: string;
  /** What a client that comes back says it had last. Holds no line end. */
  readonly id: string;
  /** As JSON. */
  readonly data: unknown;
}

export interface StreamSurroundings {
  readonly clock: Clock;
  /** Ends the stream. */
  readonly signal: AbortSignal;
  /** Asked now and then: a token that ended or was revoked ends its stream. */
  readonly mayGoOn: () => Promise<boolean>;
}

/** A proxy or a client takes a connection for dead that is silent for a minute or so. */
const heartbeatMs = 15_000;
/** Whoever takes nothing for so long is cut off, and may come back for the rest. */
const stuckMs = 60_000;

/** Writes messages as they come, no faster than they are read. Never holds more than one of them. */
export async function sendStream(
  response: Response,
  messages: AsyncIterable<ServerSentEvent>,
  { clock, signal, mayGoOn }: StreamSurroundings,
): Promise<void> {
  response.status(200).setHeader('content-type', 'text/event-stream; charset=utf-8');
  // nginx would gather messages otherwise.
  response.setHeader('x-accel-buffering', 'no');
  response.flushHeaders();
  const iterator = messages[Symbol.asyncIterator]();
  let next = iterator.next();
  let checkedAt = clock.monotonic();
  while (!signal.aborted) {
    const turn = await Promise.race([next, quiet(clock, signal)]);
    if (signal.aborted) break;
    if (clock.monotonic() - checkedAt >= heartbeatMs) {
      checkedAt = clock.monotonic();
      if (!(await mayGoOn())) break;
    }
    if (turn === 'quiet') {
      await write(response, ': still there\n\n', clock, signal);
      continue;
    }
    if (turn.done) break;
    await write(response, textOf(turn.value), clock, signal);
    next = iterator.next();
  }
  response.end();
  next.catch(() => {});
  // What is left of the messages is not wanted, and whoever makes them lets go.
  void iterator.return?.()?.catch(() => {});
}

/** Aborts when the answer is over or its connection gone, and when `closing` does. */
export function endOf(response: Response, closing: AbortSignal): AbortSignal {
  const over = new AbortController();
  const end = () => over.abort();
  closing.addEventListener('abort', end);
  response.once('close', () => {
    closing.removeEventListener('abort', end);
    end();
  });
  if (closing.aborted) end();
  return over.signal;
}

async function quiet(clock: Clock, signal: AbortSignal): Promise<'quiet'> {
  await wait(clock, heartbeatMs, signal);
  return 'quiet';
}

function textOf({ name, id, data }: ServerSentEvent): string {
  return `id: ${id}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

async function write(response: Response, text: string, clock: Clock, signal: AbortSignal): Promise<void> {
  if (response.write(text) || signal.aborted) return;
  await new Promise<void>((resolve) => {
    const cancel = clock.after(stuckMs, () => response.destroy());
    const goOn = () => {
      cancel();
      response.off('drain', goOn);
      signal.removeEventListener('abort', goOn);
      resolve();
    };
    response.once('drain', goOn);
    signal.addEventListener('abort', goOn, { once: true });
  });
}
