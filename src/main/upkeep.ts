import { join, resolve } from 'node:path';
import type { Config } from '../config.ts';
import { RelayError } from '../domain/errors.ts';
import { type BackUp, type BackupMade, backUp } from '../store/file/backup.ts';
import { codeOf, realDisk } from '../store/file/disk.ts';
import { KeyRing, type MasterKeys } from '../store/file/keys.ts';
import { networkDiskOf } from '../store/file/network-disk.ts';
import { type Restore, type Restored, restore } from '../store/file/restore.ts';
import { type RestoredHold, restoredHold } from '../store/file/restored.ts';
import { type StoreTrial, tryStore } from '../store/file/trial.ts';
import { type VerifiedLog, verifyLog } from '../store/file/verify.ts';

export type { BackupMade, Restored, RestoredHold, StoreTrial, VerifiedLog };

/** A store, as the configuration names it, beside the relay that may run on it. */
export interface StoreOf {
  readonly config: Config;
  /** Where relative paths start. */
  readonly folder: string;
}

/** @throws StoreCorrupt, RelayError `wrong_master_key`, `store_missing` */
export function verifyStore({ config, folder }: StoreOf): Promise<VerifiedLog> {
  return verifyLog(realDisk, storePath({ config, folder }), masterKeysOf(config));
}

/** Whether its disk takes a write and the master key opens it; nothing stays changed. */
export function tryStoreOf({ config, folder }: StoreOf): Promise<StoreTrial> {
  return tryStore(realDisk, storePath({ config, folder }), masterKeysOf(config));
}

/** @throws RelayError, InvalidInput, see `backUp` */
export function backUpStore(ask: BackUp): Promise<BackupMade> {
  return onDisk(`The backup ${ask.to} could not be made`, () => backUp(realDisk, ask));
}

/** @throws RelayError, InvalidInput, see `restore` */
export function restoreStore(ask: Restore): Promise<Restored> {
  return onDisk(`The backup could not be put into ${ask.to}`, () => restore(realDisk, ask));
}

/** The name of the network file system that it is on, such as NFS; `null` when it is on a disk of this machine. */
export function networkDiskOfStore(of: StoreOf): Promise<string | null> {
  return networkDiskOf(storePath(of));
}

export interface StandingOf {
  /** Whether the previous master key is still needed; `null` when there are no keys yet, or no such key was given. */
  readonly isPreviousKeyNeeded: boolean | null;
  /** What is held since the store came out of a backup; `null` when nothing is. */
  readonly restored: RestoredHold | null;
}

/** @throws StoreCorrupt, RelayError `wrong_master_key` */
export async function standingOf({ config, folder }: StoreOf): Promise<StandingOf> {
  const path = storePath({ config, folder });
  const { previous, current } = masterKeysOf(config);
  const hasKeys = (await realDisk.read(join(path, 'keys.json'))) !== null;
  const isAsked = hasKeys && previous !== null;
  const keys = isAsked ? await KeyRing.read(realDisk, path, { previous, current }) : null;
  return { isPreviousKeyNeeded: keys?.neededPrevious ?? null, restored: await restoredHold(realDisk, path) };
}

function storePath({ config, folder }: StoreOf): string {
  return resolve(folder, config.store.path);
}

function masterKeysOf({ keys }: Config): MasterKeys {
  return { current: keys.masterKey, previous: keys.previousMasterKey };
}

/** What the disk itself refuses, in words. */
async function onDisk<Answer>(failed: string, work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof RelayError) throw error;
    const why = error instanceof Error ? error.message : 'unknown error';
    throw new RelayError('disk_refused', `${failed}: ${why}.`, {
      hint: hintFor(codeOf(error)),
      cause: error,
    });
  }
}

function hintFor(code: string | undefined): string {
  if (code === 'ENOSPC' || code === 'EDQUOT') return 'Free some space, or name a place on another disk.';
  if (code === 'EROFS') return 'That disk is read-only: name a place on another one.';
  if (code === 'EISDIR') return 'Name a file, not a folder.';
  if (code === 'ENOENT') return 'Make the folder that is named first.';
  return 'Run it as a user that may read and write there, such as the one that the relay runs as.';
}
