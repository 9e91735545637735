import { RelayRefused } from '../client/errors.ts';
import type { CallApi } from '../client/relay-api.ts';
import { type Clock, wait } from '../clock.ts';

const waitMaxMs = 120_000;
const triesMax = 10;

/**
 * Waits, and says so, where the relay asks one token to: a long list is read, or taken
 * over, with more requests than it takes in a minute.
 */
export function patient(
  call: CallApi,
  { clock, note }: { readonly clock: Clock; readonly note: (line: string) => void },
): CallApi {
  return async (asked) => {
    for (let tries = 1; ; tries++) {
      try {
        return await call(asked);
      } catch (error) {
        const waitMs = error instanceof RelayRefused && error.status === 429 ? error.retryAfterMs : null;
        if (waitMs === null || waitMs > waitMaxMs || tries === triesMax) throw error;
        note(`The relay has had many requests; this goes on in ${waitMs / 1_000} s.`);
        await wait(clock, waitMs);
      }
    }
  };
}
