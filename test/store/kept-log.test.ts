import { beforeEach, describe, expect, test } from 'vitest';
import { backUp } from '../../src/store/file/backup.ts';
import type { FileStore } from '../../src/store/file/file-store.ts';
import { restore } from '../../src/store/file/restore.ts';
import { verifyLog } from '../../src/store/file/verify.ts';
import type { Store } from '../../src/store/store.ts';
import { type SimulatedClock, simulatedClock } from '../world/clock.ts';
import { folder, SimulatedDisk, storeOn } from '../world/disk.ts';
import {
  accepted,
  anErasure,
  anEvent,
  aSubscriber,
  claim,
  furnished,
  pollOf,
  record,
  refused,
} from './fixtures.ts';

const dayMs = 86_400_000;
const hourMs = 3_600_000;
const masterKeys = { current: Buffer.alloc(32, 7), previous: null };
const retention = { ids: 35, bodies: 30, deliveries: 40, onRetained: () => {} };

let clock: SimulatedClock;
let disk: SimulatedDisk;
let store: FileStore;

/** A log on which retention and an erasure have done all that they do. */
beforeEach(async () => {
  clock = simulatedClock(Date.parse('2026-11-22T12:00:00Z'));
  disk = new SimulatedDisk();
  store = await storeOn(disk, clock, { partBytes: 5_000, retention });
  await furnished(store, aSubscriber('sub_1', { retrySeconds: [80 * 86_400, 80 * 86_400] }));
  const about = (id: string, patient: string) =>
    anEvent(id, { body: `{"id":"${id}","data":{"patient":{"id":"${patient}"}}}` });
  await record(store, [about('gone', 'ben'), about('open', 'ben')]);
  for (const each of await claim(store)) {
    await store.recordAttempt(each, each.event.id === 'open' ? refused : accepted);
  }
  await clock.advance(38 * dayMs);
  // A sweep that lists neither: the id of what has ended may go.
  await clock.advance(2_000);
  const poll = await pollOf(store);
  const end = { cursor: 1, isSweep: true, newestEventAt: null, nextPollAt: 0 };
  await store.endPoll(poll, { kind: 'completed', ...end });
  await clock.advance(4 * dayMs);
  await record(store, [about('erased', 'ana'), about('kept', 'ben')]);
  for (const each of await claim(store)) await store.recordAttempt(each, accepted);
  await store.erase(anErasure('ana'));
  await store.removeErased(new AbortController().signal);
});

async function contentsOf(of: Store) {
  const all = { limit: 100, cursor: null };
  const events = (await of.events({}, all)).items.map(({ id }) => id);
  const deliveries = (await of.deliveries({}, all)).items;
  const ids = ['gone', 'open', 'erased', 'kept'];
  return {
    events,
    deliveries: deliveries.map(({ eventId, state }) => [eventId, state]),
    bodies: await Promise.all(ids.map((id) => of.eventBody('clinic-1', id))),
    states: await of.bodyStates(ids.map((eventId) => ({ clinicId: 'clinic-1', eventId }))),
    excerpts: await Promise.all(
      deliveries.map(async ({ id }) => (await of.attempts(id)).map(({ excerpt }) => excerpt)),
    ),
  };
}

describe('a log that retention and an erasure have worked on', () => {
  test('holds what it is to hold', async () => {
    expect(await contentsOf(store)).toMatchObject({
      events: ['kept', 'erased', 'open'],
      deliveries: [
        ['kept', 'delivered'],
        ['erased', 'delivered'],
        ['open', 'pending'],
      ],
      states: ['gone', 'kept', 'erased', 'kept'],
      excerpts: [[null], [null], ['not now']],
    });
  });

  test('is whole for the check of the log, running and stopped', async () => {
    for (const stopped of [false, true]) {
      if (stopped) await store.close();
      const log = await verifyLog(disk, folder, masterKeys);
      expect(log.damagedBodies).toEqual({ count: 0, first: [] });
      expect(log.droppedBodies).toBeGreaterThan(3);
    }
  });

  test('a file that somebody took away is damage, beside those that went as they should', async () => {
    const needed = disk.paths.filter((path) => path.endsWith('.sealed')).at(-1) ?? '';
    disk.take(needed);
    const { damagedBodies, droppedBodies } = await verifyLog(disk, folder, masterKeys);
    expect(damagedBodies.count).toBeGreaterThan(0);
    expect(droppedBodies).toBeGreaterThan(3);
  });

  test('comes out of a backup as it went in', async () => {
    const before = await contentsOf(store);
    await disk.makeFolder('/backups');
    await backUp(disk, { from: folder, to: '/backups/log', keysTo: null, now: clock.now() });
    await restore(disk, { from: '/backups/log', to: '/elsewhere', keysFrom: null, now: clock.now() });
    expect((await verifyLog(disk, '/elsewhere', masterKeys)).damagedBodies.count).toBe(0);
    const restored = await storeOn(disk, clock, { path: '/elsewhere' });
    expect(await contentsOf(restored)).toEqual(before);
  });

  test('opens under a new master key, and then only under that', async () => {
    const before = await contentsOf(store);
    const current = Buffer.alloc(32, 9);
    const left = disk.kill();
    const rotated = await storeOn(left, clock, {
      masterKeys: { current, previous: masterKeys.current },
      retention,
    });
    expect(await contentsOf(rotated)).toEqual(before);
    await rotated.close();
    expect((await verifyLog(left, folder, { current, previous: null })).damagedBodies.count).toBe(0);
    await expect(storeOn(left, clock)).rejects.toMatchObject({ code: 'wrong_master_key' });
  });

  for (const { without, because } of [
    { without: /\.index$/, because: 'without indexes' },
    { without: /checkpoint/, because: 'without a checkpoint' },
    { without: /\.index$|checkpoint/, because: 'from the journal alone' },
  ]) {
    test(`starts as it was ${because}`, async () => {
      const before = await contentsOf(store);
      const left = disk.kill();
      for (const path of left.paths.filter((each) => without.test(each))) left.take(path);
      const again = await storeOn(left, clock, { retention });
      expect(await contentsOf(again)).toEqual(before);
      // And goes on: the next looks delete nothing that is needed.
      await clock.advance(13 * hourMs);
      expect(await contentsOf(again)).toEqual(before);
    });
  }

  test('a clock that jumps a year ahead, and back, deletes nothing', async () => {
    const before = await contentsOf(store);
    for (const aheadMs of [365 * dayMs, -365 * dayMs]) {
      const left = disk.kill();
      let offMs = aheadMs;
      const off = { ...clock, now: () => clock.now() + offMs, wall: () => clock.wall() + offMs };
      const jumped = await storeOn(left, off, { retention });
      await clock.advance(20 * hourMs);
      offMs = 0;
      await clock.advance(30 * hourMs);
      expect(await contentsOf(jumped), String(aheadMs)).toEqual(before);
      await jumped.close();
    }
  });
});
