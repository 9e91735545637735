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

  /** From when on one more may start, also when that is past; `-Infinity` for whoever was sent nothing yet. */
  freeAt(subscriberId: string, perSecond: number): number {
    const waitMs = this.#paidAtOf(subscriberId, perSecond) - burstMs - this.#clock.monotonic();
    return this.#clock.now() + Math.ceil(waitMs);
  }

  #aheadMs(subscriberId: string, perSecond: number): number {
    return Math.max(0, this.#paidAtOf(subscriberId, perSecond) - this.#clock.monotonic());
  }

  /** What was taken at a lower rate is paid for as if it had been taken at this one: nobody waits for a rate that was given up. */
  #paidAtOf(subscriberId: string, perSecond: number): number {
    const paidAt = this.#paidAt.get(subscriberId) ?? Number.NEGATIVE_INFINITY;
    const mostAt = this.#clock.monotonic() + burstMs + 1000 / perSecond;
    if (paidAt <= mostAt) return paidAt;
    this.#paidAt.set(subscriberId, mostAt);
    return mostAt;
  }
}
