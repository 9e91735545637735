import { join } from 'node:path';
import { RelayError } from '../../domain/errors.ts';
import { codeOf, type Disk } from './disk.ts';
import { KeyRing, type MasterKeys } from './keys.ts';

/** What a look at a store's folder found, without opening it. */
export interface StoreTrial {
  /** The code with which the disk refuses a write, `ENOSPC`; `null` when it takes one. */
  readonly writeRefusal: string | null;
  /** Whether the master key opens the data keys; `none` when there are none yet, an error when it does not. */
  readonly keys: 'opened' | 'none' | RelayError;
}

/**
 * Tries the disk with a small synced file, which is removed again, and the master key as a
 * start would. A relay may be running on the folder meanwhile.
 */
export async function tryStore(disk: Disk, path: string, masterKeys: MasterKeys): Promise<StoreTrial> {
  return { writeRefusal: await tryWrite(disk, path), keys: await tryKeys(disk, path, masterKeys) };
}

const probeBytes = Buffer.alloc(64 * 1024);

/** A full disk shows itself only when something is written to it. */
async function tryWrite(disk: Disk, path: string): Promise<string | null> {
  const probe = join(path, `check-${process.pid}.tmp`);
  try {
    await disk.writeNew(probe, probeBytes);
    return null;
  } catch (error) {
    return codeOf(error) ?? 'unknown error';
  } finally {
    // What is left behind holds nothing, and the next check says what is wrong with the disk.
    await disk.remove(probe).catch(() => {});
  }
}

async function tryKeys(disk: Disk, path: string, masterKeys: MasterKeys): Promise<StoreTrial['keys']> {
  try {
    if ((await disk.read(join(path, 'keys.json'))) === null) return 'none';
    const { current, previous } = masterKeys;
    const wrong = await refusalOf(disk, path, current);
    if (wrong === null) return 'opened';
    return previous !== null && (await refusalOf(disk, path, previous)) === null ? 'opened' : wrong;
  } catch (error) {
    if (error instanceof RelayError) return error;
    return new RelayError('keys_unreadable', `The keys of the store cannot be read (${codeOf(error)}).`, {
      hint: 'Give keys.json to the relay’s user.',
      cause: error,
    });
  }
}

/** One key at a time: beside a previous one, what it opens would be sealed anew. */
async function refusalOf(disk: Disk, path: string, key: Buffer): Promise<RelayError | null> {
  try {
    await KeyRing.open(disk, path, { current: key, previous: null });
    return null;
  } catch (error) {
    if (error instanceof RelayError && error.code === 'wrong_master_key') return error;
    throw error;
  }
}
