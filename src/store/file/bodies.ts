import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
import { StoreCorrupt } from '../../domain/errors.ts';
import { type AppendedFile, codeOf, type Disk, isOutOf, type ReadFile } from './disk.ts';
import { outOfResources } from './disk-trouble.ts';
import type { SealedRef } from './facts.ts';
import type { KeyRing } from './keys.ts';
import { type DataKey, keyIdOf, type SealedFor, seal, unseal } from './sealing.ts';

const cacheBytesMax = 16 * 1024 * 1024;

const nameShape = /^\d{4}-\d{2}-\d{2}(\.\d+)?\.sealed$/;

/**
 * Sealed bodies and excerpts, a file a day beside the journal, and more of a day (`.2`,
 * `.3`) when something of it was erased. Bytes are synced before the journal line that
 * points at them is written; bytes that no line points at are nobody's, and stay where
 * they are.
 */
export class Bodies {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #keys: KeyRing;
  readonly #readers = new Map<string, ReadFile>();
  #fresh = new Map<string, Buffer>();
  #lessFresh = new Map<string, Buffer>();
  #freshBytes = 0;
  #day: { readonly name: string; readonly file: AppendedFile; readonly key: DataKey } | null = null;
  #queued: Buffer[] = [];
  #queuedBytes = 0;
  #written = 0;
  readonly #isLeft: (file: string) => boolean;

  /** @param isLeft nothing more is to be written into that file. */
  constructor(disk: Disk, folder: string, keys: KeyRing, isLeft: (file: string) => boolean = () => false) {
    this.#disk = disk;
    this.#folder = folder;
    this.#keys = keys;
    this.#isLeft = isLeft;
  }

  /** Goes on in the file of `day`: the first that nothing speaks against. */
  async openDay(day: string): Promise<void> {
    let name = nameOf(day, 1);
    for (let number = 2; this.#isLeft(name); number++) name = nameOf(day, number);
    if (this.#day?.name === name) return;
    const key = await this.#keys.keyFor('body', basename(name, '.sealed'));
    const file = await this.#disk.openForAppend(join(this.#folder, name));
    await this.#disk.syncFolder(this.#folder);
    await this.#day?.file.close();
    this.#day = { name, file, key };
  }

  /** The file that is written is one that is to be left. */
  get mustLeave(): boolean {
    return this.#day !== null && this.#isLeft(this.#day.name);
  }

  /** The name of a file of that day that there never was. */
  async freeName(day: string): Promise<string> {
    const there = await this.files();
    let number = 1;
    while (there.includes(nameOf(day, number)) || this.#isLeft(nameOf(day, number))) number++;
    return nameOf(day, number);
  }

  /** Seals a value for the batch under way; the answer is where it will lie. */
  keep(plain: Buffer, sealedFor: SealedFor): SealedRef {
    const day = this.#openDay();
    const sealed = seal(plain, day.key, sealedFor);
    const ref = {
      file: day.name,
      at: day.file.length + this.#queuedBytes,
      length: sealed.length,
      digest: digestOf(sealed),
    };
    this.#queued.push(sealed);
    this.#queuedBytes += sealed.length;
    this.#remember(ref, plain);
    return ref;
  }

  get mark(): number {
    return this.#queued.length;
  }

  /** Drops what was queued after `mark`. */
  dropQueuedAfter(mark: number): void {
    for (const sealed of this.#queued.splice(mark)) this.#queuedBytes -= sealed.length;
  }

  /** Writes what is queued; after an error, here or later in the batch, `takeBack` is due. */
  async write(): Promise<void> {
    const { file } = this.#openDay();
    this.#written = file.length;
    if (this.#queued.length === 0) return;
    file.assertUntouched();
    await file.append(Buffer.concat(this.#queued));
    this.#queued = [];
    this.#queuedBytes = 0;
  }

  async sync(): Promise<void> {
    const { file } = this.#openDay();
    if (file.length > this.#written) await file.datasync();
  }

  async takeBack(): Promise<void> {
    const { file } = this.#openDay();
    await file.truncate(this.#written);
    this.#queued = [];
    this.#queuedBytes = 0;
  }

  /**
   * @throws StoreCorrupt when the bytes are not what was sealed; the value alone is lost.
   * @throws StoreUnavailable when this process cannot read files at the moment.
   */
  async open(ref: SealedRef, sealedFor: SealedFor): Promise<Buffer> {
    const place = placeOf(ref);
    const fresh = this.#fresh.get(place) ?? this.#lessFresh.get(place);
    if (fresh) return fresh;
    const plain = await this.openOnce(ref, sealedFor);
    this.#remember(ref, plain);
    return plain;
  }

  /** The same for whoever reads everything: it is read from the disk, and not remembered. */
  async openOnce(ref: SealedRef, sealedFor: SealedFor): Promise<Buffer> {
    try {
      const sealed = await (await this.#reader(ref)).read(ref.at, ref.length);
      if (digestOf(sealed) !== ref.digest) throw new Error('the bytes are not those that were written');
      const key = this.#keys.key(keyIdOf(sealed));
      if (!key) throw new Error('its key was dropped');
      return unseal(sealed, key, sealedFor);
    } catch (cause) {
      if (isOutOf(codeOf(cause))) {
        throw outOfResources(`${sealedFor.kind} ${sealedFor.record} cannot be read`, cause);
      }
      throw bodyUnreadable(`${sealedFor.kind} ${sealedFor.record} in ${ref.file}`, cause);
    }
  }

  /** Takes a file away, with all that is remembered of it. Not the one that is written. */
  async remove(name: string): Promise<void> {
    await this.#readers.get(name)?.close();
    this.#readers.delete(name);
    for (const cache of [this.#fresh, this.#lessFresh]) {
      for (const place of cache.keys()) if (place.startsWith(`${name}:`)) cache.delete(place);
    }
    await this.#disk.remove(join(this.#folder, name));
    await this.#disk.syncFolder(this.#folder);
  }

  /** Names of the files that are there, the oldest first. */
  async files(): Promise<readonly string[]> {
    const names = await this.#disk.list(this.#folder);
    return names.filter((name) => nameShape.test(name)).sort();
  }

  async close(): Promise<void> {
    await this.#day?.file.close();
    for (const reader of this.#readers.values()) await reader.close();
    this.#readers.clear();
  }

  async #reader(ref: SealedRef): Promise<ReadFile> {
    const open = this.#readers.get(ref.file);
    if (open) return open;
    const reader = await this.#disk.openForReading(join(this.#folder, ref.file));
    const raced = this.#readers.get(ref.file);
    if (raced) {
      await reader.close();
      return raced;
    }
    this.#readers.set(ref.file, reader);
    return reader;
  }

  /**
   * What was just recorded is what is sent next. Two generations, the older one dropped
   * as a whole: taking single entries off the front of a large map is slow.
   */
  #remember(ref: SealedRef, plain: Buffer): void {
    // A batch that was taken back leaves its places to the next one.
    this.#fresh.set(placeOf(ref), plain);
    this.#freshBytes += plain.length;
    if (this.#freshBytes < cacheBytesMax / 2) return;
    this.#lessFresh = this.#fresh;
    this.#fresh = new Map();
    this.#freshBytes = 0;
  }

  #openDay() {
    if (!this.#day) throw new Error('no day is open');
    return this.#day;
  }
}

/** @param what what is lost, and where it lay. */
export function bodyUnreadable(what: string, cause: unknown): StoreCorrupt {
  return new StoreCorrupt('body_unreadable', `The ${what} cannot be read.`, {
    hint: 'Restore the folder of bodies from a backup, or replay it while Fullscript has it yet: that fetches an event again.',
    cause,
  });
}

function nameOf(day: string, number: number): string {
  return number === 1 ? `${day}.sealed` : `${day}.${number}.sealed`;
}

function placeOf(ref: SealedRef): string {
  return `${ref.file}:${ref.at}`;
}

/** As a `SealedRef` holds it. */
export function digestOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest().subarray(0, 16).toString('base64url');
}
