import { basename, join } from 'node:path';
import { StoreCorrupt } from '../../domain/errors.ts';
import type { Disk } from './disk.ts';
import type { Fact } from './facts.ts';
import { type CommitFact, commitMac, firstPlace, type HeaderFact, type Place } from './journal.ts';
import { type JournalLine, lineBytesMax, readLine } from './journal-line.ts';
import type { KeyRing } from './keys.ts';

/** Takes the facts of one whole commit and the sequence of its last line; a promise is awaited before the next. */
export type TakeCommit = (facts: readonly Fact[], sequence: number) => Promise<void> | undefined;

/** What was read before, and is not read again. */
export interface ReadBefore {
  readonly place: Place;
  readonly storeId: string;
}

const chunkBytes = 4 * 1024 * 1024;

/** Where the last whole commit ends, when something that is not whole follows it. */
export interface TornTail {
  readonly part: Part;
  readonly at: number;
}

/**
 * Reads parts to the last whole commit, and changes nothing.
 *
 * @param afterPart is waited for when all commits of a part were handed over.
 * @throws StoreCorrupt naming the first line that does not fit.
 */
export async function readParts(
  disk: Disk,
  parts: readonly Part[],
  reader: CommitReader,
  afterPart: (part: Part, torn: TornTail | null) => Promise<void> = async () => {},
): Promise<{ readonly reader: CommitReader; readonly torn: TornTail | null }> {
  let torn: TornTail | null = null;
  for (const part of parts) {
    if (!torn) {
      reader.startPart(part);
      await eachLine(disk, part.path, (bytes, at, isEnded) => {
        const line = isEnded ? readLine(bytes) : null;
        if (torn) reader.assertNotLater(line, part, at);
        else if (line) return reader.take(line, bytes, at + bytes.length + 1);
        else torn = { part, at: reader.wholeUntil };
        return undefined;
      });
      if (!torn && reader.isInsideCommit) torn = { part, at: reader.wholeUntil };
    } else {
      await eachLine(disk, part.path, (bytes, at) => {
        reader.assertNotLater(readLine(bytes), part, at);
        return undefined;
      });
    }
    await afterPart(part, torn);
  }
  return { reader, torn };
}

/** @throws StoreCorrupt when what is known to have been synced cannot be read. */
export function assertReaches(atLeast: number, reader: CommitReader, torn: TornTail | null): void {
  if (reader.place.sequence >= atLeast) return;
  const where = torn ? `${basename(torn.part.path)}, line ${reader.lineNumber + 1}` : 'its end';
  throw corrupt(
    `The journal is damaged at ${where}: line ${atLeast} was written and synced, and only ${reader.place.sequence} can be read.`,
  );
}

export interface Part {
  readonly path: string;
  readonly bytes: number;
  /** `null` when its first line cannot be read: only the very last one may be so. */
  readonly firstSequence: number | null;
}

export async function partsInOrder(disk: Disk, folder: string): Promise<readonly Part[]> {
  const parts: Part[] = [];
  for (const name of await disk.list(folder)) {
    if (!name.endsWith('.jsonl')) continue;
    const path = join(folder, name);
    const file = await disk.openForReading(path);
    const head = await file.read(0, Math.min(file.length, 4096)).finally(() => file.close());
    const end = head.indexOf('\n');
    const header = end > 0 ? readLine(head.subarray(0, end)) : null;
    const firstSequence = header?.fact.t === 'header' ? header.sequence : null;
    parts.push({ path, bytes: file.length, firstSequence });
  }
  const last = Number.POSITIVE_INFINITY;
  return parts.sort((a, b) => (a.firstSequence ?? last) - (b.firstSequence ?? last));
}

/** Puts lines together to commits and refuses what does not follow from what came before. */
export class CommitReader {
  place = firstPlace;
  storeId: string | null = null;
  /** Counted from 1 in the part under way: the last line read. */
  lineNumber = 0;
  /** Where the last whole commit of the part under way ends. */
  wholeUntil = 0;
  /** Where the last batch begins that has a whole commit. */
  lastBatch: { readonly path: string; readonly at: number } | null = null;
  readonly #keys: KeyRing;
  readonly #take: TakeCommit;
  #path = '';
  #part = '';
  #isFirstLine = true;
  #isBatchOpen = false;
  #last: Omit<Place, 'mac'> = firstPlace;
  #open: { readonly text: Buffer[]; readonly facts: JournalLine['fact'][] } = { text: [], facts: [] };

  /** @param before lines that need not be read: the first one read has to follow them. */
  constructor(keys: KeyRing, take: TakeCommit, before: ReadBefore | null = null) {
    this.#keys = keys;
    this.#take = take;
    if (!before) return;
    this.place = before.place;
    this.storeId = before.storeId;
    this.#last = before.place;
    this.#isFirstLine = false;
  }

  get isInsideCommit(): boolean {
    return this.#open.facts.length > 0;
  }

  startPart(part: Part): void {
    this.#path = part.path;
    this.#part = basename(part.path);
    this.lineNumber = 0;
    this.wholeUntil = 0;
    // A part is begun only when nothing of the one before it is under way.
    if (!this.isInsideCommit) this.#isBatchOpen = false;
  }

  take(line: JournalLine, bytes: Buffer, endsAt: number): Promise<void> | undefined {
    this.lineNumber++;
    const { fact } = line;
    if (fact.t === 'header') this.#takeHeader(fact as unknown as HeaderFact);
    if (this.#isFirstLine) this.#startHere(line, fact);
    const expected = this.#last;
    if (line.sequence !== expected.sequence + 1 || line.previous !== expected.previous) {
      throw corrupt(
        `${this.#where()} does not follow the line before it: it is number ${line.sequence}, expected was ${expected.sequence + 1}.`,
      );
    }
    this.#last = { sequence: line.sequence, batch: line.batch, previous: line.checksum };
    this.#isBatchOpen = true;
    if (fact.t === 'commit') return this.#close(line, fact as unknown as CommitFact, endsAt);
    this.#open.facts.push(fact);
    this.#open.text.push(bytes);
    return undefined;
  }

  /** Behind damage, a line of a later batch means that the damaged one had been synced. */
  assertNotLater(line: JournalLine | null, part: Part, at: number): void {
    const damagedBatch = this.#isBatchOpen ? this.#last.batch : this.#last.batch + 1;
    if (line && line.batch > damagedBatch) {
      throw corrupt(
        `${this.#part}, line ${this.lineNumber + 1} is damaged, and ${basename(part.path)} goes on behind it (at byte ${at}) with what was written later.`,
      );
    }
  }

  #startHere(line: JournalLine, fact: JournalLine['fact']): void {
    this.#isFirstLine = false;
    if (fact.t !== 'header') throw corrupt(`${this.#where()} is not the header of a part.`);
    this.#last = { sequence: line.sequence - 1, batch: line.batch - 1, previous: line.previous };
    this.place = { ...this.#last, mac: (fact as unknown as HeaderFact).after };
    if (line.sequence !== 1) {
      throw corrupt(
        `${this.#where()}, is the first that can be read and has the number ${line.sequence}: the lines before it are missing.`,
      );
    }
  }

  #takeHeader(header: HeaderFact): void {
    if (header.format !== 1) {
      throw corrupt(
        `${this.#where()} was written by a newer version of the relay (format ${header.format}).`,
      );
    }
    if (this.storeId !== null && this.storeId !== header.store) {
      throw corrupt(`${this.#part} belongs to another store.`);
    }
    this.storeId = header.store;
  }

  #close(line: JournalLine, marker: CommitFact, endsAt: number): Promise<void> | undefined {
    const { facts, text } = this.#open;
    const key = this.#keys.key(marker.k);
    if (!key) throw corrupt(`${this.#where()} was written under the key ${marker.k}, which is not there.`);
    const mac = commitMac(key, {
      after: this.place.mac,
      text: text.map((bytes) => bytes.toString()).join('\n'),
      sequence: line.sequence,
      batch: line.batch,
      lines: facts.length,
      isLast: marker.z === 1,
    });
    if (marker.n !== facts.length || mac !== marker.m) {
      const first = this.lineNumber - facts.length;
      throw corrupt(
        `${this.#part}, lines ${first} to ${this.lineNumber} are a commit that was not written under this store's keys.`,
      );
    }
    const isNewBatch = line.batch !== this.place.batch;
    if (isNewBatch || !this.lastBatch) this.lastBatch = { path: this.#path, at: this.wholeUntil };
    this.place = { sequence: line.sequence, batch: line.batch, previous: line.checksum, mac };
    this.wholeUntil = endsAt;
    this.#isBatchOpen = marker.z !== 1;
    this.#open = { text: [], facts: [] };
    return this.#take(facts.filter((fact) => fact.t !== 'header') as unknown as Fact[], line.sequence);
  }

  #where(): string {
    return `${this.#part}, line ${this.lineNumber}`;
  }
}

/** @param each gets a line without its newline; `isEnded` is false for a last one that has none. */
async function eachLine(
  disk: Disk,
  path: string,
  each: (bytes: Buffer, at: number, isEnded: boolean) => Promise<void> | undefined,
): Promise<void> {
  const file = await disk.openForReading(path);
  try {
    let rest: Buffer = Buffer.alloc(0);
    let restAt = 0;
    for (let at = 0; at < file.length; ) {
      const chunk = await file.read(at, Math.min(chunkBytes, file.length - at));
      at += chunk.length;
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let start = 0;
      for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, start)) {
        const taken = each(bytes.subarray(start, end), restAt + start, true);
        if (taken) await taken;
        start = end + 1;
      }
      rest = bytes.subarray(start);
      restAt += start;
      if (rest.length > lineBytesMax && at < file.length) {
        // No line is so long: hand over what there is, so that memory stays bounded.
        await each(rest, restAt, false);
        restAt += rest.length;
        rest = Buffer.alloc(0);
      }
    }
    if (rest.length > 0) await each(rest, restAt, false);
  } finally {
    await file.close();
  }
}

export function corrupt(message: string): StoreCorrupt {
  return new StoreCorrupt('journal_corrupt', message, {
    hint: 'Restore the whole data folder (journal, bodies, keys and checkpoint) from one backup; do not delete the line.',
  });
}
