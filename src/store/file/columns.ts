/** How a column holds its numbers; a `word` is the number of a string in `Words`. */
export type ColumnKind = 'u8' | 'u32' | 'f64' | 'word';

export type ColumnArray = Uint8Array | Uint32Array | Float64Array;

/** Rows of a chunk: a whole chunk is made, and dropped, at once. */
const chunkRows = 4096;

/**
 * Numbers about rows, a few bytes a row where an object takes hundreds. A row has a number
 * that it keeps for ever; a number that nothing was put at reads as zeros.
 */
export class Columns<Name extends string> {
  readonly kinds: Readonly<Record<Name, ColumnKind>>;
  readonly names: readonly Name[];
  readonly #chunks: (Record<Name, ColumnArray> | undefined)[] = [];

  constructor(kinds: Readonly<Record<Name, ColumnKind>>) {
    this.kinds = kinds;
    this.names = Object.keys(kinds) as Name[];
  }

  get(name: Name, row: number): number {
    return this.#chunks[Math.floor(row / chunkRows)]?.[name][row % chunkRows] ?? 0;
  }

  set(name: Name, row: number, value: number): void {
    this.#chunkOf(row)[name][row % chunkRows] = value;
  }

  /** Frees what lies wholly before `row`; it reads as zeros from then on. */
  dropBefore(row: number): void {
    const end = Math.floor(row / chunkRows);
    for (let chunk = end - 1; chunk >= 0 && this.#chunks[chunk] !== undefined; chunk--) {
      this.#chunks[chunk] = undefined;
    }
  }

  #chunkOf(row: number): Record<Name, ColumnArray> {
    const index = Math.floor(row / chunkRows);
    const known = this.#chunks[index];
    if (known) return known;
    const chunk = {} as Record<Name, ColumnArray>;
    for (const name of this.names) chunk[name] = columnArray(this.kinds[name], chunkRows);
    this.#chunks[index] = chunk;
    return chunk;
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
