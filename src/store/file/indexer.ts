import { join } from 'node:path';
import type { Clock } from '../../clock.ts';
import type { ColdRows } from './cold-rows.ts';
import type { Disk } from './disk.ts';
import { indexName, rangeOf, readIndex, type TakenTable, writeIndex } from './index-file.ts';
import { firstPlace, type Place } from './journal.ts';
import type { KeyRing } from './keys.ts';
import type { LogRows, NotInMemory } from './log-rows.ts';
import type { ClosedPart, IndexedBefore } from './recovery.ts';
import type { State } from './state.ts';

export interface IndexerDependencies {
  readonly disk: Disk;
  readonly folder: string;
  readonly keys: KeyRing;
  readonly state: State;
  readonly coldRows: ColdRows;
  readonly clock: Clock;
}

/** A closed range of the journal and what changed in it, ready to be written. */
export interface Range {
  readonly after: Place;
  readonly place: Place;
  readonly parts: readonly ClosedPart[];
  readonly tables: readonly TakenTable[];
}

const settledAtOnce = 1_000;

/**
 * Puts the rows that closed ranges of the journal changed into indexes, and lets those that
 * nothing is going to happen to leave memory.
 */
export class Indexer {
  readonly #on: IndexerDependencies;
  /** After the last range that was taken. */
  #place: Place = firstPlace;
  /** Closed since. */
  #parts: ClosedPart[] = [];

  constructor(dependencies: IndexerDependencies) {
    this.#on = dependencies;
  }

  /** Bytes of the journal that are closed and in no range yet. */
  get waitingBytes(): number {
    return this.#parts.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Rows that are in no range yet. */
  get changedRows(): number {
    return this.#tables.reduce((sum, { rows }) => sum + rows.changedSize, 0);
  }

  /** A part was closed; `take` will take it. */
  closed(part: ClosedPart): void {
    if (part.bytes > 0) this.#parts.push(part);
  }

  /**
   * Loads what indexes say, in their order, up to the first that is missing or cannot be
   * trusted; those from there on are removed, for the journal says it all again.
   *
   * @param upTo the checkpoint's sequence: what is folded is known only until there.
   */
  async load(storeId: string, upTo: number): Promise<IndexedBefore | null> {
    const { disk, folder, keys, state, coldRows } = this.#on;
    const names = await disk.list(folder);
    const ranges = names.flatMap((name) => ({ name, range: rangeOf(name) }));
    ranges.sort((a, b) => (a.range?.from ?? 0) - (b.range?.from ?? 0));
    const parts: ClosedPart[] = [];
    const busy = new Map(this.#tables.map(({ name }) => [name, new Set<number>()]));
    let isBroken = false;
    for (const { name, range } of ranges) {
      const path = join(folder, name);
      const follows = !isBroken && range?.from === this.#place.sequence + 1 && range.to <= upTo;
      const index = follows ? await readIndex(disk, path, keys, state.words, this.#tables) : null;
      if (!index || 'unusable' in index || index.head.store !== storeId) {
        isBroken ||= range !== null;
        await disk.remove(path);
        continue;
      }
      const file = coldRows.add(path);
      for (const { name, rows } of this.#tables) {
        const table = index.tables.find((each) => each.name === name);
        if (!table) continue;
        rows.load(table.loaded, file);
        const open = busy.get(name) as Set<number>;
        for (let i = 0; i < table.loaded.numbers.length; i++) open.delete(table.loaded.numbers[i] as number);
        for (const number of table.busy) open.add(number);
      }
      parts.push(...index.head.parts);
      this.#place = index.head.place;
    }
    for (const { name, rows } of this.#tables) await this.#admit(rows, [...(busy.get(name) ?? [])]);
    state.countLoaded();
    return parts.length === 0 ? null : { place: this.#place, storeId, parts };
  }

  /** Reads rows; the answer puts them into memory. */
  async fetch({ rows, numbers }: Pick<NotInMemory, 'rows' | 'numbers'>): Promise<() => void> {
    const { coldRows, state } = this.#on;
    const cold = numbers
      .filter((number) => rows.isThere(number) && 'place' in rows.at(number))
      .map((number) => ({ number, place: rows.placeOf(number) }));
    const stored = await coldRows.read(cold.map(({ place }) => place));
    return () => {
      for (const [index, { number, place }] of cold.entries()) rows.admit(number, place, stored[index]);
      state.undo.forget();
    };
  }

  /** All that is closed, up to `place`, with the rows as they stand now. Only between two batches. */
  take(place: Place): Range {
    const range = {
      after: this.#place,
      place,
      parts: this.#parts,
      tables: this.#tables.map(({ name, rows }) => ({ name, rows, taken: rows.takeChanged() })),
    };
    this.#place = place;
    this.#parts = [];
    return range;
  }

  /** The range was not indexed: it belongs to the next one. */
  giveBack({ after, parts, tables }: Range): void {
    for (const { rows, taken } of tables) rows.giveBack(taken);
    this.#place = after;
    this.#parts = [...parts, ...this.#parts];
  }

  /**
   * Writes the index of a range, and lets its rows leave memory.
   *
   * @param between runs what it is given when the state is exactly what is durable.
   * @param pause is awaited between slices of a few milliseconds.
   */
  async write(
    range: Range,
    storeId: string,
    between: (work: () => void) => Promise<void>,
    pause: () => Promise<void> = async () => {},
  ): Promise<void> {
    const { disk, folder, keys, state, coldRows, clock } = this.#on;
    const { after, place, parts, tables } = range;
    const from = after.sequence + 1;
    const path = join(folder, indexName(from, place.sequence));
    const key = await keys.keyFor('log', new Date(clock.now()).toISOString().slice(0, 10));
    const places = await writeIndex(
      { disk, key, path },
      { store: storeId, from, place, parts },
      tables,
      state.words,
      pause,
    );
    const file = coldRows.add(path);
    for (const [table, { rows, taken }] of tables.entries()) {
      for (let start = 0; start < taken.length; start += settledAtOnce) {
        if (start > 0) await pause();
        await between(() => {
          for (let i = start; i < Math.min(start + settledAtOnce, taken.length); i++) {
            const lies = places[table]?.[i];
            if (lies) rows.settle((taken[i] as { number: number }).number, { file, ...lies });
          }
        });
      }
    }
    await between(() => {
      for (const { rows } of tables) rows.releaseIdle();
    });
  }

  async #admit(rows: LogRows<unknown, string>, numbers: readonly number[]): Promise<void> {
    (await this.fetch({ rows, numbers: numbers.toSorted((a, b) => a - b) }))();
  }

  get #tables(): readonly { readonly name: string; readonly rows: LogRows<unknown, string> }[] {
    const { events, deliveries } = this.#on.state;
    return [
      { name: 'events', rows: events as unknown as LogRows<unknown, string> },
      { name: 'deliveries', rows: deliveries as unknown as LogRows<unknown, string> },
    ];
  }
}
