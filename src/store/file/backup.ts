import { createHash } from 'node:crypto';
import { basename, dirname, join, relative } from 'node:path';
import { InvalidInput, RelayError } from '../../domain/errors.ts';
import { type BackedUpFile, type Manifest, manifestName, manifestText } from './backup-manifest.ts';
import { wholeCheckpoint } from './checkpoint.ts';
import { type AppendedFile, codeOf, type Disk, type ReadFile } from './disk.ts';
import { replaceFile } from './keys.ts';
import { tarEnd, tarPadding, writeTarHeader } from './tar.ts';

export interface BackUp {
  /** The data folder. */
  readonly from: string;
  /** The file to make; there must be none of that name. */
  readonly to: string;
  /** Where the data keys go instead, in place of those of the backup before; `null`: into the backup. */
  readonly keysTo: string | null;
  /** Epoch milliseconds. */
  readonly now: number;
}

export interface BackupMade {
  readonly files: number;
  /** Of the backup. */
  readonly bytes: number;
  readonly storeId: string | null;
}

const triesMax = 5;
const chunkBytes = 4 * 1024 * 1024;

/**
 * Copies a store into one file, a tar archive, while a relay may be writing it; what is
 * encrypted stays so, and no key is needed. Durable when it resolves.
 *
 * What is copied later covers what was copied before it: the checkpoint stands at a
 * sequence that the journal has, the journal refers to bodies that are there, and they
 * were sealed under keys that are there. So it opens as the store would have after a
 * power cut at the moment when the journal was looked at. Files that retention takes away
 * while they are gathered would make that untrue: then all is gathered once more.
 *
 * @throws InvalidInput `file_exists`, `file_in_store`, RelayError `store_missing`, `backup_failed`
 */
export async function backUp(disk: Disk, { from, to, keysTo, now }: BackUp): Promise<BackupMade> {
  await assertFree(disk, from, to);
  const gathered = await gather(disk, from);
  try {
    const { keys, checkpoint, files } = gathered;
    const kept = keysTo === null ? [inMemory('keys.json', keys)] : [];
    const all = [...kept, ...(checkpoint ? [inMemory('checkpoint.json', checkpoint.bytes)] : []), ...files];
    const storeId = checkpoint?.storeId ?? null;
    if (keysTo !== null) await replaceFile(disk, keysTo, keys);
    const bytes = await writeArchive(disk, to, all, { storeId, takenAt: now });
    return { files: all.length, bytes, storeId };
  } finally {
    await Promise.all(gathered.files.map(({ content }) => content.close()));
  }
}

async function assertFree(disk: Disk, from: string, to: string): Promise<void> {
  if (!relative(from, to).startsWith('..')) {
    throw new InvalidInput('file_in_store', `${to} lies in the data folder itself.`, {
      hint: 'Name a file elsewhere, best on another disk: a backup is for when this one is lost.',
    });
  }
  if ((await disk.list(dirname(to))).includes(basename(to))) {
    throw new InvalidInput('file_exists', `There is a file ${to} already.`, {
      hint: 'Name another one: a backup overwrites nothing.',
    });
  }
}

interface Source {
  readonly name: string;
  readonly content: Pick<ReadFile, 'length' | 'read' | 'close'>;
}

interface Gathered {
  readonly checkpoint: { readonly bytes: Buffer; readonly storeId: string } | null;
  readonly keys: Buffer;
  /** Held open: a file that is removed meanwhile can still be read. */
  readonly files: readonly Source[];
}

async function gather(disk: Disk, from: string): Promise<Gathered> {
  for (let tries = 1; tries <= triesMax; tries++) {
    const opened: Source[] = [];
    try {
      const before = await namesOf(disk, from);
      const checkpoint = await wholeCheckpoint(disk, from);
      for (const name of (await namesOf(disk, from)).filter(isJournal)) {
        opened.push(await open(disk, from, name));
      }
      for (const name of (await namesOf(disk, from)).filter(isBodies)) {
        opened.push(await open(disk, from, name));
      }
      const keys = await disk.read(join(from, 'keys.json'));
      const after = new Set(await namesOf(disk, from));
      if (keys === null || before.length === 0) throw missing(from);
      if (before.every((name) => after.has(name))) return { checkpoint, keys, files: opened };
    } catch (error) {
      await Promise.all(opened.map(({ content }) => content.close()));
      if (codeOf(error) !== 'ENOENT') throw error;
      continue;
    }
    await Promise.all(opened.map(({ content }) => content.close()));
  }
  throw new RelayError('backup_failed', `Files went away under the backup of ${from}, again and again.`, {
    hint: 'Try again in a minute; if it stays so, back up while the relay is stopped.',
  });
}

/** Below the data folder: what a store cannot be without. */
async function namesOf(disk: Disk, from: string): Promise<readonly string[]> {
  const journal = (await disk.list(join(from, 'journal'))).map((name) => `journal/${name}`);
  const bodies = (await disk.list(join(from, 'bodies'))).map((name) => `bodies/${name}`);
  return [...journal.filter(isJournal), ...bodies.filter(isBodies)].sort();
}

function isJournal(name: string): boolean {
  return name.startsWith('journal/') && name.endsWith('.jsonl');
}

function isBodies(name: string): boolean {
  return name.startsWith('bodies/') && name.endsWith('.sealed');
}

async function open(disk: Disk, from: string, name: string): Promise<Source> {
  return { name, content: await disk.openForReading(join(from, name)) };
}

function inMemory(name: string, bytes: Buffer): Source {
  const read = async (at: number, length: number) => bytes.subarray(at, at + length);
  return { name, content: { length: bytes.length, read, close: async () => {} } };
}

/** Under another name first: what stands under the right one is whole. */
async function writeArchive(
  disk: Disk,
  to: string,
  sources: readonly Source[],
  about: Pick<Manifest, 'storeId' | 'takenAt'>,
): Promise<number> {
  const unfinished = `${to}.unfinished`;
  await disk.remove(unfinished);
  try {
    const archive = await disk.openForAppend(unfinished);
    try {
      const files: BackedUpFile[] = [];
      for (const source of sources) files.push(await addFile(archive, source, about.takenAt));
      const manifest = inMemory(manifestName, Buffer.from(manifestText({ format: 1, ...about, files })));
      await addFile(archive, manifest, about.takenAt);
      await archive.append(tarEnd);
      await archive.datasync();
    } finally {
      await archive.close();
    }
    await disk.rename(unfinished, to);
    await disk.syncFolder(dirname(to));
    return archive.length;
  } catch (error) {
    await disk.remove(unfinished);
    throw error;
  }
}

async function addFile(
  archive: AppendedFile,
  { name, content }: Source,
  modifiedAt: number,
): Promise<BackedUpFile> {
  const bytes = content.length;
  const digest = createHash('sha256');
  await archive.append(writeTarHeader({ name, bytes, modifiedAt }));
  for (let at = 0; at < bytes; at += chunkBytes) {
    const chunk = await content.read(at, Math.min(chunkBytes, bytes - at));
    digest.update(chunk);
    await archive.append(chunk);
  }
  await archive.append(tarPadding(bytes));
  return { name, bytes, sha256: digest.digest('hex') };
}

function missing(path: string): RelayError {
  return new RelayError('store_missing', `There is no delivery log in ${path}.`, {
    hint: 'Name the folder of one in store.path, or with --from.',
  });
}
