import { basename, join } from 'node:path';
import { type Clock, wait } from '../../clock.ts';
import { RelayError, StoreBroken, StoreCorrupt } from '../../domain/errors.ts';
import { type Bodies, digestOf } from './bodies.ts';
import type { ColdRows } from './cold-rows.ts';
import type { Commits } from './commits.ts';
import { type AppendedFile, codeOf, type Disk } from './disk.ts';
import { notTakenAway } from './disk-trouble.ts';
import type { AttemptRow, EventRow, Fact, SealedRef } from './facts.ts';
import type { KeyRing } from './keys.ts';
import { eventKey, storedDelivery } from './kinds.ts';
import { type DataKey, type SealedFor, seal } from './sealing.ts';
import { dayNumber, type State } from './state.ts';

export interface BodyFilesDependencies {
  readonly disk: Disk;
  readonly folder: string;
  readonly commits: Commits;
  readonly bodies: Bodies;
  readonly coldRows: ColdRows;
  readonly keys: KeyRing;
  readonly clock: Clock;
}

const dayMs = 86_400_000;
/** Rows that are looked at in one go: less than a millisecond of work. */
const rowsPerLook = 1_024;
const movedPerCommit = 50;
const triesMax = 5;

/** What lies in a file and is to lie elsewhere. */
interface Moving {
  readonly from: SealedRef;
  readonly sealedFor: SealedFor;
  readonly fact: (to: SealedRef, at: number) => Fact;
}

/** Takes files of bodies away: those that are on record as gone, and those that hold what was erased. */
export class BodyFiles {
  readonly #on: BodyFilesDependencies;

  constructor(dependencies: BodyFilesDependencies) {
    this.#on = dependencies;
  }

  /**
   * Removes the files that are on record as gone, and their keys: also what a crash left of that.
   *
   * @throws StoreUnavailable `store_not_cleared`, whatever the disk says: nothing depends on it
   */
  async takeAway(): Promise<number> {
    const { commits, bodies, keys } = this.#on;
    try {
      const files = await bodies.files();
      const expired = await commits.read((state) => files.filter((file) => state.isExpired(file)));
      for (const file of expired) {
        // Without its key nobody can read it, in no copy of it either.
        await keys.drop('body', basename(file, '.sealed'));
        await bodies.remove(file);
      }
      return expired.length;
    } catch (error) {
      if (error instanceof RelayError || codeOf(error) === undefined) throw error;
      throw notTakenAway(error);
    }
  }

  /** Writes the files that hold what was erased anew, without it. */
  async rewriteMarked(signal: AbortSignal): Promise<void> {
    const { commits } = this.#on;
    const marked = await commits.read((state) =>
      [...state.bodyFiles.entries()].filter(([, mark]) => mark === 'toRewrite').map(([file]) => file),
    );
    // The file of today is left with the next batch, whatever is in it.
    if (marked.length > 0) await commits.commit(() => {});
    for (const file of marked) {
      for (let tries = 1; !(await this.#rewrite(file, signal, tries === triesMax)); tries++) {
        signal.throwIfAborted();
      }
    }
    await this.takeAway();
  }

  /** @returns false when something that came meanwhile still refers to the file. */
  async #rewrite(file: string, signal: AbortSignal, isLastTry: boolean): Promise<boolean> {
    const { commits, clock } = this.#on;
    const end = await commits.read(({ events }) => events.end);
    const target = new Target(file, this.#on);
    try {
      for await (const moving of this.#whatLiesIn(file)) {
        signal.throwIfAborted();
        await this.#move(moving, target);
      }
    } catch (error) {
      // What a broken store has on record nobody can say.
      if (!(error instanceof StoreBroken)) await target.takeBack();
      throw error;
    } finally {
      await target.close();
    }
    return commits.commit(({ state, record }) => {
      // Bytes of another clinic's event, found equal when they still lay there.
      if (!isLastTry && refersTo(state, file, end)) return false;
      record({ t: 'fileGone', at: clock.now(), file });
      return true;
    });
  }

  async *#whatLiesIn(file: string): AsyncGenerator<readonly Moving[]> {
    const { commits, coldRows, clock } = this.#on;
    for (let from = 0; ; from += rowsPerLook) {
      const rows = await commits.read((state) => eventsIn(state, file, from));
      if (rows === null) break;
      // No disk is waited for where nothing lies: everybody else takes a turn all the same.
      if (from > 0) await wait(clock, 0);
      for (let at = 0; at < rows.length; at += movedPerCommit) {
        const found = await coldRows.rows(rows.slice(at, at + movedPerCommit));
        yield found.flatMap((row) => (row.body?.file === file ? [bodyMoving(row, row.body)] : []));
      }
    }
    for (let from = 0; ; from += rowsPerLook) {
      const found = await commits.read((state) => deliveriesAround(state, file, from));
      if (found === null) break;
      if (from > 0) await wait(clock, 0);
      for (const { id, attempts } of found.hot) yield excerptsMoving(id, attempts, file);
      for (let at = 0; at < found.cold.length; at += movedPerCommit) {
        const stored = await coldRows.read(found.cold.slice(at, at + movedPerCommit));
        yield stored.flatMap((each) => {
          const { delivery, attempts } = storedDelivery(each);
          return excerptsMoving(delivery.id, attempts, file);
        });
      }
    }
  }

  /** What cannot be read is lost already, and is not moved. */
  async #move(all: readonly Moving[], target: Target): Promise<void> {
    const { bodies, commits, clock } = this.#on;
    const moved: { readonly moving: Moving; readonly to: SealedRef }[] = [];
    for (const moving of all) {
      try {
        const plain = await bodies.openOnce(moving.from, moving.sealedFor);
        moved.push({ moving, to: await target.add(plain, moving.sealedFor) });
      } catch (error) {
        if (!(error instanceof StoreCorrupt)) throw error;
      }
    }
    if (moved.length === 0) return;
    await target.sync();
    await commits.commit(({ record }) => {
      for (const { moving, to } of moved) record(moving.fact(to, clock.now()));
    });
    target.settle();
  }
}

/** A new file of the same day, under a key of its own; made when something comes into it. */
class Target {
  readonly #of: string;
  readonly #on: BodyFilesDependencies;
  #open: { readonly name: string; readonly file: AppendedFile; readonly key: DataKey } | null = null;
  #settledLength = 0;

  constructor(of: string, dependencies: BodyFilesDependencies) {
    this.#of = of;
    this.#on = dependencies;
  }

  async add(plain: Buffer, sealedFor: SealedFor): Promise<SealedRef> {
    const { name, file, key } = await this.#opened();
    const sealed = seal(plain, key, sealedFor);
    const at = file.length;
    await file.append(sealed);
    return { file: name, at, length: sealed.length, digest: digestOf(sealed) };
  }

  async sync(): Promise<void> {
    await this.#open?.file.datasync();
  }

  /** What was added until now is on record. */
  settle(): void {
    this.#settledLength = this.#open?.file.length ?? 0;
  }

  /** Drops what is not on record: on a full disk it would keep the space that the rest waits for. */
  async takeBack(): Promise<void> {
    if (!this.#open) return;
    if (this.#settledLength === 0) await this.#on.bodies.remove(this.#open.name);
    else await this.#open.file.truncate(this.#settledLength);
  }

  async close(): Promise<void> {
    await this.#open?.file.close();
  }

  async #opened() {
    if (this.#open) return this.#open;
    const { disk, folder, bodies, keys } = this.#on;
    const name = await bodies.freeName(this.#of.slice(0, 10));
    const key = await keys.keyFor('body', basename(name, '.sealed'));
    const file = await disk.openForAppend(join(folder, name));
    this.#open = { name, file, key };
    await disk.syncFolder(folder);
    return this.#open;
  }
}

function bodyMoving(row: EventRow, from: SealedRef): Moving {
  const { clinicId: clinic, id: event, bodyOf } = row;
  const sealedFor = { kind: 'body', record: eventKey(bodyOf ?? clinic, event) } as const;
  const about = { clinic, event, ...(bodyOf !== undefined && { bodyOf }) };
  return { from, sealedFor, fact: (body, at) => ({ t: 'bodyMoved', at, ...about, body }) };
}

function excerptsMoving(delivery: string, attempts: readonly AttemptRow[], file: string): readonly Moving[] {
  return attempts.flatMap(({ number: n, excerpt: from }) => {
    if (from?.file !== file) return [];
    const sealedFor = { kind: 'excerpt', record: `${delivery}#${n}` } as const;
    const fact = (excerpt: SealedRef, at: number): Fact => ({
      t: 'excerptMoved',
      at,
      delivery,
      n,
      from,
      excerpt,
    });
    return [{ from, sealedFor, fact }];
  });
}

/** Of the rows from `from` on; `null` after the last. */
function eventsIn({ events, words }: State, file: string, from: number) {
  if (from >= events.end) return null;
  const word = words.known(file);
  const { bodyFile } = events.columns;
  const found = [];
  for (let number = from; number < Math.min(from + rowsPerLook, events.end); number++) {
    if (word !== null && bodyFile.get(number) === word && events.isThere(number))
      found.push(events.at(number));
  }
  return found;
}

function refersTo({ events, words }: State, file: string, from: number): boolean {
  const word = words.known(file);
  for (let number = from; word !== null && number < events.end; number++) {
    if (events.columns.bodyFile.get(number) === word && events.isThere(number)) return true;
  }
  return false;
}

/** Deliveries that may have had an answer when the file was written, or moved into it; `null` after the last. */
function deliveriesAround(state: State, file: string, from: number) {
  const { deliveries, attempts } = state;
  if (from >= deliveries.end) return null;
  const { createdAt, endedAt } = deliveries.columns;
  const day = dayNumber(file) * dayMs;
  const hot: { readonly id: string; readonly attempts: readonly AttemptRow[] }[] = [];
  const cold = [];
  for (let number = from; number < Math.min(from + rowsPerLook, deliveries.end); number++) {
    // A late answer comes after the end, and a clock may have been stepped: a day is left on both sides.
    const isOver = endedAt.get(number) > 0 && endedAt.get(number) < day - dayMs;
    // What ended before it was created did so by a clock that was put back.
    const isLater = createdAt.get(number) > day + 2 * dayMs && endedAt.get(number) >= createdAt.get(number);
    if (!deliveries.isThere(number) || isOver || isLater) continue;
    const found = deliveries.at(number);
    if ('place' in found) cold.push(found.place);
    else hot.push({ id: found.row.id, attempts: attempts.get(found.row.id) ?? [] });
  }
  return { hot, cold };
}
