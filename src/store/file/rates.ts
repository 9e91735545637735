import type { Clock } from '../../clock.ts';

/** What may go out at once although the rate alone would spread it. */
const burstMs = 100;

/**
 * Requests a second, by subscriber: each takes up its share of a second, and the next may
 * start when that is over. Known to this process alone, because only one may hold the
 * store; a restart begins afresh.
 */
export class Rates {
  readonly #clock: Clock;
  /** On the monotonic clock: when all that was taken is paid for. */
  readonly #paidAt = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many requests may start now. */
  free(subscriberId: string, perSecond: number): number {
    const aheadMs = this.#aheadMs(subscriberId);
    return aheadMs > burstMs ? 0 : Math.floor(((burstMs - aheadMs) * perSecond) / 1000) + 1;
  }

  take(subscriberId: string, perSecond: number, count: number): void {
    const paidAt = this.#clock.monotonic() + this.#aheadMs(subscriberId);
    this.#paidAt.set(subscriberId, paidAt + (count * 1000) / perSecond);
  }

  /** Until one more may start, in milliseconds; 0 when it may at once. */
  waitMs(subscriberId: string): number {
    return Math.max(0, Math.ceil(this.#aheadMs(subscriberId) - burstMs));
  }

  #aheadMs(subscriberId: string): number {
    const now = this.#clock.monotonic();
    return Math.max(0, (this.#paidAt.get(subscriberId) ?? now) - now);
  }
}
