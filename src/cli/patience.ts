import { RelayRefused } from '../client/errors.ts';
import type { CallApi } from '../client/relay-api.ts';
import { type Clock, wait } from '../clock.ts';

/** Whoever looks at a silent terminal for longer begins to doubt. */
const silentMaxMs = 5_000;
const waitMaxMs = 120_000;
const triesMax = 10;

/**
 * Waits, and says so, where the relay asks one token to: a long list is read, or taken
 * over, with more requests than it takes in a minute. Says so, too, when an answer takes long.
 */
export function patient(
  call: CallApi,
  { clock, note }: { readonly clock: Clock; readonly note: (line: string) => void },
): CallApi {
  const told = async (answer: Promise<unknown>) => {
    const cancel = clock.after(silentMaxMs, () => note('The relay has not answered yet.'));
    return answer.finally(cancel);
  };
  return async (asked) => {
    for (let tries = 1; ; tries++) {
      try {
        return await told(call(asked));
      } catch (error) {
        const waitMs = error instanceof RelayRefused && error.status === 429 ? error.retryAfterMs : null;
        if (waitMs === null || waitMs > waitMaxMs || tries === triesMax) throw error;
        note(`The relay has had many requests; this goes on in ${waitMs / 1_000} s.`);
        await wait(clock, waitMs);
      }
    }
  };
}
