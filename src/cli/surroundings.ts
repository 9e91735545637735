import { type Clock, systemClock } from '../clock.ts';
import type { OutputStream } from './print.ts';

/** Everything of the outside that a verb may touch, so that a test can be the outside. */
export interface Surroundings {
  /** The process's own environment, without `.env`. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The working folder: relative paths start here. */
  readonly folder: string;
  readonly stdin: AsyncIterable<Uint8Array | string> & { readonly isTTY?: boolean };
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly clock: Clock;
  /** Calls `listener` for each SIGINT or SIGTERM; returns what stops that. */
  onStopSignal(listener: () => void): () => void;
}

export function systemSurroundings(): Surroundings {
  return {
    env: process.env,
    folder: process.cwd(),
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    clock: systemClock(),
    onStopSignal(listener) {
      process.on('SIGINT', listener).on('SIGTERM', listener);
      return () => {
        process.off('SIGINT', listener).off('SIGTERM', listener);
      };
    },
  };
}
