import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { asBackfillJob, type BackfillJob, newBackfillJob } from '../../src/delivery/backfill.ts';
import { Backfiller } from '../../src/delivery/backfiller.ts';
import type { FetchedEvent } from '../../src/delivery/fetched-rounds.ts';
import { StoreUnavailable } from '../../src/domain/errors.ts';
import { silentLogger } from '../../src/logger.ts';
import type { Store } from '../../src/store/store.ts';
import { accepted, anEvent, aSubscriber, claim, furnished, record, refused } from '../store/fixtures.ts';
import { type SimulatedClock, simulatedClock } from '../world/clock.ts';
import { eventually, quiet } from '../world/eventually.ts';
import { storeInFolder } from '../world/store.ts';

const noon = Date.parse('2026-11-22T12:00:00Z');
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

let clock: SimulatedClock;
let store: Store;
let discard: () => Promise<void>;
let fetched: string[];
let vendor: (eventId: string) => FetchedEvent;
let backfillers: Backfiller[];

beforeEach(async () => {
  clock = simulatedClock(noon);
  ({ store, discard } = await storeInFolder(clock));
  await furnished(store, aSubscriber('sub_1', { createdAt: noon }));
  fetched = [];
  backfillers = [];
  vendor = (eventId) => ({ kind: 'event', body: anEvent(eventId).body as string });
});
afterEach(async () => {
  await Promise.all(backfillers.map((backfiller) => backfiller.stop()));
  await discard();
});

function backfillerOn(on: Store = store): Backfiller {
  const backfiller = new Backfiller({
    store: on,
    fetchEvent: async ({ eventId }) => {
      fetched.push(eventId);
      return vendor(eventId);
    },
    deliveriesKeptMs: 90 * dayMs,
    clock,
    logger: silentLogger,
    onOwed: () => {},
    onFatal: (error) => {
      throw error;
    },
  });
  backfillers.push(backfiller);
  return backfiller;
}

/** Events that nobody was owed, each created so many hours before noon. */
async function past(...hours: readonly number[]): Promise<void> {
  await record(
    store,
    hours.map((ago) => anEvent(`e-${ago}`, { createdAt: noon - ago * hourMs, subscriberIds: [] })),
  );
}

const since = (hours: number, matched = 0): BackfillJob =>
  newBackfillJob(
    { subscriberId: 'sub_1', from: noon - hours * hourMs },
    { owner: 'owner', matched, now: noon },
  );

async function jobNow({ id }: BackfillJob): Promise<BackfillJob> {
  return asBackfillJob(await store.job(id)) as BackfillJob;
}

/** Attempts what is due again and again, as a dispatcher would. @returns the ids of the events, in order. */
async function sendUntilDone(job: BackfillJob): Promise<string[]> {
  const sent: string[] = [];
  for (let turn = 0; turn < 2_000; turn++) {
    const isDone = (await jobNow(job)).state === 'done';
    const claims = await claim(store, 4);
    for (const each of claims) {
      if (each.attempt === 1) sent.push(each.event.id);
      await store.recordAttempt(each, accepted);
    }
    if (isDone && claims.length === 0) return sent;
    await clock.advance(250);
    await quiet(2);
  }
  throw new Error('the backfill did not end');
}

describe('a backfill', () => {
  test('sends the events since its moment once, oldest first, and leaves out what was sent, filtered or is older', async () => {
    await store.changeSubscriber('sub_1', { eventTypes: ['order.*'] });
    await past(1, 5, 3, 200);
    await record(store, [
      anEvent('had', { createdAt: noon - 2 * hourMs }),
      anEvent('patient', { createdAt: noon - 2 * hourMs, type: 'patient.created', subscriberIds: [] }),
    ]);
    for (const each of await claim(store)) await store.recordAttempt(each, accepted);
    const backfiller = backfillerOn();
    const wanting = (await store.subscribers()).subscribers[0];
    expect(await backfiller.count(wanting as never, noon - 100 * hourMs)).toEqual({
      matched: 3,
      streams: [{ clinicId: 'clinic-1', category: 'orders', events: 3 }],
    });
    const job = since(100, 3);
    await backfiller.start(job);
    expect(await sendUntilDone(job)).toEqual(['e-5', 'e-3', 'e-1']);
    expect((await jobNow(job)).progress).toMatchObject({ matched: 3, done: 3, enqueued: 3, unavailable: 0 });
    const again = since(100);
    await backfiller.start(again);
    expect(await sendUntilDone(again)).toEqual([]);
    expect(fetched).toEqual([]);
  });

  test('fetches what was recorded without a text, with the type and date that only the text tells', async () => {
    await store.changeSubscriber('sub_1', { eventTypes: ['order.*'] });
    const known = { body: null, isPast: true, subscriberIds: [], createdAt: noon - hourMs };
    await record(store, [
      anEvent('plain', known),
      anEvent('nameless', { ...known, type: 'unknown' }),
      anEvent('patient', { ...known, type: 'unknown' }),
      anEvent('old', { ...known, createdAt: null }),
      anEvent('gone', known),
    ]);
    const body = (id: string, more: object) => JSON.stringify({ id, type: 'order.placed', ...more });
    vendor = (id) => {
      if (id === 'gone') return { kind: 'gone', detail: 'status 404' };
      if (id === 'patient') return { kind: 'event', body: body(id, { type: 'patient.created' }) };
      if (id === 'old') return { kind: 'event', body: body(id, { created_at: '2026-10-01T00:00:00Z' }) };
      return { kind: 'event', body: body(id, {}) };
    };
    const job = since(48);
    await backfillerOn().start(job);
    expect((await sendUntilDone(job)).sort()).toEqual(['nameless', 'plain']);
    expect((await jobNow(job)).progress).toMatchObject({ done: 5, enqueued: 2, unavailable: 1 });
    const { items } = await store.deliveries({}, { limit: 10, cursor: null });
    expect(new Set(items.map(({ eventType }) => eventType))).toEqual(new Set(['order.placed']));
  });

  test('asks again later for what the vendor does not hand out now, and leaves it out in the end', async () => {
    await record(store, [anEvent('e1', { body: null, isPast: true, subscriberIds: [], createdAt: noon })]);
    vendor = () => ({ kind: 'notNow', detail: 'status 503' });
    const job = since(1);
    await backfillerOn().start(job);
    await clock.advance(5 * 60_000);
    await eventually(async () => {
      await clock.advance(30_000);
      return (await jobNow(job)).state === 'done';
    });
    expect(fetched).toHaveLength(5);
    expect((await jobNow(job)).progress).toMatchObject({ done: 1, enqueued: 0, unavailable: 1 });
  });

  test('sends what was recorded in shadow mode, and nothing that was handled elsewhere', async () => {
    const shadowed = { createdAt: noon - hourMs, subscriberIds: [], withheld: 'shadow' } as const;
    await record(store, [anEvent('missed', shadowed), anEvent('handled', shadowed)]);
    await store.importSeen('clinic-1', ['handled', 'unknown'], { isDryRun: false });
    const job = since(48);
    await backfillerOn().start(job);
    expect(await sendUntilDone(job)).toEqual(['missed']);
  });

  test('is gentle: no more than 16 wait for their first attempt, and a paused subscriber gets no more', async () => {
    await past(...Array.from({ length: 60 }, (_, at) => at + 1));
    await store.pauseSubscriber('sub_1', 'person');
    const job = since(100);
    await backfillerOn().start(job);
    await eventually(async () => {
      await clock.advance(250);
      return (await store.deliveryCounts(['sub_1'])).held >= 16;
    });
    for (let turn = 0; turn < 20; turn++) {
      await clock.advance(250);
      await quiet(5);
    }
    expect(await store.deliveryCounts(['sub_1'])).toMatchObject({ held: 16 });
    await store.resumeSubscriber('sub_1', { lift: ['person'], backlog: 'deliver' });
    expect(await sendUntilDone(job)).toHaveLength(60);
  });

  test('goes on over events that are refused: what waits for a retry holds nothing up', async () => {
    await past(...Array.from({ length: 40 }, (_, at) => at + 1));
    await store.changeSubscriber('sub_1', { retrySeconds: [86_400] });
    const job = since(100);
    await backfillerOn().start(job);
    let sent = 0;
    for (let turn = 0; turn < 400 && sent < 40; turn++) {
      for (const each of await claim(store, 4)) {
        sent++;
        // Every fourth is refused, so that the breaker stays closed.
        await store.recordAttempt(each, sent % 4 === 0 ? refused : accepted);
      }
      await clock.advance(250);
      await quiet(2);
    }
    expect(sent).toBe(40);
    expect(await store.deliveryCounts(['sub_1'])).toMatchObject({ pending: 10, delivered: 30 });
  });

  test('waits for streams that were never read to their end, an hour at most', async () => {
    await store.follow('clinic-1', [{ category: 'patients', startAt: 0 }]);
    await past(1);
    const job = since(24);
    await backfillerOn().start(job);
    for (let turn = 0; turn < 10; turn++) {
      for (const each of await claim(store)) await store.recordAttempt(each, accepted);
      await clock.advance(30_000);
      await quiet(5);
    }
    expect((await jobNow(job)).state).toBe('running');
    await past(2);
    await clock.advance(2 * 60_000);
    await quiet(20);
    await eventually(async () => {
      for (const each of await claim(store)) await store.recordAttempt(each, accepted);
      await clock.advance(hourMs);
      return (await jobNow(job)).state === 'done';
    });
  });

  test('ends with its subscriber, and where somebody cancels it', async () => {
    await past(...Array.from({ length: 60 }, (_, at) => at + 1));
    const backfiller = backfillerOn();
    const job = since(100);
    await backfiller.start(job);
    await eventually(async () => {
      await clock.advance(250);
      return (await jobNow(job)).progress.enqueued === 16;
    });
    expect(await backfiller.cancel(job.id)).toMatchObject({ state: 'cancelled', progress: { enqueued: 16 } });
    const other = since(100);
    await backfiller.start(other);
    await store.deleteSubscriber('sub_1');
    await eventually(async () => {
      await clock.advance(250);
      return (await jobNow(other)).state === 'cancelled';
    });
  });

  test('sends nothing again that was sent so long ago that its delivery may be gone', async () => {
    await store.addSubscriber(aSubscriber('sub_old', { createdAt: noon - 400 * dayMs }));
    await past(1);
    const backfiller = backfillerOn();
    const of = async (id: string) =>
      (await store.subscribers()).subscribers.find((each) => each.id === id) as never;
    expect(await backfiller.count(await of('sub_old'), 0)).toMatchObject({ matched: 1 });
    await clock.advance(91 * dayMs);
    expect(await backfiller.count(await of('sub_old'), 0)).toMatchObject({ matched: 0 });
    await store.addSubscriber(aSubscriber('sub_new', { createdAt: clock.now() }));
    expect(await backfiller.count(await of('sub_new'), 0)).toMatchObject({ matched: 1 });
  });

  test('cut off after any step, it goes on where it is on record, and makes nothing twice', async () => {
    await past(...Array.from({ length: 30 }, (_, at) => at + 1));
    const job = since(100);
    await store.saveJob(job);
    const sent: string[] = [];
    for (let life = 0; life < 12; life++) {
      let left = life % 4;
      const cut: Store = {
        ...store,
        async oweEvents(ask) {
          if (left-- === 0) throw new StoreUnavailable('disk_full', 'full', { hint: '' });
          return store.oweEvents(ask);
        },
      };
      const backfiller = backfillerOn(cut);
      await backfiller.resume();
      for (let turn = 0; turn < 6; turn++) {
        for (const each of await claim(store, 4)) {
          sent.push(each.event.id);
          await store.recordAttempt(each, accepted);
        }
        await clock.advance(250);
        await quiet(3);
      }
      await backfiller.stop();
    }
    await backfillerOn().resume();
    sent.push(...(await sendUntilDone(job)));
    expect(sent).toEqual(Array.from({ length: 30 }, (_, at) => `e-${30 - at}`));
    expect((await jobNow(job)).progress).toMatchObject({ done: 30, enqueued: 30 });
  });
});
