import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { InvalidInput, RelayError } from '../../domain/errors.ts';
import { type Manifest, manifestBytesMax, manifestName, readManifest } from './backup-manifest.ts';
import type { Disk, ReadFile } from './disk.ts';
import { isKeyFile } from './keys.ts';
import { beginRestore, endRestore } from './restored.ts';
import { readTarHeader, tarBlockBytes, tarEnd, tarPadding } from './tar.ts';

export interface Restore {
  /** The backup. */
  readonly from: string;
  /** The folder to fill; made if it is not there, and must be empty. */
  readonly to: string;
  /** The file that the data keys were put into; `null` when they are in the backup. */
  readonly keysFrom: string | null;
  /** Epoch milliseconds. */
  readonly now: number;
}

export interface Restored {
  readonly storeId: string | null;
  /** When the backup was taken, epoch milliseconds. */
  readonly takenAt: number;
  readonly files: number;
  readonly bytes: number;
}

const chunkBytes = 4 * 1024 * 1024;
const nameShape = /^(keys\.json|checkpoint\.json|journal\/[\w.-]{1,80}\.jsonl|bodies\/[\w.-]{1,80}\.sealed)$/;

/**
 * Puts a backup into an empty folder. All of it is read and compared with its digests
 * before anything is written; a restore that is cut off leaves a folder that no relay
 * starts on. The first start on it pauses what would send or read: see `holdRestored`.
 *
 * @throws InvalidInput `folder_not_empty`, RelayError `backup_damaged`, `backup_missing`
 */
export async function restore(disk: Disk, { from, to, keysFrom, now }: Restore): Promise<Restored> {
  if ((await disk.list(to)).length > 0) {
    throw new InvalidInput('folder_not_empty', `${to} is not empty.`, {
      hint: 'Name an empty folder, or one that does not exist yet.',
    });
  }
  const archive = await opened(disk, from);
  try {
    const { manifest, places } = await inspect(archive, from);
    const keys = await keysOf(disk, { from, keysFrom }, manifest);
    await disk.makeFolder(to);
    await disk.makeFolder(join(to, 'journal'));
    await disk.makeFolder(join(to, 'bodies'));
    await beginRestore(disk, to, { takenAt: manifest.takenAt, restoredAt: now });
    for (const place of places) await copy(archive, place, disk, join(to, place.name));
    if (keys !== null) await disk.writeNew(join(to, 'keys.json'), keys);
    for (const folder of [join(to, 'journal'), join(to, 'bodies'), to]) await disk.syncFolder(folder);
    await endRestore(disk, to);
    const { storeId, takenAt } = manifest;
    return { storeId, takenAt, files: places.length, bytes: archive.length };
  } finally {
    await archive.close();
  }
}

/** A file in the archive. */
interface Place {
  readonly name: string;
  readonly at: number;
  readonly bytes: number;
}

async function opened(disk: Disk, from: string): Promise<ReadFile> {
  try {
    return await disk.openForReading(from);
  } catch (cause) {
    throw new RelayError('backup_missing', `The backup ${from} cannot be read.`, {
      hint: 'Name a file that `relay backup` made and that this user may read.',
      cause,
    });
  }
}

/** Reads the whole archive; what it answers is whole. */
async function inspect(
  archive: ReadFile,
  from: string,
): Promise<{ readonly manifest: Manifest; readonly places: readonly Place[] }> {
  const found: (Place & { readonly sha256: string })[] = [];
  let at = 0;
  for (;;) {
    if (at + tarBlockBytes > archive.length) throw damaged(from, 'it ends too early');
    const header = readTarHeader(await archive.read(at, tarBlockBytes));
    if (header === null) throw damaged(from, `there is no file at byte ${at}`);
    const { name, bytes } = header;
    at += tarBlockBytes;
    if (at + bytes + tarPadding(bytes).length > archive.length) throw damaged(from, `it ends within ${name}`);
    if (name === manifestName) {
      const manifest =
        bytes <= manifestBytesMax ? readManifest((await archive.read(at, bytes)).toString()) : null;
      if (manifest === null) throw damaged(from, 'its list of files is damaged, or of a newer version');
      await assertEnd(archive, from, at + bytes);
      assertListed(found, manifest, from);
      return { manifest, places: found };
    }
    if (!nameShape.test(name))
      throw damaged(from, `a store has no file of the name at byte ${at - tarBlockBytes}`);
    found.push({ name, at, bytes, sha256: await digestOf(archive, at, bytes) });
    const padding = tarPadding(bytes);
    if (!(await archive.read(at + bytes, padding.length)).equals(padding))
      throw damaged(from, `${name} is damaged`);
    at += bytes + padding.length;
  }
}

function assertListed(
  found: readonly (Place & { readonly sha256: string })[],
  manifest: Manifest,
  from: string,
): void {
  const listed = new Map(manifest.files.map((file) => [file.name, file]));
  for (const { name, bytes, sha256 } of found) {
    const file = listed.get(name);
    if (!file || file.bytes !== bytes || file.sha256 !== sha256) throw damaged(from, `${name} is damaged`);
    listed.delete(name);
  }
  for (const name of listed.keys()) throw damaged(from, `${name} is missing`);
}

async function assertEnd(archive: ReadFile, from: string, at: number): Promise<void> {
  const rest = archive.length - at;
  const expected = Buffer.concat([tarPadding(at), tarEnd]);
  if (rest !== expected.length || !(await archive.read(at, rest)).equals(expected)) {
    throw damaged(from, 'something other than its end follows the list of files');
  }
}

async function digestOf(archive: ReadFile, from: number, bytes: number): Promise<string> {
  const digest = createHash('sha256');
  for (let at = 0; at < bytes; at += chunkBytes) {
    digest.update(await archive.read(from + at, Math.min(chunkBytes, bytes - at)));
  }
  return digest.digest('hex');
}

/** What goes into keys.json beside what the backup brings; `null` when it has its own. */
async function keysOf(
  disk: Disk,
  { from, keysFrom }: Pick<Restore, 'from' | 'keysFrom'>,
  manifest: Manifest,
): Promise<Buffer | null> {
  const hasOwn = manifest.files.some(({ name }) => name === 'keys.json');
  if (hasOwn) {
    if (keysFrom === null) return null;
    throw new InvalidInput('keys_given', `${from} holds its keys itself.`, { hint: 'Leave --keys out.' });
  }
  const keys = keysFrom === null ? null : await disk.read(keysFrom);
  if (keys !== null && isKeyFile(keys)) return keys;
  throw new InvalidInput(
    'keys_missing',
    keysFrom === null ? `${from} was made without its keys.` : `${keysFrom} is no file of keys.`,
    { hint: 'Name the file that `relay backup --keys` wrote: --keys FILE.' },
  );
}

async function copy(archive: ReadFile, place: Place, disk: Disk, to: string): Promise<void> {
  const file = await disk.openForAppend(to);
  try {
    for (let at = 0; at < place.bytes; at += chunkBytes) {
      await file.append(await archive.read(place.at + at, Math.min(chunkBytes, place.bytes - at)));
    }
    await file.datasync();
  } finally {
    await file.close();
  }
}

function damaged(path: string, why: string): RelayError {
  return new RelayError('backup_damaged', `${path} is no whole backup: ${why}.`, {
    hint: 'Nothing was written. Use another backup, or copy this one again from where it came.',
  });
}
