import { describe, expect, test } from 'vitest';
import { deliveryIdOf } from '../../src/domain/delivery.ts';
import type { Store } from '../../src/store/store.ts';
import { type SimulatedClock, simulatedClock } from '../world/clock.ts';
import { folder, SimulatedDisk, seededRandom, storeOn } from '../world/disk.ts';
import { keepsTheContract } from './contract.ts';
import { accepted, anEvent, aSubscriber, claim, furnished, pollOf, record, refused } from './fixtures.ts';

const noon = Date.parse('2026-11-22T12:00:00Z');
const dayMs = 86_400_000;

for (const { partBytes, and } of [
  { partBytes: 16_000_000, and: '' },
  { partBytes: 1, and: ', every batch of it indexed' },
  { partBytes: 2_000, and: ', some batches of it indexed' },
]) {
  keepsTheContract(`the file store on a disk that forgets what was not synced${and}`, async () => {
    const clock = simulatedClock(noon);
    const random = seededRandom(1);
    let disk = new SimulatedDisk();
    return {
      store: await storeOn(disk, clock, { partBytes }),
      clock,
      reopen: () => {
        disk = disk.powerCut(random);
        return storeOn(disk, clock, { partBytes });
      },
      discard: async () => {},
    };
  });
}

/** What callers were told is done. */
interface Told {
  readonly events: Set<string>;
  readonly delivered: Set<string>;
}

/** Records events and attempts, several callers at once, until the disk fails. */
async function workUntilTheEnd(store: Store, told: Told, random: () => number, generation: number) {
  const recordSome = async () => {
    const [poll] = await store.claimPolls({
      streams: [{ clinicId: 'clinic-1', category: 'orders' }],
      leaseMs: 60_000,
    });
    if (!poll) throw new Error('the stream is taken');
    const { version } = await store.subscribers();
    for (let made = 0; ; made++) {
      const ids = [0, 1, 2].slice(0, 1 + Math.floor(random() * 3)).map((n) => `e${generation}-${made}-${n}`);
      await store.recordEvents(poll, {
        events: ids.map((id) => anEvent(id, { body: bodyOf(id) })),
        subscribersVersion: version,
      });
      for (const id of ids) told.events.add(id);
    }
  };
  const deliverSome = async () => {
    for (;;) {
      for (const claimed of await claim(store, 3)) {
        const isAccepted = random() < 0.7;
        await store.recordAttempt(claimed, isAccepted ? accepted : refused);
        if (isAccepted) told.delivered.add(claimed.delivery.id);
      }
    }
  };
  await Promise.allSettled([recordSome(), deliverSome(), deliverSome()]);
}

function bodyOf(id: string): string {
  return `{"id":"${id}","text":"${id.repeat(40)}"}`;
}

async function assertHolds(store: Store, told: Told, because: string): Promise<void> {
  const { items } = await store.deliveries({}, { limit: 1_000, cursor: null });
  const known = new Set(items.map(({ eventId }) => eventId));
  expect(
    [...told.events].filter((id) => !known.has(id)),
    because,
  ).toEqual([]);
  for (const id of known) expect(await store.eventBody('clinic-1', id), because).toBe(bodyOf(id));
  for (const id of told.delivered) {
    expect(await store.delivery(id), because).toMatchObject({ state: 'delivered' });
    expect((await store.attempts(id)).at(-1)?.outcome.kind, because).toBe('accepted');
  }
  const sequences = items.map(({ sequence }) => sequence).sort((a, b) => a - b);
  expect(sequences, because).toEqual(sequences.map((_, index) => index + 1));
}

/**
 * A life of several processes, each ended by a kill or a power cut at a random operation
 * of the disk, a start's own included.
 */
async function live(seed: number): Promise<{ readonly cuts: number; readonly told: Told }> {
  const random = seededRandom(seed);
  const clock = simulatedClock(noon);
  const told: Told = { events: new Set(), delivered: new Set() };
  const partBytes = [16_000_000, 20_000, 4_000, 1][seed % 4] as number;
  let disk = new SimulatedDisk();
  await furnished(await storeOn(disk, clock, { partBytes }));
  let cuts = 0;
  for (let generation = 1; generation <= 5; generation++) {
    let left: { disk: SimulatedDisk; told: Told } | null = null;
    let operationsLeft = Math.floor(random() * 72);
    const running = disk;
    running.hook = () => {
      if (left) return { code: 'EIO' };
      if (operationsLeft-- > 0) return null;
      const isPowerCut = random() < 0.6;
      left = {
        disk: isPowerCut ? running.powerCut(random) : running.kill(),
        told: { events: new Set(told.events), delivered: new Set(told.delivered) },
      };
      return { code: 'EIO' };
    };
    try {
      await workUntilTheEnd(await storeOn(running, clock, { partBytes }), told, random, generation);
    } catch {
      // The end came during the start.
    }
    const end = left as { disk: SimulatedDisk; told: Told } | null;
    if (!end) throw new Error('the disk never failed');
    cuts++;
    // What was told after the end was never told.
    for (const kind of ['events', 'delivered'] as const) {
      for (const id of told[kind]) if (!end.told[kind].has(id)) told[kind].delete(id);
    }
    disk = end.disk;
    await clock.advance(random() < 0.3 ? dayMs : 1_000);
    const looked = random() < 0.5 ? disk.kill() : disk;
    await assertHolds(
      await storeOn(looked, clock, { partBytes }),
      told,
      `seed ${seed}, generation ${generation}`,
    );
    // A look that was itself cut off by a power cut.
    if (looked === disk && random() < 0.5) disk = disk.powerCut(random);
  }
  return { cuts, told };
}

describe('a store that is killed or loses power at any moment', () => {
  test('cases 31 and 32: holds all that it told its callers, whole, over 200 lives of five processes', async () => {
    let events = 0;
    let delivered = 0;
    for (let seed = 1; seed <= 200; seed++) {
      const { told } = await live(seed);
      events += told.events.size;
      delivered += told.delivered.size;
    }
    expect(events).toBeGreaterThan(1_000);
    expect(delivered).toBeGreaterThan(200);
  }, 180_000);

  test('what a killed process wrote and never synced is synced before anything is built on it', async () => {
    const clock = simulatedClock(noon);
    const disk = new SimulatedDisk();
    const store = await storeOn(disk, clock);
    await furnished(store);
    const told = record(store, [anEvent('e1')]);
    let killed: SimulatedDisk | null = null;
    disk.hook = (operation, path) => {
      if (operation === 'datasync' && path.endsWith('.jsonl')) killed ??= disk.kill();
      return null;
    };
    await told;
    const next = killed as SimulatedDisk | null;
    if (!next) throw new Error('the journal was never synced');
    await storeOn(next, clock);
    for (let seed = 0; seed < 50; seed++) await storeOn(next.powerCut(seededRandom(seed)), clock);
  });

  test('what a failed sync left in the machine’s memory is written again before anything is built on it', async () => {
    const clock = simulatedClock(noon);
    const disk = new SimulatedDisk();
    const store = await storeOn(disk, clock);
    await furnished(store);
    disk.failNext('datasync', 'EIO', { path: '.jsonl' });
    await expect(
      store.saveClinic({ ...(await store.clinics())[0], id: 'c2', name: 'Two' } as never),
    ).rejects.toMatchObject({
      code: 'store_sync_failed',
    });
    const next = disk.kill();
    const found = (await (await storeOn(next, clock)).clinics()).length;
    for (let seed = 0; seed < 50; seed++) {
      const after = await storeOn(next.powerCut(seededRandom(seed)), clock);
      expect((await after.clinics()).length).toBe(found);
    }
  });

  test('case 19: a new key that a killed process left unsynced is synced before it is used', async () => {
    const clock = simulatedClock(noon);
    const disk = new SimulatedDisk();
    const killed: SimulatedDisk[] = [];
    disk.hook = (operation, path) => {
      if (operation === 'syncFolder' && path === folder) killed.push(disk.kill());
      return null;
    };
    await storeOn(disk, clock);
    for (const left of killed) {
      const random = seededRandom(5);
      const cuts: SimulatedDisk[] = [];
      left.hook = () => {
        for (let time = 0; time < 5; time++) cuts.push(left.powerCut(random));
        return null;
      };
      await storeOn(left, clock);
      for (const cut of cuts) await storeOn(cut, clock);
    }
  });
});

describe('a store over several days', () => {
  const partsOn = (disk: SimulatedDisk) =>
    disk.paths.filter((path) => path.endsWith('.jsonl')).map((path) => path.split('/').at(-1));

  async function twoDays(clock: SimulatedClock, disk: SimulatedDisk) {
    const store = await storeOn(disk, clock);
    await furnished(store);
    await record(store, [anEvent('e1')]);
    const [first] = await claim(store);
    if (first) await store.recordAttempt(first, refused);
    await clock.advance(dayMs);
    await record(store, [anEvent('e2')]);
    for (const claimed of await claim(store)) await store.recordAttempt(claimed, accepted);
    return store;
  }

  test('when the day changes, a new part is begun under new keys, and the state stays the same', async () => {
    const clock = simulatedClock(noon);
    const disk = new SimulatedDisk();
    const store = await twoDays(clock, disk);
    expect(partsOn(disk)).toEqual(['2026-11-22.jsonl', '2026-11-23.jsonl']);
    const { keys } = JSON.parse(disk.contents(`${folder}/keys.json`).toString()) as { keys: object };
    expect(Object.keys(keys).sort()).toEqual([
      'body-2026-11-22',
      'body-2026-11-23',
      'log-2026-11-22',
      'log-2026-11-23',
      'value-store',
    ]);
    const all = { limit: 100, cursor: null };
    const before = await store.deliveries({}, all);
    expect(before.items.map(({ state }) => state)).toEqual(['delivered', 'delivered']);
    const again = await storeOn(disk.powerCut(seededRandom(2)), clock);
    expect(await again.deliveries({}, all)).toEqual(before);
    expect(await again.subscribers()).toEqual(await store.subscribers());
    expect(await again.streams()).toEqual(await store.streams());
    expect((await again.attempts(deliveryIdOf('e1', 'sub_1')))[0]).toMatchObject({ excerpt: 'not now' });
  });

  test('case 201: a clock that is back a day at the next start goes on in a further part of that day', async () => {
    const disk = new SimulatedDisk();
    await twoDays(simulatedClock(noon), disk);
    const yesterday = simulatedClock(noon + 60_000);
    const store = await storeOn(disk, yesterday);
    await record(store, [anEvent('e3')]);
    expect(partsOn(disk)).toEqual(['2026-11-22.2.jsonl', '2026-11-22.jsonl', '2026-11-23.jsonl']);
    const { items } = await (await storeOn(disk.kill(), yesterday)).deliveries(
      {},
      { limit: 9, cursor: null },
    );
    expect(items.map(({ eventId, sequence }) => [eventId, sequence])).toEqual([
      ['e3', 3],
      ['e2', 2],
      ['e1', 1],
    ]);
  });

  test('case 193: a due time that a clock far ahead left behind is no further away than its wait', async () => {
    const disk = new SimulatedDisk();
    const ahead = await storeOn(disk, simulatedClock(noon + 365 * dayMs));
    await furnished(ahead, aSubscriber('sub_1', { retrySeconds: [100] }));
    await record(ahead, [anEvent('e1')]);
    for (const claimed of await claim(ahead)) await ahead.recordAttempt(claimed, refused);
    const store = await storeOn(disk, simulatedClock(noon));
    const dueAt = (await store.nextDueAt()) ?? 0;
    expect(dueAt).toBeGreaterThanOrEqual(noon + 100_000);
    expect(dueAt).toBeLessThanOrEqual(noon + 110_000);
  });

  test('requests that a clock far ahead took from the budget count for their window and no longer', async () => {
    const disk = new SimulatedDisk();
    const ask = { count: 100, limit: 100, windowMs: 300_000 };
    await (await storeOn(disk, simulatedClock(noon + 365 * dayMs))).reserveRequests(ask);
    const clock = simulatedClock(noon);
    const store = await storeOn(disk, clock);
    expect(await store.reserveRequests(ask)).toMatchObject({ granted: 0 });
    await clock.advance(305_000);
    expect(await store.reserveRequests(ask)).toMatchObject({ granted: 100 });
  });

  test('what was taken from the budget is forgotten when its window is over, over starts and stepped clocks', async () => {
    const disk = new SimulatedDisk();
    const ask = { count: 1, limit: 2_500, windowMs: 300_000 };
    const blocksKept = async () => {
      const bytes = await disk.read('/data/checkpoint.json');
      return JSON.parse(bytes?.toString() ?? '').checkpoint.tables.budget.length;
    };
    for (const startAt of [noon, noon + 60_000, noon, noon + 300_000, noon + 600_000]) {
      const clock = simulatedClock(startAt);
      const store = await storeOn(disk, clock);
      for (let taken = 0; taken < 20; taken++) {
        await store.reserveRequests(ask);
        await clock.advance(1_000);
      }
      await store.close();
    }
    expect(await blocksKept()).toBe(25);
    const clock = simulatedClock(noon + 900_000);
    const store = await storeOn(disk, clock);
    await clock.advance(60_000);
    await store.reserveRequests(ask);
    await store.close();
    expect(await blocksKept()).toBe(1);
  });

  test('a start counts the attempts that the process before it left under way', async () => {
    const disk = new SimulatedDisk();
    const clock = simulatedClock(noon);
    const store = await storeOn(disk, clock);
    await furnished(store);
    await record(store, [anEvent('e1'), anEvent('e2'), anEvent('e3')]);
    await claim(store, 2);
    expect((await storeOn(disk.kill(), clock)).recovery).toEqual({
      cut: null,
      events: 3,
      deliveries: 3,
      interrupted: 2,
      isResealed: false,
    });
  });
});

describe('claims', () => {
  test('one that follows a result in the same batch has a lease of its own', async () => {
    const store = await storeOn(new SimulatedDisk(), simulatedClock(noon));
    await furnished(store, aSubscriber('sub_1', { retrySeconds: [] }));
    await record(store, [anEvent('e1')]);
    const [first] = await claim(store);
    if (!first) throw new Error('nothing is due');
    const [, , claimed] = await Promise.all([
      store.recordAttempt(first, refused),
      store.startRounds([first.delivery.id]),
      claim(store),
    ]);
    expect(claimed).toMatchObject([{ attempt: 2 }]);
    expect(await claim(store)).toEqual([]);
  });

  test('a late result is listed by its number', async () => {
    const clock = simulatedClock(noon);
    const store = await storeOn(new SimulatedDisk(), clock);
    await furnished(store);
    await record(store, [anEvent('e1')]);
    const [slow] = await claim(store);
    await clock.advance(31_000);
    const [second] = await claim(store);
    if (!slow || !second) throw new Error('nothing is due');
    await store.recordAttempt(second, accepted);
    await expect(store.recordAttempt(slow, refused)).rejects.toMatchObject({ code: 'claim_lost' });
    const attempts = await store.attempts(slow.delivery.id);
    expect(attempts.map(({ number }) => number)).toEqual([1, 1, 2]);
  });

  test('a replay of more deliveries than one line can name is recorded whole', async () => {
    const store = await storeOn(new SimulatedDisk(), simulatedClock(noon));
    await furnished(store);
    const poll = await pollOf(store);
    const { version: subscribersVersion } = await store.subscribers();
    const events = Array.from({ length: 30_000 }, (_, n) => anEvent(`e${n}`, { body: '{}' }));
    await store.recordEvents(poll, { events, subscribersVersion });
    const ids = events.map(({ id }) => deliveryIdOf(id, 'sub_1'));
    expect(await store.startRounds(ids)).toHaveLength(30_000);
  }, 60_000);
});
