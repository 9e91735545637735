import type { Clock } from '../clock.ts';
import { StoreUnavailable } from '../domain/errors.ts';
import type { Logger } from '../logger.ts';
import type { DeliveryClaim, DeliveryStore } from '../store/store.ts';

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
  readonly #claimedAt = new Map<DeliveryClaim, number>();
  #cancelTimer: (() => void) | null = null;
  #renewing: Promise<void> = Promise.resolve();

  constructor(dependencies: HeldClaimsDependencies) {
    this.#dependencies = dependencies;
  }

  add(claim: DeliveryClaim): void {
    this.#claimedAt.set(claim, this.#dependencies.clock.monotonic());
    this.#setTimer();
  }

  remove(claim: DeliveryClaim): void {
    this.#claimedAt.delete(claim);
  }

  /** Renews nothing more; resolves when the store is not used any more. */
  async stop(): Promise<void> {
    this.#claimedAt.clear();
    this.#cancelTimer?.();
    await this.#renewing;
  }

  #setTimer(): void {
    const { clock, leaseMs } = this.#dependencies;
    this.#cancelTimer ??= clock.after(leaseMs / 3, () => {
      this.#cancelTimer = null;
      if (this.#claimedAt.size === 0) return;
      this.#setTimer();
      this.#renewing = this.#renewing.then(() => this.#renew());
    });
  }

  async #renew(): Promise<void> {
    const { store, clock, logger, leaseMs, onError } = this.#dependencies;
    const now = clock.monotonic();
    const ageing = [...this.#claimedAt].filter(([, at]) => now - at >= leaseMs / 3).map(([claim]) => claim);
    if (ageing.length === 0) return;
    try {
      const held = new Set((await store.renew(ageing, leaseMs)).map(({ claimId }) => claimId));
      for (const claim of ageing) {
        const isOver = !this.#claimedAt.has(claim);
        if (isOver || held.has(claim.claimId)) continue;
        logger.warn('claim lost', { deliveryId: claim.delivery.id, attempt: claim.attempt });
      }
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) onError(error);
    }
  }
}
