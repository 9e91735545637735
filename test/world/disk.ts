import { basename, dirname } from 'node:path';
import type { Clock } from '../../src/clock.ts';
import type { RelayError } from '../../src/domain/errors.ts';
import {
  type AppendedFile,
  type Disk,
  FileTouched,
  type ReadFile,
  SyncFailed,
} from '../../src/store/file/disk.ts';
import { type FileStore, type FileStoreOptions, openFileStore } from '../../src/store/file/file-store.ts';

export type DiskOperation =
  | 'makeFolder'
  | 'list'
  | 'read'
  | 'open'
  | 'write'
  | 'datasync'
  | 'truncate'
  | 'rewrite'
  | 'writeNew'
  | 'rename'
  | 'remove'
  | 'syncFolder';

/** What goes wrong with an operation; `written` bytes of a write still get through. */
export interface DiskFault {
  readonly code: string;
  readonly written?: number;
}

/** Sees every operation before it is done, and may let it fail. */
export type DiskHook = (operation: DiskOperation, path: string) => DiskFault | null;

/** What a power cut decides independently of the rest of a file. */
const pageBytes = 512;

/** Bytes that the machine shows and the disk may not have. */
interface Unsynced {
  readonly from: number;
  readonly to: number;
  /** A sync of these failed: the machine takes them for written, and no later sync writes them. */
  readonly isLost: boolean;
}

class Inode {
  bytes = Buffer.alloc(0);
  length = 0;
  unsynced: readonly Unsynced[] = [];

  static of(bytes: Buffer): Inode {
    const inode = new Inode();
    inode.bytes = Buffer.from(bytes);
    inode.length = bytes.length;
    return inode;
  }

  get content(): Buffer {
    return this.bytes.subarray(0, this.length);
  }

  copy(): Inode {
    const inode = Inode.of(this.content);
    inode.unsynced = this.unsynced;
    return inode;
  }

  append(bytes: Buffer): void {
    const end = this.length + bytes.length;
    if (end > this.bytes.length) {
      const grown = Buffer.alloc(Math.max(end, 2 * this.bytes.length, 1024));
      this.content.copy(grown);
      this.bytes = grown;
    }
    bytes.copy(this.bytes, this.length);
    if (bytes.length > 0) {
      this.unsynced = [...this.unsynced, { from: this.length, to: end, isLost: false }];
    }
    this.length = end;
  }

  truncate(length: number): void {
    this.length = length;
    this.unsynced = this.unsynced
      .filter(({ from }) => from < length)
      .map((range) => ({ ...range, to: Math.min(range.to, length) }));
    this.sync();
  }

  sync(): void {
    this.unsynced = this.unsynced.filter(({ isLost }) => isLost);
  }

  loseUnsynced(): void {
    this.unsynced = this.unsynced.map((range) => ({ ...range, isLost: true }));
  }

  /** Written again from `from` on and synced. */
  rewrite(from: number): void {
    this.unsynced = this.unsynced
      .filter((range) => range.from < from)
      .map((range) => ({ ...range, to: Math.min(range.to, from) }));
    this.sync();
  }

  /** What is there when the power comes back. */
  afterPowerCut(random: () => number): Inode {
    const { unsynced } = this;
    if (unsynced.length === 0) return this.copy();
    const content = Buffer.from(this.content);
    for (const { from, to } of unsynced) {
      for (let at = from; at < to; ) {
        const end = Math.min(to, (Math.floor(at / pageBytes) + 1) * pageBytes);
        damage(content.subarray(at, end), random);
        at = end;
      }
    }
    const last = unsynced.at(-1) as Unsynced;
    const isTailUnsynced = last.to === this.length;
    const cut = isTailUnsynced && random() < 0.5 ? Math.ceil(random() * (last.to - last.from)) : 0;
    return Inode.of(content.subarray(0, this.length - cut));
  }
}

function damage(page: Buffer, random: () => number): void {
  const fate = random();
  if (fate < 0.4) return;
  if (fate < 0.6) page.fill(0);
  else if (fate < 0.8) page.fill(0, Math.floor(random() * page.length));
  else for (let at = 0; at < page.length; at++) page[at] = Math.floor(random() * 256);
}

type NameChange =
  | { readonly kind: 'link'; readonly path: string; readonly inode: Inode }
  | { readonly kind: 'unlink'; readonly path: string }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string; readonly inode: Inode };

/**
 * A disk in memory that knows what was synced: bytes by `datasync`, names by
 * `syncFolder`. `kill` is what the next process finds, `powerCut` what the next boot
 * finds. The same random numbers give the same damage.
 */
export class SimulatedDisk implements Disk {
  /** Every operation asks it first. */
  hook: DiskHook = () => null;
  /** What is left for contents; a write beyond it is short and fails with ENOSPC. */
  freeBytes = Number.POSITIVE_INFINITY;
  /** Faults that wait for their operation. */
  readonly #due: { operation: DiskOperation; path: string; skip: number; fault: DiskFault }[] = [];
  readonly #folders: Set<string>;
  /** As the machine shows it. */
  readonly #names: Map<string, Inode>;
  /** As the disk has it. */
  readonly #syncedNames: Map<string, Inode>;
  #changes: readonly NameChange[];

  constructor(
    folders: Iterable<string> = [],
    names: ReadonlyMap<string, Inode> = new Map(),
    syncedNames: ReadonlyMap<string, Inode> = names,
    changes: readonly NameChange[] = [],
  ) {
    this.#folders = new Set(folders);
    this.#names = new Map(names);
    this.#syncedNames = new Map(syncedNames);
    this.#changes = changes;
  }

  /** The next such operation fails, after `skip` that do not; on a path that ends with `path`, if one is given. */
  failNext(operation: DiskOperation, code: string, { path = '', written = 0, skip = 0 } = {}): void {
    this.#due.push({ operation, path, skip, fault: { code, written } });
  }

  /** The disk as a killed process leaves it: everything written is there, synced or not. */
  kill(): SimulatedDisk {
    const copies = new Map<Inode, Inode>();
    const copy = (inode: Inode): Inode => {
      const known = copies.get(inode) ?? inode.copy();
      copies.set(inode, known);
      return known;
    };
    const copyNames = (names: ReadonlyMap<string, Inode>) =>
      new Map([...names].map(([path, inode]) => [path, copy(inode)]));
    return new SimulatedDisk(
      this.#folders,
      copyNames(this.#names),
      copyNames(this.#syncedNames),
      this.#changes.map((change) =>
        change.kind === 'unlink' ? change : { ...change, inode: copy(change.inode) },
      ),
    );
  }

  /** The disk as a power cut leaves it. */
  powerCut(random: () => number): SimulatedDisk {
    const names = new Map(this.#syncedNames);
    const isOrdered = random() < 0.5;
    const until = isOrdered ? Math.floor(random() * (this.#changes.length + 1)) : this.#changes.length;
    for (const change of this.#changes.slice(0, until)) {
      if (isOrdered || random() < 0.5) makeNameChange(names, change);
    }
    const left = new Map<Inode, Inode>();
    for (const inode of names.values()) {
      if (!left.has(inode)) left.set(inode, inode.afterPowerCut(random));
    }
    return new SimulatedDisk(
      this.#folders,
      new Map([...names].map(([path, inode]) => [path, left.get(inode) as Inode])),
    );
  }

  /** Paths of all files, in order. */
  get paths(): readonly string[] {
    return [...this.#names.keys()].sort();
  }

  contents(path: string): Buffer {
    const inode = this.#names.get(path);
    if (!inode) throw fault('ENOENT', path);
    return Buffer.from(inode.content);
  }

  /** Puts a file there as somebody else would: a new one, durable at once. */
  put(path: string, bytes: Buffer | string): void {
    const inode = Inode.of(Buffer.from(bytes));
    this.#names.set(path, inode);
    this.#syncedNames.set(path, inode);
  }

  /** Takes a file away as somebody else would, durably. */
  take(path: string): void {
    this.#names.delete(path);
    this.#syncedNames.delete(path);
  }

  /** Writes to the end of a file as somebody else would. */
  scribble(path: string, bytes: string): void {
    this.#names.get(path)?.append(Buffer.from(bytes));
  }

  async makeFolder(path: string): Promise<void> {
    this.#ask('makeFolder', path);
    for (let folder = path; folder !== dirname(folder); folder = dirname(folder)) this.#folders.add(folder);
  }

  async list(path: string): Promise<readonly string[]> {
    this.#ask('list', path);
    return this.paths.filter((each) => dirname(each) === path).map((each) => basename(each));
  }

  async read(path: string): Promise<Buffer | null> {
    this.#ask('read', path);
    return this.#names.has(path) ? this.contents(path) : null;
  }

  async openForAppend(path: string): Promise<AppendedFile> {
    this.#ask('open', path);
    return new SimulatedAppendedFile(path, this.#names.get(path) ?? this.#create(path), {
      ask: (operation) => this.#ask(operation, path),
      take: (bytes) => this.#takeSpace(bytes),
      named: () => this.#names.get(path),
    });
  }

  async openForReading(path: string): Promise<ReadFile> {
    this.#ask('open', path);
    const inode = this.#names.get(path);
    if (!inode) throw fault('ENOENT', path);
    return {
      length: inode.length,
      read: async (at, length) => {
        this.#ask('read', path);
        if (at + length > inode.length) throw new Error(`${path} ends before byte ${at + length}`);
        return Buffer.from(inode.content.subarray(at, at + length));
      },
      close: async () => {},
    };
  }

  async rewrite(path: string, from: number): Promise<void> {
    this.#ask('rewrite', path);
    this.#names.get(path)?.rewrite(from);
  }

  async writeNew(path: string, bytes: Buffer): Promise<void> {
    const asked = this.#faultOf('writeNew', path);
    if (this.#names.has(path)) throw fault('EEXIST', path);
    const inode = this.#create(path);
    const written = asked ? (asked.written ?? 0) : this.#takeSpace(bytes.length);
    inode.append(bytes.subarray(0, written));
    if (asked) throw fault(asked.code, path);
    if (written < bytes.length) throw fault('ENOSPC', path);
    inode.sync();
  }

  async rename(from: string, to: string): Promise<void> {
    this.#ask('rename', from);
    const inode = this.#names.get(from);
    if (!inode) throw fault('ENOENT', from);
    this.#change({ kind: 'rename', from, to, inode });
  }

  async remove(path: string): Promise<void> {
    this.#ask('remove', path);
    const inode = this.#names.get(path);
    if (!inode) return;
    this.freeBytes += inode.length;
    this.#change({ kind: 'unlink', path });
  }

  async syncFolder(path: string): Promise<void> {
    this.#ask('syncFolder', path);
    const isHere = (change: NameChange) =>
      dirname(change.kind === 'rename' ? change.to : change.path) === path;
    for (const change of this.#changes.filter(isHere)) makeNameChange(this.#syncedNames, change);
    this.#changes = this.#changes.filter((change) => !isHere(change));
  }

  #faultOf(operation: DiskOperation, path: string): DiskFault | null {
    const fault = this.hook(operation, path);
    const at = this.#due.findIndex((each) => each.operation === operation && path.endsWith(each.path));
    const due = this.#due[at];
    if (fault || !due || due.skip-- > 0) return fault;
    this.#due.splice(at, 1);
    return due.fault;
  }

  #ask(operation: DiskOperation, path: string): void {
    const asked = this.#faultOf(operation, path);
    if (!asked) return;
    if (operation === 'write' && asked.written) throw new ShortWrite(asked.code, path, asked.written);
    const error = fault(asked.code, path);
    throw operation === 'datasync' || operation === 'syncFolder' ? new SyncFailed(path, error) : error;
  }

  #create(path: string): Inode {
    if (!this.#folders.has(dirname(path))) throw fault('ENOENT', path);
    const inode = new Inode();
    this.#change({ kind: 'link', path, inode });
    return inode;
  }

  #change(change: NameChange): void {
    makeNameChange(this.#names, change);
    this.#changes = [...this.#changes, change];
  }

  #takeSpace(bytes: number): number {
    const taken = Math.min(bytes, Math.max(0, this.freeBytes));
    this.freeBytes -= taken;
    return taken;
  }
}

function makeNameChange(names: Map<string, Inode>, change: NameChange): void {
  if (change.kind === 'link') names.set(change.path, change.inode);
  else if (change.kind === 'unlink') names.delete(change.path);
  else {
    if (names.get(change.from) === change.inode) names.delete(change.from);
    names.set(change.to, change.inode);
  }
}

class SimulatedAppendedFile implements AppendedFile {
  length: number;
  readonly #path: string;
  readonly #inode: Inode;
  readonly #disk: {
    ask(operation: DiskOperation): void;
    take(bytes: number): number;
    named(): Inode | undefined;
  };

  constructor(
    path: string,
    inode: Inode,
    disk: { ask(operation: DiskOperation): void; take(bytes: number): number; named(): Inode | undefined },
  ) {
    this.#path = path;
    this.#inode = inode;
    this.#disk = disk;
    this.length = inode.length;
  }

  async append(bytes: Buffer): Promise<void> {
    try {
      this.#disk.ask('write');
    } catch (error) {
      if (error instanceof ShortWrite) this.#inode.append(bytes.subarray(0, error.written));
      throw error;
    }
    const written = this.#disk.take(bytes.length);
    this.#inode.append(bytes.subarray(0, written));
    if (written < bytes.length) throw fault('ENOSPC', this.#path);
    this.length += bytes.length;
  }

  async datasync(): Promise<void> {
    try {
      this.#disk.ask('datasync');
    } catch (error) {
      this.#inode.loseUnsynced();
      throw error;
    }
    this.#inode.sync();
  }

  async truncate(length: number): Promise<void> {
    this.#disk.ask('truncate');
    this.#disk.take(length - this.#inode.length);
    this.#inode.truncate(length);
    this.length = length;
  }

  assertUntouched(): void {
    const named = this.#disk.named();
    if (named === undefined) throw new FileTouched(`${this.#path} was removed`);
    if (named !== this.#inode) throw new FileTouched(`${this.#path} was replaced by another file`);
    if (named.length !== this.length) throw new FileTouched(`${this.#path} was written by another program`);
  }

  async close(): Promise<void> {}
}

class ShortWrite extends Error {
  readonly code: string;
  readonly written: number;

  constructor(code: string, path: string, written: number) {
    super(`${code}: ${path}`);
    this.code = code;
    this.written = written;
  }
}

function fault(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}

/** The same disk for somebody before whose every operation something else is done. */
export function interrupted(disk: Disk, meanwhile: () => Promise<void>): Disk {
  return new Proxy(disk, {
    get: (target, name) => {
      const operation = Reflect.get(target, name) as (...given: unknown[]) => Promise<unknown>;
      return async (...given: unknown[]) => {
        await meanwhile();
        return operation.apply(target, given);
      };
    },
  });
}

/** A generator of numbers in [0, 1) that a seed decides (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** The store's folder on simulated disks. */
export const folder = '/data';

/** A store on a simulated disk. `troubles` holds what it was heard to complain of. */
export async function storeOn(
  disk: Disk,
  clock: Clock,
  changes: Partial<FileStoreOptions> = {},
): Promise<FileStore & { readonly troubles: readonly (RelayError | null)[] }> {
  const troubles: (RelayError | null)[] = [];
  const store = await openFileStore({
    path: folder,
    masterKeys: { current: Buffer.alloc(32, 7), previous: null },
    disk,
    lock: () => () => {},
    clock,
    random: () => 0,
    onTrouble: (trouble) => troubles.push(trouble),
    ...changes,
  });
  return { ...store, troubles };
}
