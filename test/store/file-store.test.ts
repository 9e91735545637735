import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { realDisk } from '../../src/store/file/disk.ts';
import { type FileStore, openFileStore } from '../../src/store/file/file-store.ts';
import { simulatedClock } from '../world/clock.ts';
import { keepsTheContract } from './contract.ts';

keepsTheContract('the file store', async () => {
  const path = await mkdtemp(join(tmpdir(), 'relay-store-'));
  const clock = simulatedClock(Date.parse('2026-11-22T12:00:00Z'));
  const opened: FileStore[] = [];
  const open = async (): Promise<FileStore> => {
    const store = await openFileStore({
      path,
      masterKeys: { current: Buffer.alloc(32, 7), previous: null },
      disk: realDisk,
      // A killed process holds no lock; here its descriptor lives on in ours.
      lock: () => () => {},
      clock,
      random: () => 0,
      onTrouble: () => {},
    });
    opened.push(store);
    return store;
  };
  return {
    store: await open(),
    clock,
    reopen: open,
    discard: async () => {
      for (const each of opened) await each.close();
      await rm(path, { recursive: true });
    },
  };
});
