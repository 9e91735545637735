import { spawnSync } from 'node:child_process';
import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { RelayError, StoreLocked } from '../../domain/errors.ts';

/** Takes the store's folder for this process, or throws; the kernel frees it when the process ends, however it ends. */
export type TakeLock = (path: string) => () => void;

/** `flock` was told not to wait, and somebody else has it. */
const heldByAnother = 1;

/**
 * An exclusive lock of the kernel's on an open file: nothing to clean up after a crash,
 * no clock involved, the same in every container that shares the folder. The `flock`
 * command takes it on a descriptor that it inherits from us, so it stays ours when the
 * command ends.
 *
 * @param path the lock file. What it holds (process id, host) is for the error message only.
 * @throws StoreLocked
 */
export const kernelLock: TakeLock = (path) => {
  const { O_CREAT, O_NOFOLLOW, O_RDWR } = constants;
  const descriptor = openSync(path, O_CREAT | O_NOFOLLOW | O_RDWR, 0o600);
  const { status, error } = spawnSync('flock', ['-n', '-x', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', descriptor],
  });
  if (status !== 0) {
    const holder = readFileSync(path, 'utf8').trim();
    closeSync(descriptor);
    if (status === heldByAnother) {
      throw new StoreLocked('store_locked', `The store is in use${holder === '' ? '' : ` by ${holder}`}.`, {
        hint: 'Only one relay may use a file store. Stop the other one, or use the API of the one that runs.',
      });
    }
    throw new RelayError('no_file_lock', 'The store cannot be locked: the command `flock` did not run.', {
      hint: 'Install util-linux (Debian, Ubuntu) or busybox (Alpine).',
      cause: error,
    });
  }
  ftruncateSync(descriptor);
  writeSync(descriptor, `process ${process.pid} on ${hostname()}`, 0);
  return () => closeSync(descriptor);
};
