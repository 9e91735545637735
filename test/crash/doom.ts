import { truncateSync } from 'node:fs';
import type { AppendedFile, Disk } from '../../src/store/file/disk.ts';
import { SyncFailed } from '../../src/store/file/disk.ts';
import { pointOfFile, pointsOfLines } from './named-points.ts';

export type Step = 'write' | 'sync' | 'rename' | 'remove' | 'truncate' | 'sync folder' | 'read';

/** Where and how a process is to fail. */
export interface Doom {
  readonly point: string;
  readonly step: Step;
  /** The point that has to come by first; it is not waited for when left out. */
  readonly since?: string;
  /**
   * `torn`: a write of which half the bytes are done. A kill before a sync is a power cut:
   * it comes a moment later, and what was not synced is gone from every file.
   */
  readonly when: 'before' | 'torn' | 'after';
  /** Which time it comes by, counted from 1. */
  readonly nth: number;
  /** `null`: SIGKILL. Otherwise an error of the disk: its code, and how many times in a row. */
  readonly error: { readonly code: string; readonly times: number } | null;
}

const unsyncedMs = 250;

/** The doom that this process waits for; replaced from outside while it runs. */
export class Fate {
  #doom: Doom | null = null;
  #left = 0;
  #errorsLeft = 0;
  #isOn = false;
  readonly #told: () => void;
  /** Files that are open for writing, and how much of each is synced. */
  readonly synced = new Map<string, number>();

  /** @param told hears that the doom was met, before anything else happens. */
  constructor(told: () => void) {
    this.#told = told;
  }

  arm(doom: Doom | null): void {
    this.#doom = doom;
    this.#left = doom?.nth ?? 0;
    this.#errorsLeft = 0;
    this.#isOn = doom?.since === undefined;
  }

  /** Runs one step of the disk, or what the doom makes of it. */
  async meet<T>(points: Iterable<string>, step: Step, parts: Parts<T>): Promise<T> {
    const doom = this.#doom;
    if (doom?.since !== undefined && [...points].includes(doom.since)) this.#isOn = true;
    if (!doom || doom.step !== step || !this.#isMet(doom, points)) return parts.whole();
    if (doom.error) {
      if (doom.when === 'torn') await parts.half?.();
      throw parts.failure(errorOf(doom.error.code));
    }
    if (doom.when === 'torn') await parts.half?.();
    if (doom.when === 'after') await parts.whole();
    if (step === 'sync' && doom.when === 'before') await this.#cutPower();
    process.kill(process.pid, 'SIGKILL');
    return new Promise(() => {});
  }

  /** Whoever was answered too early has the time to hear of it. */
  async #cutPower(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, unsyncedMs));
    for (const [path, length] of this.synced) truncateSync(path, length);
  }

  #isMet(doom: Doom, points: Iterable<string>): boolean {
    if (this.#errorsLeft > 0) return this.#spend();
    if (!this.#isOn || ![...points].includes(doom.point)) return false;
    this.#left -= 1;
    if (this.#left !== 0) return false;
    this.#told();
    if (doom.error === null) return true;
    this.#errorsLeft = doom.error.times;
    return this.#spend();
  }

  /** A full disk stays full for whatever is written next. */
  #spend(): boolean {
    this.#errorsLeft -= 1;
    if (this.#errorsLeft <= 0) this.#doom = null;
    return true;
  }
}

interface Parts<T> {
  whole(): Promise<T>;
  /** Half of it, where halves exist. */
  half?(): Promise<unknown>;
  /** How the disk tells of an error at this step. */
  failure(error: Error): Error;
}

function errorOf(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}

const asItIs = (error: Error) => error;

/** A real disk on which the doom is met. */
export function doomedDisk(disk: Disk, fate: Fate): Disk {
  const at = (path: string) => [pointOfFile(path) ?? 'new part'];
  const asFailedSync = (path: string) => (error: Error) => new SyncFailed(path, error);
  return {
    makeFolder: (path) => disk.makeFolder(path),
    list: (path) => disk.list(path),
    read: (path) => disk.read(path),
    openForReading: (path) =>
      fate.meet(at(path), 'read', { whole: () => disk.openForReading(path), failure: asItIs }),
    openForAppend: async (path) => new DoomedFile(path, await disk.openForAppend(path), fate),
    rewrite: (path, from) =>
      fate.meet(['rewritten tail'], 'write', { whole: () => disk.rewrite(path, from), failure: asItIs }),
    writeNew: (path, bytes) =>
      fate.meet(at(path), 'write', {
        whole: () => disk.writeNew(path, bytes),
        half: () => disk.writeNew(path, bytes.subarray(0, bytes.length >> 1)),
        failure: asItIs,
      }),
    rename: (from, to) =>
      fate.meet(at(from), 'rename', { whole: () => disk.rename(from, to), failure: asItIs }),
    remove: (path) => fate.meet(at(path), 'remove', { whole: () => disk.remove(path), failure: asItIs }),
    syncFolder: (path) =>
      fate.meet(['folder'], 'sync folder', {
        whole: () => disk.syncFolder(path),
        failure: asFailedSync(path),
      }),
  };
}

class DoomedFile implements AppendedFile {
  readonly #path: string;
  readonly #file: AppendedFile;
  readonly #fate: Fate;
  #points: Iterable<string> = [];

  constructor(path: string, file: AppendedFile, fate: Fate) {
    this.#path = path;
    this.#file = file;
    this.#fate = fate;
    fate.synced.set(path, file.length);
  }

  get length(): number {
    return this.#file.length;
  }

  append(bytes: Buffer): Promise<void> {
    const ofFile = pointOfFile(this.#path);
    this.#points = ofFile === null ? pointsOfLines(bytes) : [ofFile];
    return this.#fate.meet(this.#points, 'write', {
      whole: () => this.#file.append(bytes),
      half: () => this.#file.append(bytes.subarray(0, bytes.length >> 1)),
      failure: asItIs,
    });
  }

  datasync(): Promise<void> {
    return this.#fate.meet(this.#points, 'sync', {
      whole: async () => {
        await this.#file.datasync();
        this.#fate.synced.set(this.#path, this.#file.length);
      },
      failure: (error) => new SyncFailed(this.#path, error),
    });
  }

  truncate(length: number): Promise<void> {
    return this.#fate.meet(['torn tail'], 'truncate', {
      whole: async () => {
        await this.#file.truncate(length);
        this.#fate.synced.set(this.#path, length);
      },
      failure: asItIs,
    });
  }

  assertUntouched(): void {
    this.#file.assertUntouched();
  }

  close(): Promise<void> {
    this.#fate.synced.delete(this.#path);
    return this.#file.close();
  }
}
