/** What puts every change of a batch back, last first, when the batch could not be made durable. */
export class UndoLog {
  readonly #steps: (() => void)[] = [];

  get mark(): number {
    return this.#steps.length;
  }

  note(step: () => void): void {
    this.#steps.push(step);
  }

  rollBackTo(mark: number): void {
    while (this.#steps.length > mark) this.#steps.pop()?.();
  }

  forget(): void {
    this.#steps.length = 0;
  }
}

/**
 * Rows by key. Every change goes through `put`, so that it can be taken back and so that
 * what is derived from the rows hears of it, in both directions.
 */
export class Table<Row> {
  readonly #rows = new Map<string, Row>();
  readonly #undo: UndoLog;
  readonly #changed: (before: Row | undefined, after: Row | undefined) => void;

  constructor(undo: UndoLog, changed: (before: Row | undefined, after: Row | undefined) => void = () => {}) {
    this.#undo = undo;
    this.#changed = changed;
  }

  get(key: string): Row | undefined {
    return this.#rows.get(key);
  }

  has(key: string): boolean {
    return this.#rows.has(key);
  }

  get size(): number {
    return this.#rows.size;
  }

  keys(): IterableIterator<string> {
    return this.#rows.keys();
  }

  values(): IterableIterator<Row> {
    return this.#rows.values();
  }

  entries(): IterableIterator<[string, Row]> {
    return this.#rows.entries();
  }

  /** `undefined` removes the row. */
  put(key: string, row: Row | undefined): void {
    const before = this.#rows.get(key);
    this.#set(key, before, row);
    this.#undo.note(() => this.#set(key, row, before));
  }

  /** Lets go of a row that is kept elsewhere: no change of what is so, and not to be taken back. */
  release(key: string): void {
    this.#rows.delete(key);
  }

  #set(key: string, before: Row | undefined, after: Row | undefined): void {
    if (after === undefined) this.#rows.delete(key);
    else this.#rows.set(key, after);
    this.#changed(before, after);
  }
}
