export interface Weighed {
  /** √(pages / rate) of each stream: times the level it is the interval in milliseconds. */
  readonly roots: Float64Array;
  /** Requests that one poll of each takes. */
  readonly pages: Float64Array;
  /** Requests per millisecond that polls may take. */
  readonly perMs: number;
  readonly minMs: number;
  readonly maxMs: number;
}

const precision = 1.001;

/**
 * The least level at which all streams together take no more than `perMs`, each at the
 * interval `level × root` between floor and ceiling. Where even the ceiling takes more,
 * every stream is at the ceiling; with room for all at the floor it is 0.
 */
export function levelAt({ roots, pages, perMs, minMs, maxMs }: Weighed): number {
  const takesTooMuch = (level: number): boolean => {
    let taken = 0;
    for (let index = 0; index < roots.length; index++) {
      const intervalMs = level * (roots[index] as number);
      taken +=
        (pages[index] as number) / (intervalMs < minMs ? minMs : intervalMs > maxMs ? maxMs : intervalMs);
    }
    return taken > perMs;
  };
  // From everything at the floor to everything at the ceiling.
  let low = Number.POSITIVE_INFINITY;
  let high = 0;
  for (const root of roots) {
    low = Math.min(low, minMs / root);
    high = Math.max(high, maxMs / root);
  }
  if (!takesTooMuch(low)) return 0;
  while (high / low > precision) {
    const middle = Math.sqrt(low * high);
    if (takesTooMuch(middle)) low = middle;
    else high = middle;
  }
  return high;
}
