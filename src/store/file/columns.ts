/** How a column holds its numbers; a `word` is the number of a string in `Words`. */
export type ColumnKind = 'u8' | 'u32' | 'f64' | 'word';

export type ColumnArray = Uint8Array | Uint32Array | Float64Array;

const chunkBits = 12;
/** Memory comes and goes by chunks of so many rows. */
export const chunkRows = 1 << chunkBits;

/** One number about each row. A row that nothing was put at reads as 0; there are less than 2^32 of them. */
export class Column {
  readonly kind: ColumnKind;
  readonly #chunks: (ColumnArray | undefined)[] = [];

  constructor(kind: ColumnKind) {
    this.kind = kind;
  }

  get(row: number): number {
    const chunk = this.#chunks[row >>> chunkBits];
    return chunk === undefined ? 0 : (chunk[row & (chunkRows - 1)] as number);
  }

  set(row: number, value: number): void {
    let chunk = this.#chunks[row >>> chunkBits];
    if (chunk === undefined) {
      chunk = columnArray(this.kind, chunkRows);
      this.#chunks[row >>> chunkBits] = chunk;
    }
    chunk[row & (chunkRows - 1)] = value;
  }

  /** Puts `values` from index `from` to `to` (not included) at the rows that begin with `row`. */
  setRun(row: number, values: ColumnArray, from: number, to: number): void {
    for (let done = from; done < to; ) {
      const at = row + done - from;
      const many = Math.min(to - done, chunkRows - (at & (chunkRows - 1)));
      this.set(at, values[done] as number);
      this.#chunks[at >>> chunkBits]?.set(values.subarray(done, done + many), at & (chunkRows - 1));
      done += many;
    }
  }

  /** The first row of the rows up to `row` that nothing was ever put at, or `row` itself: whoever goes down may go on before it. */
  gapBefore(row: number): number {
    let first = row;
    for (let chunk = row >>> chunkBits; chunk >= 0 && this.#chunks[chunk] === undefined; chunk--) {
      first = (chunk << chunkBits) >>> 0;
    }
    return first;
  }

  /** Frees the chunk that `row` lies in. */
  dropChunk(row: number): void {
    this.#chunks[row >>> chunkBits] = undefined;
  }
}

/**
 * What is kept in memory of every row: a few bytes a row, where an object takes hundreds.
 * A row has a number that it keeps for ever.
 */
export type Columns<Name extends string> = Readonly<Record<Name, Column>>;

export function columnsOf<Name extends string>(kinds: Readonly<Record<Name, ColumnKind>>): Columns<Name> {
  const columns = {} as Record<Name, Column>;
  for (const name in kinds) columns[name] = new Column(kinds[name]);
  return columns;
}

/** Puts values at rows in no particular order, a column an array; of those it is given none for, nothing changes. */
export function setRows(
  columns: Columns<string>,
  rows: ColumnArray,
  values: Readonly<Record<string, ColumnArray>>,
): void {
  for (const [from, to] of runsOf(rows)) {
    for (const name in columns) {
      const given = values[name];
      if (given) columns[name]?.setRun(rows[from] as number, given, from, to);
    }
  }
}

/** From index to index (not included), where each number is one more than the number before it. */
function* runsOf(numbers: ColumnArray): Generator<readonly [from: number, to: number]> {
  for (let from = 0; from < numbers.length; ) {
    let to = from + 1;
    while (to < numbers.length && numbers[to] === (numbers[to - 1] as number) + 1) to++;
    yield [from, to];
    from = to;
  }
}

export function columnArray(kind: ColumnKind, length: number): ColumnArray {
  switch (kind) {
    case 'u8':
      return new Uint8Array(length);
    case 'u32':
    case 'word':
      return new Uint32Array(length);
    case 'f64':
      return new Float64Array(length);
  }
}

/** Strings that come again and again (ids of clinics and subscribers, types), each with a number; 0 stands for none. */
export class Words {
  readonly #texts: string[] = [''];
  readonly #numbers = new Map<string, number>([['', 0]]);

  /** The number of a text, given to it if it has none yet. */
  number(text: string): number {
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    const number = this.#texts.length;
    this.#texts.push(text);
    this.#numbers.set(text, number);
    return number;
  }

  /** `null` when the text was never given one. */
  known(text: string): number | null {
    return this.#numbers.get(text) ?? null;
  }

  text(number: number): string {
    return this.#texts[number] ?? '';
  }

  get texts(): readonly string[] {
    return this.#texts;
  }
}
