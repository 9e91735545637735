import { createHash, randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { RelayError, StoreCorrupt } from '../../domain/errors.ts';
import type { Disk } from './disk.ts';
import { type DataKey, keyIdOf, seal, unseal } from './sealing.ts';

/** What a data key is for. Bodies and the log have one a day, so that a day can be made unreadable; values one for long. */
export type KeyPurpose = 'body' | 'log' | 'value';

/** The master keys, 32 bytes each, from the environment: never on the store's disk. */
export interface MasterKeys {
  readonly current: Buffer;
  /** While rotating: what the current one cannot open is opened with it and sealed anew. */
  readonly previous: Buffer | null;
}

interface KeyFile {
  readonly format: 1;
  /** Key id to the key, sealed by the master key, in base64. */
  readonly keys: Readonly<Record<string, string>>;
}

/**
 * The data keys, held in one synced file and sealed there by the master key. A new key is
 * durable before anything is sealed with it.
 */
export class KeyRing {
  /** The previous master key was needed to open one of them at least. */
  readonly neededPrevious: boolean;
  readonly #disk: Disk;
  readonly #path: string;
  readonly #master: DataKey;
  readonly #keys: Map<string, DataKey>;
  /** Changes of the file, one after the other: each writes all that the one before it left. */
  #saving: Promise<unknown> = Promise.resolve();

  private constructor(
    disk: Disk,
    path: string,
    master: DataKey,
    opened: { readonly keys: Map<string, DataKey>; readonly neededPrevious: boolean },
  ) {
    this.#disk = disk;
    this.#path = path;
    this.#master = master;
    this.#keys = opened.keys;
    this.neededPrevious = opened.neededPrevious;
  }

  /**
   * Opens the keys, and seals them anew when the master key has changed: from then on the
   * previous one opens nothing.
   *
   * @throws RelayError `wrong_master_key`, StoreCorrupt
   */
  static async open(disk: Disk, folder: string, masterKeys: MasterKeys): Promise<KeyRing> {
    const ring = await KeyRing.read(disk, folder, masterKeys);
    if (ring.neededPrevious) await ring.#save(ring.#keys.values());
    return ring;
  }

  /** Opens the keys and changes nothing. @throws RelayError `wrong_master_key`, StoreCorrupt */
  static async read(disk: Disk, folder: string, masterKeys: MasterKeys): Promise<KeyRing> {
    const path = join(folder, 'keys.json');
    const master = masterKey(masterKeys.current);
    const previous = masterKeys.previous && masterKey(masterKeys.previous);
    const text = await disk.read(path);
    const keys = new Map<string, DataKey>();
    let neededPrevious = false;
    for (const [id, value] of Object.entries(text ? readKeyFile(path, text).keys : {})) {
      const sealed = Buffer.from(value, 'base64');
      const sealedBy = sealerOf(sealed);
      if (sealedBy === null) throw damagedKey(path, id);
      const opener = [master, previous].find((key) => key?.id === sealedBy);
      if (!opener) {
        throw new RelayError('wrong_master_key', 'The master key does not open this store.', {
          hint: 'Set RELAY_MASTER_KEY to the key that the store was made with. While changing keys, put the old one into RELAY_MASTER_KEY_PREVIOUS.',
        });
      }
      neededPrevious ||= opener !== master;
      try {
        keys.set(id, { id, bytes: unseal(sealed, opener, { kind: 'key', record: id }) });
      } catch (cause) {
        throw damagedKey(path, id, cause);
      }
    }
    return new KeyRing(disk, path, master, { keys, neededPrevious });
  }

  /** The key of that id, or `null` when it was dropped or never was. */
  key(id: string): DataKey | null {
    return this.#keys.get(id) ?? null;
  }

  /** The key for a purpose and day, made and durable if it is new. */
  keyFor(purpose: KeyPurpose, day: string): Promise<DataKey> {
    const id = keyIdFor(purpose, day);
    return this.#inTurn(async () => {
      const known = this.#keys.get(id);
      if (known) return known;
      const key = { id, bytes: randomBytes(32) };
      await this.#save([...this.#keys.values(), key]);
      // Known only once it is durable: what a failed try made is never used.
      this.#keys.set(id, key);
      return key;
    });
  }

  /**
   * Forgets a day's key, durably: what was sealed with it can be read nowhere any more,
   * and in no copy that was made without the key. Not for a day that is still written.
   *
   * @returns false when there is no such key.
   */
  drop(purpose: KeyPurpose, day: string): Promise<boolean> {
    const id = keyIdFor(purpose, day);
    return this.#inTurn(async () => {
      if (!this.#keys.has(id)) return false;
      await this.#save([...this.#keys.values()].filter((key) => key.id !== id));
      return this.#keys.delete(id);
    });
  }

  #inTurn<Answer>(change: () => Promise<Answer>): Promise<Answer> {
    const turn = this.#saving.then(change);
    this.#saving = turn.catch(() => {});
    return turn;
  }

  async #save(all: Iterable<DataKey>): Promise<void> {
    const keys: Record<string, string> = {};
    for (const key of all) {
      keys[key.id] = seal(key.bytes, this.#master, { kind: 'key', record: key.id }).toString('base64');
    }
    const file: KeyFile = { format: 1, keys };
    await replaceFile(this.#disk, this.#path, Buffer.from(`${JSON.stringify(file, null, 1)}\n`));
  }
}

function keyIdFor(purpose: KeyPurpose, day: string): string {
  return `${purpose}-${day}`;
}

/**
 * Puts new content under a name so that a crash leaves the old or the new, whole: write,
 * sync, rename, sync the folder.
 *
 * @param keepAs where the old content goes; without it, it goes away.
 */
export async function replaceFile(disk: Disk, path: string, bytes: Buffer, keepAs?: string): Promise<void> {
  const temporary = `${path}.tmp`;
  await disk.remove(temporary);
  try {
    await disk.writeNew(temporary, bytes);
  } catch (error) {
    // On a full disk a half-written file would keep the space that the rest waits for.
    await disk.remove(temporary);
    throw error;
  }
  if (keepAs !== undefined && (await disk.read(path)) !== null) await disk.rename(path, keepAs);
  await disk.rename(temporary, path);
  await disk.syncFolder(dirname(path));
}

function sealerOf(sealed: Buffer): string | null {
  try {
    return keyIdOf(sealed);
  } catch {
    return null;
  }
}

function damagedKey(path: string, id: string, cause?: unknown): StoreCorrupt {
  return new StoreCorrupt('keys_corrupt', `The key ${id} in ${path} is damaged.`, {
    hint: 'Restore keys.json from a backup; without it the day it belongs to cannot be read.',
    cause,
  });
}

function masterKey(bytes: Buffer): DataKey {
  const digest = createHash('sha256').update('fullscript-relay master key').update(bytes).digest('hex');
  return { id: `master-${digest.slice(0, 12)}`, bytes };
}

/** Whether it is a key file, which says nothing of the keys in it. */
export function isKeyFile(text: Buffer): boolean {
  try {
    readKeyFile('', text);
    return true;
  } catch {
    return false;
  }
}

function readKeyFile(path: string, text: Buffer): KeyFile {
  try {
    const file = JSON.parse(text.toString()) as KeyFile;
    if (file.format === 1 && Object.values(file.keys).every((key) => typeof key === 'string')) return file;
  } catch {
    // Falls through to the same error: what is there is not a key file.
  }
  throw new StoreCorrupt('keys_corrupt', `${path} is not a key file of this version.`, {
    hint: 'Restore keys.json from a backup; without it nothing sealed in this store can be read.',
  });
}
