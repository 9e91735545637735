import type { Clock } from '../../clock.ts';

/** What is on record of the last look at the clock. */
export interface LastLook {
  /** The time that was trusted then. */
  readonly trustedAt: number;
  /** For how long the clock has been doubted since; 0 when it is trusted. */
  readonly doubtedMs: number;
}

/** A relay that was stopped for so long is nothing unusual. */
const strangeMs = 25 * 3_600_000;
/** A clock that goes on evenly for so long is right, however far it went at once. */
const doubtMs = 24 * 3_600_000;
const unevenMs = 10 * 60_000;

/**
 * The time by which something may be deleted for ever. A wall clock that jumped ahead by
 * weeks would make everything look old; it is believed only when it has gone on evenly
 * for a day since.
 */
export class TrustedTime {
  readonly #clock: Clock;
  #lookedAt: number;
  /** What the clock said while it was doubted. */
  #doubtedNow: number | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lookedAt = clock.monotonic();
  }

  /** Takes a look; `doubtedMs` above 0 says that nothing is to be deleted now. */
  look(last: LastLook): LastLook {
    const sinceMs = this.#clock.monotonic() - this.#lookedAt;
    this.#lookedAt = this.#clock.monotonic();
    // The relay's own time never runs back: after a jump that was put right it stays ahead.
    const now = Math.min(this.#clock.now(), this.#clock.wall());
    const expected = last.trustedAt + strangeMs;
    if (last.doubtedMs === 0 ? now <= expected + sinceMs : now <= expected) {
      this.#doubtedNow = null;
      return { trustedAt: Math.max(now, last.trustedAt), doubtedMs: 0 };
    }
    const wentOn = this.#doubtedNow === null ? 0 : now - this.#doubtedNow;
    const isEven = this.#doubtedNow !== null && Math.abs(wentOn - sinceMs) < unevenMs;
    this.#doubtedNow = now;
    const doubtedMs = isEven ? last.doubtedMs + sinceMs : Math.max(1, last.doubtedMs);
    return doubtedMs >= doubtMs ? { trustedAt: now, doubtedMs: 0 } : { ...last, doubtedMs };
  }
}
