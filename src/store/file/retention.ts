import { type Clock, wait } from '../../clock.ts';
import { StoreBroken, StoreUnavailable } from '../../domain/errors.ts';
import type { Bodies } from './bodies.ts';
import type { BodyFiles } from './body-files.ts';
import type { ColdRows } from './cold-rows.ts';
import type { Commits } from './commits.ts';
import { type FactOf, idsPerLine, type Run } from './facts.ts';
import { NeededBodies } from './needed-bodies.ts';
import type { OneAtATime } from './one-at-a-time.ts';
import {
  backfilledIn,
  eventGoes,
  isAwaited,
  isOpen,
  jobsGone,
  newestRecord,
  setAsidesGone,
  tokensGone,
} from './retention-rules.ts';
import { dayNumber, type State } from './state.ts';
import { TrustedTime } from './trusted-time.ts';

/** How long what is done is kept, in days. Nothing open is ever deleted. */
export interface RetentionDays {
  /** From recording, and until a later sweep does not list the event any more. */
  readonly ids: number;
  /** From the end of the event's last delivery. */
  readonly bodies: number;
  /** From the end of the delivery, or of the job; at least as long as ids. */
  readonly deliveries: number;
}

/** What one look deleted. */
export interface Retained {
  readonly deliveries: number;
  readonly events: number;
  readonly bodyFiles: number;
  /** Bodies and excerpts that are still needed and were moved to a newer file. */
  readonly moved: number;
  /** The clock jumped ahead, so nothing is deleted until it has gone on evenly for a day. */
  readonly isClockDoubted: boolean;
}

export interface RetentionDependencies {
  readonly commits: Commits;
  readonly bodies: Bodies;
  readonly bodyFiles: BodyFiles;
  readonly coldRows: ColdRows;
  readonly clock: Clock;
  /** Erasures take their turns with it: both move what files hold. */
  readonly inTurn: OneAtATime;
  readonly days: RetentionDays;
  /** Hears of each look that found something to do or to say, and of one that failed. */
  readonly onRetained: (retained: Retained | Error) => void;
}

type SmallRowsGone = Pick<FactOf<'retained'>, 'jobs' | 'tokens' | 'setAsides'>;

const dayMs = 86_400_000;
/** After the start, and after one that could not be done. */
const soonMs = 60_000;
const betweenLooksMs = 6 * 3_600_000;
/** Rows that are removed in one go: a few milliseconds of work. */
const rowsPerCommit = 1_024;
/** Slow enough for the indexes to keep up with what is removed. */
const betweenCommitsMs = 5;
const runsPerFact = 1_000;
const triesMax = 3;

/**
 * Deletes what is kept no longer, a little at a time, while the relay works.
 *
 * - A delivery, with its attempts, some days after it ended; a job likewise, but for audits.
 * - An item that was set aside and read after all, as long after that as an id.
 * - The id of a revoked token as long after the token has come to its end by itself: a clock
 *   that was ahead and is put right must not revive one.
 * - An event's id some days after it was recorded, and only once a sweep that began later
 *   has not listed it: it would be taken for a new one otherwise.
 * - A day's file of bodies and excerpts, with the key that opens it, when nothing in it is
 *   needed any more. What is still needed in a file that is old enough to go is moved to
 *   the file of today first.
 */
export class Retention {
  readonly #on: RetentionDependencies;
  readonly #time: TrustedTime;
  #cancel = (): void => {};
  #look: Promise<void> | null = null;
  /** The last look could not be done. */
  #isPutOff = false;
  readonly #stop = new AbortController();
  readonly #needed: NeededBodies;

  constructor(dependencies: RetentionDependencies) {
    this.#on = dependencies;
    this.#needed = new NeededBodies(dependencies, this.#stop.signal);
    this.#time = new TrustedTime(dependencies.clock);
  }

  start(): void {
    this.#wait(soonMs);
  }

  /** Ends after the commit under way; the next start goes on. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#cancel();
    await this.#look;
  }

  /** One look: deletes all that is to go now. @throws StoreUnavailable, StoreBroken, StoreCorrupt */
  look(): Promise<Retained> {
    const { commits, inTurn } = this.#on;
    return inTurn(() => commits.besideBatches(() => this.#lookAtAll()));
  }

  async #lookAtAll(): Promise<Retained> {
    const { commits, clock, days, bodyFiles } = this.#on;
    // What a crash left of an erasure does not wait for any day to be over.
    await bodyFiles.rewriteMarked(this.#stop.signal);
    const nothing = { deliveries: 0, events: 0, bodyFiles: 0, moved: 0 };
    const time = await commits.commit(({ state, record }) => {
      const now = Math.min(clock.now(), clock.wall());
      const last = {
        trustedAt: state.counters.get('retainedAt') ?? newestRecord(state) ?? now,
        doubtedMs: state.counters.get('doubtedMs') ?? 0,
      };
      const look = this.#time.look(last);
      record({ t: 'retained', at: clock.now(), ...look, ...this.#smallRowsGone(state, look.trustedAt) });
      return look;
    });
    if (time.doubtedMs > 0) return { ...nothing, isClockDoubted: true };
    const now = time.trustedAt;
    const endedBefore = this.#endedBefore(now);
    const deliveries = await this.#remove('deliveriesGone', (state) => {
      const { deliveries: rows } = state;
      const { endedAt } = rows.columns;
      return (number) => rows.isThere(number) && !isOpen(state, number) && endedAt.get(number) < endedBefore;
    });
    const backfilled = await commits.read((state) => backfilledIn(state, 0));
    const recordedBefore = now - days.ids * dayMs;
    const events = await this.#remove('eventsGone', (state) => eventGoes(state, recordedBefore, backfilled));
    const gone = await this.#bodies(now);
    await commits.read((state) => {
      state.events.dropEmptyChunks();
      state.deliveries.dropEmptyChunks();
    });
    return { deliveries, events, ...gone, isClockDoubted: false };
  }

  /** As many as one line takes; the next look goes on. */
  #smallRowsGone(state: State, now: number): SmallRowsGone {
    const idsBefore = now - this.#on.days.ids * dayMs;
    const gone: Required<SmallRowsGone> = {
      jobs: jobsGone(state, this.#endedBefore(now)),
      tokens: tokensGone(state, idsBefore),
      setAsides: setAsidesGone(state, idsBefore),
    };
    const some = Object.entries(gone).filter(([, keys]) => keys.length > 0);
    return Object.fromEntries(some.map(([name, keys]) => [name, keys.slice(0, idsPerLine)]));
  }

  /** As long as an id may be listed in one more clinic, its deliveries say whom it was sent to. */
  #endedBefore(now: number): number {
    const { days } = this.#on;
    return now - Math.max(days.deliveries, days.ids) * dayMs;
  }

  #wait(ms: number): void {
    if (this.#isStopped) return;
    this.#cancel = this.#on.clock.after(ms, () => {
      this.#look = this.#lookAndTell().finally(() => {
        this.#look = null;
        this.#wait(this.#isPutOff ? soonMs : betweenLooksMs);
      });
    });
  }

  async #lookAndTell(): Promise<void> {
    const { onRetained } = this.#on;
    try {
      const retained = await this.look();
      const { deliveries, events, bodyFiles, moved, isClockDoubted } = retained;
      if (deliveries + events + bodyFiles + moved > 0 || isClockDoubted) onRetained(retained);
    } catch (error) {
      // The store itself tells that it is broken; the next look goes on, as it does with what a stop cut off.
      if (this.#isStopped || error instanceof StoreBroken) return;
      const wasPutOff = this.#isPutOff;
      this.#isPutOff = error instanceof StoreUnavailable;
      if (!wasPutOff || !this.#isPutOff) onRetained(error as Error);
      return;
    }
    this.#isPutOff = false;
  }

  /** @returns how many rows it removed. */
  async #remove(
    fact: 'deliveriesGone' | 'eventsGone',
    rule: (state: State) => (number: number) => boolean,
  ): Promise<number> {
    const { commits, clock } = this.#on;
    const end = await commits.read(({ deliveries, events }) =>
      fact === 'deliveriesGone' ? deliveries.end : events.end,
    );
    let removed = 0;
    for (let from = 0; from < end && !this.#isStopped; from += rowsPerCommit) {
      // Others take their turns, also where nothing is to go and no disk is waited for.
      if (from > 0) await wait(clock, betweenCommitsMs, this.#stop.signal);
      removed += await commits.commit(({ state, record }) => {
        const runs = runsIn(from, Math.min(from + rowsPerCommit, end), rule(state));
        for (let first = 0; first < runs.length; first += runsPerFact) {
          record({ t: fact, at: clock.now(), of: runs.slice(first, first + runsPerFact) });
        }
        return runs.reduce((sum, [first, last]) => sum + last - first, 0);
      });
    }
    return removed;
  }

  async #bodies(now: number): Promise<Pick<Retained, 'bodyFiles' | 'moved'>> {
    const { commits, bodies, bodyFiles, clock, days } = this.#on;
    const today = dayNumber(new Date(clock.now()).toISOString());
    let moved = 0;
    let gone = await bodyFiles.takeAway();
    for (const [day, files] of byDay(await bodies.files())) {
      if (this.#isStopped || day >= today || (day + 1 + days.bodies) * dayMs > now) break;
      let isGone = false;
      for (let tries = 1; tries <= triesMax && !isGone && !this.#isStopped; tries++) {
        for (const file of files) moved += await this.#needed.move(file, now - days.bodies * dayMs);
        isGone = await commits.commit(({ state, record }) => {
          // A replay may have begun since; what cannot be read cannot be moved, and is lost already.
          if (tries < triesMax && files.some((file) => isAwaited(state, file))) return false;
          record({ t: 'bodiesGone', at: clock.now(), before: day + 1 });
          return true;
        });
      }
      gone += await bodyFiles.takeAway();
    }
    return { bodyFiles: gone, moved };
  }

  get #isStopped(): boolean {
    return this.#stop.signal.aborted;
  }
}

/** By the days since 1970, the oldest first. */
function byDay(files: readonly string[]): ReadonlyMap<number, readonly string[]> {
  const days = new Map<number, string[]>();
  for (const file of files) days.set(dayNumber(file), [...(days.get(dayNumber(file)) ?? []), file]);
  return new Map([...days].sort(([a], [b]) => a - b));
}

/** Numbers from `from` to `to` (not included) that a rule says yes to, as runs. */
function runsIn(from: number, to: number, goes: (number: number) => boolean): Run[] {
  const runs: [number, number][] = [];
  for (let number = from; number < to; number++) {
    if (!goes(number)) continue;
    const last = runs.at(-1);
    if (last?.[1] === number) last[1] = number + 1;
    else runs.push([number, number + 1]);
  }
  return runs;
}
