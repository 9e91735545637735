import type { Clock } from '../../clock.ts';
import { StoreBroken, StoreUnavailable } from '../../domain/errors.ts';
import type { Bodies } from './bodies.ts';
import type { BodyFiles } from './body-files.ts';
import type { ColdRows } from './cold-rows.ts';
import type { Commits } from './commits.ts';
import type { EventRow, Run, SealedRef } from './facts.ts';
import { eventKey, stateIn } from './kinds.ts';
import type { OneAtATime } from './one-at-a-time.ts';
import { dayNumber, type State, streamKey } from './state.ts';
import { TrustedTime } from './trusted-time.ts';

/** How long what is done is kept, in days. Nothing open is ever deleted. */
export interface RetentionDays {
  /** From recording, and until a later sweep does not list the event any more. */
  readonly ids: number;
  /** From the end of the event's last delivery. */
  readonly bodies: number;
  /** From the end of the delivery; at least as long as ids. */
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

const dayMs = 86_400_000;
/** After the start, and after one that could not be done. */
const soonMs = 60_000;
const betweenLooksMs = 6 * 3_600_000;
/** Rows that are looked at in one go: less than a millisecond of work. */
const rowsPerLook = 4_096;
const runsPerFact = 1_000;
const movedPerCommit = 20;
const triesMax = 3;

/**
 * Deletes what is kept no longer, a little at a time, while the relay works.
 *
 * - A delivery, with its attempts, some days after it ended.
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

  constructor(dependencies: RetentionDependencies) {
    this.#on = dependencies;
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
      record({ t: 'retained', at: clock.now(), ...look });
      return look;
    });
    if (time.doubtedMs > 0) return { ...nothing, isClockDoubted: true };
    const now = time.trustedAt;
    // As long as an id may be listed in one more clinic, its deliveries say whom it was sent to.
    const endedBefore = now - Math.max(days.deliveries, days.ids) * dayMs;
    const deliveries = await this.#remove('deliveriesGone', (state) => {
      const { deliveries: rows } = state;
      const { endedAt } = rows.columns;
      return (number) => rows.isThere(number) && !isOpen(state, number) && endedAt.get(number) < endedBefore;
    });
    const events = await this.#remove('eventsGone', (state) => eventGoes(state, now - days.ids * dayMs));
    const gone = await this.#bodies(now);
    await commits.read((state) => {
      state.events.dropEmptyChunks();
      state.deliveries.dropEmptyChunks();
    });
    return { deliveries, events, ...gone, isClockDoubted: false };
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
    for (let from = 0; from < end && !this.#isStopped; from += rowsPerLook) {
      removed += await commits.commit(({ state, record }) => {
        const runs = runsIn(from, Math.min(from + rowsPerLook, end), rule(state));
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
        for (const file of files) moved += await this.#moveNeeded(file, now - days.bodies * dayMs);
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

  /** @param endedBefore what ended before this instant is needed no more. */
  async #moveNeeded(file: string, endedBefore: number): Promise<number> {
    const { commits, coldRows } = this.#on;
    const isNeeded = (state: State) => (each: number) =>
      isOpen(state, each) || state.deliveries.columns.endedAt.get(each) >= endedBefore;
    const { end, backfilled } = await commits.read((state) => ({
      end: state.events.end,
      backfilled: backfilledEvents(state, isNeeded(state)),
    }));
    const needed: number[] = [];
    for (let from = 0; from < end; from += rowsPerLook) {
      const to = Math.min(from + rowsPerLook, end);
      needed.push(
        ...(await commits.read((state) => {
          const isNeededHere = isNeeded(state);
          return eventsIn(state, { from, to }, file).filter(
            (number) => backfilled.has(number) || deliveriesOf(state, number).some(isNeededHere),
          );
        })),
      );
    }
    let moved = 0;
    for (let from = 0; from < needed.length && !this.#isStopped; from += movedPerCommit) {
      const found = await commits.read(({ events }) =>
        needed.slice(from, from + movedPerCommit).flatMap((number) => {
          return events.isThere(number) ? [events.at(number)] : [];
        }),
      );
      moved += await this.#moveBodies((await coldRows.rows(found)).filter((row) => row.body?.file === file));
    }
    return moved + (await this.#moveExcerpts(file));
  }

  async #moveBodies(rows: readonly EventRow[]): Promise<number> {
    const { commits, bodies, clock } = this.#on;
    const read: { row: EventRow; record: string; plain: Buffer }[] = [];
    for (const row of rows) {
      const record = eventKey(row.bodyOf ?? row.clinicId, row.id);
      const plain = await this.#readable(() => bodies.open(row.body as SealedRef, { kind: 'body', record }));
      if (plain) read.push({ row, record, plain });
    }
    await commits.commit(({ record: put, keep }) => {
      for (const { row, record, plain } of read) {
        const body = keep(plain, { kind: 'body', record });
        const { clinicId: clinic, id: event, bodyOf } = row;
        put({
          t: 'bodyMoved',
          at: clock.now(),
          clinic,
          event,
          body,
          ...(bodyOf !== undefined && { bodyOf }),
        });
      }
    });
    return read.length;
  }

  /** Of deliveries that are open: those that ended lose theirs with the file. */
  async #moveExcerpts(file: string): Promise<number> {
    const { commits, bodies, clock } = this.#on;
    const open = await commits.read((state) =>
      [...state.deliveries.values()]
        .filter(({ state }) => state === 'pending')
        .flatMap(({ id }) => (state.attempts.get(id) ?? []).map((row) => ({ id, ...row })))
        .filter(({ excerpt }) => excerpt?.file === file),
    );
    let moved = 0;
    for (const { id: delivery, number: n, excerpt } of open) {
      if (this.#isStopped || !excerpt) break;
      const sealedFor = { kind: 'excerpt', record: `${delivery}#${n}` } as const;
      const plain = await this.#readable(() => bodies.open(excerpt, sealedFor));
      if (!plain) continue;
      await commits.commit(({ record, keep }) => {
        const to = keep(plain, sealedFor);
        record({ t: 'excerptMoved', at: clock.now(), delivery, n, from: excerpt, excerpt: to });
      });
      moved++;
    }
    return moved;
  }

  /** `null` when it is damaged: there is nothing to move then. */
  async #readable(read: () => Promise<Buffer>): Promise<Buffer | null> {
    try {
      return await read();
    } catch (error) {
      if (error instanceof StoreUnavailable) throw error;
      return null;
    }
  }
}

/** By the days since 1970, the oldest first. */
function byDay(files: readonly string[]): ReadonlyMap<number, readonly string[]> {
  const days = new Map<number, string[]>();
  for (const file of files) days.set(dayNumber(file), [...(days.get(dayNumber(file)) ?? []), file]);
  return new Map([...days].sort(([a], [b]) => a - b));
}

/** When something was recorded last; `null` in an empty log. */
function newestRecord({ events }: State): number | null {
  const last = events.before(events.end);
  return last === null ? null : events.columns.recordedAt.get(last);
}

/** An id goes when nothing hangs on it, and the vendor was seen not to list it any more. */
function eventGoes(state: State, recordedBefore: number): (number: number) => boolean {
  const { events, words } = state;
  const { clinic, category, recordedAt, bodyFile } = events.columns;
  const openBackfilled = openBackfilledEvents(state);
  return (number) => {
    if (!events.isThere(number) || recordedAt.get(number) >= recordedBefore) return false;
    const key = { clinicId: words.text(clinic.get(number)), category: words.text(category.get(number)) };
    const sweptFrom = sweptFromOf(state, key);
    if (state.listed.get(number) >= sweptFrom) return false;
    const file = words.text(bodyFile.get(number));
    if (file !== '' && !state.isExpired(file)) return false;
    return !openBackfilled.has(number) && !deliveriesOf(state, number).some((each) => isOpen(state, each));
  };
}

/** Events of these numbers whose body lies in the file. */
function eventsIn(
  { events, words }: State,
  { from, to }: { readonly from: number; readonly to: number },
  file: string,
): number[] {
  const word = words.known(file);
  const found: number[] = [];
  if (word === null) return found;
  for (let number = from; number < to; number++) {
    if (events.columns.bodyFile.get(number) === word && events.isThere(number)) found.push(number);
  }
  return found;
}

/** The events of deliveries that a backfill added and that a rule says yes to. */
function backfilledEvents({ deliveries }: State, rule: (number: number) => boolean): ReadonlySet<number> {
  const { backfillOf } = deliveries.columns;
  const found = new Set<number>();
  for (let number = 0; number < deliveries.end; number++) {
    const event = backfillOf.get(number);
    if (event > 0 && deliveries.isThere(number) && rule(number)) found.add(event - 1);
  }
  return found;
}

/** One that was imported is of any of its clinic's streams: all of them have to have been swept. */
function sweptFromOf(state: State, key: { readonly clinicId: string; readonly category: string }): number {
  if (key.category !== '') return state.sweeps.get(streamKey(key)) ?? 0;
  const streams = [...state.streams.values()].filter(({ clinicId }) => clinicId === key.clinicId);
  const swept = streams.map((stream) => state.sweeps.get(streamKey(stream)) ?? 0);
  return swept.length === 0 ? 0 : Math.min(...swept);
}

/** What is open is in memory, and little. */
function openBackfilledEvents(state: State): ReadonlySet<number> {
  const found = new Set<number>();
  for (const delivery of state.deliveries.values()) {
    const number =
      delivery.isBackfilled && delivery.state === 'pending' ? state.eventNumberOf(delivery) : null;
    if (number !== null && number !== undefined) found.add(number);
  }
  return found;
}

/** Whether an open delivery is still to be sent out of this file. */
function isAwaited({ deliveries, events, words }: State, file: string): boolean {
  const word = words.known(file);
  for (const { state, clinicId, eventId } of deliveries.values()) {
    if (state !== 'pending') continue;
    const number = events.numberOf(eventKey(clinicId, eventId));
    if (number !== null && events.columns.bodyFile.get(number) === word) return true;
  }
  return false;
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

/** Whether a delivery is not at its end, or an attempt of it is under way. */
export function isOpen({ deliveries }: State, number: number): boolean {
  return stateIn(deliveries.columns.flags.get(number)) === 'pending' || deliveries.isBusy(number);
}

/** By number: those made with the event that are still there. */
function deliveriesOf({ events, deliveries }: State, number: number): number[] {
  const first = events.columns.first.get(number);
  const numbers: number[] = [];
  for (let at = first; at < first + events.columns.count.get(number); at++) {
    if (deliveries.isThere(at)) numbers.push(at);
  }
  return numbers;
}
