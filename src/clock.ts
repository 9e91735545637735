import { setTimeout as nodeSetTimeout } from 'node:timers';

/**
 * Time, handed in wherever it is needed, so that a test decides what it is.
 *
 * Three clocks, because they answer different questions: `now` orders and schedules
 * things and never runs back; `monotonic` measures how long something took and when a
 * lease ends; `wall` is what other machines believe, and goes into signatures only.
 */
export interface Clock {
  /** Epoch milliseconds. Follows the wall clock forward, never back. */
  now(): number;
  /** Milliseconds since some fixed moment of this process. */
  monotonic(): number;
  /** Epoch milliseconds as the machine's clock says, steps included. */
  wall(): number;
  /**
   * Calls `then` once after `delayMs` (any length; a negative or unreadable delay is
   * zero). Returns what cancels it. A waiting timer does not keep the process alive.
   */
  after(delayMs: number, then: () => void): () => void;
}

/** Node fires a timer at once when its delay does not fit 31 bits, so longer waits are cut into pieces. */
const longestTimerMs = 2_147_000_000;

export function systemClock(): Clock {
  let aheadMs = Date.now() - performance.now();
  return {
    now() {
      const wall = Date.now();
      const estimate = aheadMs + performance.now();
      if (wall > estimate) aheadMs += wall - estimate;
      return Math.floor(aheadMs + performance.now());
    },
    monotonic: () => performance.now(),
    wall: () => Date.now(),
    after(delayMs, then) {
      let leftMs = Number.isNaN(delayMs) ? 0 : Math.max(delayMs, 0);
      let timer: NodeJS.Timeout;
      const arm = () => {
        const pieceMs = Math.min(leftMs, longestTimerMs);
        leftMs -= pieceMs;
        timer = nodeSetTimeout(leftMs > 0 ? arm : then, pieceMs);
        timer.unref();
      };
      arm();
      return () => clearTimeout(timer);
    },
  };
}

/** Resolves after `delayMs`, or at once when `signal` aborts; never rejects. */
export function wait(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const finish = () => {
      cancel();
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const cancel = clock.after(delayMs, finish);
    signal?.addEventListener('abort', finish, { once: true });
  });
}
