import { basename } from 'node:path';
import { expect, test } from 'vitest';
import { deliveryIdOf } from '../../src/domain/delivery.ts';
import { StoreCorrupt } from '../../src/domain/errors.ts';
import { simulatedClock } from '../world/clock.ts';
import { SimulatedDisk, seededRandom, storeOn } from '../world/disk.ts';
import { accepted, anEvent, claim, furnished, record } from './fixtures.ts';

const noon = Date.parse('2026-11-22T12:00:00Z');

test('case 64: a copy of yesterday knows nothing of today, and sends it again under the same ids', async () => {
  const clock = simulatedClock(noon);
  const disk = new SimulatedDisk();
  const store = await storeOn(disk, clock);
  await furnished(store);
  await record(store, [anEvent('e1')]);
  const yesterday = disk.kill();
  await record(store, [anEvent('e2')]);
  for (const claimed of await claim(store)) await store.recordAttempt(claimed, accepted);

  const restored = await storeOn(yesterday, clock);
  expect(await restored.unseen('clinic-1', ['e1', 'e2'])).toEqual(['e2']);
  await record(restored, [anEvent('e2')]);
  const ids = (await claim(restored)).map(({ delivery }) => delivery.id);
  expect(ids).toEqual([deliveryIdOf('e1', 'sub_1'), deliveryIdOf('e2', 'sub_1')]);
});

test('case 65: a store that is copied file by file while it runs opens with all that was there before, or is refused', async () => {
  let opened = 0;
  for (let seed = 1; seed <= 60; seed++) {
    const random = seededRandom(seed);
    const clock = simulatedClock(noon);
    const disk = new SimulatedDisk();
    const store = await storeOn(disk, clock, { partBytes: 5_000 });
    await furnished(store);
    let made = 0;
    const work = async () => {
      const ids = Array.from({ length: Math.floor(random() * 4) }, () => `e${made++}`);
      await record(
        store,
        ids.map((id) => anEvent(id)),
      );
      for (const claimed of await claim(store)) await store.recordAttempt(claimed, accepted);
      await clock.advance(10);
    };
    for (let time = 0; time < 8; time++) await work();
    const before = Array.from({ length: made }, (_, index) => `e${index}`);
    const copied = new SimulatedDisk();
    for (const folder of ['/data', '/data/journal', '/data/bodies', '/data/index']) {
      await copied.makeFolder(folder);
    }
    const names = disk.paths.filter((path) => basename(path) !== 'lock');
    for (const path of names.sort(() => random() - 0.5)) {
      if (disk.paths.includes(path)) copied.put(path, disk.contents(path));
      await work();
    }
    try {
      const copy = await storeOn(copied, clock, { partBytes: 5_000 });
      expect(await copy.unseen('clinic-1', before), `seed ${seed}`).toEqual([]);
      for (const id of before) {
        expect(await copy.delivery(deliveryIdOf(id, 'sub_1')), `seed ${seed}`).toMatchObject({
          state: 'delivered',
        });
        expect(await copy.eventBody('clinic-1', id), `seed ${seed}`).toBe(anEvent(id).body);
      }
      opened++;
    } catch (error) {
      if (!(error instanceof StoreCorrupt)) throw error;
      expect(error.hint).toMatch(/backup|Restore/);
    }
  }
  expect(opened).toBeGreaterThan(5);
});
