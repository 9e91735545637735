import { StoreBroken, StoreUnavailable } from '../../domain/errors.ts';
import { codeOf, SyncFailed } from './disk.ts';

/** There is no space; it passes. */
export function diskFull(since: number, cause: unknown): StoreUnavailable {
  return new StoreUnavailable('disk_full', 'The disk of the delivery log is full: nothing new is taken.', {
    hint: 'Free some space; the relay goes on by itself.',
    cause,
    since,
  });
}

/** This process has no more files or memory; it passes. @param what what cannot be done, and its verb. */
export function outOfResources(what: string, cause: unknown): StoreUnavailable {
  return new StoreUnavailable('store_out_of_resources', `${what} at the moment (${codeOf(cause)}).`, {
    hint: 'Raise the limit of open files, or lower the concurrency.',
    cause,
  });
}

/** What is gone on record is still there; whoever took it away tries again. */
export function notTakenAway(cause: unknown): StoreUnavailable {
  return new StoreUnavailable(
    'store_not_cleared',
    `What is gone on record could not be taken off the disk (${codeOf(cause) ?? 'unknown error'}).`,
    { hint: 'Look at the disk of the delivery log; it is tried again every minute.', cause },
  );
}

/** Nobody can say what is on the disk. */
export function diskBroken(cause: unknown): StoreBroken {
  if (cause instanceof SyncFailed) {
    return new StoreBroken('store_sync_failed', 'The disk could not make the delivery log durable.', {
      hint: 'Check the disk, then start the relay again: it recovers to what is on the disk.',
      cause,
    });
  }
  const code = codeOf(cause);
  return new StoreBroken(
    'store_broken',
    `The delivery log cannot be written${code ? ` (${code})` : ''}: ${cause instanceof Error ? cause.message : 'unknown error'}`,
    {
      hint: 'Check the disk and the data folder, then start the relay again: it recovers to what is on the disk.',
      cause,
    },
  );
}
