import { describe, expect, test } from 'vitest';
import { KeyRing } from '../../src/store/file/keys.ts';
import { tryStore } from '../../src/store/file/trial.ts';
import { folder, SimulatedDisk } from '../world/disk.ts';

const key = Buffer.alloc(32, 7);
const other = Buffer.alloc(32, 8);

async function madeStore(): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk();
  await disk.makeFolder(folder);
  const ring = await KeyRing.open(disk, folder, { current: key, previous: null });
  await ring.keyFor('value', 'store');
  return disk;
}

describe('a store is tried without being changed', () => {
  for (const { current, previous, is } of [
    { current: key, previous: null, is: 'opened' },
    { current: other, previous: key, is: 'opened' },
    { current: other, previous: null, is: { code: 'wrong_master_key' } },
  ]) {
    const tried = `${current === key ? 'its own' : 'another'} master key and ${previous ? 'its own' : 'none'} as previous`;
    test(`with ${tried}`, async () => {
      const disk = await madeStore();
      const before = disk.contents(`${folder}/keys.json`);
      const { keys, writeRefusal } = await tryStore(disk, folder, { current, previous });
      expect(writeRefusal).toBeNull();
      if (typeof is === 'string') expect(keys).toBe(is);
      else expect(keys).toMatchObject(is);
      expect(await disk.list(folder)).toEqual(['keys.json']);
      expect(disk.contents(`${folder}/keys.json`)).toEqual(before);
    });
  }

  test('a folder without keys has none', async () => {
    const disk = new SimulatedDisk();
    await disk.makeFolder(folder);
    expect((await tryStore(disk, folder, { current: key, previous: null })).keys).toBe('none');
  });

  for (const code of ['ENOSPC', 'EROFS'] as const) {
    test(`a disk that takes no byte says ${code}, and nothing is left behind`, async () => {
      const disk = await madeStore();
      disk.failNext('writeNew', code);
      expect((await tryStore(disk, folder, { current: key, previous: null })).writeRefusal).toBe(code);
      expect(await disk.list(folder)).toEqual(['keys.json']);
    });
  }

  test('keys that cannot be read are no fault of the relay', async () => {
    const disk = await madeStore();
    disk.failNext('read', 'EACCES');
    const { keys } = await tryStore(disk, folder, { current: key, previous: null });
    expect(keys).toMatchObject({ code: 'keys_unreadable' });
  });
});
