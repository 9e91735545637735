/** Source: Fullscript, "Rate limits": 5,000 requests in a rolling 5 minutes, across all endpoints. */
export const documentedLimit = { requests: 5_000, windowMs: 300_000 } as const;

/**
 * Counts requests in a rolling window. What is refused is not counted, so that a client
 * that keeps knocking recovers as soon as its older requests leave the window.
 */
export class RollingLimit {
  readonly requests: number;
  readonly windowMs: number;
  #times: number[] = [];
  #oldest = 0;

  constructor(limit: { readonly requests: number; readonly windowMs: number }) {
    this.requests = limit.requests;
    this.windowMs = limit.windowMs;
  }

  /** False when the window is full. */
  admit(now: number): boolean {
    if (this.inWindow(now) >= this.requests) return false;
    this.#times.push(now);
    return true;
  }

  inWindow(now: number): number {
    const after = now - this.windowMs;
    while (this.#oldest < this.#times.length && (this.#times[this.#oldest] as number) <= after) {
      this.#oldest += 1;
    }
    if (this.#oldest > this.requests) {
      this.#times = this.#times.slice(this.#oldest);
      this.#oldest = 0;
    }
    return this.#times.length - this.#oldest;
  }
}
