import type { Clock } from '../../src/clock.ts';
import { clockOf, type SimulatedTime } from './time.ts';

/** How a process ends: `kill` leaves what the machine had in memory, `powerCut` only what was synced, and some of the rest. */
export type End = 'kill' | 'powerCut' | 'stop';

/** At which operation of the disk the process ends, counted from its start, and whether that operation still happens. */
export interface Doom {
  readonly operation: number;
  readonly point: 'before' | 'during' | 'after';
  readonly end: Exclude<End, 'stop'>;
}

/** One process of the relay, from its start to however it ends. Nothing that it waits for resolves after that. */
export class Life {
  readonly number: number;
  readonly clock: Clock;
  readonly #time: SimulatedTime;
  readonly #onEnd: (end: End) => void;
  /** `null`: no operation of the disk ends it. */
  doom: Doom | null;
  isOver = false;
  frozenUntil = 0;
  /** For how long its next request to a subscriber freezes it, while the answer is on its way. */
  freezesAtSendMs = 0;
  /** Operations of the disk so far. */
  operations = 0;

  constructor(options: {
    number: number;
    time: SimulatedTime;
    aheadMs: number;
    doom: Doom | null;
    onEnd: (end: End) => void;
  }) {
    this.number = options.number;
    this.clock = clockOf(options.time, this, options.aheadMs);
    this.doom = options.doom;
    this.#time = options.time;
    this.#onEnd = options.onEnd;
  }

  end(how: End): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#onEnd(how);
  }

  get isFrozen(): boolean {
    return this.frozenUntil > this.#time.now;
  }

  /** Stops the process in the middle of whatever it does, as a suspended machine would. */
  freeze(ms: number): void {
    this.frozenUntil = this.#time.now + ms;
    this.freezesAtSendMs = 0;
  }

  /** Something comes in from outside. After a freeze the timers ring first, as in Node's event loop. */
  hear(delayMs: number, then: () => void): void {
    this.#time.after(delayMs, () => {
      if (this.isFrozen) this.hear(this.frozenUntil - this.#time.now + 1, then);
      else if (!this.isOver) then();
    });
  }

  /** `promise` for as long as the process lives; then nobody is left to hear of it. */
  async while<T>(promise: Promise<T>): Promise<T> {
    try {
      const value = await promise;
      return this.isOver ? await never<T>() : value;
    } catch (error) {
      if (this.isOver) return never<T>();
      throw error;
    }
  }
}

export function never<T>(): Promise<T> {
  return new Promise<T>(() => {});
}
