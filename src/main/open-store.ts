import { resolve } from 'node:path';
import type { Config } from '../config.ts';
import { StoreBroken } from '../domain/errors.ts';
import type { Logger } from '../logger.ts';
import type { Disk } from '../store/file/disk.ts';
import { type FileStore, openFileStore } from '../store/file/file-store.ts';
import { kernelLock } from '../store/file/lock.ts';
import { networkDiskOf } from '../store/file/network-disk.ts';
import type { Retained } from '../store/file/retention.ts';
import type { Store } from '../store/store.ts';
import type { Shared } from './shared.ts';

/** Opens the store that the configuration names, and tells what its start found. */
export async function openStore(
  config: Config,
  { clock, random, disk, logger, onFatal }: Omit<Shared, 'store'> & { readonly disk: Disk },
): Promise<FileStore> {
  const store = await openFileStore({
    path: resolve(config.store.path),
    masterKeys: { current: config.keys.masterKey, previous: config.keys.previousMasterKey },
    disk,
    lock: kernelLock,
    clock,
    random,
    retention: {
      ids: config.retention.idsDays,
      bodies: config.retention.bodiesDays,
      deliveries: config.retention.deliveriesDays,
      onRetained: (retained) => tellOfRetention(retained, logger),
    },
    onTrouble: (trouble) => {
      if (trouble === null) logger.info('The delivery log takes writes again.');
      // A store that is closed while its disk is full says so; nobody has to act on it.
      else if (trouble.code === 'store_closed') logger.warn(trouble.message);
      else if (trouble instanceof StoreBroken) onFatal(trouble);
      else logger.error(trouble.message, { code: trouble.code, hint: trouble.hint });
    },
  });
  const { cut, events, deliveries, interrupted, isResealed } = store.recovery;
  logger.info('The delivery log is open.', { path: config.store.path, events, deliveries, interrupted });
  if (isResealed) {
    logger.info(
      'The data keys are sealed by the new RELAY_MASTER_KEY: RELAY_MASTER_KEY_PREVIOUS is not needed any more.',
    );
  }
  await tellOfRestoration(store, logger);
  const networkDisk = await networkDiskOf(resolve(config.store.path));
  if (networkDisk !== null) {
    logger.warn('The delivery log is on a network file system: locks and syncs may not hold there.', {
      path: config.store.path,
      networkDisk,
    });
  }
  if (cut)
    logger.warn('A torn tail was cut off the journal and kept aside: nothing acknowledged was in it.', cut);
  return store;
}

function tellOfRetention(retained: Retained | Error, logger: Logger): void {
  if (retained instanceof Error) {
    logger.error('What is kept no longer could not be deleted; it is tried again.', {
      problem: retained.message,
    });
  } else if (retained.isClockDoubted) {
    logger.warn(
      'The clock went ahead further than time passed: nothing is deleted until it has gone on evenly for a day.',
    );
  } else logger.info('Deleted what is kept no longer.', { ...retained });
}

async function tellOfRestoration(store: Store, logger: Logger): Promise<void> {
  const restoration = await store.restoration();
  if (restoration === null) return;
  const { takenAt, restoredAt, ...counts } = restoration;
  logger.warn(
    'The delivery log came out of a backup: until they are resumed, subscribers get nothing and clinics are not read. First make sure that the relay of which the backup was taken does not run.',
    { takenAt: new Date(takenAt).toISOString(), restoredAt: new Date(restoredAt).toISOString(), ...counts },
  );
}
