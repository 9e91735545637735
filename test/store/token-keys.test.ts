import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { realDisk } from '../../src/store/file/disk.ts';
import { openFileStore } from '../../src/store/file/file-store.ts';
import { aSubscriber } from './fixtures.ts';

const [first, second] = [Buffer.alloc(32, 7), Buffer.alloc(32, 8)];

test('the keys of tokens outlive a crash and a new master key, and lie on the disk sealed', async () => {
  const path = await mkdtemp(join(tmpdir(), 'relay-token-keys-'));
  const open = (current: Buffer, previous: Buffer | null) =>
    openFileStore({
      path,
      masterKeys: { current, previous },
      disk: realDisk,
      lock: () => () => {},
      clock: systemClock(),
      random: () => 0,
      onTrouble: () => {},
    });
  const killed = await open(first, null);
  await killed.addSubscriber(aSubscriber('sub_1', { jwt: true }));
  const keys = await killed.tokenKeys();
  expect(keys).toHaveLength(1);
  const again = await open(first, null);
  expect(await again.tokenKeys()).toEqual(keys);
  const rotated = await again.rotateTokenKey(60_000);
  await again.close();
  const renewed = await open(second, first);
  expect(await renewed.tokenKeys()).toEqual(rotated);
  await renewed.close();
  const last = await open(second, null);
  expect(await last.tokenKeys()).toEqual(rotated);
  await last.close();
  await killed.close();
  const secret = rotated.map(({ privateKey }) => privateKey.split('\n')[1] ?? '');
  for (const name of await readdir(path, { recursive: true })) {
    const text = await readFile(join(path, name), 'latin1').catch(() => '');
    for (const each of secret) expect(text, name).not.toContain(each);
    expect(text, name).not.toContain('PRIVATE KEY');
  }
  await rm(path, { recursive: true });
});
