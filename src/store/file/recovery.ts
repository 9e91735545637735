import { basename, join } from 'node:path';
import {
  assertReaches,
  CommitReader,
  corrupt,
  type Part,
  partsInOrder,
  type ReadBefore,
  readParts,
  type TakeCommit,
  type TornTail,
} from './commit-reader.ts';
import type { Disk } from './disk.ts';
import type { HeaderFact, Place } from './journal.ts';
import type { KeyRing } from './keys.ts';

export interface Recovered {
  /** After the last whole commit. */
  readonly place: Place;
  /** `null` in an empty store. */
  readonly storeId: string | null;
  /** What was cut off, if anything was. */
  readonly cut: NonNullable<HeaderFact['cut']> | null;
}

/** What is known from indexes: those parts are not read again, only looked at. */
export interface IndexedBefore extends ReadBefore {
  readonly parts: readonly ClosedPart[];
}

/** A part of the journal that nothing is added to any more. */
export interface ClosedPart {
  readonly name: string;
  readonly bytes: number;
}

/**
 * Reads the journal to its last whole commit, from its first line or from behind what was
 * read before.
 *
 * A crash can tear only the batch that was being written, so damage is taken for a torn
 * tail when no intact line of a later batch follows it; the tail is copied aside and cut
 * off. Anything else means that something acknowledged is gone, and nothing is guessed:
 * the start is refused.
 *
 * Reading changes the disk only by that cut, and by writing the last batch once more: it
 * may be there in the machine's memory only, and what follows it must not outlive it.
 * Reading again after a crash in the middle of this comes to the same end.
 *
 * @param from.atLeast a sequence that is known to have been synced: the checkpoint's, or 0.
 * @param afterPart hears of each part that was read, at the moment when its last commit was
 *   taken; `isClosed` is false while what follows may belong to it.
 * @throws StoreCorrupt naming the file and line.
 */
export async function recover(
  { disk, folder, keys }: { disk: Disk; folder: string; keys: KeyRing },
  from: { readonly before: IndexedBefore | null; readonly atLeast: number },
  take: TakeCommit,
  afterPart: (part: ClosedPart, place: Place, isClosed: boolean) => Promise<void>,
): Promise<Recovered> {
  const all = await partsInOrder(disk, folder);
  const indexed = new Map(from.before?.parts.map(({ name, bytes }) => [name, bytes]));
  assertUntouched(all, indexed);
  const parts = all.filter(({ path }) => !indexed.has(basename(path)));
  const reader = new CommitReader(keys, take, from.before);
  const { torn } = await readParts(disk, parts, reader, async (part, torn) => {
    const next = parts[parts.indexOf(part) + 1];
    const isClosed = !torn && next?.firstSequence === reader.place.sequence + 1;
    const bytes = torn ? (torn.part === part ? torn.at : 0) : part.bytes;
    if (bytes > 0) await afterPart({ name: basename(part.path), bytes }, reader.place, isClosed);
  });
  assertReaches(from.atLeast, reader, torn);
  const cut = torn ? await cutOff(disk, folder, parts, torn) : null;
  if (reader.lastBatch) {
    await disk.rewrite(reader.lastBatch.path, reader.lastBatch.at);
    await disk.syncFolder(folder);
  }
  return { place: reader.place, storeId: reader.storeId, cut };
}

/** @throws StoreCorrupt when a part is not as it was when it was indexed. */
function assertUntouched(parts: readonly Part[], indexed: ReadonlyMap<string, number>): void {
  const found = new Map(parts.map((part) => [basename(part.path), part]));
  for (const [name, bytes] of indexed) {
    const part = found.get(name);
    if (!part) throw corrupt(`${name} is missing.`);
    if (part.bytes !== bytes)
      throw corrupt(`${name} has ${part.bytes} bytes, and had ${bytes} when it was closed.`);
    if (part.firstSequence === null) throw corrupt(`${name}, line 1 is not the header of a part.`);
  }
}

/** Copies the torn tail aside, then cuts it off; parts behind it hold nothing whole and go aside as a whole. */
async function cutOff(
  disk: Disk,
  folder: string,
  parts: readonly Part[],
  torn: TornTail,
): Promise<NonNullable<HeaderFact['cut']>> {
  let bytesCut = 0;
  const tornPart = parts.indexOf(torn.part);
  for (const part of parts.slice(tornPart).reverse()) {
    const from = part === torn.part ? torn.at : 0;
    const bytes = (await disk.read(part.path)) ?? Buffer.alloc(0);
    bytesCut += bytes.length - from;
    await keepAside(disk, folder, `${basename(part.path)}.torn`, bytes.subarray(from));
    if (from === 0) {
      await disk.remove(part.path);
      await disk.syncFolder(folder);
    } else {
      const file = await disk.openForAppend(part.path);
      await file.truncate(from).finally(() => file.close());
    }
  }
  return { file: basename(torn.part.path), at: torn.at, bytes: bytesCut };
}

async function keepAside(disk: Disk, folder: string, name: string, bytes: Buffer): Promise<void> {
  const taken = new Set(await disk.list(folder));
  let path = name;
  for (let copy = 2; taken.has(path); copy++) path = `${name}-${copy}`;
  await disk.writeNew(join(folder, path), bytes);
  await disk.syncFolder(folder);
}
