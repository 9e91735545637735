import { getEventListeners } from 'node:events';
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
  /** What the relay has set going and not ended yet; see `leftovers`. */
  readonly timers = new Set<object>();
  readonly files = new Set<object>();
  /** Requests of either kind that nothing has come of yet. */
  readonly requests = new Set<object>();
  /** What was handed in to end requests early. */
  readonly signals = new Set<AbortSignal>();

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

  /** How much of each kind is open; listeners are those that wait for the end of a request. */
  get leftovers(): Readonly<Record<'timers' | 'files' | 'requests' | 'listeners', number>> {
    const listeners = [...this.signals].flatMap((signal) => getEventListeners(signal, 'abort'));
    return {
      timers: this.timers.size,
      files: this.files.size,
      requests: this.requests.size,
      listeners: listeners.length,
    };
  }

  /** Stops the process in the middle of whatever it does, as a suspended machine would. */
  freeze(ms: number): void {
    this.frozenUntil = this.#time.now + ms;
    this.freezesAtSendMs = 0;
  }

  /** A time-out of the simulated network: it rings as the relay's own timers do, and is none of them. */
  timeOut(delayMs: number, then: () => void): void {
    this.#time.after(delayMs, () => {
      if (this.isFrozen) this.timeOut(this.frozenUntil - this.#time.now, then);
      else if (!this.isOver) then();
    });
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
