import { type Clock, wait } from '../clock.ts';
import { StoreUnavailable } from '../domain/errors.ts';
import type { Logger } from '../logger.ts';
import type { ClinicStore, Revocation, RevocationStore } from '../store/store.ts';
import type { OAuth } from './oauth.ts';

export interface RevocationsDependencies {
  readonly store: RevocationStore & Pick<ClinicStore, 'connections'>;
  readonly oauth: Pick<OAuth, 'revoke'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onFatal: (error: unknown) => void;
}

const minuteMs = 60_000;
const waitsMs = [1, 5, 30, 60, 120, 360].map((minutes) => minutes * minuteMs);
/** Nobody has to wait longer for a vendor that hangs, or that has the whole app wait. */
const patienceMs = 15_000;

/**
 * Ends tokens at the vendor that are no connection's any more. They are on record until the
 * vendor has taken them, so that a restart forgets none; what it does not take is tried
 * again a few times, later and later.
 */
export class Revocations {
  readonly #dependencies: RevocationsDependencies;
  readonly #waiting = new Set<() => void>();
  /** Those that nobody waits for go one after the other: the requests belong to the polls. */
  #last: Promise<unknown> = Promise.resolve();
  #isStopped = false;

  constructor(dependencies: RevocationsDependencies) {
    this.#dependencies = dependencies;
  }

  /** Goes on with what an earlier process owed. */
  async start(): Promise<void> {
    const { store, clock } = this.#dependencies;
    for (const owed of await store.revocations()) {
      this.#tryLater(owed, Math.max(0, owed.dueAt - clock.now()));
    }
  }

  /** @returns false when the vendor has not taken all of them yet: that is tried again, and nobody has to wait for it. */
  async revoke(owed: readonly Revocation[]): Promise<boolean> {
    const over = new AbortController();
    const tried = Promise.all(owed.map((each) => this.#try(each))).then((ended) => !ended.includes(false));
    const tooLong = wait(this.#dependencies.clock, patienceMs, over.signal).then(() => false);
    try {
      return await Promise.race([tried, tooLong]);
    } finally {
      over.abort();
    }
  }

  /** Nothing is tried any more; what is owed stays on record. */
  stop(): void {
    this.#isStopped = true;
    for (const cancel of this.#waiting) cancel();
    this.#waiting.clear();
  }

  async #try(owed: Revocation): Promise<boolean> {
    try {
      const isEnded = (await this.#isInUse(owed)) || (await this.#isTaken(owed));
      if (isEnded) await this.#end(owed);
      else if (!this.#isStopped) await this.#putOff(owed);
      return isEnded;
    } catch (error) {
      // Requests that were told to stop end here, too.
      if (!this.#isStopped) this.#dependencies.onFatal(error);
      return false;
    }
  }

  /** Somebody has connected a clinic by the same pair meanwhile. */
  async #isInUse({ tokens }: Revocation): Promise<boolean> {
    const connections = await this.#dependencies.store.connections();
    return connections.some(
      (each) =>
        each.tokens?.accessToken === tokens.accessToken ||
        each.spareTokens?.accessToken === tokens.accessToken,
    );
  }

  async #isTaken({ tokens }: Revocation): Promise<boolean> {
    for (const token of [tokens.accessToken, tokens.refreshToken]) {
      if (token === null) continue;
      const answer = await this.#dependencies.oauth.revoke(token);
      if (answer.kind !== 'revoked') return false;
    }
    return true;
  }

  async #end({ id, failures }: Revocation): Promise<void> {
    const { store, logger } = this.#dependencies;
    if (failures > 0) logger.info('Tokens that were owed to be revoked are owed no more.');
    await unlessFull(store.endRevocation(id));
  }

  async #putOff(owed: Revocation): Promise<void> {
    const { store, clock, logger } = this.#dependencies;
    const waitMs = waitsMs[owed.failures];
    if (waitMs === undefined) {
      logger.error(
        'Tokens of a clinic that was disconnected could not be revoked; end the authorization in Fullscript.',
      );
      return unlessFull(store.endRevocation(owed.id));
    }
    logger.warn('Tokens could not be revoked; it is tried again.', { inMinutes: waitMs / minuteMs });
    const again = { ...owed, failures: owed.failures + 1, dueAt: clock.now() + waitMs };
    this.#tryLater(again, waitMs);
    await unlessFull(store.saveRevocation(again));
  }

  #tryLater(owed: Revocation, waitMs: number): void {
    const cancel = this.#dependencies.clock.after(waitMs, () => {
      this.#waiting.delete(cancel);
      this.#last = this.#last.then(() => (this.#isStopped ? undefined : this.#try(owed)));
    });
    this.#waiting.add(cancel);
  }
}

/** What the store does not take now stays as it was on record: a restart tries it once more, which harms nobody. */
async function unlessFull(change: Promise<void>): Promise<void> {
  await change.catch((error: unknown) => {
    if (!(error instanceof StoreUnavailable)) throw error;
  });
}
