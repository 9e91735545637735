import { readFileSync } from 'node:fs';
import type { Clock } from '../clock.ts';
import { RelayError } from '../domain/errors.ts';
import type { Logger } from '../logger.ts';
import type { Store } from '../store/store.ts';

/** What every room is given. */
export interface Shared {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly onFatal: (error: unknown) => void;
}

/** The first thing that ends the relay, told once. */
export function failures(logger: Logger) {
  let report = (_error: unknown): void => {};
  const happened = new Promise<never>((_, reject) => {
    report = (error) => {
      const { code, hint } =
        error instanceof RelayError ? error : { code: 'fault', hint: 'Please report this; the log is safe.' };
      logger.error(error instanceof Error ? error.message : 'The relay has a fault.', { code, hint });
      reject(error);
    };
  });
  // Whoever waits for it hears of it; nobody has to.
  happened.catch(() => {});
  return { happened, report: (error: unknown) => report(error) };
}

const packageJson = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

export const { version } = packageJson;
export const userAgent = `fullscript-relay/${version}`;
