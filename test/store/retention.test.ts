import { describe, expect, test } from 'vitest';
import type { Clock } from '../../src/clock.ts';
import type { FileStore } from '../../src/store/file/file-store.ts';
import type { Retained } from '../../src/store/file/retention.ts';
import { simulatedClock } from '../world/clock.ts';
import { folder, SimulatedDisk, storeOn } from '../world/disk.ts';
import {
  accepted,
  aJob,
  anEvent,
  aSubscriber,
  claim,
  furnished,
  pollOf,
  record,
  refused,
} from './fixtures.ts';

const noon = Date.parse('2026-11-22T12:00:00Z');
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

async function opened(disk: SimulatedDisk, clock: Clock, days = { ids: 35, bodies: 30, deliveries: 90 }) {
  const looks: (Retained | Error)[] = [];
  const store = await storeOn(disk, clock, {
    partBytes: 20_000,
    retention: { ...days, onRetained: (look) => looks.push(look) },
  });
  return { store, looks };
}

async function aLog() {
  const disk = new SimulatedDisk();
  const clock = simulatedClock(noon);
  const { store, looks } = await opened(disk, clock);
  await furnished(store, aSubscriber('sub_1', { retrySeconds: [10 * 86_400, 80 * 86_400] }));
  return { disk, clock, store, looks };
}

async function deliver(store: FileStore, result: typeof accepted | typeof refused = accepted): Promise<void> {
  for (const each of await claim(store)) await store.recordAttempt(each, result);
}

const stateOf = async (store: FileStore) =>
  (await store.deliveries({}, { limit: 100, cursor: null })).items.map(({ eventId, state }) => [
    eventId,
    state,
  ]);

function sealedDays(disk: SimulatedDisk): string[] {
  return disk.paths.filter((path) => path.endsWith('.sealed')).map((path) => path.slice(-17, -7));
}

function keysOf(disk: SimulatedDisk): string[] {
  return Object.keys(JSON.parse(disk.contents(`${folder}/keys.json`).toString()).keys);
}

describe('retention', () => {
  test('a body goes with its day’s file and key when its days are over, and not before', async () => {
    const { disk, clock, store } = await aLog();
    await record(store, [anEvent('e1')]);
    await deliver(store);
    await clock.advance(30 * dayMs);
    expect(await store.eventBody('clinic-1', 'e1')).toBe(anEvent('e1').body);
    expect(keysOf(disk)).toContain('body-2026-11-22');
    await clock.advance(dayMs);
    expect(sealedDays(disk)).not.toContain('2026-11-22');
    expect(keysOf(disk)).not.toContain('body-2026-11-22');
    expect(await store.eventBody('clinic-1', 'e1')).toBeNull();
    expect(await store.event('e1')).toHaveLength(1);
    const { store: again } = await opened(disk.kill(), clock);
    expect(await again.eventBody('clinic-1', 'e1')).toBeNull();
    expect(await stateOf(again)).toEqual([['e1', 'delivered']]);
  });

  test('nothing open expires: its body and the answers it got move to a newer file, and it is delivered', async () => {
    const { disk, clock, store } = await aLog();
    await record(store, [anEvent('e1')]);
    await deliver(store, refused);
    await clock.advance(11 * dayMs);
    await deliver(store, refused);
    await clock.advance(60 * dayMs);
    expect(sealedDays(disk)).not.toContain('2026-11-22');
    const { store: again } = await opened(disk.kill(), clock);
    const { items } = await again.deliveries({}, { limit: 1, cursor: null });
    expect((await again.attempts(items[0]?.id ?? '')).map(({ excerpt }) => excerpt)).toEqual([
      'not now',
      'not now',
    ]);
    expect(await again.eventBody('clinic-1', 'e1')).toBe(anEvent('e1').body);
    await clock.advance(21 * dayMs);
    const [claimed] = await claim(again);
    expect(claimed?.event.body).toBe(anEvent('e1').body);
  });

  test('a replay after its body is gone leaves the delivery as it is, and says so', async () => {
    const { clock, store } = await aLog();
    await record(store, [anEvent('e1')]);
    await deliver(store);
    await clock.advance(32 * dayMs);
    const { items } = await store.deliveries({}, { limit: 1, cursor: null });
    expect(await store.startRounds([items[0]?.id ?? ''])).toMatchObject([{ kind: 'notKept' }]);
    expect(await stateOf(store)).toEqual([['e1', 'delivered']]);
  });

  test('a body that a backfill sent stays for its days from the end of that delivery, and while it is open', async () => {
    const { disk, clock, store } = await aLog();
    await record(store, [anEvent('e1', { subscriberIds: [] })]);
    await clock.advance(20 * dayMs);
    const events = [{ clinicId: 'clinic-1', eventId: 'e1', type: 'order.placed', body: null }];
    const job = {
      id: 'bkf_1',
      kind: 'backfill',
      state: 'done',
      owner: 'o',
      createdAt: 0,
      endedAt: 0,
    } as const;
    const jobAfter = () => ({ ...job, ask: {}, progress: {} });
    await store.oweEvents({ subscriberId: 'sub_1', events, jobAfter });
    await clock.advance(20 * dayMs);
    expect(await store.eventBody('clinic-1', 'e1')).toBe(anEvent('e1').body);
    await deliver(store);
    const { store: again } = await opened(disk.kill(), clock);
    await clock.advance(29 * dayMs);
    expect(await again.eventBody('clinic-1', 'e1')).toBe(anEvent('e1').body);
    await clock.advance(40 * dayMs);
    expect(await again.eventBody('clinic-1', 'e1')).toBeNull();
  });

  test('a delivery goes with its attempts some days after it ended, for every start, and the lists stay whole', async () => {
    const { disk, clock, store, looks } = await aLog();
    await record(store, [anEvent('e1')]);
    await deliver(store);
    await clock.advance(50 * dayMs);
    await record(store, [anEvent('e2')]);
    await deliver(store);
    const { items } = await store.deliveries({}, { limit: 100, cursor: null });
    await clock.advance(39 * dayMs);
    expect(await stateOf(store)).toHaveLength(2);
    await clock.advance(2 * dayMs);
    for (const each of [store, (await opened(disk.kill(), clock)).store]) {
      expect(await stateOf(each)).toEqual([['e2', 'delivered']]);
      expect(await each.delivery(items[1]?.id ?? '')).toBeNull();
      expect(await each.attempts(items[1]?.id ?? '')).toEqual([]);
      expect(await each.deliveryCounts(null)).toMatchObject({ delivered: 1 });
    }
    expect(looks.filter((look) => !(look instanceof Error) && look.deliveries === 1)).toHaveLength(1);
    for (const path of disk.paths.filter((each) => each.endsWith('.index'))) disk.take(path);
    expect(await stateOf((await opened(disk.kill(), clock)).store)).toEqual([['e2', 'delivered']]);
  });

  test('a job goes when its days from its end are over, but for audits and what still runs', async () => {
    const { disk, clock, store } = await aLog();
    const ended = { ...aJob('rpl_ended'), state: 'done', endedAt: noon } as const;
    await store.saveJob(ended);
    await store.saveJob({ ...ended, id: 'bkf_cancelled', kind: 'backfill', state: 'cancelled' });
    await store.saveJob({ ...ended, id: 'ers_later', kind: 'erasure', endedAt: noon + 10 * dayMs });
    await store.saveJob({ ...ended, id: 'aud_ended', kind: 'audit' });
    await store.saveJob(aJob('rpl_running'));
    const jobsOf = async (of: FileStore) => (await of.jobs()).map(({ id }) => id).sort();
    await clock.advance(90 * dayMs);
    expect(await store.jobs()).toHaveLength(5);
    await clock.advance(dayMs);
    const kept = ['aud_ended', 'ers_later', 'rpl_running'];
    expect(await jobsOf(store)).toEqual(kept);
    const { store: again } = await opened(disk.kill(), clock);
    expect(await jobsOf(again)).toEqual(kept);
  });

  test('what was set aside and read after all is forgotten after the days of an id, and what was not read stays', async () => {
    const { disk, clock, store } = await aLog();
    const poll = await pollOf(store);
    const item = { reason: 'retrievalFailed', detail: 'status 404' } as const;
    for (const id of ['e1', 'e2']) await store.setAside(poll, { key: id, eventId: id, ...item });
    await store.endPoll(poll, { kind: 'failed', problem: 'cut short', nextPollAt: 0 });
    await record(store, [anEvent('e1')]);
    const keysIn = async (of: FileStore) =>
      (await of.setAsides({ includeResolved: true })).map(({ key }) => key);
    await clock.advance(35 * dayMs);
    expect(await keysIn(store)).toEqual(['e1', 'e2']);
    await clock.advance(dayMs);
    expect(await keysIn(store)).toEqual(['e2']);
    const { store: again } = await opened(disk.kill(), clock);
    expect(await keysIn(again)).toEqual(['e2']);
  });

  test('a revoked token is remembered for as long as ids after its own end, so that no clock that was ahead revives it', async () => {
    const { disk, clock, store } = await aLog();
    await store.revokeToken('short', noon + 10 * dayMs);
    await store.revokeToken('long', noon + 90 * dayMs);
    await clock.advance(dayMs);
    const jumping: Clock = {
      ...clock,
      now: () => clock.now() + 20 * dayMs,
      wall: () => clock.wall() + 20 * dayMs,
    };
    const { store: ahead } = await opened(disk.kill(), jumping);
    await clock.advance(4 * dayMs);
    expect(await ahead.isRevoked('short')).toBe(true);
    const { store: again } = await opened(disk.kill(), clock);
    expect(await again.isRevoked('short')).toBe(true);
    await clock.advance(39 * dayMs);
    expect(await again.isRevoked('short')).toBe(true);
    await clock.advance(2 * dayMs);
    expect(await again.isRevoked('short')).toBe(false);
    expect(await again.isRevoked('long')).toBe(true);
    const { store: reopened } = await opened(disk.kill(), clock);
    expect(await reopened.isRevoked('short')).toBe(false);
    expect(await reopened.isRevoked('long')).toBe(true);
  });

  test('an id goes only after a sweep that began later did not list it', async () => {
    const { clock, store } = await aLog();
    await record(store, [anEvent('kept'), anEvent('gone')]);
    await deliver(store);
    await clock.advance(40 * dayMs);
    expect(await store.unseen('clinic-1', ['kept', 'gone'])).toEqual([]);
    await clock.advance(7 * hourMs);
    expect(await store.unseen('clinic-1', ['kept', 'gone'])).toEqual([]);
    // A sweep that lists one of the two.
    await clock.advance(2_000);
    const [poll] = await store.claimPolls({
      streams: [{ clinicId: 'clinic-1', category: 'orders' }],
      leaseMs: 60_000,
    });
    if (!poll) throw new Error('the stream is taken');
    await clock.advance(1_000);
    await store.unseen('clinic-1', ['kept']);
    const end = { cursor: 1, isSweep: true, newestEventAt: null, nextPollAt: 0 };
    await store.endPoll(poll, { kind: 'completed', ...end });
    await clock.advance(7 * hourMs);
    expect(await store.unseen('clinic-1', ['kept', 'gone'])).toEqual(['gone']);
  });

  test('an imported id goes only after every stream of its clinic was swept without it', async () => {
    const { clock, store } = await aLog();
    await store.follow('clinic-1', [{ category: 'patients', startAt: 0 }]);
    await store.importSeen('clinic-1', ['e1'], { isDryRun: false });
    await clock.advance(40 * dayMs);
    await record(store, []);
    await clock.advance(7 * hourMs);
    expect(await store.event('e1')).toHaveLength(1);
    const [poll] = await store.claimPolls({
      streams: [{ clinicId: 'clinic-1', category: 'patients' }],
      leaseMs: 60_000,
    });
    if (!poll) throw new Error('the stream is taken');
    const end = { cursor: 1, isSweep: true, newestEventAt: null, nextPollAt: 0 };
    await store.endPoll(poll, { kind: 'completed', ...end });
    await clock.advance(7 * hourMs);
    expect(await store.event('e1')).toHaveLength(0);
  });

  test('whoever comes back to an empty log whose first events have come and gone is told so', async () => {
    const { clock, store } = await aLog();
    const start = await store.eventsEnd();
    await record(store, [anEvent('e1'), anEvent('e2')]);
    await deliver(store);
    expect((await store.eventsAfter(start, {}, 10)).items).toHaveLength(2);
    await clock.advance(100 * dayMs);
    await record(store, [anEvent('e3')]);
    await clock.advance(7 * hourMs);
    expect(await store.event('e1')).toEqual([]);
    await expect(store.eventsAfter(start, {}, 10)).rejects.toMatchObject({ code: 'position_gone' });
    expect((await store.eventsAfter(null, {}, 10)).items).toHaveLength(1);
  });

  test('after a restart an id stays until a sweep of the new process', async () => {
    const { disk, clock, store } = await aLog();
    await record(store, [anEvent('e1')]);
    await deliver(store);
    await clock.advance(36 * dayMs);
    const { store: again } = await opened(disk.kill(), clock);
    await clock.advance(dayMs);
    expect(await again.unseen('clinic-1', ['e1'])).toEqual([]);
  });

  test('case 194: a clock that jumps ahead deletes nothing until it has gone on evenly for a day', async () => {
    const { disk, clock, store } = await aLog();
    await record(store, [anEvent('e1')]);
    await deliver(store);
    await clock.advance(dayMs);
    let aheadMs = 0;
    const jumping: Clock = {
      ...clock,
      now: () => clock.now() + aheadMs,
      wall: () => clock.wall() + aheadMs,
    };
    aheadMs = 200 * dayMs;
    const { store: again, looks } = await opened(disk.kill(), jumping);
    await clock.advance(20 * hourMs);
    expect(looks.at(-1)).toMatchObject({ isClockDoubted: true, deliveries: 0 });
    expect(await stateOf(again)).toHaveLength(1);
    expect(await again.eventBody('clinic-1', 'e1')).toBe(anEvent('e1').body);
    // It is put right: everything is as before.
    aheadMs = 0;
    await clock.advance(30 * hourMs);
    expect(await stateOf(again)).toHaveLength(1);
    expect(await again.eventBody('clinic-1', 'e1')).toBe(anEvent('e1').body);
    // It jumps for good.
    aheadMs = 200 * dayMs;
    await clock.advance(20 * hourMs);
    expect(await stateOf(again)).toHaveLength(1);
    await clock.advance(10 * hourMs);
    expect(await stateOf(again)).toEqual([]);
  });

  test('what is gone on record and could not be removed is taken away a minute later, and that is said once', async () => {
    const { disk, clock, store, looks } = await aLog();
    await record(store, [anEvent('e1')]);
    await deliver(store);
    await clock.advance(30.5 * dayMs);
    for (let refusals = 0; refusals < 3; refusals++) {
      disk.failNext('remove', 'EIO', { path: '2026-11-22.sealed' });
    }
    await clock.advance(6.5 * hourMs);
    expect(sealedDays(disk)).not.toContain('2026-11-22');
    expect(keysOf(disk)).not.toContain('body-2026-11-22');
    expect(looks.filter((look) => look instanceof Error)).toMatchObject([{ code: 'store_not_cleared' }]);
  });

  test('case 28: a crash between any two operations of a look is finished by the next start', async () => {
    for (let operation = 0; operation < 40; operation++) {
      const { disk, clock, store } = await aLog();
      await record(store, [anEvent('e1'), anEvent('open')]);
      for (const each of await claim(store)) {
        await store.recordAttempt(each, each.event.id === 'open' ? refused : accepted);
      }
      await clock.advance(29 * dayMs);
      let left = operation;
      let killed: SimulatedDisk | null = null;
      await clock.advance(1.5 * dayMs);
      disk.hook = () => {
        if (killed || left-- > 0) return killed ? { code: 'EIO' } : null;
        killed = disk.kill();
        return { code: 'EIO' };
      };
      await clock.advance(6.5 * hourMs);
      const { store: again } = await opened(killed ?? disk.kill(), clock);
      await clock.advance(7 * hourMs);
      expect(await again.eventBody('clinic-1', 'e1'), `killed at ${operation}`).toBeNull();
      expect(await again.eventBody('clinic-1', 'open'), `killed at ${operation}`).toBe(anEvent('open').body);
      expect(await stateOf(again)).toHaveLength(2);
    }
  }, 90_000);
});
