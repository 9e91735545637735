import { type Clock, systemClock } from '../../src/clock.ts';

export interface MovableClock extends Clock {
  /** Lets so much time have passed: each timer that is due by then fires, once. */
  advance(ms: number): void;
}

interface Timer {
  dueMs: number;
  readonly then: () => void;
  cancel: () => void;
}

/** The real time, and what was added to it. @param aheadMs added from the beginning. */
export function movableClock(aheadMs = 0): MovableClock {
  const real = systemClock();
  const timers = new Set<Timer>();
  let passedMs = 0;

  const arm = (timer: Timer) => {
    timer.cancel = real.after(timer.dueMs - clock.monotonic(), () => {
      timers.delete(timer);
      timer.then();
    });
  };
  const clock: MovableClock = {
    now: () => real.now() + aheadMs + passedMs,
    wall: () => real.wall() + aheadMs + passedMs,
    monotonic: () => real.monotonic() + passedMs,
    after(delayMs, then) {
      const waitMs = Number.isNaN(delayMs) ? 0 : Math.max(delayMs, 0);
      const timer: Timer = { dueMs: clock.monotonic() + waitMs, then, cancel: () => {} };
      timers.add(timer);
      arm(timer);
      return () => {
        timers.delete(timer);
        timer.cancel();
      };
    },
    advance(ms) {
      passedMs += ms;
      for (const timer of [...timers].sort((a, b) => a.dueMs - b.dueMs)) {
        timer.cancel();
        if (timers.has(timer)) arm(timer);
      }
    },
  };
  return clock;
}
