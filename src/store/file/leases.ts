import type { Clock } from '../../clock.ts';

/**
 * Claims that only this process can hold, because only one process may hold the store:
 * they end with it and need no record. Leases run on the clock that never steps.
 */
export class Leases {
  readonly #clock: Clock;
  readonly #held = new Map<string, { claimId: string; untilMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `claimId` when the work was free, or its lease had lapsed; `null` while somebody has it. */
  take(work: string, claimId: string, leaseMs: number): string | null {
    if (this.isTaken(work)) return null;
    this.#held.set(work, { claimId, untilMs: this.#clock.monotonic() + leaseMs });
    return claimId;
  }

  /** For work that is free on record: whatever lease is left from an earlier claim on it counts no more. */
  give(work: string, claimId: string, leaseMs: number): void {
    this.#held.set(work, { claimId, untilMs: this.#clock.monotonic() + leaseMs });
  }

  isTaken(work: string): boolean {
    const lease = this.#held.get(work);
    return lease !== undefined && lease.untilMs > this.#clock.monotonic();
  }

  /** Still this claim's: a lapsed lease is lost only once somebody else took the work. */
  isHeld(work: string, claimId: string): boolean {
    return this.#held.get(work)?.claimId === claimId;
  }

  /** False when the claim is lost. */
  extend(work: string, claimId: string, leaseMs: number): boolean {
    if (!this.isHeld(work, claimId)) return false;
    this.#held.set(work, { claimId, untilMs: this.#clock.monotonic() + leaseMs });
    return true;
  }

  end(work: string, claimId: string): void {
    if (this.#held.get(work)?.claimId === claimId) this.#held.delete(work);
  }
}
