import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { RelayError } from '../domain/errors.ts';
import { type Handled, HandledEvents, type KeepOptions } from './handled-events.ts';
import type { Copy, InboxStore } from './inbox.ts';
import { lineOf, linesOf, readLines } from './inbox-lines.ts';

export interface FileInboxOptions extends KeepOptions {
  /** How files and folders are opened. Default: that of `node:fs/promises`. */
  readonly openFile?: OpenFile;
}

export type OpenFile = (path: string, flags: string | number, mode?: number) => Promise<FileHandle>;

/** The file is written anew when it has more lines than these beside those that still count. */
const deadLinesMax = 1_000;

/**
 * An inbox in a file of JSON lines, one for each event handled: ids and times, nothing of
 * what they held. Each is on disk before its event is acknowledged. For one process at a
 * time: where another opens it, this one takes nothing more. Made where there is none.
 *
 * Nothing is forgotten here: by a clock that is wrong at the start it would be everything.
 * With the first event it is, whose fresh signature says that the clock is right.
 *
 * @throws RelayError `inbox_foreign`, `inbox_damaged`; InvalidInput `receiver_options_invalid`
 */
export async function openFileInbox(path: string, options: FileInboxOptions = {}): Promise<FileInbox> {
  const { openFile = open, now = Date.now } = options;
  const handled = new HandledEvents(options);
  const whole = resolve(path);
  const existing = await openFile(whole, constants.O_RDWR | constants.O_APPEND).catch(unlessAbsent);
  if (existing !== null) {
    try {
      const read = readLines(await existing.readFile(), whole);
      for (const one of read.handled) handled.add(one);
    } finally {
      await existing.close();
    }
  }
  const beside = nameBeside(whole);
  const file = await writeAs(beside, handled, openFile);
  await putInPlace(beside, whole, openFile);
  return new FileInbox(whole, { handled, openFile, now, file });
}

/** A file that is appended to, and how long it is by our count. */
interface Written {
  readonly handle: FileHandle;
  readonly bytes: number;
  readonly lines: number;
}

interface Waiting {
  readonly handled: Handled;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class FileInbox implements InboxStore {
  readonly #path: string;
  readonly #handled: HandledEvents;
  readonly #openFile: OpenFile;
  readonly #now: () => number;
  #file: Written;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | null = null;
  #broken: RelayError | null = null;

  /** By `openFileInbox` only. */
  constructor(
    path: string,
    made: {
      readonly handled: HandledEvents;
      readonly openFile: OpenFile;
      readonly now: () => number;
      readonly file: Written;
    },
  ) {
    this.#path = path;
    this.#handled = made.handled;
    this.#openFile = made.openFile;
    this.#now = made.now;
    this.#file = made.file;
  }

  async claim(copy: Copy): Promise<'yours' | 'handled' | 'busy'> {
    this.#assertSound();
    // Before the work, since whoever took the file over does it as well.
    if ((await this.#file.handle.stat()).nlink === 0) throw this.#shared();
    return this.#handled.claim(copy);
  }

  /** Those that come while others are synced share the next sync. */
  settle(copy: Copy): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ handled: { ...copy, at: this.#now() }, resolve, reject });
      this.#writing ??= this.#writeWaiting();
    });
  }

  async release(copy: Copy): Promise<void> {
    this.#handled.release(copy);
  }

  /** Takes nothing more; what was begun is finished first. */
  async close(): Promise<void> {
    await this.#writing;
    this.#broken ??= new RelayError('inbox_closed', `The inbox ${this.#path} is closed.`, {
      hint: 'Close the server before its inbox.',
    });
    await this.#file.handle.close();
  }

  /** Never rejects: each one that waits hears of its own. */
  async #writeWaiting(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        await this.#write(batch.map(({ handled }) => lineOf(handled)));
        for (const { handled, resolve } of batch) {
          this.#handled.add(handled);
          resolve();
        }
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
      await this.#shrink();
    }
    this.#writing = null;
  }

  async #write(lines: readonly string[]): Promise<void> {
    this.#assertSound();
    const { handle, bytes } = this.#file;
    const text = lines.join('');
    const { size, nlink } = await handle.stat();
    if (size !== bytes || nlink === 0) throw this.#shared();
    try {
      await handle.appendFile(text);
    } catch (cause) {
      // A full disk takes a part of a line; the next one must not follow upon that.
      await handle.truncate(bytes).catch(this.#breaking('could not be written'));
      throw cause;
    }
    this.#file = { handle, bytes: bytes + Buffer.byteLength(text), lines: this.#file.lines + lines.length };
    // What a failed sync left on disk is unknown, and the next one would say that all is well.
    await handle.datasync().catch(this.#breaking('could not be synced'));
  }

  /** Leaves out what is forgotten. */
  async #shrink(): Promise<void> {
    if (this.#broken !== null || this.#file.lines <= this.#handled.size + deadLinesMax) return;
    const beside = nameBeside(this.#path);
    const anew = await writeAs(beside, this.#handled, this.#openFile).catch(() => null);
    // Nothing but space is lost: the old file goes on, and the next lines try again.
    if (anew === null) return;
    const { handle } = this.#file;
    this.#file = anew;
    await putInPlace(beside, this.#path, this.#openFile).catch((cause: unknown) => {
      this.#break('inbox_broken', 'could not be written anew', cause);
    });
    await handle.close();
  }

  #assertSound(): void {
    if (this.#broken !== null) throw this.#broken;
  }

  #breaking(what: string): (cause: unknown) => never {
    return (cause) => {
      throw this.#break('inbox_broken', what, cause);
    };
  }

  #shared(): RelayError {
    return this.#break('inbox_shared', 'was changed by somebody else', undefined);
  }

  #break(code: 'inbox_broken' | 'inbox_shared', what: string, cause: unknown): RelayError {
    const hint =
      code === 'inbox_shared'
        ? 'One process at a time may have it: stop the other one, or keep one inbox for all in a database. Then start again.'
        : 'Look at the disk and start the process again: what was not acknowledged is sent again.';
    this.#broken = new RelayError(code, `The inbox ${this.#path} ${what}.`, { hint, cause });
    return this.#broken;
  }
}

/** A file with these events alone, synced, that does not count yet. */
async function writeAs(beside: string, handled: HandledEvents, openFile: OpenFile): Promise<Written> {
  const text = linesOf(handled.all());
  const handle = await openFile(beside, 'ax', 0o600);
  try {
    await handle.appendFile(text);
    await handle.datasync();
  } catch (error) {
    await handle.close();
    await rm(beside, { force: true });
    throw error;
  }
  return { handle, bytes: Buffer.byteLength(text), lines: handled.size };
}

async function putInPlace(beside: string, path: string, openFile: OpenFile): Promise<void> {
  await rename(beside, path);
  const folder = await openFile(dirname(path), 'r');
  await folder.sync().finally(() => folder.close());
}

/** Another one each time: processes that start together must not write into each other's. */
function nameBeside(path: string): string {
  return `${path}.${randomBytes(6).toString('hex')}.new`;
}

function unlessAbsent(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT') return null;
  throw error;
}
