import { StoreCorrupt } from '../../domain/errors.ts';
import { codeOf, type Disk, isOutOf } from './disk.ts';
import { outOfResources } from './disk-trouble.ts';
import { readRow } from './index-file.ts';
import type { RowOrPlace } from './log-rows.ts';
import type { Place } from './row-places.ts';

/** Rows nearer to each other than this are read at once. */
const gapMax = 16 * 1024;
const readBytesMax = 1024 * 1024;

/** Reads rows that lie in index files. */
export class ColdRows {
  readonly #disk: Disk;
  /** By number, counted from 1. */
  readonly #paths: string[] = [''];

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** The number that places call this file by. */
  add(path: string): number {
    return this.#paths.push(path) - 1;
  }

  pathOf(file: number): string {
    return this.#paths[file] ?? '';
  }

  /**
   * What was stored of each, in the order given.
   *
   * @throws StoreCorrupt `index_unreadable`
   */
  async read(places: readonly Place[]): Promise<readonly unknown[]> {
    const stored: unknown[] = new Array(places.length);
    const inOrder = places
      .map((place, index) => ({ ...place, index }))
      .sort((a, b) => a.file - b.file || a.at - b.at);
    for (let from = 0; from < inOrder.length; ) {
      const { file } = inOrder[from] as Place;
      let to = from;
      while (inOrder[to]?.file === file) to++;
      await this.#readFile(inOrder.slice(from, to), stored);
      from = to;
    }
    return stored;
  }

  /** The rows themselves, of a kind that is stored as it is; those in memory are not read. */
  async rows<Row>(found: readonly RowOrPlace<Row>[]): Promise<readonly Row[]> {
    const cold = found.flatMap((each) => ('place' in each ? [each.place] : []));
    const stored = cold.length === 0 ? [] : await this.read(cold);
    let next = 0;
    return found.map((each) => ('row' in each ? each.row : (stored[next++] as Row)));
  }

  async #readFile(places: readonly (Place & { readonly index: number })[], stored: unknown[]): Promise<void> {
    const path = this.pathOf(places[0]?.file ?? 0);
    try {
      const file = await this.#disk.openForReading(path);
      try {
        for (let from = 0; from < places.length; ) {
          const start = (places[from] as Place).at;
          let end = start;
          let to = from;
          for (let next = places[to]; next; next = places[++to]) {
            if (to > from && (next.at - end > gapMax || next.at + next.length - start > readBytesMax)) break;
            end = next.at + next.length;
          }
          const bytes = await file.read(start, end - start);
          for (const { at, length, index } of places.slice(from, to)) {
            stored[index] = readRow(bytes.subarray(at - start, at - start + length));
          }
          from = to;
        }
      } finally {
        await file.close();
      }
    } catch (cause) {
      if (isOutOf(codeOf(cause))) {
        throw outOfResources('The delivery log cannot be read', cause);
      }
      throw new StoreCorrupt(
        'index_unreadable',
        `${path} cannot be read${codeOf(cause) ? ` (${codeOf(cause)})` : ''}.`,
        {
          hint: 'Stop the relay, move this file away and start again: it is made anew from the journal.',
          cause,
        },
      );
    }
  }
}
