import { wait } from '../../src/clock.ts';
import type { AppendedFile, Disk, ReadFile } from '../../src/store/file/disk.ts';
import type { SimulatedDisk } from '../world/disk.ts';
import { type Life, never } from './life.ts';

export interface MortalDiskOptions {
  /** How long a sync takes. */
  readonly syncMs: () => number;
}

/** The disk as one process sees it: every operation may be its last, and none is answered after its end. */
export function mortalDisk(disk: SimulatedDisk, life: Life, { syncMs }: MortalDiskOptions): Disk {
  const through = async <T>(operation: () => Promise<T>, half?: () => Promise<unknown>): Promise<T> => {
    if (life.isOver) return never();
    life.operations += 1;
    const doom = life.doom?.operation === life.operations ? life.doom : null;
    if (doom?.point === 'before') {
      life.end(doom.end);
      return never();
    }
    if (doom?.point === 'during' && half) {
      await half().catch(() => {});
      life.end(doom.end);
      return never();
    }
    const result = await life.while(operation());
    if (doom) {
      life.end(doom.end);
      return never();
    }
    return result;
  };

  const synced = async <T>(operation: () => Promise<T>): Promise<T> => {
    const ms = syncMs();
    return through(async () => {
      if (ms > 0) await life.while(wait(life.clock, ms));
      return operation();
    });
  };

  const opened = <File extends { close(): Promise<void> }>(file: File): File => {
    life.files.add(file);
    return file;
  };

  const closed = async (file: { close(): Promise<void> }): Promise<void> => {
    await through(() => file.close());
    life.files.delete(file);
  };

  const mortalAppended = (file: AppendedFile): AppendedFile => ({
    get length() {
      return file.length;
    },
    append: (bytes) =>
      through(
        () => file.append(bytes),
        () => file.append(bytes.subarray(0, Math.floor(bytes.length / 2))),
      ),
    datasync: () => synced(() => file.datasync()),
    truncate: (length) => through(() => file.truncate(length)),
    assertUntouched: () => file.assertUntouched(),
    close: () => closed(file),
  });

  const mortalRead = (file: ReadFile): ReadFile => ({
    length: file.length,
    read: (at, length) => through(() => file.read(at, length)),
    close: () => closed(file),
  });

  return {
    makeFolder: (path) => through(() => disk.makeFolder(path)),
    list: (path) => through(() => disk.list(path)),
    read: (path) => through(() => disk.read(path)),
    openForAppend: async (path) => mortalAppended(opened(await through(() => disk.openForAppend(path)))),
    openForReading: async (path) => mortalRead(opened(await through(() => disk.openForReading(path)))),
    rewrite: (path, from) => through(() => disk.rewrite(path, from)),
    writeNew: (path, bytes) =>
      through(
        () => disk.writeNew(path, bytes),
        () => disk.writeNew(path, bytes.subarray(0, Math.floor(bytes.length / 2))),
      ),
    rename: (from, to) => through(() => disk.rename(from, to)),
    remove: (path) => through(() => disk.remove(path)),
    syncFolder: (path) => synced(() => disk.syncFolder(path)),
  };
}
