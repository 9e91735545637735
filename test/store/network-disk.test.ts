import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { networkDiskName, networkDiskOf } from '../../src/store/file/network-disk.ts';

for (const { type, name, because } of [
  { type: 0x6969, name: 'NFS', because: 'it is NFS' },
  { type: 0xff534d42, name: 'SMB', because: 'it is SMB' },
  { type: 0xff534d42 | 0, name: 'SMB', because: 'the same number may come with a sign' },
  { type: 0x65735546, name: 'FUSE', because: 'whatever is behind it' },
  { type: 0xef53, name: null, because: 'ext4 is a disk of this machine' },
  { type: 0x01021994, name: null, because: 'tmpfs is memory of this machine' },
]) {
  test(`case 75: a disk of type ${type} is ${name ?? 'a local one'}: ${because}`, () => {
    expect(networkDiskName(type)).toBe(name);
  });
}

test('case 75: a folder that does not exist yet is on the disk of the nearest one above it', async () => {
  const here = await networkDiskOf(tmpdir());
  expect(await networkDiskOf(join(tmpdir(), 'not', 'yet', 'there'))).toBe(here);
});
