import type { Clock } from '../clock.ts';
import { StoreUnavailable } from '../domain/errors.ts';
import type { Logger } from '../logger.ts';
import type { DeliveryClaim, DeliveryStore } from '../store/store.ts';
import { UnderWay } from './under-way.ts';

export interface HeldClaimsDependencies {
  readonly store: Pick<DeliveryStore, 'renew'>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly leaseMs: number;
  /** Anything but a store that will go on by itself. */
  readonly onError: (error: unknown) => void;
}

/**
 * The claims under way, their leases renewed while they last. One timer serves all of
 * them: an attempt is over long before its lease, unless the store keeps its result
 * waiting.
 */
export class HeldClaims {
  readonly #dependencies: HeldClaimsDependencies;
  readonly #claims = new UnderWay<DeliveryClaim>();
  /** Not renewed the last time; one whose result was just being put on record is over by the next. */
  #missed: ReadonlySet<DeliveryClaim> = new Set();
  #cancelTimer: (() => void) | null = null;
  #renewing: Promise<void> = Promise.resolve();

  constructor(dependencies: HeldClaimsDependencies) {
    this.#dependencies = dependencies;
  }

  /** The answer ends it. */
  add(claim: DeliveryClaim): () => void {
    this.#setTimer();
    return this.#claims.add(claim);
  }

  /** Renews nothing more; resolves when the store is not used any more. */
  async stop(): Promise<void> {
    this.#cancelTimer?.();
    await this.#renewing;
  }

  #setTimer(): void {
    const { clock, leaseMs } = this.#dependencies;
    this.#cancelTimer ??= clock.after(leaseMs / 3, () => {
      this.#cancelTimer = null;
      if (this.#claims.size === 0) return;
      this.#setTimer();
      this.#renewing = this.#renewing.then(() => this.#renew());
    });
  }

  async #renew(): Promise<void> {
    const { store, logger, leaseMs, onError } = this.#dependencies;
    const asked = this.#claims.items();
    try {
      const renewed = new Set((await store.renew(asked, leaseMs)).map(({ claimId }) => claimId));
      const missed = new Set(asked.filter(({ claimId }) => !renewed.has(claimId)));
      for (const claim of this.#claims.items()) {
        if (!missed.has(claim) || !this.#missed.has(claim)) continue;
        logger.warn('claim lost', { deliveryId: claim.delivery.id, attempt: claim.attempt });
      }
      this.#missed = missed;
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) onError(error);
    }
  }
}
