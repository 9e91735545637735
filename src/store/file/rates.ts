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
    const aheadMs = this.#aheadMs(subscriberId, perSecond);
    return aheadMs > burstMs ? 0 : Math.floor(((burstMs - aheadMs) * perSecond) / 1000) + 1;
  }

  take(subscriberId: string, perSecond: number, count: number): void {
    const paidAt = this.#clock.monotonic() + this.#aheadMs(subscriberId, perSecond);
    this.#paidAt.set(subscriberId, paidAt + (count * 1000) / perSecond);
  }

  /** Until one more may start, in milliseconds; 0 when it may at once. */
  waitMs(subscriberId: string, perSecond: number): number {
    return Math.max(0, Math.ceil(this.#aheadMs(subscriberId, perSecond) - burstMs));
  }

  /** What was taken at a lower rate is paid for as if it had been taken at this one: nobody waits for a rate that was given up. */
  #aheadMs(subscriberId: string, perSecond: number): number {
    const now = this.#clock.monotonic();
    const mostAt = now + burstMs + 1000 / perSecond;
    const paidAt = Math.min(this.#paidAt.get(subscriberId) ?? now, mostAt);
    if (paidAt === mostAt) this.#paidAt.set(subscriberId, paidAt);
    return Math.max(0, paidAt - now);
  }
}
