import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { FetchEvent } from '../../src/delivery/fetched-rounds.ts';
import {
  asReplayJob,
  countReplay,
  newReplayJob,
  type ReplayAsk,
  type ReplayJob,
  type ReplayPageDependencies,
  replayPage,
} from '../../src/delivery/replay.ts';
import { Replayer } from '../../src/delivery/replayer.ts';
import { deliveryIdOf } from '../../src/domain/delivery.ts';
import { StoreUnavailable } from '../../src/domain/errors.ts';
import { silentLogger } from '../../src/logger.ts';
import type { Store } from '../../src/store/store.ts';
import { accepted, anEvent, aSubscriber, claim, furnished, record, refused } from '../store/fixtures.ts';
import { type SimulatedClock, simulatedClock } from '../world/clock.ts';
import { eventually } from '../world/eventually.ts';
import { storeInFolder } from '../world/store.ts';

let clock: SimulatedClock;
let store: Store;
let discard: () => Promise<void>;

/** Each failure is final: there is no second attempt in a round. */
const once = aSubscriber('sub_1', { retrySeconds: [] });

beforeEach(async () => {
  clock = simulatedClock(Date.parse('2026-11-22T12:00:00Z'));
  ({ store, discard } = await storeInFolder(clock));
  await furnished(store, once);
});
afterEach(() => discard());

const ofAll: ReplayAsk = { state: 'failed', subscriberIds: ['sub_1'] };

async function failedDeliveries(count: number, from = 0): Promise<readonly string[]> {
  const ids = Array.from({ length: count }, (_, at) => `evt_${from + at}`);
  await record(
    store,
    ids.map((id) => anEvent(id)),
  );
  await attemptAll(refused);
  return ids.map((id) => deliveryIdOf(id, 'sub_1'));
}

async function attemptAll(result: typeof refused | typeof accepted): Promise<number> {
  const claims = await claim(store, 5_000);
  await Promise.all(claims.map((each) => store.recordAttempt(each, result)));
  return claims.length;
}

async function job(ask = ofAll): Promise<ReplayJob> {
  const now = clock.now();
  const made = newReplayJob(ask, {
    owner: 'owner',
    matched: (await countReplay(store, ask, now)).matched,
    now,
  });
  await store.saveJob(made);
  return made;
}

const nothingFetched: FetchEvent = async () => ({ kind: 'gone', detail: 'status 404' });

function around(fetchEvent = nothingFetched): ReplayPageDependencies {
  return { store, fetchEvent, halt: new AbortController().signal };
}

async function toTheEnd(begun: ReplayJob): Promise<ReplayJob> {
  let going = begun;
  while (going.state === 'running') going = await replayPage(going, around(), clock.now());
  return going;
}

async function roundsOf(ids: readonly string[]): Promise<readonly (number | undefined)[]> {
  return Promise.all(ids.map(async (id) => (await store.delivery(id))?.round));
}

describe('a replay', () => {
  test('of 1,200 failed deliveries goes through all of them, 500 a page, each once', async () => {
    const ids = await failedDeliveries(1_200);
    const ended = await toTheEnd(await job());
    expect(ended.progress).toMatchObject({ matched: 1_200, done: 1_200, starting: [] });
    expect(new Set(await roundsOf(ids))).toEqual(new Set([2]));
    expect(asReplayJob(await store.job(ended.id))).toEqual(ended);
  });

  test('that found nothing is done at once', async () => {
    const ended = await toTheEnd(await job());
    expect(ended).toMatchObject({ state: 'done', progress: { matched: 0, done: 0 } });
  });

  test('of the failed leaves the skipped ones alone, and of the skipped the failed ones', async () => {
    const [failed] = await failedDeliveries(1);
    await record(store, [anEvent('evt_held')]);
    await store.pauseSubscriber('sub_1', 'person');
    await store.resumeSubscriber('sub_1', { lift: ['person'], backlog: 'skip' });
    const both = [failed as string, deliveryIdOf('evt_held', 'sub_1')];

    await toTheEnd(await job());
    expect(await roundsOf(both)).toEqual([2, 1]);
    await toTheEnd(await job({ ...ofAll, state: 'skipped' }));
    expect(await roundsOf(both)).toEqual([2, 2]);
  });

  test('of the delivered is asked for by that word only', async () => {
    await record(store, [anEvent('evt_1')]);
    await attemptAll(accepted);
    const id = deliveryIdOf('evt_1', 'sub_1');
    await toTheEnd(await job());
    expect(await roundsOf([id])).toEqual([1]);
    await toTheEnd(await job({ ...ofAll, state: 'delivered' }));
    expect(await roundsOf([id])).toEqual([2]);
  });

  test('keeps to the subscribers, the type and the window that it was asked for', async () => {
    await failedDeliveries(2);
    await clock.advance(60_000);
    await failedDeliveries(2, 10);
    const at = clock.now();
    const found = async (narrowing: Partial<ReplayAsk>) =>
      (await countReplay(store, { ...ofAll, ...narrowing }, at)).matched;
    expect(await found({})).toBe(4);
    expect(await found({ since: at })).toBe(2);
    expect(await found({ until: at })).toBe(2);
    expect(await found({ eventType: 'patient.created' })).toBe(0);
    expect(await found({ clinicId: 'clinic-2' })).toBe(0);
    expect(await found({ subscriberIds: [] })).toBe(0);
  });

  test('case 16: that a crash cut off between a page’s rounds and its record starts no second round', async () => {
    const ids = await failedDeliveries(3);
    const onRecord = await replayPage(await job(), around(), clock.now());
    expect(onRecord.progress).toMatchObject({ done: 0, isLastPage: true });
    await replayPage(onRecord, around(), clock.now());
    // In between they fail again: only the round of this replay may not be started twice.
    await clock.advance(1_000);
    await attemptAll(refused);

    const ended = await toTheEnd(onRecord);
    expect(ended).toMatchObject({ state: 'done', progress: { matched: 3, done: 3 } });
    expect(await roundsOf(ids)).toEqual([2, 2, 2]);
  });

  test('takes only what had failed when it was asked for', async () => {
    const begun = await job();
    await clock.advance(1_000);
    const ids = await failedDeliveries(2);
    const ended = await toTheEnd(begun);
    expect(ended.progress.done).toBe(0);
    expect(await roundsOf(ids)).toEqual([1, 1]);
  });
});

describe('the replayer', () => {
  let wakes = 0;
  const fatal: unknown[] = [];
  const replayer = (over: Partial<Store> = {}) => {
    wakes = 0;
    fatal.length = 0;
    const bound = new Proxy(store, {
      get: (whole, name) => over[name as keyof Store] ?? Reflect.get(whole, name),
    });
    return new Replayer({
      store: bound,
      fetchEvent: nothingFetched,
      clock,
      logger: silentLogger,
      onStarted: () => wakes++,
      onFatal: (error) => fatal.push(error),
    });
  };
  const stateOf = async (id: string) => (await store.job(id))?.state;

  test('runs a job to its end and tells the dispatcher after each page', async () => {
    await failedDeliveries(600);
    const begun = await job();
    await replayer().start(begun);
    await eventually(async () => (await stateOf(begun.id)) === 'done');
    expect(wakes).toBeGreaterThanOrEqual(2);
    // It failed until now, so that one is tried before the others.
    expect(await attemptAll(accepted)).toBe(1);
    expect(await attemptAll(accepted)).toBe(599);
  });

  test('goes on after a restart with what was running, and leaves ended jobs alone', async () => {
    const ids = await failedDeliveries(600);
    const begun = await job();
    await replayPage(begun, around(), clock.now());
    const again = replayer();
    await again.resume();
    await eventually(async () => (await stateOf(begun.id)) === 'done');
    expect(new Set(await roundsOf(ids))).toEqual(new Set([2]));
    await again.resume();
    await again.stop();
    expect(asReplayJob(await store.job(begun.id))?.progress.done).toBe(600);
  });

  test('cancels between two pages; what was made due stays due, and the rest stays failed', async () => {
    const ids = await failedDeliveries(1_500);
    const begun = await job();
    const running = replayer();
    await running.start(begun);
    const cancelled = await running.cancel(begun.id);
    expect(cancelled).toMatchObject({ state: 'cancelled', endedAt: clock.now() });
    const rounds = await roundsOf(ids);
    const replayed = rounds.filter((round) => round === 2).length;
    expect(replayed).toBeLessThan(1_500);
    expect(replayed % 500).toBe(0);
    expect(await running.cancel(begun.id)).toEqual(cancelled);
  });

  test('cancels nothing that does not exist', async () => {
    await expect(replayer().cancel('rpl_none')).rejects.toMatchObject({ code: 'not_found' });
  });

  test('waits while the store takes no writes, and then goes on', async () => {
    const ids = await failedDeliveries(2);
    const begun = await job();
    let refusals = 2;
    const running = replayer({
      saveJob: async (saved) => {
        if (saved.progress.isLastPage && refusals-- > 0) {
          throw new StoreUnavailable('disk_full', 'The disk is full.', { hint: 'Make room.' });
        }
        return store.saveJob(saved);
      },
    });
    await running.start(begun);
    await eventually(async () => {
      await clock.advance(2_000);
      return (await stateOf(begun.id)) === 'done';
    });
    expect(await roundsOf(ids)).toEqual([2, 2]);
    expect(fatal).toEqual([]);
  });

  test('ends the process when the store is broken', async () => {
    await failedDeliveries(1);
    const broken = new Error('the store is broken');
    const begun = await job();
    const running = replayer({ startRounds: () => Promise.reject(broken) });
    await running.start(begun);
    await eventually(() => fatal.length > 0);
    expect(fatal).toEqual([broken]);
    expect(await stateOf(begun.id)).toBe('running');
  });
});

test('what failed while the clock was far ahead can be replayed when it is right again, once', async () => {
  const ids = await failedDeliveries(3);
  const rightNow = clock.now() - 40 * 86_400_000;
  expect(await countReplay(store, ofAll, rightNow)).toEqual({ matched: 3, toFetch: 0 });
  const made = newReplayJob(ofAll, { owner: 'owner', matched: 3, now: rightNow });
  let going: ReplayJob = made;
  while (going.state === 'running') going = await replayPage(going, around(), rightNow);
  expect(going.progress.done).toBe(3);
  expect(await roundsOf(ids)).toEqual([2, 2, 2]);
});
