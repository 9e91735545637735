import {
  type Column,
  type ColumnArray,
  type ColumnKind,
  type Columns,
  chunkRows,
  columnsOf,
} from './columns.ts';
import { keyColumns, keyOfId, type RowKey, RowNumbers } from './row-numbers.ts';
import type { UndoLog } from './table.ts';

/** Where a row lies in an index file. */
export interface Place {
  /** A number that `ColdRows` gave to the file. */
  readonly file: number;
  readonly at: number;
  readonly length: number;
}

/** A row in memory, or where it lies. */
export type RowOrPlace<Row> = { readonly row: Row } | { readonly place: Place };

const placeColumns = { file: 'u32', at: 'u32', length: 'u32' } as const;
type OwnColumn = keyof typeof keyColumns | keyof typeof placeColumns;

/** What `file` says of a row that is not there, or not any more, and of one that is in memory only. */
const absent = 0;
const nowhere = 0xffffffff;

/** What distinguishes one kind of rows from another. */
export interface RowKind<Row, Name extends string> {
  /** What lists, counts and rules look at. */
  readonly columns: Readonly<Record<Name, ColumnKind>>;
  columnsOf(row: Row): Readonly<Record<Name, number>>;
  /** The row's name in memory. */
  nameOf(row: Row): string;
  /** The id in a name, and the clinic when several rows may share the id. */
  seek(name: string): { readonly id: string; readonly clinicId?: string };
  /** All that is to be kept of a row, what is held beside it included, as JSON can say it. */
  store(row: Row): unknown;
  /** The row that `store` gave, what is held beside it put back. */
  restore(stored: unknown): Row;
  /** True while work may come to it at any moment: such rows stay in memory. */
  isBusy(row: Row): boolean;
  /** It came into memory out of an index. */
  entered(row: Row): void;
  /** It left memory, and what is held beside it may go. */
  left(row: Row): void;
  /** A row was removed, or (by 1) the removal was taken back; its columns still say what it was. */
  removed(number: number, by: 1 | -1): void;
  changed(before: Row | undefined, after: Row | undefined): void;
}

interface Hot<Row> {
  readonly name: string;
  readonly number: number;
  row: Row;
}

/** A row as it stood at one moment. */
export interface TakenRow<Row> {
  readonly number: number;
  /** `null` when it was removed. */
  readonly row: Row | null;
  readonly stored: unknown;
  readonly isBusy: boolean;
}

/** What an index says of the rows that changed in its range, a column an array. */
export interface LoadedRows {
  readonly numbers: ColumnArray;
  readonly at: ColumnArray;
  /** 0 of a row that was removed. */
  readonly length: ColumnArray;
  readonly columns: Readonly<Record<string, ColumnArray>>;
}

/** A decision met rows that are not in memory: it is taken again once they are. */
export class NotInMemory extends Error {
  readonly rows: LogRows<unknown, string>;
  readonly numbers: readonly number[];

  constructor(rows: LogRows<unknown, string>, numbers: readonly number[]) {
    super(`${numbers.length} rows of the delivery log are not in memory`);
    this.rows = rows;
    this.numbers = numbers;
  }
}

/**
 * The rows of the delivery log, of which there may be millions. Those that work may come
 * to, and those that changed lately, are objects in memory (hot); the others lie in index
 * files (cold), and memory holds columns about them. Each has a number: it follows the
 * order of creation, and never changes.
 *
 * Every change goes through `put` or `remove` and can be taken back, as in `Table`.
 */
export class LogRows<Row, Name extends string> {
  readonly columns: Columns<Name>;
  /** One more than the highest number given. */
  end = 0;
  /** Rows that are there, hot or cold. */
  size = 0;
  readonly #kind: RowKind<Row, Name>;
  readonly #own: Columns<OwnColumn>;
  readonly #undo: UndoLog;
  readonly #clinicNumber: (clinicId: string) => number | null;
  readonly #numbers: RowNumbers;
  readonly #hot = new Map<string, Hot<Row>>();
  readonly #hotByNumber = new Map<number, Hot<Row>>();
  #changed = new Set<number>();
  #lastKey = { id: '', key: keyOfId('') };
  /** Brought back into memory; those that nothing was done with leave it again. */
  #admitted = new Set<number>();

  /** @param clinicNumber the word in column `clinic` of a clinic's rows. */
  constructor(
    undo: UndoLog,
    kind: RowKind<Row, Name>,
    clinicNumber: (clinicId: string) => number | null = () => null,
  ) {
    this.#undo = undo;
    this.#kind = kind;
    this.#clinicNumber = clinicNumber;
    this.columns = columnsOf(kind.columns);
    this.#own = columnsOf({ ...keyColumns, ...placeColumns });
    this.#numbers = new RowNumbers(this.#own, (number) => this.isThere(number));
  }

  /** @throws NotInMemory when the row is cold. */
  get(name: string): Row | undefined {
    this.need([name]);
    return this.hot(name);
  }

  /** The row if it is in memory. */
  hot(name: string): Row | undefined {
    return this.#hot.get(name)?.row;
  }

  has(name: string): boolean {
    return this.numberOf(name) !== null;
  }

  /** @throws NotInMemory when any of these rows is cold. */
  need(names: readonly string[]): void {
    const cold: number[] = [];
    for (const name of names) {
      const number = this.#hot.has(name) ? null : this.numberOf(name);
      if (number !== null) cold.push(number);
    }
    if (cold.length > 0) throw new NotInMemory(this as unknown as LogRows<unknown, string>, cold);
  }

  numberOf(name: string): number | null {
    const hot = this.#hot.get(name);
    if (hot) return hot.number;
    const { id, clinicId } = this.#kind.seek(name);
    const clinic = clinicId === undefined ? null : this.#clinicNumber(clinicId);
    if (clinicId !== undefined && clinic === null) return null;
    const clinics = (this.columns as Columns<string>).clinic;
    for (const number of this.numbersOf(id)) {
      if (clinic === null || clinics?.get(number) === clinic) return number;
    }
    return null;
  }

  /** Of all rows with this id. */
  numbersOf(id: string): number[] {
    return this.#numbers.of(this.#keyOf(id));
  }

  /** Of all rows that share the id of row `number`, itself included. */
  numbersLike(number: number): number[] {
    const key = (name: keyof typeof keyColumns) => this.#own[name].get(number);
    return this.#numbers.of([key('k0'), key('k1'), key('k2'), key('k3')]);
  }

  /** 32 bits of a digest of the row's id. */
  markOf(number: number): number {
    return this.#own.k0.get(number);
  }

  isThere(number: number): boolean {
    return this.#own.file.get(number) !== absent;
  }

  /** The number of the last row before `number`; `null` when there is none. */
  before(number: number): number | null {
    for (let at = number - 1; at >= 0; at--) {
      if (this.#own.file.get(at) !== absent) return at;
      at = this.#own.file.gapBefore(at);
    }
    return null;
  }

  /** The row, or where it lies. Only of a row that is there. */
  at(number: number): RowOrPlace<Row> {
    const hot = this.#hotByNumber.get(number);
    return hot ? { row: hot.row } : { place: this.placeOf(number) };
  }

  placeOf(number: number): Place {
    const { file, at, length } = this.#own;
    return { file: file.get(number), at: at.get(number), length: length.get(number) };
  }

  /** Those in memory. */
  *values(): Generator<Row> {
    for (const { row } of this.#hot.values()) yield row;
  }

  put(name: string, row: Row): void {
    const hot = this.#hot.get(name);
    if (hot) this.#change(hot, row);
    else {
      this.need([name]);
      this.#create(name, row, this.end);
    }
  }

  /** The row is kept no longer; its number stays its own. Not for one that is busy. */
  remove(number: number): void {
    if (!this.isThere(number)) return;
    const file = this.#own.file.get(number);
    const hot = this.#hotByNumber.get(number);
    const wasChanged = this.#changed.has(number);
    this.#own.file.set(number, absent);
    this.#hotByNumber.delete(number);
    if (hot) this.#hot.delete(hot.name);
    this.size--;
    this.#changed.add(number);
    this.#kind.removed(number, -1);
    this.#undo.note(() => {
      this.#own.file.set(number, file);
      if (hot) {
        this.#hot.set(hot.name, hot);
        this.#hotByNumber.set(number, hot);
      }
      this.size++;
      if (!wasChanged) this.#changed.delete(number);
      this.#kind.removed(number, 1);
    });
  }

  isBusy(number: number): boolean {
    const hot = this.#hotByNumber.get(number);
    return hot !== undefined && this.#kind.isBusy(hot.row);
  }

  /** Gives back the memory of chunks of which no row is there any more. */
  dropEmptyChunks(): void {
    for (let from = 0; from + chunkRows <= this.end; from += chunkRows) {
      const last = this.before(from + chunkRows);
      if (last !== null && last >= from) continue;
      for (const column of Object.values<Column>({ ...this.#own, ...this.columns })) column.dropChunk(from);
    }
  }

  /** What is held beside the row changed. */
  touch(name: string): void {
    const hot = this.#hot.get(name);
    if (hot) this.#changed.add(hot.number);
  }

  /** What changed since the last call, as it stands. */
  takeChanged(): readonly TakenRow<Row>[] {
    const taken: TakenRow<Row>[] = [];
    for (const number of this.#changed) {
      const row = this.#hotByNumber.get(number)?.row;
      if (row === undefined) taken.push({ number, row: null, stored: null, isBusy: false });
      else taken.push({ number, row, stored: this.#kind.store(row), isBusy: this.#kind.isBusy(row) });
    }
    this.#changed = new Set();
    return taken.sort((a, b) => a.number - b.number);
  }

  /** They could not be put away: they count as changed again. */
  giveBack(taken: readonly TakenRow<Row>[]): void {
    for (const { number } of taken) this.#changed.add(number);
  }

  get changedSize(): number {
    return this.#changed.size;
  }

  /** Its columns as an index holds them. */
  columnsOf({ number, row }: TakenRow<Row>): Readonly<Record<string, number>> {
    const key = (name: keyof typeof keyColumns) => this.#own[name].get(number);
    return {
      k0: key('k0'),
      k1: key('k1'),
      k2: key('k2'),
      k3: key('k3'),
      ...(row !== null && this.#kind.columnsOf(row)),
    };
  }

  /** The columns that an index holds. */
  get indexed(): Readonly<Record<string, ColumnKind>> {
    return { ...keyColumns, ...this.#kind.columns };
  }

  /** It lies there as it is now; it leaves memory unless it changed meanwhile, or is busy. */
  settle(number: number, place: Place): void {
    const hot = this.#hotByNumber.get(number);
    if (!hot || this.#changed.has(number)) return;
    this.#setPlace(number, place);
    this.#leave(hot);
  }

  /** Those that were brought into memory and were not changed leave it again, unless they are busy. */
  releaseIdle(): void {
    for (const number of this.#admitted) {
      const hot = this.#hotByNumber.get(number);
      if (hot && !this.#changed.has(number)) this.#leave(hot);
    }
    this.#admitted = new Set();
  }

  /** Takes a cold row into memory, as it was read at `place`; it may have changed since. */
  admit(number: number, place: Place, stored: unknown): void {
    if (this.#hotByNumber.has(number) || !this.isThere(number)) return;
    const now = this.placeOf(number);
    if (now.file !== place.file || now.at !== place.at) return;
    const row = this.#kind.restore(stored);
    const hot = { name: this.#kind.nameOf(row), number, row };
    this.#hot.set(hot.name, hot);
    this.#hotByNumber.set(number, hot);
    this.#admitted.add(number);
    this.#kind.entered(row);
  }

  /** Rows come to be, or to be something else, without being read. */
  load({ numbers, at, length, columns }: LoadedRows, file: number): void {
    const wasThere = Array.from(numbers, (number) => this.isThere(number));
    const all = { ...this.#own, ...this.columns } as Columns<string>;
    const values: Readonly<Record<string, ColumnArray>> = { ...columns, at, length };
    for (const [from, to] of runsOf(numbers)) {
      const first = numbers[from] as number;
      for (const name in values) (all[name] as Column).setRun(first, values[name] as ColumnArray, from, to);
      this.end = Math.max(this.end, first + to - from);
    }
    for (let i = 0; i < numbers.length; i++) {
      const number = numbers[i] as number;
      const isThere = length[i] !== 0;
      this.#own.file.set(number, isThere ? file : absent);
      if (wasThere[i] !== isThere) this.size += isThere ? 1 : -1;
      if (isThere && !wasThere[i]) this.#numbers.add(number);
    }
  }

  /** Whoever asks whether a row is there often makes it next. */
  #keyOf(id: string): RowKey {
    if (this.#lastKey.id !== id) this.#lastKey = { id, key: keyOfId(id) };
    return this.#lastKey.key;
  }

  #leave(hot: Hot<Row>): void {
    if (this.#kind.isBusy(hot.row)) return;
    this.#hot.delete(hot.name);
    this.#hotByNumber.delete(hot.number);
    this.#kind.left(hot.row);
  }

  #create(name: string, row: Row, number: number): void {
    const key = this.#keyOf(this.#kind.seek(name).id);
    const hot = { name, number, row };
    this.end = number + 1;
    this.size++;
    this.#setPlace(number, { file: nowhere, at: 0, length: 0 });
    this.#setKey(number, key);
    this.#setColumns(number, row);
    this.#numbers.add(number);
    this.#hot.set(name, hot);
    this.#hotByNumber.set(number, hot);
    this.#changed.add(number);
    this.#kind.changed(undefined, row);
    this.#undo.note(() => {
      this.#numbers.remove(number);
      this.#own.file.set(number, absent);
      this.#hot.delete(name);
      this.#hotByNumber.delete(number);
      this.#changed.delete(number);
      this.end = number;
      this.size--;
      this.#kind.changed(row, undefined);
    });
  }

  #change(hot: Hot<Row>, after: Row): void {
    const before = hot.row;
    const set = (from: Row, to: Row) => {
      hot.row = to;
      this.#setColumns(hot.number, to);
      this.#kind.changed(from, to);
    };
    set(before, after);
    this.#changed.add(hot.number);
    this.#undo.note(() => set(after, before));
  }

  #setColumns(number: number, row: Row): void {
    const values = this.#kind.columnsOf(row);
    for (const name in values) this.columns[name].set(number, values[name]);
  }

  #setKey(number: number, [k0, k1, k2, k3]: RowKey): void {
    this.#own.k0.set(number, k0);
    this.#own.k1.set(number, k1);
    this.#own.k2.set(number, k2);
    this.#own.k3.set(number, k3);
  }

  #setPlace(number: number, { file, at, length }: Place): void {
    this.#own.file.set(number, file);
    this.#own.at.set(number, at);
    this.#own.length.set(number, length);
  }
}

/** From index to index (not included), where each number is one more than the number before it. */
function runsOf(numbers: ColumnArray): [from: number, to: number][] {
  const runs: [number, number][] = [];
  for (let from = 0; from < numbers.length; ) {
    let to = from + 1;
    while (to < numbers.length && numbers[to] === (numbers[to - 1] as number) + 1) to++;
    runs.push([from, to]);
    from = to;
  }
  return runs;
}
