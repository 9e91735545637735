import { type Column, type ColumnKind, type Columns, columnsOf, setRows } from './columns.ts';
import type { RowKind } from './row-kind.ts';
import { keyColumns } from './row-numbers.ts';
import { type LoadedRows, type Place, RowPlaces } from './row-places.ts';
import type { UndoLog } from './table.ts';

/** A row in memory, or where it lies. */
export type RowOrPlace<Row> = { readonly row: Row } | { readonly place: Place };

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
  readonly #kind: RowKind<Row, Name>;
  readonly #places = new RowPlaces();
  readonly #undo: UndoLog;
  readonly #clinicNumber: (clinicId: string) => number | null;
  readonly #hot = new Map<string, Hot<Row>>();
  readonly #hotByNumber = new Map<number, Hot<Row>>();
  #changed = new Set<number>();
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
  }

  /** One more than the highest number given. */
  get end(): number {
    return this.#places.end;
  }

  /** Rows that are there, hot or cold. */
  get size(): number {
    return this.#places.size;
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
    return this.#places.numbersOf(id);
  }

  /** Of all rows that share the id of row `number`, itself included. */
  numbersLike(number: number): number[] {
    return this.#places.numbersLike(number);
  }

  /** 32 bits of a digest of the row's id. */
  markOf(number: number): number {
    return this.#places.keyOf(number)[0];
  }

  isThere(number: number): boolean {
    return this.#places.isThere(number);
  }

  /** The number of the last row before `number`; `null` when there is none. */
  before(number: number): number | null {
    return this.#places.before(number);
  }

  /** The row, or where it lies. Only of a row that is there. */
  at(number: number): RowOrPlace<Row> {
    const hot = this.#hotByNumber.get(number);
    return hot ? { row: hot.row } : { place: this.placeOf(number) };
  }

  placeOf(number: number): Place {
    return this.#places.of(number);
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
      this.#create(name, row);
    }
  }

  /** The row is kept no longer; its number stays its own. Not for one that is busy. */
  remove(number: number): void {
    if (!this.isThere(number)) return;
    const hot = this.#hotByNumber.get(number);
    const wasChanged = this.#changed.has(number);
    const putBack = this.#places.remove(number);
    this.#hotByNumber.delete(number);
    if (hot) this.#hot.delete(hot.name);
    this.#changed.add(number);
    this.#kind.removed(number, -1);
    this.#undo.note(() => {
      putBack();
      if (hot) {
        this.#hot.set(hot.name, hot);
        this.#hotByNumber.set(number, hot);
      }
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
    for (const from of this.#places.emptyChunks()) {
      this.#places.dropChunk(from);
      for (const column of Object.values<Column>(this.columns)) column.dropChunk(from);
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
    const [k0, k1, k2, k3] = this.#places.keyOf(number);
    return { k0, k1, k2, k3, ...(row !== null && this.#kind.columnsOf(row)) };
  }

  /** The columns that an index holds. */
  get indexed(): Readonly<Record<string, ColumnKind>> {
    return { ...keyColumns, ...this.#kind.columns };
  }

  /** It lies there as it is now; it leaves memory unless it changed meanwhile, or is busy. */
  settle(number: number, place: Place): void {
    const hot = this.#hotByNumber.get(number);
    if (!hot || this.#changed.has(number)) return;
    this.#places.put(number, place);
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
  load(loaded: LoadedRows, file: number): void {
    this.#places.load(loaded, file);
    setRows(this.columns, loaded.numbers, loaded.columns);
  }

  #leave(hot: Hot<Row>): void {
    if (this.#kind.isBusy(hot.row)) return;
    this.#hot.delete(hot.name);
    this.#hotByNumber.delete(hot.number);
    this.#kind.left(hot.row);
  }

  #create(name: string, row: Row): void {
    const number = this.#places.add(this.#kind.seek(name).id);
    const hot = { name, number, row };
    this.#setColumns(number, row);
    this.#hot.set(name, hot);
    this.#hotByNumber.set(number, hot);
    this.#changed.add(number);
    this.#kind.changed(undefined, row);
    this.#undo.note(() => {
      this.#places.takeBack(number);
      this.#hot.delete(name);
      this.#hotByNumber.delete(number);
      this.#changed.delete(number);
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
}
