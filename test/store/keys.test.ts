import { describe, expect, test } from 'vitest';
import type { MasterKeys } from '../../src/store/file/keys.ts';
import { KeyRing } from '../../src/store/file/keys.ts';
import { simulatedClock } from '../world/clock.ts';
import { folder, SimulatedDisk, seededRandom, storeOn } from '../world/disk.ts';
import { anEvent, furnished, record } from './fixtures.ts';

const masterKeys: MasterKeys = { current: Buffer.alloc(32, 7), previous: null };
const keyPath = `${folder}/keys.json`;

async function ringWith(...days: readonly string[]) {
  const disk = new SimulatedDisk();
  await disk.makeFolder(folder);
  const ring = await KeyRing.open(disk, folder, masterKeys);
  for (const day of days) await ring.keyFor('body', day);
  return { disk, ring };
}

const idsOn = (disk: SimulatedDisk) =>
  Object.keys((JSON.parse(disk.contents(keyPath).toString()) as { keys: object }).keys);

describe('a day’s key that is dropped', () => {
  test('is gone when that is said, whatever the power does, and the others stay', async () => {
    const { disk, ring } = await ringWith('2026-11-20', '2026-11-21');
    expect(await ring.drop('body', '2026-11-20')).toBe(true);
    expect(ring.key('body-2026-11-20')).toBeNull();
    expect(ring.key('body-2026-11-21')).not.toBeNull();
    expect(await ring.drop('body', '2026-11-20')).toBe(false);
    for (let seed = 0; seed < 20; seed++) {
      expect(idsOn(disk.powerCut(seededRandom(seed)))).toEqual(['body-2026-11-21']);
    }
  });

  test('is dropped whole or not at all, at each operation of the disk', async () => {
    const { disk, ring } = await ringWith('2026-11-20', '2026-11-21');
    const left: SimulatedDisk[] = [];
    disk.hook = () => {
      left.push(disk.kill(), disk.powerCut(seededRandom(left.length)));
      return null;
    };
    await ring.drop('body', '2026-11-20');
    expect(left.length).toBeGreaterThan(4);
    for (const each of left) {
      const found = await KeyRing.open(each, folder, masterKeys);
      expect(found.key('body-2026-11-21')).toEqual(ring.key('body-2026-11-21'));
    }
  });

  test('stays when the disk cannot be written, and can be dropped later', async () => {
    const { disk, ring } = await ringWith('2026-11-20');
    disk.failNext('writeNew', 'ENOSPC');
    await expect(ring.drop('body', '2026-11-20')).rejects.toThrow();
    expect(ring.key('body-2026-11-20')).not.toBeNull();
    expect(await ring.drop('body', '2026-11-20')).toBe(true);
  });

  test('takes no key with it that is made at the same moment, and is not brought back by one', async () => {
    const { disk, ring } = await ringWith('2026-11-20');
    await Promise.all([
      ring.keyFor('body', '2026-11-22'),
      ring.drop('body', '2026-11-20'),
      ring.keyFor('log', '2026-11-22'),
      ring.keyFor('body', '2026-11-22'),
    ]);
    expect(idsOn(disk)).toEqual(['body-2026-11-22', 'log-2026-11-22']);
  });

  test('leaves that day’s bodies unreadable for everybody, and the log whole', async () => {
    const clock = simulatedClock(Date.parse('2026-11-22T12:00:00Z'));
    const disk = new SimulatedDisk();
    const store = await storeOn(disk, clock);
    await furnished(store);
    await record(store, [anEvent('e1')]);
    await store.close();
    const ring = await KeyRing.open(disk, folder, masterKeys);
    await ring.drop('body', '2026-11-22');
    await clock.advance(86_400_000);
    const later = await storeOn(disk, clock);
    await expect(later.eventBody('clinic-1', 'e1')).rejects.toMatchObject({ code: 'body_unreadable' });
    expect((await later.event('e1')).length).toBe(1);
  });
});
