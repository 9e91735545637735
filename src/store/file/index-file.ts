import { createHmac, timingSafeEqual } from 'node:crypto';
import { endianness } from 'node:os';
import { basename, dirname } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { crc32 } from 'node:zlib';
import { type ColumnArray, type ColumnKind, columnArray, type Words } from './columns.ts';
import type { Disk } from './disk.ts';
import type { Place as JournalPlace } from './journal.ts';
import type { KeyRing } from './keys.ts';
import type { LogRows, TakenRow } from './log-rows.ts';
import type { LoadedRows, Place } from './row-places.ts';
import type { DataKey } from './sealing.ts';

/**
 * An index of a closed range of the journal, `<from>-<to>.index` by the sequence numbers
 * of its first and last line: every row that changed in the range, as it stood at the
 * range's end.
 *
 * ```
 * rows      one line each: checksum (8 hex digits), space, JSON
 * columns   of each table: row number, whether it is busy, where its line lies, and what
 *           the table's rows are found by; as arrays, one behind the other
 * head      JSON: what the range is, which columns there are, the words they number
 * trailer   "RELAYIDX", length of columns and head (32 bits each), HMAC of both
 * ```
 *
 * Nothing is in it that the journal does not say; one that is missing, damaged or of
 * another version is made anew from the journal's lines.
 */
export interface IndexHead {
  readonly format: typeof format;
  readonly endianness: 'LE' | 'BE';
  readonly store: string;
  /** Sequence of the first line covered. */
  readonly from: number;
  /** What the last line covered left behind. */
  readonly place: JournalPlace;
  /** The parts of the journal that the range consists of. */
  readonly parts: readonly IndexedPart[];
  readonly words: readonly string[];
  readonly tables: readonly {
    readonly name: string;
    readonly rows: number;
    readonly columns: Readonly<Record<string, ColumnKind>>;
  }[];
  /** The id of the key that the HMAC was made with. */
  readonly key: string;
}

export interface IndexedPart {
  readonly name: string;
  readonly bytes: number;
}

/** What of a table goes into an index. */
export interface TakenTable {
  readonly name: string;
  readonly rows: LogRows<unknown, string>;
  readonly taken: readonly TakenRow<unknown>[];
}

/** A table as an index holds it. */
export interface LoadedTable {
  readonly name: string;
  readonly loaded: LoadedRows;
  /** Numbers of rows that have to be in memory. */
  readonly busy: readonly number[];
}

/** Raised whenever what is kept of a row changes: indexes are made anew then. */
const format = 1;
const magic = 'RELAYIDX';
const trailerBytes = magic.length + 4 + 4 + 16;
const ownColumns = { number: 'f64', isBusy: 'u8', at: 'u32', length: 'u32' } as const;
const rowsPerSlice = 400;

export function indexName(from: number, to: number): string {
  return `${from}-${to}.index`;
}

/**
 * Writes an index: durable under its name when it resolves, or not there at all.
 *
 * @param pause is awaited between slices of a few milliseconds.
 * @returns where each row lies, table by table, in the order in which they were given.
 */
export async function writeIndex(
  { disk, key, path }: { readonly disk: Disk; readonly key: DataKey; readonly path: string },
  about: Pick<IndexHead, 'store' | 'from' | 'place' | 'parts'>,
  tables: readonly TakenTable[],
  words: Words,
  pause: () => Promise<void>,
): Promise<readonly (readonly Omit<Place, 'file'>[])[]> {
  const temporary = `${path}.tmp`;
  await disk.remove(temporary);
  const file = await disk.openForAppend(temporary);
  const local = new LocalWords(words);
  const places: Omit<Place, 'file'>[][] = [];
  const columns: Buffer[] = [];
  try {
    for (const { rows, taken } of tables) {
      const own = arraysOf(ownColumns, taken.length);
      const arrays = arraysOf(rows.indexed, taken.length);
      const fill = Object.entries(rows.indexed).map(([name, kind]) => ({
        name,
        array: arrays[name] as ColumnArray,
        isWord: kind === 'word',
      }));
      const lying: Omit<Place, 'file'>[] = [];
      for (let from = 0; from < taken.length; from += rowsPerSlice) {
        if (from > 0) await pause();
        const lines: string[] = [];
        let at = file.length;
        for (const [offset, each] of taken.slice(from, from + rowsPerSlice).entries()) {
          const line = each.row === null ? '' : lineOf(each.stored);
          const length = Buffer.byteLength(line);
          const row = from + offset;
          own.number[row] = each.number;
          own.isBusy[row] = each.isBusy ? 1 : 0;
          own.at[row] = at;
          own.length[row] = length;
          const values = rows.columnsOf(each);
          for (const { name, array, isWord } of fill) {
            const value = values[name] ?? 0;
            array[row] = isWord ? local.number(value) : value;
          }
          lying.push({ at, length });
          if (length > 0) {
            lines.push(line);
            at += length + 1;
          }
        }
        if (lines.length === 0) continue;
        await file.append(Buffer.from(`${lines.join('\n')}\n`));
        // Little at a time: what waits for its own sync meanwhile must not wait for much of this.
        await file.datasync();
      }
      places.push(lying);
      for (const array of Object.values<ColumnArray>({ ...own, ...arrays })) columns.push(bytesOf(array));
    }
    const head: IndexHead = {
      format,
      endianness: endianness(),
      ...about,
      words: local.texts,
      tables: tables.map(({ name, rows, taken }) => ({ name, rows: taken.length, columns: rows.indexed })),
      key: key.id,
    };
    const headBytes = Buffer.from(JSON.stringify(head));
    const columnBytes = Buffer.concat(columns);
    const trailer = Buffer.alloc(trailerBytes);
    trailer.write(magic, 'latin1');
    trailer.writeUInt32LE(columnBytes.length, magic.length);
    trailer.writeUInt32LE(headBytes.length, magic.length + 4);
    macOf(key, columnBytes, headBytes).copy(trailer, magic.length + 8);
    await file.append(Buffer.concat([columnBytes, headBytes, trailer]));
    await file.datasync();
    await file.close();
    await disk.rename(temporary, path);
    await disk.syncFolder(dirname(path));
  } catch (error) {
    await file.close();
    await disk.remove(temporary).catch(() => {});
    throw error;
  }
  return places;
}

/** What an index says, or why it cannot be trusted. @param known the tables whose columns it has to have. */
export async function readIndex(
  disk: Disk,
  path: string,
  keys: KeyRing,
  words: Words,
  known: readonly Pick<TakenTable, 'name' | 'rows'>[],
): Promise<
  { readonly head: IndexHead; readonly tables: readonly LoadedTable[] } | { readonly unusable: string }
> {
  const file = await disk.openForReading(path);
  try {
    if (file.length < trailerBytes) return { unusable: 'it is cut short' };
    const trailer = await file.read(file.length - trailerBytes, trailerBytes);
    const columnsLength = trailer.readUInt32LE(magic.length);
    const headLength = trailer.readUInt32LE(magic.length + 4);
    const start = file.length - trailerBytes - headLength - columnsLength;
    if (trailer.toString('latin1', 0, magic.length) !== magic || start < 0) {
      return { unusable: 'its end is not that of an index' };
    }
    const columnBytes = await file.read(start, columnsLength);
    const headBytes = await file.read(start + columnsLength, headLength);
    const head = JSON.parse(headBytes.toString()) as IndexHead;
    const key = keys.key(head.key);
    if (!key) return { unusable: `its key ${head.key} is not there` };
    const mac = trailer.subarray(magic.length + 8);
    if (!timingSafeEqual(macOf(key, columnBytes, headBytes), mac)) {
      return { unusable: 'it is not what was written' };
    }
    if (head.format !== format || head.endianness !== endianness() || !hasColumnsOf(head, known))
      return { unusable: 'it is of another version' };
    return { head, tables: tablesOf(head, columnBytes, words) };
  } catch (error) {
    if (error instanceof SyntaxError) return { unusable: 'its head is not JSON' };
    throw error;
  } finally {
    await file.close();
  }
}

/** A column that is not there would read as 0 of every row, which means something else. */
function hasColumnsOf({ tables }: IndexHead, known: readonly Pick<TakenTable, 'name' | 'rows'>[]): boolean {
  return known.every(({ name, rows }) =>
    isDeepStrictEqual(tables.find((table) => table.name === name)?.columns, rows.indexed),
  );
}

/** What `store` gave for a row. @throws Error when the line is not what was written. */
export function readRow(line: Buffer): unknown {
  const json = line.subarray(9);
  if (line.toString('latin1', 0, 8) !== checksumOf(json)) throw new Error('a row is not what was written');
  return JSON.parse(json.toString());
}

/** The range in an index's name, or `null` when it is not one. */
export function rangeOf(name: string): { readonly from: number; readonly to: number } | null {
  const match = /^(\d{1,15})-(\d{1,15})\.index$/.exec(basename(name));
  return match && { from: Number(match[1]), to: Number(match[2]) };
}

/** The words that one index uses, numbered from 0 anew. */
class LocalWords {
  readonly texts: string[] = [];
  readonly #words: Words;
  readonly #numbers = new Map<number, number>();

  constructor(words: Words) {
    this.#words = words;
  }

  number(word: number): number {
    const known = this.#numbers.get(word);
    if (known !== undefined) return known;
    const number = this.texts.length;
    this.texts.push(this.#words.text(word));
    this.#numbers.set(word, number);
    return number;
  }
}

function tablesOf(head: IndexHead, bytes: Buffer, words: Words): LoadedTable[] {
  const numbers = head.words.map((text) => words.number(text));
  let at = 0;
  return head.tables.map(({ name, rows, columns }) => {
    const kinds: Record<string, ColumnKind> = { ...ownColumns, ...columns };
    const arrays = arraysOf(kinds, rows);
    for (const [column, array] of Object.entries(arrays)) {
      const target = bytesOf(array);
      bytes.copy(target, 0, at, at + target.length);
      at += target.length;
      if (kinds[column] !== 'word') continue;
      for (let i = 0; i < rows; i++) array[i] = numbers[array[i] as number] ?? 0;
    }
    const { number, isBusy, at: offsets, length, ...rest } = arrays;
    const loaded = {
      numbers: number as ColumnArray,
      at: offsets as ColumnArray,
      length: length as ColumnArray,
      columns: rest,
    };
    const busy: number[] = [];
    for (let i = 0; i < rows; i++) if (isBusy?.[i] === 1) busy.push(loaded.numbers[i] as number);
    return { name, loaded, busy };
  });
}

function arraysOf<Name extends string>(
  kinds: Readonly<Record<Name, ColumnKind>>,
  rows: number,
): Record<Name, ColumnArray> {
  const arrays = {} as Record<Name, ColumnArray>;
  for (const name in kinds) arrays[name] = columnArray(kinds[name], rows);
  return arrays;
}

function lineOf(stored: unknown): string {
  const json = JSON.stringify(stored);
  return `${checksumOf(json)} ${json}`;
}

function checksumOf(json: string | Buffer): string {
  return crc32(json).toString(16).padStart(8, '0');
}

function bytesOf(array: ColumnArray): Buffer {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength);
}

function macOf(key: DataKey, ...parts: readonly Buffer[]): Buffer {
  const mac = createHmac('sha256', key.bytes);
  for (const part of parts) mac.update(part);
  return mac.digest().subarray(0, 16);
}
