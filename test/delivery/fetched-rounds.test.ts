import { beforeEach, describe, expect, test } from 'vitest';
import type { FetchEvent } from '../../src/delivery/fetched-rounds.ts';
import { countReplay, newReplayJob, type ReplayAsk, replayPage } from '../../src/delivery/replay.ts';
import { Replayer } from '../../src/delivery/replayer.ts';
import { deliveryIdOf } from '../../src/domain/delivery.ts';
import { silentLogger } from '../../src/logger.ts';
import type { FileStore } from '../../src/store/file/file-store.ts';
import { accepted, anEvent, aSubscriber, claim, furnished, record, refused } from '../store/fixtures.ts';
import { type SimulatedClock, simulatedClock } from '../world/clock.ts';
import { folder, SimulatedDisk, storeOn } from '../world/disk.ts';

const dayMs = 86_400_000;
const ofAll: ReplayAsk = { state: 'failed', subscriberIds: ['sub_1', 'sub_2'] };

let clock: SimulatedClock;
let disk: SimulatedDisk;
let store: FileStore;

beforeEach(async () => {
  clock = simulatedClock(Date.parse('2026-11-22T12:00:00Z'));
  disk = new SimulatedDisk();
  store = await opened(disk);
  await furnished(store, aSubscriber('sub_1', { retrySeconds: [] }));
  await store.addSubscriber(aSubscriber('sub_2', { retrySeconds: [] }));
});

function opened(on: SimulatedDisk): Promise<FileStore> {
  return storeOn(on, clock, { retention: { ids: 35, bodies: 30, deliveries: 90, onRetained: () => {} } });
}

/** Failed for both subscribers; `old` so long ago that its text is gone. */
async function anOldAndANewOne(): Promise<void> {
  await failedOnce('old');
  await clock.advance(32 * dayMs);
  await failedOnce('new');
  await clock.advance(1_000);
}

async function failedOnce(id: string): Promise<void> {
  await record(store, [anEvent(id, { subscriberIds: ['sub_1', 'sub_2'] })]);
  await attempt(refused);
}

async function attempt(result: typeof refused | typeof accepted): Promise<string[]> {
  const claims = [...(await claim(store)), ...(await claim(store, 10, 'sub_2'))];
  for (const each of claims) await store.recordAttempt(each, result);
  return claims.map(({ event }) => event.body);
}

async function replayed(fetchEvent: FetchEvent) {
  let job = newReplayJob(ofAll, { owner: 'owner', matched: 0, now: clock.now() });
  const around = { store, fetchEvent, halt: new AbortController().signal };
  while (job.state === 'running') job = await replayPage(job, around, clock.now());
  return job.progress;
}

const again = '{"id":"old", "n":12345678901234567890,"x":10.0}';
const having: FetchEvent = async () => ({ kind: 'event', body: again });

describe('a replay of what is kept no longer', () => {
  test('fetches the event once for all of its deliveries, and sends the vendor’s exact text', async () => {
    await anOldAndANewOne();
    const asked: unknown[] = [];
    const progress = await replayed(async (event, how) => {
      asked.push({ ...event, isUrgent: how.isUrgent });
      return having(event, how);
    });
    expect(asked).toEqual([{ clinicId: 'clinic-1', eventId: 'old', isUrgent: false }]);
    expect(progress).toMatchObject({ done: 4, fetched: 2, notKept: 0, notFetched: 0 });
    expect((await attempt(accepted)).sort()).toEqual(
      [again, again, anEvent('new').body, anEvent('new').body].sort(),
    );
  });

  test('what was fetched is encrypted and on record for the next start, and kept by the same rule as ever', async () => {
    await anOldAndANewOne();
    await replayed(having);
    expect(disk.paths.some((path) => disk.contents(path).includes('12345678901234567890'))).toBe(false);
    for (const path of disk.paths.filter((each) => each.endsWith('.index'))) disk.take(path);
    disk = disk.kill();
    store = await opened(disk);
    expect(await store.eventBody('clinic-1', 'old')).toBe(again);
    await attempt(accepted);
    await clock.advance(30 * dayMs);
    expect(await store.eventBody('clinic-1', 'old')).toBe(again);
    await clock.advance(2 * dayMs);
    expect(await store.eventBody('clinic-1', 'old')).toBeNull();
  });

  for (const { kind, count, because } of [
    { kind: 'gone', count: { notKept: 2, notFetched: 0 }, because: 'the vendor does not have it any more' },
    { kind: 'notNow', count: { notKept: 0, notFetched: 2 }, because: 'it cannot be fetched now' },
  ] as const) {
    test(`leaves it as it is and counts it when ${because}`, async () => {
      await anOldAndANewOne();
      const progress = await replayed(async () => ({ kind, detail: 'status 404' }));
      expect(progress).toMatchObject({ done: 4, fetched: 0, ...count });
      expect((await store.delivery(deliveryIdOf('old', 'sub_1')))?.state).toBe('failed');
      expect((await store.delivery(deliveryIdOf('new', 'sub_1')))?.state).toBe('pending');
    });
  }

  test('a dry run says how many events would have to be fetched', async () => {
    await anOldAndANewOne();
    expect(await countReplay(store, ofAll, clock.now())).toEqual({ matched: 4, toFetch: 2 });
  });

  test('is halted while it waits for the vendor, and starts each round once when it goes on', async () => {
    await anOldAndANewOne();
    const halt = new AbortController();
    const job = newReplayJob(ofAll, { owner: 'owner', matched: 4, now: clock.now() });
    const halting: FetchEvent = async () => {
      halt.abort();
      return { kind: 'notNow', detail: 'it was not waited for' };
    };
    const page = await replayPage(job, { store, fetchEvent: having, halt: halt.signal }, clock.now());
    expect(page.progress.starting).toHaveLength(4);
    expect(await replayPage(page, { store, fetchEvent: halting, halt: halt.signal }, clock.now())).toBe(page);
    const on = { store, fetchEvent: having, halt: new AbortController().signal };
    const ended = await replayPage(page, on, clock.now());
    expect(ended).toMatchObject({ state: 'done', progress: { done: 4, fetched: 2 } });
    for (const id of ['old', 'new']) expect((await store.delivery(deliveryIdOf(id, 'sub_1')))?.round).toBe(2);
  });
});

describe('a replay of one', () => {
  const replayer = (fetchEvent: FetchEvent) => {
    const fatal = (error: unknown) => expect.fail(String(error));
    return new Replayer({
      store,
      fetchEvent,
      clock,
      logger: silentLogger,
      onStarted: () => {},
      onFatal: fatal,
    });
  };
  const replayedOne = async (eventId: string, fetchEvent: FetchEvent) => {
    const delivery = await store.delivery(deliveryIdOf(eventId, 'sub_1'));
    if (!delivery) throw new Error('there is no such delivery');
    return replayer(fetchEvent).startRound(delivery);
  };

  test('asks the vendor only for what is not kept, and as somebody who waits', async () => {
    await anOldAndANewOne();
    const refusing: FetchEvent = async () => expect.fail('it is kept');
    expect(await replayedOne('new', refusing)).toMatchObject({ kind: 'newRound', isFetched: false });
    const urgent: FetchEvent = async (_event, { isUrgent }) =>
      isUrgent ? { kind: 'event', body: again } : { kind: 'gone', detail: '' };
    expect(await replayedOne('old', urgent)).toMatchObject({ kind: 'newRound', isFetched: true });
  });

  test('does not wait for a vendor that does not answer', async () => {
    await anOldAndANewOne();
    const silent: FetchEvent = (_event, { signal }) =>
      new Promise((resolve) =>
        signal.addEventListener('abort', () => resolve({ kind: 'notNow', detail: 'it was not waited for' })),
      );
    const answer = replayedOne('old', silent);
    await clock.advance(20_000);
    expect(await answer).toMatchObject({ kind: 'notFetched' });
  });

  test('fetches a damaged event, too, and says that it is damaged when nobody has it any more', async () => {
    await failedOnce('old');
    await store.close();
    const path = disk.paths.find((each) => each.endsWith('.sealed')) ?? '';
    disk.put(path, Buffer.alloc(disk.contents(path).length, 7));
    store = await opened(disk);
    const gone: FetchEvent = async () => ({ kind: 'gone', detail: 'status 404' });
    await expect(replayedOne('old', gone)).rejects.toMatchObject({ code: 'body_unreadable' });
    expect(await replayedOne('old', having)).toMatchObject({ kind: 'newRound', isFetched: true });
    expect(await attempt(accepted)).toEqual([again]);
    expect(disk.paths.every((each) => each.startsWith(folder))).toBe(true);
  });
});
