import type { Response } from 'express';
import type { Clock } from '../clock.ts';

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
/** A large message on a slow line takes longer than that; some of it is taken in time. */
const pieceBytes = 64 * 1024;

/**
 * Writes messages as they come, no faster than they are read. Never holds more than one of them.
 *
 * @param messages end by themselves when the signal aborts.
 */
export async function sendStream(
  response: Response,
  messages: AsyncIterable<ServerSentEvent>,
  { clock, signal, mayGoOn }: StreamSurroundings,
): Promise<void> {
  response.status(200).setHeader('content-type', 'text/event-stream; charset=utf-8');
  // nginx would gather messages otherwise, and so does whoever compresses them.
  response.setHeader('x-accel-buffering', 'no');
  response.setHeader('cache-control', 'no-store, no-transform');
  response.flushHeaders();
  if (response.req.method === 'HEAD') {
    response.end();
    return;
  }
  let isBetween = true;
  const stopBeating = beat(response, clock, mayGoOn, () => isBetween);
  try {
    for await (const message of messages) {
      if (signal.aborted || response.writableEnded) break;
      isBetween = false;
      await write(response, textOf(message), clock, signal);
      isBetween = true;
    }
  } finally {
    stopBeating();
  }
  response.end();
}

/** Aborts when the answer is over or its connection gone, and when `closing` does. */
export function endOf(response: Response, closing: AbortSignal): AbortSignal {
  const over = new AbortController();
  const end = () => over.abort();
  // A connection that is gone already tells it no more.
  if (closing.aborted || response.destroyed) {
    end();
    return over.signal;
  }
  closing.addEventListener('abort', end);
  response.once('close', () => {
    closing.removeEventListener('abort', end);
    end();
  });
  return over.signal;
}

/** Shows that the stream stands, between two messages, and ends it for a caller who is believed no longer. */
function beat(
  response: Response,
  clock: Clock,
  mayGoOn: () => Promise<boolean>,
  isBetween: () => boolean,
): () => void {
  const turn = async () => {
    const isBelieved = await mayGoOn().catch(() => false);
    if (response.destroyed || response.writableEnded) return;
    if (!isBelieved) response.end();
    else if (isBetween() && !response.writableNeedDrain) response.write(': still there\n\n');
  };
  const wait = () =>
    clock.after(heartbeatMs, () => {
      cancel = wait();
      void turn();
    });
  let cancel = wait();
  return () => cancel();
}

function textOf({ name, id, data }: ServerSentEvent): string {
  return `id: ${id}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

async function write(response: Response, text: string, clock: Clock, signal: AbortSignal): Promise<void> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length && !signal.aborted && !response.writableEnded; at += pieceBytes) {
    if (response.write(bytes.subarray(at, at + pieceBytes)) || signal.aborted) continue;
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
}
