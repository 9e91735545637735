import { createHash } from 'node:crypto';

/**
 * What must hold whatever happens, by the numbers of the list of invariants that the
 * project keeps: I1 nothing lost, I2 bounded repeats, I3 stable, I4 durable first,
 * I5 self-recovery, I6 no guess, I9 bounded. `cursor`, `sequence`, `order`, `schedule`, `budget` and `truth`
 * are the relay's own.
 */
export type Invariant =
  | 'I1 nothing is lost'
  | 'I2 repeats are bounded'
  | 'I3 ids and bytes are stable'
  | 'I4 what is told is durable'
  | 'I5 it recovers by itself'
  | 'I6 nothing is guessed'
  | 'I9 nothing is left behind'
  | 'enqueued once'
  | 'the cursor stays behind what is recorded'
  | 'the sequence has no gap'
  | 'a promised order is kept'
  | 'attempts follow the schedule'
  | 'the budget is kept'
  | 'the log tells the truth';

export interface Violation {
  readonly invariant: Invariant;
  readonly what: string;
}

/** What happened in a run, in order; the same seed has to give the same digest. */
export class History {
  readonly violations: Violation[] = [];
  readonly counts: Record<string, number> = {};
  readonly lines: string[] = [];
  readonly #digest = createHash('sha256');
  /** The true time. */
  readonly now: () => number;
  #moment = 0;

  constructor(now: () => number) {
    this.now = now;
  }

  /** Numbers the happenings whose order matters. */
  tick(): number {
    this.#moment += 1;
    return this.#moment;
  }

  note(kind: string, ...facts: readonly (string | number | null)[]): void {
    const line = `${new Date(this.now()).toISOString()} ${kind} ${facts.join(' ')}`;
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
    this.#digest.update(`${line}\n`);
    this.lines.push(line);
  }

  violate(invariant: Invariant, what: string): void {
    this.note('VIOLATION', `${invariant}: ${what}`);
    this.violations.push({ invariant, what });
  }

  digest(): string {
    return this.#digest.copy().digest('hex').slice(0, 16);
  }
}
