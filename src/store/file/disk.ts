import { constants, statSync, writeSync } from 'node:fs';
import {
  chmod,
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  stat,
  unlink,
} from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * The few things that the file store asks of a disk, handed in so that a test can lose
 * what was not synced. Errors are Node's, with their `code`, but for a failed
 * `datasync` or `syncFolder`, which is a `SyncFailed`.
 */
export interface Disk {
  /** Creates the folder (mode 0700) and what is missing above it, durably. */
  makeFolder(path: string): Promise<void>;
  /** The names in a folder, none when it does not exist. */
  list(path: string): Promise<readonly string[]>;
  /** The whole file; `null` when there is none. */
  read(path: string): Promise<Buffer | null>;
  /** Opens (creating it with mode 0600) for writing at the end. Refuses a symbolic link. */
  openForAppend(path: string): Promise<AppendedFile>;
  openForReading(path: string): Promise<ReadFile>;
  /**
   * Writes what a file holds from `from` to its end once more, in place, and syncs it. A
   * process may have been killed before its sync, or have seen it fail: the kernel then
   * shows bytes that the disk does not have, and a sync alone would not write them.
   */
  rewrite(path: string, from: number): Promise<void>;
  /** Writes a new file, synced; refuses one that exists. Its name is durable after `syncFolder`. */
  writeNew(path: string, bytes: Buffer): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file; one that does not exist is no error. */
  remove(path: string): Promise<void>;
  /** Makes created, renamed and removed names durable. */
  syncFolder(path: string): Promise<void>;
}

export interface AppendedFile {
  /** Where the next byte goes. */
  readonly length: number;
  /** All of the bytes or an error; after an error `length` is unchanged and `truncate` is due. */
  append(bytes: Buffer): Promise<void>;
  datasync(): Promise<void>;
  /** Cuts to `length` and syncs. */
  truncate(length: number): Promise<void>;
  /** Throws when the file was removed, replaced or written by somebody else. */
  assertUntouched(): void;
  close(): Promise<void>;
}

export interface ReadFile {
  /** In bytes, when it was opened. */
  readonly length: number;
  /** Throws when the file ends before. */
  read(at: number, length: number): Promise<Buffer>;
  close(): Promise<void>;
}

/**
 * The disk could not make something durable, for whatever reason. It is not to be tried
 * again: the kernel may report success for what it dropped.
 */
export class SyncFailed extends Error {
  readonly code = 'ESYNC';

  constructor(path: string, cause: unknown) {
    super(`${path} could not be synced (${codeOf(cause) ?? 'unknown error'})`, { cause });
  }
}

const rewrittenAtOnce = 4 * 1024 * 1024;

/**
 * The kernel takes so much in less time than the way to a thread and back: every batch
 * waits for its write. Only the sync, which waits for the disk, always goes to a thread.
 */
const copiedAtOnceMax = 256 * 1024;

/** The file was changed behind the store's back. */
export class FileTouched extends Error {
  readonly code = 'ETOUCHED';
}

export const realDisk: Disk = {
  async makeFolder(path) {
    const first = await mkdir(path, { recursive: true, mode: 0o700 });
    await chmod(path, 0o700);
    if (first !== undefined) await this.syncFolder(dirname(first));
  },

  async list(path) {
    try {
      return await readdir(path);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return [];
      throw error;
    }
  },

  async read(path) {
    try {
      return await readFile(path);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null;
      throw error;
    }
  },

  async openForAppend(path) {
    const { O_APPEND, O_CREAT, O_NOFOLLOW, O_RDWR } = constants;
    const handle = await open(path, O_APPEND | O_CREAT | O_NOFOLLOW | O_RDWR, 0o600);
    await handle.chmod(0o600);
    const { size, ino } = await handle.stat();
    return new RealAppendedFile(path, handle, size, ino);
  },

  async openForReading(path) {
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    const { size } = await handle.stat();
    return {
      length: size,
      async read(at, length) {
        const bytes = Buffer.allocUnsafe(length);
        for (let done = 0; done < length; ) {
          const { bytesRead } = await handle.read(bytes, done, length - done, at + done);
          if (bytesRead === 0) throw new Error(`${path} ends before byte ${at + length}`);
          done += bytesRead;
        }
        return bytes;
      },
      close: () => handle.close(),
    };
  },

  async rewrite(path, from) {
    const handle = await open(path, constants.O_RDWR | constants.O_NOFOLLOW);
    try {
      const { size } = await handle.stat();
      const bytes = Buffer.allocUnsafe(Math.min(rewrittenAtOnce, Math.max(0, size - from)));
      for (let at = from; at < size; ) {
        const { bytesRead } = await handle.read(bytes, 0, Math.min(bytes.length, size - at), at);
        if (bytesRead === 0) throw new Error(`${path} ends before byte ${size}`);
        await writeAll(handle, bytes.subarray(0, bytesRead), at);
        at += bytesRead;
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
  },

  async writeNew(path, bytes) {
    const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;
    const handle = await open(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, 0o600);
    try {
      await handle.chmod(0o600);
      await writeAll(handle, bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    // A full disk may publish a short file without an error; see what is there before it is trusted.
    const { size } = await stat(path);
    if (size !== bytes.length)
      throw Object.assign(new Error(`${path} was written short`), { code: 'ENOSPC' });
  },

  rename: (from, to) => rename(from, to),

  async remove(path) {
    try {
      await unlink(path);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
    }
  },

  async syncFolder(path) {
    const handle = await open(path, constants.O_RDONLY);
    try {
      await handle.sync();
    } catch (cause) {
      throw new SyncFailed(path, cause);
    } finally {
      await handle.close();
    }
  },
};

class RealAppendedFile implements AppendedFile {
  length: number;
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #inode: number;

  constructor(path: string, handle: FileHandle, length: number, inode: number) {
    this.#path = path;
    this.#handle = handle;
    this.length = length;
    this.#inode = inode;
  }

  async append(bytes: Buffer): Promise<void> {
    if (bytes.length <= copiedAtOnceMax) writeAllSync(this.#handle.fd, bytes);
    else await writeAll(this.#handle, bytes);
    this.length += bytes.length;
  }

  async datasync(): Promise<void> {
    try {
      await this.#handle.datasync();
    } catch (cause) {
      throw new SyncFailed(this.#path, cause);
    }
  }

  async truncate(length: number): Promise<void> {
    await this.#handle.truncate(length);
    await this.#handle.sync();
    this.length = length;
  }

  assertUntouched(): void {
    const named = statSync(this.#path, { throwIfNoEntry: false });
    if (named === undefined) throw new FileTouched(`${this.#path} was removed`);
    if (named.ino !== this.#inode) throw new FileTouched(`${this.#path} was replaced by another file`);
    if (named.size !== this.length) {
      throw new FileTouched(`${this.#path} was written by another program`);
    }
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** One write may take fewer bytes than it was given, without an error. */
async function writeAll(handle: FileHandle, bytes: Buffer, at: number | null = null): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const position = at === null ? null : at + done;
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position);
    done += bytesWritten;
  }
}

function writeAllSync(fd: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done);
}

export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

const full = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);
const outOf = new Set(['EMFILE', 'ENFILE', 'ENOMEM']);

/** Whether an error's code says that the disk is full. */
export function isFull(code: string | undefined): boolean {
  return full.has(code ?? '');
}

/** Whether an error's code says that the process has no more files or memory, which passes. */
export function isOutOf(code: string | undefined): boolean {
  return outOf.has(code ?? '');
}
