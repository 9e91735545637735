import { join } from 'node:path';
import type { AppendedFile, Disk } from './disk.ts';
import { firstChecksum, writeLine } from './journal-line.ts';
import type { KeyRing } from './keys.ts';
import { authenticate, type DataKey } from './sealing.ts';

/** Where the next line goes: what the line before it left behind. */
export interface Place {
  /** Of the last line; 0 in an empty store. */
  readonly sequence: number;
  /** Of the last sync. */
  readonly batch: number;
  /** Checksum of the last line. */
  readonly previous: string;
  /** Of the last commit: each covers the one before, and so the whole chain. */
  readonly mac: string;
}

export const firstPlace: Place = { sequence: 0, batch: 0, previous: firstChecksum, mac: '' };

/** The first line of every part. */
export interface HeaderFact {
  readonly t: 'header';
  readonly format: 1;
  readonly store: string;
  readonly day: string;
  /** The `mac` that the first commit follows, so that a part can be checked when those before it are gone. */
  readonly after: string;
  /** A torn tail that the start before this part cut off. */
  readonly cut?: { readonly file: string; readonly at: number; readonly bytes: number };
}

/** The last line of every commit. */
export interface CommitFact {
  readonly t: 'commit';
  /** Lines of the commit, this one not counted. */
  readonly n: number;
  /** The key that `m` was made with. */
  readonly k: string;
  readonly m: string;
  /** The batch ends here: what follows belongs to a later sync. */
  readonly z?: 1;
}

/**
 * The writing end of the journal: one part, a file that only grows. A batch is one
 * commit, one write and one sync; nothing in it counts before the sync is done.
 */
export class Journal {
  readonly day: string;
  /** Of the part's file. */
  readonly name: string;
  readonly #file: AppendedFile;
  readonly #key: DataKey;
  #place: Place;
  /** What the place becomes once the batch is synced. */
  #next: Place;
  /** The file's length before the batch. */
  #lengthBefore = 0;

  private constructor(
    { day, name }: { day: string; name: string },
    file: AppendedFile,
    key: DataKey,
    place: Place,
  ) {
    this.day = day;
    this.name = name;
    this.#file = file;
    this.#key = key;
    this.#place = place;
    this.#next = place;
  }

  /** Starts the next part of a day; durable, header included, when it resolves. */
  static async start(
    disk: Disk,
    folder: string,
    keys: KeyRing,
    about: { readonly storeId: string; readonly day: string; readonly cut: HeaderFact['cut'] | null },
    place: Place,
  ): Promise<Journal> {
    const taken = new Set(await disk.list(folder));
    let name = `${about.day}.jsonl`;
    for (let part = 2; taken.has(name); part++) name = `${about.day}.${part}.jsonl`;
    const key = await keys.keyFor('log', about.day);
    const path = join(folder, name);
    const file = await disk.openForAppend(path);
    const journal = new Journal({ day: about.day, name }, file, key, place);
    const header: HeaderFact = {
      t: 'header',
      format: 1,
      store: about.storeId,
      day: about.day,
      after: place.mac,
      ...(about.cut && { cut: about.cut }),
    };
    try {
      await journal.append([JSON.stringify(header)]);
      await journal.sync();
      await disk.syncFolder(folder);
    } catch (error) {
      // A part without a whole header would stand in the way of the next try.
      await file.close();
      await disk.remove(path);
      throw error;
    }
    return journal;
  }

  get place(): Place {
    return this.#place;
  }

  get bytes(): number {
    return this.#file.length;
  }

  /**
   * Writes one batch, as one commit: nothing of it was acknowledged, so nothing is gained
   * by telling its decisions apart. After an error nothing of it counts, and `takeBack` has
   * to succeed before anything else is written.
   *
   * @param facts their JSON texts.
   */
  async append(facts: readonly string[]): Promise<void> {
    const batch = this.#place.batch + 1;
    let { sequence, previous } = this.#place;
    const write = (factJson: string): string => {
      sequence += 1;
      const { text, checksum } = writeLine(factJson, { sequence, batch, previous });
      previous = checksum;
      return text;
    };
    const text = facts.map(write).join('\n');
    const mac = commitMac(this.#key, {
      after: this.#place.mac,
      text,
      sequence: sequence + 1,
      batch,
      lines: facts.length,
      isLast: true,
    });
    const marker: CommitFact = { t: 'commit', n: facts.length, k: this.#key.id, m: mac, z: 1 };
    const lines = `${text}\n${write(JSON.stringify(marker))}\n`;
    this.#file.assertUntouched();
    this.#lengthBefore = this.#file.length;
    await this.#file.append(Buffer.from(lines));
    this.#next = { sequence, batch, previous, mac };
  }

  async sync(): Promise<void> {
    await this.#file.datasync();
    this.#place = this.#next;
    this.#lengthBefore = this.#file.length;
  }

  /** Cuts off what a failed `append` left. */
  async takeBack(): Promise<void> {
    await this.#file.truncate(this.#lengthBefore);
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** What only the holder of the key can write: it covers the commit and, through `after`, all before it. */
export function commitMac(
  key: DataKey,
  commit: {
    readonly after: string;
    /** The commit's lines, joined by newlines, without the marker. */
    readonly text: string;
    /** Of the marker. */
    readonly sequence: number;
    readonly batch: number;
    readonly lines: number;
    readonly isLast: boolean;
  },
): string {
  const { after, text, sequence, batch, lines, isLast } = commit;
  return authenticate(key, JSON.stringify([after, sequence, batch, lines, isLast]), text);
}
