const longestSeconds = 50_000;

/** Detection delays, to the second. */
export class Delays {
  readonly #bySecond = new Uint32Array(longestSeconds + 1);
  #count = 0;
  #sumMs = 0;
  #worstMs = 0;

  add(delayMs: number): void {
    const second = Math.min(longestSeconds, Math.floor(delayMs / 1000));
    this.#bySecond[second] = (this.#bySecond[second] ?? 0) + 1;
    this.#count += 1;
    this.#sumMs += delayMs;
    this.#worstMs = Math.max(this.#worstMs, delayMs);
  }

  get count(): number {
    return this.#count;
  }

  get meanSeconds(): number {
    return this.#sumMs / this.#count / 1000;
  }

  get worstSeconds(): number {
    return this.#worstMs / 1000;
  }

  /** @param share in [0, 1] */
  quantileSeconds(share: number): number {
    let left = share * this.#count;
    for (let second = 0; second <= longestSeconds; second++) {
      left -= this.#bySecond[second] ?? 0;
      if (left <= 0) return second;
    }
    return longestSeconds;
  }
}
