import { describe, expect, test } from 'vitest';
import { simulatedClock } from '../world/clock.ts';
import { SimulatedDisk, storeOn } from '../world/disk.ts';
import { accepted, anEvent, aSubscriber, claim, furnished, record, refused } from './fixtures.ts';

const noon = Date.parse('2026-11-22T12:00:00Z');
const hour = 3_600_000;

/** A store of now with one delivered, one that waits for its retry, and one that is due. */
async function atWork() {
  const disk = new SimulatedDisk();
  const store = await storeOn(disk, simulatedClock(noon));
  await furnished(store, aSubscriber('sub_1', { retrySeconds: [600] }));
  await record(store, [anEvent('e1'), anEvent('e2'), anEvent('e3')]);
  const [first, second] = await claim(store, 2);
  if (first) await store.recordAttempt(first, accepted);
  if (second) await store.recordAttempt(second, refused);
  await store.revokeToken('jti-1', noon + 90 * 24 * hour);
  return disk.kill();
}

describe('a start at an impossible time', () => {
  for (const { at, because } of [
    { at: 0, because: '1970: the clock was never set' },
    { at: Date.parse('2038-01-20T00:00:00Z'), because: '2038: seconds no longer fit 32 bits' },
    { at: Date.parse('2106-02-08T00:00:00Z'), because: '2106: nor 32 bits without a sign' },
  ]) {
    test(`case 194: loses nothing, and the next one at the right time has it all (${because})`, async () => {
      const disk = await atWork();
      const clock = simulatedClock(at);
      const store = await storeOn(disk, clock);
      expect(await store.deliveryCounts(null)).toMatchObject({ delivered: 1, pending: 2 });
      for (const id of ['e1', 'e2', 'e3']) {
        expect(await store.eventBody('clinic-1', id)).toBe(anEvent(id).body);
      }
      await record(store, [anEvent('e4')]);
      await clock.advance(24 * hour);
      await record(store, [anEvent('e5')]);
      await store.close();

      const again = await storeOn(disk, simulatedClock(noon + hour));
      expect(await again.unseen('clinic-1', ['e1', 'e2', 'e3', 'e4', 'e5'])).toEqual([]);
      expect(await again.deliveryCounts(null)).toMatchObject({ delivered: 1, pending: 4 });
      expect(await again.isRevoked('jti-1')).toBe(true);
      expect((await claim(again)).map(({ event }) => event.id).sort()).toEqual(['e2', 'e3', 'e4', 'e5']);
      for (const id of ['e4', 'e5']) expect(await again.eventBody('clinic-1', id)).toBe(anEvent(id).body);
    });
  }
});

describe('work that a step of the clock made due at once', () => {
  for (const { stepMs, because } of [
    { stepMs: hour, because: 'case 192: an hour' },
    { stepMs: 8 * hour, because: 'case 195: a night asleep' },
  ]) {
    test(`goes out no faster than the subscriber’s rate and slots (${because})`, async () => {
      const clock = simulatedClock(noon);
      const store = await storeOn(new SimulatedDisk(), clock);
      await furnished(store, aSubscriber('sub_1', { retrySeconds: [600], requestsPerSecond: 2 }));
      await record(
        store,
        Array.from({ length: 40 }, (_, index) => anEvent(`e${index}`)),
      );
      for (let second = 0; second < 60; second++) {
        for (const claimed of await claim(store, 40)) await store.recordAttempt(claimed, refused);
        await clock.advance(500);
      }
      // The clock that schedules runs ahead of the one that measures.
      let aheadMs = 0;
      const { now } = clock;
      clock.now = () => now() + aheadMs;
      aheadMs = stepMs;
      let sent = 0;
      for (let tenth = 0; tenth < 50; tenth++) {
        const claims = await claim(store, 8);
        sent += claims.length;
        for (const claimed of claims) await store.recordAttempt(claimed, accepted);
        await clock.advance(100);
      }
      expect(sent).toBeGreaterThan(5);
      expect(sent).toBeLessThanOrEqual(12);
    });
  }
});

test('case 36: ten starts within a minute send no more than the subscriber’s rate, and no schedule begins afresh', async () => {
  const clock = simulatedClock(noon);
  let disk = new SimulatedDisk();
  let store = await storeOn(disk, clock);
  await furnished(store, aSubscriber('sub_1', { retrySeconds: [600], requestsPerSecond: 1 }));
  await record(store, [anEvent('e1'), anEvent('e2'), anEvent('e3')]);
  const [failing] = await claim(store);
  if (failing) await store.recordAttempt(failing, refused);
  let sent = 0;
  for (let start = 0; start < 10; start++) {
    disk = disk.kill();
    store = await storeOn(disk, clock);
    // A crash on the spot: what was claimed was perhaps sent, and nothing of it is on record.
    sent += (await claim(store)).length;
    await clock.advance(6_000);
  }
  // Each start may begin with one; three are owed, and without the rate each start would send what is due of them.
  expect(sent).toBeGreaterThan(0);
  expect(sent).toBeLessThanOrEqual(10);
  const again = await storeOn(disk.kill(), clock);
  const failed = await again.delivery(failing?.delivery.id ?? '');
  expect(failed).toMatchObject({ failures: 1, attempts: 1, dueAt: noon + 600_000 });
});
