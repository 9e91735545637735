/** One comparison: everything in it is measured in one run, on one machine, and only ratios are claimed. */
export interface Bench {
  readonly name: string;
  /** What is compared with what, in one line. */
  readonly about: string;
  run(): Promise<BenchResult>;
}

export interface BenchResult {
  /** One row a line of the printed table; keys are its columns. */
  readonly rows: readonly Readonly<Record<string, string | number>>[];
  /** What design promises, held against what was measured. */
  readonly claims: readonly Claim[];
}

export interface Claim {
  readonly what: string;
  readonly measured: number;
  readonly atLeast?: number;
  readonly atMost?: number;
}

export function isKept({ measured, atLeast, atMost }: Claim): boolean {
  return (
    measured >= (atLeast ?? Number.NEGATIVE_INFINITY) && measured <= (atMost ?? Number.POSITIVE_INFINITY)
  );
}
