import { spawnSync } from 'node:child_process';
import { accessSync, closeSync, constants, existsSync, openSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Finding, failure, ok, warning } from './finding.ts';

const check = 'store';

/** Looks at the folder of a file store from outside: nothing is written and no lock is kept. */
export function checkStore(path: string): Finding {
  if (!existsSync(path)) return checkParent(path);
  const { mode, isFolder } = aboutFolder(path);
  if (!isFolder) return failure(check, `${path} is no folder.`, 'Name a folder in store.path.');
  const { R_OK, W_OK, X_OK } = constants;
  if (!isAllowed(path, R_OK | W_OK | X_OK)) {
    return failure(
      check,
      `this user may not read and write ${path}.`,
      'Give the folder to the relay’s user.',
    );
  }
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
  if (isAllowed(above, constants.W_OK | constants.X_OK) && aboutFolder(above).isFolder) {
    return ok(check, `${path} does not exist yet; the first start makes it`);
  }
  return failure(
    check,
    `${path} cannot be made: ${above} is not writable.`,
    'Name another folder in store.path.',
  );
}

function aboutFolder(path: string): { mode: number; isFolder: boolean } {
  const stat = statSync(path);
  return { mode: stat.mode, isFolder: stat.isDirectory() };
}

function isAllowed(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}

/** Who holds the lock file, as it says itself; `null` when nobody does, or that cannot be known. */
function lockHolder(path: string): string | null {
  if (!existsSync(path) || !isAllowed(path, constants.R_OK)) return null;
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
