import type { Clock } from '../../src/clock.ts';

export interface SimulatedClock extends Clock {
  /** Moves time on and fires what becomes due on the way, in order; promises settle after each. */
  advance(ms: number): Promise<void>;
  /** Timers that have neither fired nor been cancelled. */
  readonly waiting: number;
}

/** A clock on which a month passes in a moment. Its three clocks agree. */
export function simulatedClock(startMs: number): SimulatedClock {
  let nowMs = startMs;
  let made = 0;
  const timers = new Map<number, { dueMs: number; then: () => void }>();

  const nextDue = (untilMs: number) => {
    let next: { id: number; dueMs: number; then: () => void } | null = null;
    for (const [id, timer] of timers) {
      if (timer.dueMs <= untilMs && (next === null || timer.dueMs < next.dueMs)) next = { id, ...timer };
    }
    return next;
  };

  return {
    get waiting() {
      return timers.size;
    },
    now: () => Math.floor(nowMs),
    wall: () => Math.floor(nowMs),
    monotonic: () => nowMs - startMs,
    after(delayMs, then) {
      made += 1;
      const id = made;
      timers.set(id, { dueMs: nowMs + (Number.isNaN(delayMs) ? 0 : Math.max(delayMs, 0)), then });
      return () => timers.delete(id);
    },
    async advance(ms) {
      const untilMs = nowMs + ms;
      await settled();
      for (let timer = nextDue(untilMs); timer !== null; timer = nextDue(untilMs)) {
        timers.delete(timer.id);
        nowMs = Math.max(nowMs, timer.dueMs);
        timer.then();
        await settled();
      }
      nowMs = untilMs;
    },
  };
}

/** Every promise that waits for nothing but other promises has settled. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
