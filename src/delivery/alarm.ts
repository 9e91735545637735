import type { Clock } from '../clock.ts';

/** One moment at which something is to happen; only a sooner one replaces it. */
export class Alarm {
  readonly #clock: Clock;
  readonly #ring: () => void;
  #next: { readonly at: number; readonly cancel: () => void } | null = null;

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** @param at epoch milliseconds of `clock.now`; a moment that is past is now. */
  setBy(at: number): void {
    if (this.#next !== null && this.#next.at <= at) return;
    this.cancel();
    const cancel = this.#clock.after(at - this.#clock.now(), () => {
      this.#next = null;
      this.#ring();
    });
    this.#next = { at, cancel };
  }

  cancel(): void {
    this.#next?.cancel();
    this.#next = null;
  }
}
