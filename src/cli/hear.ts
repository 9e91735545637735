import { RelayRefused, RelayUnreachable } from '../client/errors.ts';
import { type Heard, type ListenAsk, listen } from '../client/listen.ts';
import { wait } from '../clock.ts';
import type { Session } from './session.ts';
import type { Surroundings } from './surroundings.ts';

export type HeardMessage = Extract<Heard, { kind: 'event' }>;

const listening = 'Listening; Ctrl-C stops it. Each line ends with a position: --after goes on behind it.';

/** Between two tries to come back to the relay, and to a receiver that is not there. */
export const againMinMs = 1_000;
export const againMaxMs = 30_000;

/**
 * Hears event after event until somebody stops it. A connection that breaks is made
 * again, and goes on after the last event that `take` was done with.
 *
 * @param take resolves to whether it is done with the event; it is not when it was stopped before.
 *   `before` is the position behind which the event is the first; `null` when the relay gave none.
 * @throws RelayUnreachable, RelayRefused when the relay was never heard, or will not answer
 *   otherwise the next time; where to go on is told before
 */
export async function hear(
  around: Surroundings,
  { address, to }: Pick<Session, 'address' | 'to'>,
  ask: ListenAsk,
  take: (heard: HeardMessage, before: string | null, signal: AbortSignal) => Promise<boolean>,
): Promise<void> {
  const { clock } = around;
  const stopped = new AbortController();
  const forget = around.onStopSignal(() => stopped.abort());
  const { signal } = stopped;
  let position: string | null = null;
  let state = 'unheard' as 'unheard' | 'connected' | 'gone';
  let waitMs = againMinMs;

  const goOn = async () => {
    const from = position === null ? ask : { ...ask, after: position };
    for await (const heard of listen(address, from, { clock, signal })) {
      if (state === 'unheard') to.note(listening);
      if (state === 'gone') to.note('Connected again.');
      state = 'connected';
      waitMs = againMinMs;
      const before = position ?? ask.after ?? null;
      if (heard.kind === 'event' && !(await take(heard, before, signal))) return;
      position = heard.position;
      if (signal.aborted) return;
    }
  };

  try {
    while (!signal.aborted) {
      try {
        await goOn();
      } catch (error) {
        if (state === 'unheard' || !isPassing(error)) throw error;
        if (state === 'connected') to.note('The connection is gone; trying again.');
        state = 'gone';
      }
      if (signal.aborted) break;
      await wait(clock, waitMs, signal);
      waitMs = Math.min(2 * waitMs, againMaxMs);
    }
    to.note('Stopped.');
  } finally {
    forget();
    if (position !== null) to.note(`To go on from here: --after ${position}`);
  }
}

/** It may be over by itself: the relay starts anew, or a proxy answers in its place meanwhile. */
function isPassing(error: unknown): boolean {
  if (error instanceof RelayRefused) return error.status === 429 || error.status >= 500;
  return error instanceof RelayUnreachable;
}
