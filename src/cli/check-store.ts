import { spawnSync } from 'node:child_process';
import { accessSync, closeSync, constants, existsSync, openSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { StoreTrial } from '../main/upkeep.ts';
import { type Finding, failure, ok, warning } from './finding.ts';

const check = 'store';

/**
 * Looks at the folder of a file store from outside. No lock is kept.
 *
 * @param trial of that folder, asked for only when it is one that may be used.
 */
export async function checkStore(
  path: string,
  trial: () => Promise<StoreTrial>,
): Promise<readonly Finding[]> {
  if (!existsSync(path)) return [checkParent(path)];
  const { mode, isFolder } = aboutFolder(path);
  if (!isFolder) return [failure(check, `${path} is no folder.`, 'Name a folder in store.path.')];
  const { R_OK, W_OK, X_OK } = constants;
  const refusal = refusalOf(path, R_OK | W_OK | X_OK);
  if (refusal !== null) return [unwritable(path, refusal)];
  const { writeRefusal, keys } = await trial();
  const use = writeRefusal === null ? checkUse(path, mode) : unwritable(path, writeRefusal);
  return [use, ...checkKeys(keys)];
}

/** @param networkDisk the name of the network file system that the folder is on, such as NFS. */
export function checkDisk(path: string, networkDisk: string | null): readonly Finding[] {
  if (networkDisk === null) return [];
  return [
    warning(
      check,
      `${path} is on a network file system (${networkDisk}): locks and syncs may not hold there.`,
      'Name a folder on a disk of this machine in store.path.',
    ),
  ];
}

function checkUse(path: string, mode: number): Finding {
  const holder = lockHolder(join(path, 'lock'));
  if (holder !== null)
    return ok(check, `${path} is in use${holder === '' ? '' : ` by ${holder}`}: a relay runs`);
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    return warning(check, `${path} is open to other users.`, `Run \`chmod 700 ${path}\`.`);
  }
  return ok(check, `${path} can be read and written, and nobody holds its lock`);
}

/** A folder that does not exist yet is made by the first start, if the nearest one above it lets it. */
function checkParent(path: string): Finding {
  let above = dirname(path);
  while (!existsSync(above) && dirname(above) !== above) above = dirname(above);
  const refusal = refusalOf(above, constants.W_OK | constants.X_OK);
  if (refusal === null && aboutFolder(above).isFolder) {
    return ok(check, `${path} does not exist yet; the first start makes it`);
  }
  const why = refusal === 'EROFS' ? 'on a read-only disk' : 'not writable';
  return failure(check, `${path} cannot be made: ${above} is ${why}.`, 'Name another folder in store.path.');
}

function unwritable(path: string, code: string): Finding {
  switch (code) {
    case 'EROFS':
      return failure(check, `${path} is on a read-only disk.`, 'Mount it so that it can be written.');
    case 'ENOSPC':
    case 'EDQUOT':
      return failure(check, `the disk of ${path} is full (${code}).`, 'Free some space.');
    case 'EACCES':
    case 'EPERM':
      return failure(
        check,
        `this user may not read and write ${path}.`,
        'Give the folder to the relay’s user.',
      );
    default:
      return failure(check, `${path} cannot be written (${code}).`, 'Look at that disk.');
  }
}

function aboutFolder(path: string): { mode: number; isFolder: boolean } {
  const stat = statSync(path);
  return { mode: stat.mode, isFolder: stat.isDirectory() };
}

/** The code of what stands in the way; `null` for nothing. */
function refusalOf(path: string, mode: number): string | null {
  try {
    accessSync(path, mode);
    return null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown error';
  }
}

function checkKeys(keys: StoreTrial['keys']): readonly Finding[] {
  if (keys === 'none') return [];
  if (keys === 'opened') return [ok('master key', 'it opens the keys of the store')];
  return [failure('master key', keys.message, keys.hint)];
}

/** Who holds the lock file, as it says itself; `null` when nobody does, or that cannot be known. */
function lockHolder(path: string): string | null {
  if (!existsSync(path) || refusalOf(path, constants.R_OK) !== null) return null;
  const descriptor = openSync(path, 'r');
  try {
    // A shared lock is refused while somebody holds the exclusive one, and ends with the descriptor.
    const { status } = spawnSync('flock', ['-n', '-s', '3'], {
      stdio: ['ignore', 'ignore', 'ignore', descriptor],
    });
    return status === 1 ? readFileSync(path, 'utf8').trim() : null;
  } finally {
    closeSync(descriptor);
  }
}
