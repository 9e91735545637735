import type { Clock } from '../clock.ts';
import type { Tokens } from '../domain/clinic.ts';
import type { Logger } from '../logger.ts';
import type { OAuth } from './oauth.ts';

export interface RevocationsDependencies {
  readonly oauth: Pick<OAuth, 'revoke'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

const minuteMs = 60_000;
const waitsMs = [1, 5, 30, 60, 120, 360].map((minutes) => minutes * minuteMs);
/** More than these are not tried again: each holds tokens in memory, and nowhere else. */
const waitingMax = 1_000;

/**
 * Ends tokens at the vendor. What it does not take is tried again a few times, for as long
 * as the process lives: tokens that nobody needs any more are written nowhere.
 */
export class Revocations {
  readonly #dependencies: RevocationsDependencies;
  readonly #waiting = new Set<() => void>();
  #isStopped = false;

  constructor(dependencies: RevocationsDependencies) {
    this.#dependencies = dependencies;
  }

  /** @returns false when the vendor has not taken both: that is tried again, and nobody has to wait for it. */
  async revoke(tokens: Tokens): Promise<boolean> {
    return this.#try(tokens, 0);
  }

  /** Nothing is tried any more. */
  stop(): void {
    this.#isStopped = true;
    for (const cancel of this.#waiting) cancel();
    this.#waiting.clear();
  }

  async #try(tokens: Tokens, failuresBefore: number): Promise<boolean> {
    const { oauth, logger } = this.#dependencies;
    if (await oauth.revoke(tokens)) {
      if (failuresBefore > 0) logger.info('Tokens are revoked after all.');
      return true;
    }
    const waitMs = waitsMs[failuresBefore];
    if (waitMs === undefined || this.#waiting.size >= waitingMax) {
      logger.error(
        'Tokens of a clinic that was disconnected could not be revoked; end the authorization in Fullscript.',
      );
    } else if (!this.#isStopped) {
      logger.warn('Tokens could not be revoked; it is tried again.', { inMinutes: waitMs / minuteMs });
      this.#tryLater(waitMs, tokens, failuresBefore + 1);
    }
    return false;
  }

  #tryLater(waitMs: number, tokens: Tokens, failures: number): void {
    const cancel = this.#dependencies.clock.after(waitMs, () => {
      this.#waiting.delete(cancel);
      void this.#try(tokens, failures);
    });
    this.#waiting.add(cancel);
  }
}
