import { type Column, type ColumnArray, chunkRows, columnsOf, setRows } from './columns.ts';
import { keyColumns, keyOfId, type RowKey, RowNumbers } from './row-numbers.ts';

/** Where a row lies in an index file. */
export interface Place {
  /** A number that `ColdRows` gave to the file. */
  readonly file: number;
  readonly at: number;
  readonly length: number;
}

/** What an index says of the rows that changed in its range, a column an array. */
export interface LoadedRows {
  readonly numbers: ColumnArray;
  readonly at: ColumnArray;
  /** 0 of a row that was removed. */
  readonly length: ColumnArray;
  /** Those of the key, and those of the kind of rows. */
  readonly columns: Readonly<Record<string, ColumnArray>>;
}

const placeColumns = { file: 'u32', at: 'u32', length: 'u32' } as const;

/** What `file` says of a row that is not there, or not any more, and of one that is in memory only. */
const absent = 0;
const nowhere = 0xffffffff;

/** Of every row of one kind, hot or cold: its number, the key of its id, and where it lies. */
export class RowPlaces {
  /** One more than the highest number given. */
  end = 0;
  /** Rows that are there. */
  size = 0;
  readonly #columns = columnsOf<keyof typeof keyColumns | keyof typeof placeColumns>({
    ...keyColumns,
    ...placeColumns,
  });
  readonly #numbers = new RowNumbers(this.#columns, (number) => this.isThere(number));
  #lastKey = { id: '', key: keyOfId('') };

  isThere(number: number): boolean {
    return this.#columns.file.get(number) !== absent;
  }

  of(number: number): Place {
    const { file, at, length } = this.#columns;
    return { file: file.get(number), at: at.get(number), length: length.get(number) };
  }

  /** Of all rows with this id. */
  numbersOf(id: string): number[] {
    return this.#numbers.of(this.#keyOfId(id));
  }

  keyOf(number: number): RowKey {
    const { k0, k1, k2, k3 } = this.#columns;
    return [k0.get(number), k1.get(number), k2.get(number), k3.get(number)];
  }

  /** Of all rows that share the id of row `number`, itself included. */
  numbersLike(number: number): number[] {
    return this.#numbers.of(this.keyOf(number));
  }

  /** The number of the last row before `number`; `null` when there is none. */
  before(number: number): number | null {
    const { file } = this.#columns;
    for (let at = number - 1; at >= 0; at--) {
      if (file.get(at) !== absent) return at;
      at = file.gapBefore(at);
    }
    return null;
  }

  /** A row comes to be, in memory only. @returns its number */
  add(id: string): number {
    const number = this.end;
    const [k0, k1, k2, k3] = this.#keyOfId(id);
    this.#columns.k0.set(number, k0);
    this.#columns.k1.set(number, k1);
    this.#columns.k2.set(number, k2);
    this.#columns.k3.set(number, k3);
    this.end = number + 1;
    this.size++;
    this.put(number, { file: nowhere, at: 0, length: 0 });
    this.#numbers.add(number);
    return number;
  }

  /** The row that was added last never came to be. */
  takeBack(number: number): void {
    this.#numbers.remove(number);
    this.#columns.file.set(number, absent);
    this.end = number;
    this.size--;
  }

  put(number: number, { file, at, length }: Place): void {
    this.#columns.file.set(number, file);
    this.#columns.at.set(number, at);
    this.#columns.length.set(number, length);
  }

  /** Its number stays its own. @returns what puts it back */
  remove(number: number): () => void {
    const file = this.#columns.file.get(number);
    this.#columns.file.set(number, absent);
    this.size--;
    return () => {
      this.#columns.file.set(number, file);
      this.size++;
    };
  }

  load({ numbers, at, length, columns }: LoadedRows, file: number): void {
    const wasThere = Array.from(numbers, (number) => this.isThere(number));
    setRows(this.#columns, numbers, { ...columns, at, length });
    for (let i = 0; i < numbers.length; i++) {
      const number = numbers[i] as number;
      const isThere = length[i] !== 0;
      this.#columns.file.set(number, isThere ? file : absent);
      this.end = Math.max(this.end, number + 1);
      if (wasThere[i] !== isThere) this.size += isThere ? 1 : -1;
      if (isThere && !wasThere[i]) this.#numbers.add(number);
    }
  }

  /** The first rows of chunks of which no row is there any more. */
  *emptyChunks(): Generator<number> {
    for (let from = 0; from + chunkRows <= this.end; from += chunkRows) {
      const last = this.before(from + chunkRows);
      if (last === null || last < from) yield from;
    }
  }

  dropChunk(from: number): void {
    for (const column of Object.values<Column>(this.#columns)) column.dropChunk(from);
  }

  /** Whoever asks whether a row is there often makes it next. */
  #keyOfId(id: string): RowKey {
    if (this.#lastKey.id !== id) this.#lastKey = { id, key: keyOfId(id) };
    return this.#lastKey.key;
  }
}
