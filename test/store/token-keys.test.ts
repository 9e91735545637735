import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { signingKeyAt } from '../../src/domain/token-key.ts';
import { backUp } from '../../src/store/file/backup.ts';
import { realDisk } from '../../src/store/file/disk.ts';
import { openFileStore } from '../../src/store/file/file-store.ts';
import { restore } from '../../src/store/file/restore.ts';
import { simulatedClock } from '../world/clock.ts';
import { folder, SimulatedDisk, storeOn } from '../world/disk.ts';
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

test('a restored relay signs with the keys of the moment that its backup was taken, over a new master key as well', async () => {
  const clock = simulatedClock(Date.parse('2026-11-22T12:00:00Z'));
  const disk = new SimulatedDisk();
  await disk.makeFolder('/backups');
  const store = await storeOn(disk, clock, { masterKeys: { current: first, previous: null } });
  await store.addSubscriber(aSubscriber('sub_1', { jwt: true }));
  const backedUp = await store.rotateTokenKey(60_000);
  for (const [to, keysTo] of [
    ['/backups/log', null],
    ['/backups/log-without-keys', '/backups/keys.json'],
  ] as const) {
    await backUp(disk, { from: folder, to, keysTo, now: clock.now() });
  }
  await store.rotateTokenKey(0);
  await store.close();
  expect(disk.contents('/backups/log').toString('latin1')).not.toContain('PRIVATE KEY');
  for (const [from, keysFrom, to] of [
    ['/backups/log', null, '/whole'],
    ['/backups/log-without-keys', '/backups/keys.json', '/apart'],
  ] as const) {
    await restore(disk, { from, to, keysFrom, now: clock.now() });
    const opened = (current: Buffer, previous: Buffer | null) =>
      storeOn(disk, clock, { path: to, masterKeys: { current, previous } });
    const restored = await opened(second, first);
    expect(await restored.tokenKeys()).toEqual(backedUp);
    await restored.close();
    const last = await opened(second, null);
    expect(await last.tokenKeys()).toEqual(backedUp);
    const signing = signingKeyAt(await last.tokenKeys(), clock.now());
    expect(signing).toEqual(signingKeyAt(backedUp, clock.now()));
    await last.close();
    await expect(opened(first, null)).rejects.toMatchObject({ code: 'wrong_master_key' });
  }
});
