import type { Clock } from '../../src/clock.ts';

interface Timer {
  readonly dueMs: number;
  readonly order: number;
  ring: (() => void) | null;
}

/**
 * The true time of a simulated world. Timers fire in order, and whatever a timer sets off
 * comes to rest before the next one fires.
 */
export class SimulatedTime {
  #nowMs: number;
  #made = 0;
  /** A binary heap, the soonest on top; cancelled timers stay until they come up. */
  readonly #timers: Timer[] = [];

  constructor(startMs: number) {
    this.#nowMs = startMs;
  }

  get now(): number {
    return this.#nowMs;
  }

  after(delayMs: number, then: () => void): () => void {
    this.#made += 1;
    const waitMs = Number.isNaN(delayMs) ? 0 : Math.max(delayMs, 0);
    const timer: Timer = { dueMs: this.#nowMs + waitMs, order: this.#made, ring: then };
    this.#push(timer);
    return () => {
      timer.ring = null;
    };
  }

  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await atRest();
    for (let next = this.#timers[0]; next !== undefined && next.dueMs <= untilMs; next = this.#timers[0]) {
      this.#pop();
      if (next.ring === null) continue;
      this.#nowMs = next.dueMs;
      next.ring();
      await atRest();
    }
    this.#nowMs = untilMs;
  }

  /** Lets time pass until `work` is done, a minute at most: `null` when it is not done by then. */
  async whileWorking<T>(work: Promise<T>): Promise<{ readonly value: T } | null> {
    let isDone = false;
    const done = work
      .then((value) => ({ value }))
      .finally(() => {
        isDone = true;
      });
    await atRest();
    for (let tries = 0; !isDone; tries++) {
      if (tries === 600) return null;
      await this.advance(100);
    }
    return done;
  }

  #push(timer: Timer): void {
    const timers = this.#timers;
    let at = timers.length;
    timers.push(timer);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = timers[above] as Timer;
      if (!isBefore(timer, parent)) break;
      timers[at] = parent;
      at = above;
    }
    timers[at] = timer;
  }

  #pop(): void {
    const timers = this.#timers;
    const last = timers.pop();
    if (last === undefined || timers.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= timers.length) break;
      const right = below + 1;
      if (right < timers.length && isBefore(timers[right] as Timer, timers[below] as Timer)) below = right;
      const child = timers[below] as Timer;
      if (!isBefore(child, last)) break;
      timers[at] = child;
      at = below;
    }
    timers[at] = last;
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}

/** Immediates set off more immediates: the dispatcher claims in one and fills a freed slot in the next. */
const turnsToRest = 3;

async function atRest(): Promise<void> {
  for (let turn = 0; turn < turnsToRest; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** What the clocks need to know of a process. */
export interface Running {
  readonly isOver: boolean;
  /** The true time until which it stands still, timers and all. */
  readonly frozenUntil: number;
  /** Its timers that have neither rung nor been cancelled. */
  readonly timers: Set<object>;
}

/**
 * The clocks of one process: they run with the true time, off by `aheadMs`, and tell
 * nothing more once it has ended.
 */
export function clockOf(time: SimulatedTime, life: Running, aheadMs: number): Clock {
  const bornAt = time.now;
  const shown = () => Math.floor(time.now + aheadMs);
  return {
    now: shown,
    wall: shown,
    monotonic: () => time.now - bornAt,
    after: (delayMs, then) => {
      const timer = { cancel: () => {} };
      const ring = () => {
        const frozenMs = life.frozenUntil - time.now;
        if (frozenMs > 0) {
          timer.cancel = time.after(frozenMs, ring);
          return;
        }
        life.timers.delete(timer);
        if (!life.isOver) then();
      };
      timer.cancel = time.after(delayMs, ring);
      life.timers.add(timer);
      return () => {
        life.timers.delete(timer);
        timer.cancel();
      };
    },
  };
}
