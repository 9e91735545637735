import { hash } from 'node:crypto';
import type { Columns } from './columns.ts';

/** The first 128 bits of an id's SHA-256: no two ids share them. */
export type RowKey = readonly [number, number, number, number];

export const keyColumns = { k0: 'u32', k1: 'u32', k2: 'u32', k3: 'u32' } as const;

export function keyOfId(id: string): RowKey {
  const digest = hash('sha256', id, 'buffer');
  return [digest.readUInt32LE(0), digest.readUInt32LE(4), digest.readUInt32LE(8), digest.readUInt32LE(12)];
}

/** A table grows by itself, so growing never takes longer than a few milliseconds. */
const tables = 64;
const slotsMin = 64;
const removed = 0xffffffff;

interface Slots {
  slots: Uint32Array;
  used: number;
}

/**
 * From a key to the numbers of the rows that have it: open addressing over plain arrays,
 * because a Map of a million strings takes more memory than all that is kept of the rows.
 */
export class RowNumbers {
  readonly #columns: Columns<keyof typeof keyColumns>;
  readonly #isLive: (row: number) => boolean;
  readonly #tables: (Slots | undefined)[] = new Array(tables);

  /** @param isLive says which rows are still to be found. */
  constructor(columns: Columns<keyof typeof keyColumns>, isLive: (row: number) => boolean) {
    this.#columns = columns;
    this.#isLive = isLive;
  }

  /** Live rows with this key, in no order. */
  of(key: RowKey): number[] {
    const found: number[] = [];
    const { slots } = this.#tableOf(key[1]);
    const mask = slots.length - 1;
    for (let at = key[0] & mask; slots[at] !== 0; at = (at + 1) & mask) {
      const row = (slots[at] as number) - 1;
      if (slots[at] !== removed && this.#hasKey(row, key) && this.#isLive(row)) found.push(row);
    }
    return found;
  }

  /** Takes in a live row whose key columns are set. */
  add(row: number): void {
    if (row >= removed - 1) throw new RangeError('the log has as many rows as it can number');
    const table = this.#tableOf(this.#columns.k1.get(row));
    if (2 * (table.used + 1) > table.slots.length) this.#rebuild(table);
    this.#put(table, row);
  }

  remove(row: number): void {
    const { slots } = this.#tableOf(this.#columns.k1.get(row));
    const mask = slots.length - 1;
    let at = this.#columns.k0.get(row) & mask;
    while (slots[at] !== 0 && slots[at] !== row + 1) at = (at + 1) & mask;
    // The slot stays taken, so that what was put behind it is still found.
    if (slots[at] !== 0) slots[at] = removed;
  }

  #put(table: Slots, row: number): void {
    const mask = table.slots.length - 1;
    let at = this.#columns.k0.get(row) & mask;
    while (table.slots[at] !== 0) at = (at + 1) & mask;
    table.slots[at] = row + 1;
    table.used++;
  }

  /** With room for as many rows again as are live. */
  #rebuild(table: Slots): void {
    const live = [...table.slots].filter((slot) => slot !== 0 && slot !== removed && this.#isLive(slot - 1));
    let length = slotsMin;
    while (length < 3 * (live.length + 1)) length *= 2;
    table.slots = new Uint32Array(length);
    table.used = 0;
    for (const slot of live) this.#put(table, slot - 1);
  }

  #tableOf(k1: number): Slots {
    const known = this.#tables[k1 % tables];
    if (known) return known;
    const table = { slots: new Uint32Array(slotsMin), used: 0 };
    this.#tables[k1 % tables] = table;
    return table;
  }

  #hasKey(row: number, [k0, k1, k2, k3]: RowKey): boolean {
    const columns = this.#columns;
    return (
      columns.k0.get(row) === k0 &&
      columns.k1.get(row) === k1 &&
      columns.k2.get(row) === k2 &&
      columns.k3.get(row) === k3
    );
  }
}
