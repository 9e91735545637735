import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../src/clock.ts';
import { realDisk } from '../../src/store/file/disk.ts';
import { openFileStore } from '../../src/store/file/file-store.ts';
import type { Store } from '../../src/store/store.ts';

/** A file store in a temporary folder that goes away with it. */
export async function storeInFolder(
  clock: Clock,
): Promise<{ readonly store: Store; readonly discard: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'relay-'));
  const store = await openFileStore({
    path,
    masterKeys: { current: Buffer.alloc(32, 7), previous: null },
    disk: realDisk,
    // The kernel's lock is taken per process, and one test process opens many stores.
    lock: () => () => {},
    clock,
    random: () => 0,
    onTrouble: () => {},
  });
  const discard = async () => {
    await store.close();
    await rm(path, { recursive: true });
  };
  return { store, discard };
}
