/** Deliveries that should have come between others and did not: numbers of `relay-sequence`. */
export interface Gap {
  readonly from: number;
  /** The last one of them; `from` where only one is missing. */
  readonly to: number;
  /** How long ago a later one came. */
  readonly missingForMs: number;
}

export interface NumberedAttempt {
  readonly sequence: number;
  readonly isFirstAttempt: boolean;
}

interface Missing {
  readonly from: number;
  readonly to: number;
  readonly since: number;
  readonly isTold: boolean;
}

/** What is missing is kept as ranges; of more than these the oldest are dropped. */
const rangesMax = 1_000;

/**
 * Notices which of one subscriber's deliveries did not come. Order is not promised, so
 * a number counts as missing only when later ones have been there for a while. It begins
 * with the first number that comes at its first attempt: a retry or a replay may be from
 * weeks ago, and nothing since would be known. It holds all in memory.
 */
export class SequenceWatch {
  readonly #gapAfterMs: number;
  #next: number | null = null;
  #missing: readonly Missing[] = [];

  constructor(gapAfterMs: number) {
    this.#gapAfterMs = gapAfterMs;
  }

  /** @returns what has been missing for long enough by now; each gap is told once. */
  note({ sequence, isFirstAttempt }: NumberedAttempt, now: number): readonly Gap[] {
    if (this.#next === null && !isFirstAttempt) return [];
    const next = this.#next ?? sequence;
    if (sequence > next) {
      const skipped = { from: next, to: sequence - 1, since: now, isTold: false };
      this.#missing = [...this.#missing, skipped].slice(-rangesMax);
    }
    if (sequence < next) this.#missing = this.#missing.flatMap((missing) => without(missing, sequence));
    this.#next = Math.max(next, sequence + 1);
    return this.#tell(now);
  }

  #tell(now: number): readonly Gap[] {
    const isDue = ({ since, isTold }: Missing) => !isTold && now - since >= this.#gapAfterMs;
    const due = this.#missing.filter(isDue);
    if (due.length > 0) {
      this.#missing = this.#missing.map((missing) =>
        isDue(missing) ? { ...missing, isTold: true } : missing,
      );
    }
    return due.map(({ from, to, since }) => ({ from, to, missingForMs: now - since }));
  }
}

function without(missing: Missing, sequence: number): readonly Missing[] {
  const { from, to } = missing;
  if (sequence < from || sequence > to) return [missing];
  return [
    { ...missing, to: sequence - 1 },
    { ...missing, from: sequence + 1 },
  ].filter((part) => part.from <= part.to);
}
