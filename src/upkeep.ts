import { resolve } from 'node:path';
import type { Config } from './config.ts';
import { realDisk } from './store/file/disk.ts';
import type { MasterKeys } from './store/file/keys.ts';
import { type StoreTrial, tryStore } from './store/file/trial.ts';
import { type VerifiedLog, verifyLog } from './store/file/verify.ts';

/** What is done with a store beside the relay that runs on it, or while none does. */
export interface StoreOf {
  readonly config: Config;
  /** Where relative paths start. */
  readonly folder: string;
}

export type { StoreTrial, VerifiedLog };

/** @throws StoreCorrupt, RelayError `wrong_master_key`, `store_missing` */
export function verifyStore({ config, folder }: StoreOf): Promise<VerifiedLog> {
  return verifyLog(realDisk, resolve(folder, config.store.path), masterKeysOf(config));
}

/** Whether its disk takes a write and the master key opens it; nothing stays changed. */
export function tryStoreOf({ config, folder }: StoreOf): Promise<StoreTrial> {
  return tryStore(realDisk, resolve(folder, config.store.path), masterKeysOf(config));
}

function masterKeysOf({ keys }: Config): MasterKeys {
  return { current: keys.masterKey, previous: keys.previousMasterKey };
}
