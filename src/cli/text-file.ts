import { readFileSync, statSync } from 'node:fs';
import { InvalidInput } from '../domain/errors.ts';

const bytesMax = 1024 * 1024;

/**
 * Reads a small text file. A pipe would wait for ever and a device never end, so only
 * regular files are read, of 1 MiB at most, and only as UTF-8.
 *
 * @throws InvalidInput `file_missing` when there is none, `file_unreadable` otherwise.
 */
export function readTextFile(path: string): string {
  const stat = asInput(path, () => statSync(path));
  if (!stat.isFile()) throw unreadable(path, 'it is no regular file');
  if (stat.size > bytesMax) throw unreadable(path, 'it is larger than 1 MiB');
  const bytes = asInput(path, () => readFileSync(path));
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw unreadable(path, 'it is not UTF-8 text');
  }
}

function asInput<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code ?? 'unknown';
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw new InvalidInput('file_missing', `There is no file ${path}.`, {
        hint: 'Run `relay init` to have one written, or name another path.',
      });
    }
    throw unreadable(path, code);
  }
}

function unreadable(path: string, reason: string): InvalidInput {
  return new InvalidInput('file_unreadable', `${path} cannot be read: ${reason}.`, {
    hint: 'Name a text file that this user may read.',
  });
}
