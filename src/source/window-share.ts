import type { Clock } from '../clock.ts';

/** What one kind of request has taken of the vendor's rolling window, on the clock that never steps. */
export class WindowShare {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #windowMs: number;
  /** The oldest first. */
  readonly #takenAt: number[] = [];

  constructor(clock: Pick<Clock, 'monotonic'>, windowMs: number) {
    this.#clock = clock;
    this.#windowMs = windowMs;
  }

  /** Until one more would not exceed `most` in any window; 0 when it would not now. */
  waitMs(most: number): number {
    const now = this.#clock.monotonic();
    const current = this.#takenAt.findIndex((at) => at + this.#windowMs > now);
    this.#takenAt.splice(0, current < 0 ? this.#takenAt.length : current);
    const inTheWay = this.#takenAt[this.#takenAt.length - most];
    return inTheWay === undefined ? 0 : inTheWay + this.#windowMs - now;
  }

  take(): void {
    this.#takenAt.push(this.#clock.monotonic());
  }
}
