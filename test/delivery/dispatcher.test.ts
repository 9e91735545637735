import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { type Attempted, createDeliver, type Deliver } from '../../src/delivery/deliver.ts';
import { Dispatcher, type DispatcherDependencies } from '../../src/delivery/dispatcher.ts';
import type { WebhookSender } from '../../src/delivery/webhook-sender.ts';
import { StoreBroken, StoreUnavailable } from '../../src/domain/errors.ts';
import type { Subscriber } from '../../src/domain/subscriber.ts';
import type { DeliveryClaim, Store } from '../../src/store/store.ts';
import { aClinic, accepted, anEvent, claim, record, refused } from '../store/fixtures.ts';
import { type SimulatedClock, simulatedClock } from '../world/clock.ts';
import { eventually, quiet } from '../world/eventually.ts';
import { keptLog } from '../world/log.ts';
import { recipient } from '../world/recipient.ts';
import { loopbackSender } from '../world/sender.ts';
import { storeInFolder } from '../world/store.ts';
import { type ReceivingSubscriber, receivingSubscriber } from '../world/subscriber.ts';

const startMs = Date.parse('2026-11-22T12:00:00Z');

const unavailable = new StoreUnavailable('disk_full', 'The disk is full.', { hint: 'Make room.' });

let sender: WebhookSender;
let clock: SimulatedClock;
let store: Store;
let log: ReturnType<typeof keptLog>;
let fatal: unknown[];
let undo: (() => Promise<void>)[];
let eventsMade = 0;
let deliveredBefore: number;

beforeAll(() => {
  sender = loopbackSender(systemClock());
});
afterAll(() => sender.close());
beforeEach(async () => {
  clock = simulatedClock(startMs);
  const folder = await storeInFolder(clock);
  store = folder.store;
  undo = [folder.discard];
  log = keptLog();
  fatal = [];
  deliveredBefore = 0;
  await store.saveClinic(aClinic());
  await store.follow('clinic-1', [{ category: 'orders', startAt: 0 }]);
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

/** A running dispatcher, stopped at the end of the test. */
function dispatching(changes: Partial<DispatcherDependencies> = {}): Dispatcher {
  const deliver = createDeliver({
    store,
    post: sender.post,
    clock,
    random: () => 0,
    logger: log.logger,
    userAgent: 'fullscript-relay/0.1.0',
    timeoutMs: 15_000,
  });
  const dispatcher = new Dispatcher({
    store,
    deliver,
    clock,
    logger: log.logger,
    onFatal: (error) => fatal.push(error),
    concurrency: 64,
    concurrencyPerSubscriber: 8,
    timeoutMs: 15_000,
    ...changes,
  });
  dispatcher.start();
  undo.push(() => stopAtOnce(dispatcher));
  return dispatcher;
}

/** What came of an attempt that a test answers by itself. */
function acceptedAndRecorded(claim: DeliveryClaim): Attempted {
  return {
    record: async () => ({ kind: 'recorded', after: await store.recordAttempt(claim, accepted) }),
  };
}

async function stopAtOnce(dispatcher: Dispatcher): Promise<void> {
  const stopping = dispatcher.stop(0);
  await clock.advance(0);
  await stopping;
}

/** A subscriber and its endpoint; `isProven`: it has taken a delivery before, as most have. */
async function subscribed(
  id: string,
  { isProven = true, ...changes }: Partial<Subscriber> & { isProven?: boolean } = {},
): Promise<ReceivingSubscriber> {
  const endpoint = await receivingSubscriber();
  undo.push(() => endpoint.close());
  await store.addSubscriber(
    recipient({ id, url: endpoint.url, sequence: 0, retrySeconds: [10, 20], ...changes, name: id }),
  );
  if (isProven) {
    await recordFor([id], 1);
    const [first] = await claim(store, 1, id);
    await store.recordAttempt(first as DeliveryClaim, accepted);
    deliveredBefore += 1;
  }
  return endpoint;
}

/** New events, each owed to all of the given subscribers. */
async function recordFor(subscriberIds: readonly string[], count: number): Promise<void> {
  const events = Array.from({ length: count }, () => {
    eventsMade += 1;
    return anEvent(`event-${eventsMade}`, { subscriberIds });
  });
  await record(store, events);
}

const delivered = async (count: number) =>
  (await store.deliveryCounts(null)).delivered === deliveredBefore + count;

describe('a subscriber that takes the events of each clinic in order', () => {
  test('gets them one after the other, without waiting for the clock in between', async () => {
    const endpoint = await subscribed('sub_a', { order: 'perClinic' });
    await recordFor(['sub_a'], 40);
    dispatching();
    await eventually(() => delivered(40));
    expect(endpoint.open.most).toBe(1);
    const sequences = endpoint.requests.map(({ headers }) => Number(headers['relay-sequence']));
    expect(sequences).toEqual(sequences.toSorted((a, b) => a - b));
    expect(clock.now()).toBe(startMs);
  });

  test('gets nothing of a clinic while one of it waits for its retry, and everything after it', async () => {
    const endpoint = await subscribed('sub_a', { order: 'perClinic' });
    endpoint.answer(({ headers }) => ({ status: headers['relay-attempt'] === '1' ? 503 : 200 }));
    await recordFor(['sub_a'], 3);
    dispatching();
    for (let events = 1; events <= 3; events++) {
      await endpoint.received(events * 2 - 1);
      await eventually(async () => (await store.nextDueAt()) === clock.now() + 10_000);
      await clock.advance(10_000);
      await eventually(() => delivered(events));
    }
    const made = endpoint.requests.map(({ headers }) => headers['relay-sequence']);
    expect(made).toEqual(['2', '2', '3', '3', '4', '4']);
  });

  test('gets what follows at once, also when the event before it ended while a claim found nothing', async () => {
    await subscribed('sub_a', { order: 'perClinic' });
    await store.saveClinic(aClinic('clinic-2', 'New York'));
    await store.follow('clinic-2', [{ category: 'orders', startAt: 0 }]);
    await recordFor(['sub_a'], 1);
    const owed = ['head', 'next'].map((id) => anEvent(id, { subscriberIds: ['sub_a'] }));
    await record(store, owed, 'clinic-2');
    const begun = new Map<string, () => void>();
    const deliver: Deliver = async (claim) => {
      await new Promise<void>((resolve) => begun.set(claim.delivery.eventId, resolve));
      return acceptedAndRecorded(claim);
    };
    let found = 0;
    const claimDeliveries: Store['claimDeliveries'] = async (ask) => {
      const claims = await store.claimDeliveries(ask);
      found += claims.length;
      if (claims.length > 0 || found !== 2) return claims;
      begun.get('head')?.();
      await eventually(() => delivered(2));
      await quiet();
      return claims;
    };
    dispatching({ store: { ...store, claimDeliveries }, deliver });
    await eventually(() => begun.size === 2);
    await quiet();
    begun.get(`event-${eventsMade}`)?.();
    await eventually(() => begun.has('next'));
    begun.get('next')?.();
    await eventually(() => delivered(3));
    expect(clock.now()).toBe(startMs);
  });
});

describe('a subscriber with more retries than it can take', () => {
  test('gets every new event at once all the same', async () => {
    const endpoint = await subscribed('sub_a', { concurrency: 1, retrySeconds: Array(20).fill(1) });
    endpoint.answer(({ headers }) => ({ status: Number(headers['relay-sequence']) <= 5 ? 503 : 200 }));
    await recordFor(['sub_a'], 4);
    const dispatcher = dispatching();
    await endpoint.received(4);
    for (let fresh = 1; fresh <= 5; fresh++) {
      await recordFor(['sub_a'], 1);
      // All four retries are due at the same moment.
      const advanced = clock.advance(2_000);
      dispatcher.wake();
      await eventually(() => delivered(fresh));
      await advanced;
    }
  });
});

describe('due deliveries', () => {
  test('go out once each, whatever was there before the start and comes after', async () => {
    const endpoints = [await subscribed('sub_a'), await subscribed('sub_b')];
    await recordFor(['sub_a', 'sub_b'], 60);
    const dispatcher = dispatching();
    await eventually(() => delivered(120));
    await recordFor(['sub_a', 'sub_b'], 60);
    dispatcher.wake();
    await eventually(() => delivered(240));
    for (const { requests } of endpoints) {
      expect(requests.length).toBe(120);
      expect(new Set(requests.map(({ headers }) => headers['relay-delivery-id'])).size).toBe(120);
    }
    expect(fatal).toEqual([]);
  });

  test('are claimed for free slots only, however many are due', async () => {
    await subscribed('sub_a');
    await subscribed('sub_b');
    await recordFor(['sub_a', 'sub_b'], 50);
    let claimed = 0;
    let most = 0;
    const claimDeliveries: Store['claimDeliveries'] = async (ask) => {
      const claims = await store.claimDeliveries(ask);
      claimed += claims.length;
      most = Math.max(most, claimed);
      return claims;
    };
    const deliver: Deliver = async (claim) => {
      await quiet(3);
      claimed -= 1;
      return acceptedAndRecorded(claim);
    };
    dispatching({
      store: { ...store, claimDeliveries },
      deliver,
      concurrency: 5,
      concurrencyPerSubscriber: 3,
    });
    await eventually(() => delivered(100));
    expect(most).toBe(5);
  });

  test('go on being claimed while results are on their way into the store, up to two for each slot', async () => {
    await subscribed('sub_a');
    await recordFor(['sub_a'], 50);
    const records: (() => void)[] = [];
    let answered = 0;
    const deliver: Deliver = async (claim) => {
      answered += 1;
      return {
        async record() {
          await new Promise<void>((resolve) => records.push(resolve));
          return acceptedAndRecorded(claim).record();
        },
      };
    };
    dispatching({ deliver, concurrency: 5, concurrencyPerSubscriber: 5 });
    await eventually(() => answered === 10);
    await quiet();
    expect(answered).toBe(10);
    while (!(await delivered(50))) {
      for (const recordOne of records.splice(0)) recordOne();
      await quiet(5);
    }
  });

  test('that are recorded while a claim is under way are not missed', async () => {
    const endpoint = await subscribed('sub_a');
    let dispatcher: Dispatcher | null = null;
    let isFirst = true;
    const claimDeliveries: Store['claimDeliveries'] = async (ask) => {
      const claims = await store.claimDeliveries(ask);
      if (isFirst) {
        isFirst = false;
        await recordFor(['sub_a'], 1);
        dispatcher?.wake();
      }
      return claims;
    };
    dispatcher = dispatching({ store: { ...store, claimDeliveries } });
    await endpoint.received(1);
  });
});

describe('a subscriber with a rate of its own', () => {
  let made: number;
  const deliver: Deliver = async (claim, signal) => {
    if (claim.subscriber.id === 'sub_hanging') {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    }
    made += 1;
    return acceptedAndRecorded(claim);
  };
  beforeEach(() => {
    made = 0;
  });

  test('gets as much as it asked for, also while another one has more than its slots', async () => {
    await subscribed('sub_hanging', { isProven: false });
    await subscribed('sub_rated', { requestsPerSecond: 20 });
    await recordFor(['sub_hanging', 'sub_rated'], 40);
    dispatching({ deliver });
    for (let passedMs = 50; passedMs <= 1_000; passedMs += 50) {
      await clock.advance(50);
      await eventually(() => made >= passedMs / 50, `attempts in ${passedMs} ms`);
      expect(made).toBeLessThanOrEqual(passedMs / 50 + 3);
    }
  });

  test('gets as much as it asked for, also when its share of a second passes while a claim is under way', async () => {
    await subscribed('sub_rated', { requestsPerSecond: 100 });
    await recordFor(['sub_rated'], 200);
    const claimDeliveries: Store['claimDeliveries'] = async (ask) => {
      const claims = await store.claimDeliveries(ask);
      await clock.advance(6);
      return claims;
    };
    dispatching({ store: { ...store, claimDeliveries }, deliver });
    for (let passedMs = 10; passedMs <= 1_000; passedMs += 10) {
      await clock.advance(10);
      await eventually(() => made >= passedMs / 10, `attempts in ${passedMs} ms`);
    }
  });
});

describe('a lane', () => {
  test('has the subscriber’s own number of slots, or the configured one', async () => {
    const few = await subscribed('sub_few', { concurrency: 2 });
    const usual = await subscribed('sub_usual');
    for (const endpoint of [few, usual]) endpoint.answer(() => new Promise(() => {}));
    await recordFor(['sub_few', 'sub_usual'], 20);
    dispatching({ concurrencyPerSubscriber: 5 });
    await eventually(() => few.open.now === 2 && usual.open.now === 5);
    await quiet();
    expect([few.open.most, usual.open.most]).toEqual([2, 5]);
  });

  test('has one slot until something succeeded, then all of them', async () => {
    const endpoint = await subscribed('sub_a', { isProven: false });
    const answers: (() => void)[] = [];
    endpoint.answer(() => new Promise((resolve) => answers.push(() => resolve({ status: 200 }))));
    await recordFor(['sub_a'], 20);
    dispatching();
    await endpoint.received(1);
    await quiet();
    expect(endpoint.open.now).toBe(1);
    answers.shift()?.();
    await eventually(() => endpoint.open.now === 8);
  });

  test('with one slot waits for each result to be on record before the next attempt', async () => {
    await subscribed('sub_a', { isProven: false });
    await recordFor(['sub_a'], 5);
    const records: (() => void)[] = [];
    let answered = 0;
    const deliver: Deliver = async (claim) => {
      answered += 1;
      return {
        async record() {
          await new Promise<void>((resolve) => records.push(resolve));
          return acceptedAndRecorded(claim).record();
        },
      };
    };
    dispatching({ deliver });
    await eventually(() => answered === 1);
    await quiet();
    expect(answered).toBe(1);
    records.shift()?.();
    await eventually(() => answered === 5);
    for (const recordOne of records) recordOne();
  });

  test('gets its turn although others always have more', async () => {
    const endpoints = [await subscribed('sub_a'), await subscribed('sub_b'), await subscribed('sub_c')];
    await recordFor(['sub_a', 'sub_b', 'sub_c'], 40);
    dispatching({ concurrency: 2 });
    await endpoints[0]?.received(20);
    for (const { requests } of endpoints) expect(requests.length).toBeGreaterThan(10);
  });

  test('has one slot again after a failure', async () => {
    const endpoint = await subscribed('sub_a', { concurrency: 1 });
    await recordFor(['sub_a'], 1);
    endpoint.answer(() => ({ status: 500 }));
    const dispatcher = dispatching();
    await eventually(async () => (await store.subscribers()).subscribers[0]?.health.isSlow === true);
    await store.changeSubscriber('sub_a', { concurrency: 8 });
    endpoint.answer(() => new Promise(() => {}));
    await recordFor(['sub_a'], 20);
    dispatcher.wake();
    await endpoint.received(2);
    await quiet();
    expect(endpoint.open.now).toBe(1);
  });

  test('of a slow subscriber, with all others like it, takes at most half of all slots', async () => {
    const ids = ['sub_1', 'sub_2', 'sub_3', 'sub_4', 'sub_5'];
    const slow = await Promise.all(ids.map((id) => subscribed(id, { isProven: false })));
    for (const endpoint of slow) endpoint.answer(() => new Promise(() => {}));
    const healthy = await subscribed('sub_healthy');
    await recordFor([...ids, 'sub_healthy'], 30);
    dispatching({ concurrency: 4 });
    await healthy.received(30);
    await quiet();
    expect(slow.reduce((sum, { open }) => sum + open.now, 0)).toBe(2);
  });

  test('that hangs delays nobody else', async () => {
    const hanging = await subscribed('sub_a');
    hanging.answer(() => new Promise(() => {}));
    const other = await subscribed('sub_b');
    await recordFor(['sub_a', 'sub_b'], 100);
    dispatching({ concurrency: 16 });
    await other.received(100);
    expect(hanging.open.most).toBe(8);
  });
});

describe('an outage', () => {
  const hourMs = 3_600_000;
  for (const { perHour, requestsMax, because } of [
    { perHour: 1, requestsMax: 230, because: 'of a quiet subscriber' },
    { perHour: 10, requestsMax: 230, because: 'of a busy subscriber' },
  ]) {
    test(`of a weekend, ${because}, ends with everything delivered, and few requests before`, async () => {
      await subscribed('sub_a', { retrySeconds: null });
      let isUp = false;
      let requests = 0;
      const deliver: Deliver = async (claim) => {
        requests += 1;
        const result = isUp ? accepted : refused;
        return {
          record: async () => ({ kind: 'recorded', after: await store.recordAttempt(claim, result) }),
        };
      };
      const dispatcher = dispatching({ deliver });
      for (let hour = 0; hour < 48; hour++) {
        await recordFor(['sub_a'], perHour);
        dispatcher.wake();
        for (let quarter = 0; quarter < 4; quarter++) {
          await clock.advance(hourMs / 4);
          await quiet();
        }
      }
      expect(await store.deliveryCounts(null)).toMatchObject({ held: 48 * perHour, failed: 0 });
      expect(requests).toBeLessThan(requestsMax);
      isUp = true;
      await clock.advance(hourMs / 4);
      await eventually(() => delivered(48 * perHour));
    }, 90_000);
  }
});

describe('between due times', () => {
  test('nothing is asked of the store, and a retry goes out when it is due', async () => {
    const endpoint = await subscribed('sub_a');
    endpoint.answer(() => ({ status: 503 }));
    await recordFor(['sub_a'], 1);
    let asked = 0;
    const claimDeliveries: Store['claimDeliveries'] = (ask) => {
      asked += 1;
      return store.claimDeliveries(ask);
    };
    dispatching({ store: { ...store, claimDeliveries } });
    await eventually(async () => (await store.nextDueAt()) === startMs + 10_000);
    await quiet();
    const before = asked;
    await clock.advance(9_999);
    await quiet();
    expect([endpoint.requests.length, asked]).toEqual([1, before]);
    endpoint.answer(() => ({ status: 200 }));
    await clock.advance(1);
    await eventually(() => delivered(1));
    expect(endpoint.requests.length).toBe(2);
  });

  test('a retry is not forgotten over one of another subscriber that is due later', async () => {
    const soon = await subscribed('sub_soon', { retrySeconds: [5] });
    const late = await subscribed('sub_late', { retrySeconds: [600] });
    for (const endpoint of [soon, late]) endpoint.answer(() => ({ status: 503 }));
    await recordFor(['sub_soon'], 1);
    const dispatcher = dispatching();
    await eventually(async () => (await store.nextDueAt()) === startMs + 5_000);
    await recordFor(['sub_late'], 1);
    dispatcher.wake();
    await late.received(1);
    await quiet();
    await clock.advance(5_000);
    await soon.received(2);
  });

  test('case 14: a retry from before the start goes out although another subscriber has more than its slots', async () => {
    const retried = await subscribed('sub_retried', { retrySeconds: [5] });
    await recordFor(['sub_retried'], 1);
    const [failing] = await claim(store, 1, 'sub_retried');
    await store.recordAttempt(failing as DeliveryClaim, refused);
    const busy = await subscribed('sub_busy');
    busy.answer(() => new Promise(() => {}));
    await recordFor(['sub_busy'], 50);
    dispatching();
    await busy.received(8);
    for (let passedMs = 0; passedMs < 6_000; passedMs += 500) {
      await quiet(20);
      await clock.advance(500);
    }
    await retried.received(1);
  });

  test('a subscriber that is resumed is sent to when the dispatcher is woken', async () => {
    const endpoint = await subscribed('sub_a', { isProven: false, pauseReasons: ['person'] });
    await recordFor(['sub_a'], 3);
    const dispatcher = dispatching();
    await quiet();
    expect(endpoint.requests.length).toBe(0);
    await store.resumeSubscriber('sub_a', { lift: ['person'], backlog: 'deliver' });
    dispatcher.wake();
    await eventually(() => delivered(3));
  });
});

describe('a stop', () => {
  test('case 29: claims nothing more, waits for what is under way, and leaves the store alone afterwards', async () => {
    const endpoint = await subscribed('sub_a', { concurrency: 2 });
    const answers: (() => void)[] = [];
    endpoint.answer(() => new Promise((resolve) => answers.push(() => resolve({ status: 200 }))));
    await recordFor(['sub_a'], 10);
    const dispatcher = dispatching();
    await endpoint.received(2);
    let isStopped = false;
    const stopping = dispatcher.stop(60_000).then(() => {
      isStopped = true;
    });
    await quiet();
    expect(isStopped).toBe(false);
    for (const answer of answers) answer();
    await stopping;
    expect(endpoint.requests.length).toBe(2);
    expect(await delivered(2)).toBe(true);
    dispatcher.wake();
    await clock.advance(60_000);
    await quiet();
    expect(endpoint.requests.length).toBe(2);
  });

  test('sends what was being claimed at that moment, and waits for it', async () => {
    const endpoint = await subscribed('sub_a');
    await recordFor(['sub_a'], 1);
    let letGo: () => void = () => {};
    const claimDeliveries: Store['claimDeliveries'] = async (ask) => {
      const claims = await store.claimDeliveries(ask);
      await new Promise<void>((resolve) => {
        letGo = resolve;
      });
      return claims;
    };
    const dispatcher = dispatching({ store: { ...store, claimDeliveries } });
    await eventually(async () => (await store.nextDueAt()) === null);
    await quiet();
    const stopping = dispatcher.stop(60_000);
    letGo();
    await stopping;
    expect(endpoint.requests.length).toBe(1);
    expect(await delivered(1)).toBe(true);
  });

  test('case 29: cuts off what is not answered within the grace; it stays claimed', async () => {
    const endpoint = await subscribed('sub_a');
    endpoint.answer(() => new Promise(() => {}));
    await recordFor(['sub_a'], 1);
    const dispatcher = dispatching();
    await endpoint.received(1);
    const stopping = dispatcher.stop(5_000);
    await quiet();
    await clock.advance(5_000);
    await stopping;
    const { items } = await store.deliveries({ state: 'pending' }, { limit: 10, cursor: null });
    const [cutOff] = items.map(({ id }) => id);
    expect(await store.attempts(cutOff as string)).toEqual([]);
    expect(await store.startRounds([cutOff as string])).toMatchObject([{ kind: 'inFlight' }]);
  });
});

describe('a lease', () => {
  test('that would end before its request is refused at once', () => {
    expect(() => dispatching({ timeoutMs: 15_000, leaseMs: 15_000 })).toThrow(
      expect.objectContaining({ code: 'lease_too_short' }),
    );
  });

  test('is renewed while an attempt lasts, so that nobody else makes it too', async () => {
    await subscribed('sub_a');
    await recordFor(['sub_a'], 1);
    let answer: () => void = () => {};
    const claimsSeen: DeliveryClaim[] = [];
    const deliver: Deliver = async (claim) => {
      claimsSeen.push(claim);
      await new Promise<void>((resolve) => {
        answer = resolve;
      });
      return acceptedAndRecorded(claim);
    };
    const dispatcher = dispatching({ deliver, timeoutMs: 15_000, leaseMs: 30_000 });
    await eventually(() => claimsSeen.length === 1);
    for (let passedMs = 0; passedMs < 120_000; passedMs += 5_000) {
      await clock.advance(5_000);
      dispatcher.wake();
      await quiet(10);
    }
    expect(claimsSeen.length).toBe(1);
    answer();
    await eventually(() => delivered(1));
    expect(fatal).toEqual([]);
  });

  test('is not renewed once the attempt is over', async () => {
    await subscribed('sub_a');
    await recordFor(['sub_a'], 1);
    let renewals = 0;
    const renew: Store['renew'] = (...asked) => {
      renewals += 1;
      return store.renew(...asked);
    };
    dispatching({ store: { ...store, renew } });
    await eventually(() => delivered(1));
    await quiet();
    await clock.advance(60_000);
    expect(renewals).toBe(0);
  });

  test('is renewed at the next turn when the store takes no writes at this one', async () => {
    const endpoint = await subscribed('sub_a');
    endpoint.answer(() => new Promise(() => {}));
    await recordFor(['sub_a'], 1);
    let renewals = 0;
    const renew: Store['renew'] = async (...asked) => {
      renewals += 1;
      if (renewals === 1) throw unavailable;
      return store.renew(...asked);
    };
    dispatching({ store: { ...store, renew } });
    await endpoint.received(1);
    await clock.advance(10_000);
    await eventually(() => renewals === 1);
    await clock.advance(10_000);
    await eventually(() => renewals === 2);
    expect(fatal).toEqual([]);
    expect(log.lines.filter(({ message }) => message === 'claim lost')).toEqual([]);
  });

  test('that ends while it is being renewed is not taken for lost', async () => {
    const endpoint = await subscribed('sub_a');
    let answer: () => void = () => {};
    endpoint.answer(
      () =>
        new Promise((resolve) => {
          answer = () => resolve({ status: 200 });
        }),
    );
    await recordFor(['sub_a'], 1);
    let renewals = 0;
    const renew: Store['renew'] = async () => {
      renewals += 1;
      answer();
      await eventually(() => delivered(1));
      await quiet(5);
      return [];
    };
    dispatching({ store: { ...store, renew } });
    await endpoint.received(1);
    await clock.advance(10_000);
    await eventually(() => renewals === 1);
    await eventually(() => delivered(1));
    await quiet(20);
    expect(log.lines.filter(({ message }) => message === 'claim lost')).toEqual([]);
  });

  test('that is lost is told when it is missed again', async () => {
    const endpoint = await subscribed('sub_a');
    endpoint.answer(() => new Promise(() => {}));
    await recordFor(['sub_a'], 1);
    let renewals = 0;
    const renew: Store['renew'] = async () => {
      renewals += 1;
      return [];
    };
    const isTold = () => log.lines.some(({ message }) => message === 'claim lost');
    dispatching({ store: { ...store, renew } });
    await endpoint.received(1);
    await clock.advance(10_000);
    await eventually(() => renewals === 1);
    await quiet(5);
    // Its result may just have been put on record.
    expect(isTold()).toBe(false);
    await clock.advance(10_000);
    await eventually(isTold);
  });
});

describe('a store', () => {
  for (const method of ['claimDeliveries', 'subscribers', 'nextDueAt'] as const) {
    test(`that takes no calls of ${method} for a while is asked again a second later, and that is told once`, async () => {
      const endpoint = await subscribed('sub_a');
      await recordFor(['sub_a'], 1);
      let calls = 0;
      const refusing = (ask: never) => {
        calls += 1;
        const answering = store[method] as (ask: never) => Promise<never>;
        return calls <= 3 ? Promise.reject(unavailable) : answering(ask);
      };
      dispatching({ store: { ...store, [method]: refusing } });
      await eventually(() => calls === 1);
      await quiet();
      await clock.advance(999);
      await quiet();
      const soFar = calls;
      await clock.advance(1);
      await eventually(() => calls > soFar);
      for (let second = 0; second < 5; second += 1) {
        await quiet(20);
        await clock.advance(1_000);
      }
      await eventually(() => calls > 3);
      await endpoint.received(1);
      expect(fatal).toEqual([]);
      const told = log.lines.filter(({ message }) => message === 'dispatcher waits for the store');
      expect(told.length).toBe(1);
    });
  }

  test('that is broken stops the dispatcher, and its owner is told once', async () => {
    const broken = new StoreBroken('disk_failed', 'The disk failed.', { hint: 'Look at it.' });
    await subscribed('sub_a');
    await recordFor(['sub_a'], 20);
    const deliver: Deliver = () => Promise.reject(broken);
    let claims = 0;
    const claimDeliveries: Store['claimDeliveries'] = (ask) => {
      claims += 1;
      return store.claimDeliveries(ask);
    };
    const dispatcher = dispatching({ store: { ...store, claimDeliveries }, deliver });
    await eventually(() => fatal.length > 0);
    dispatcher.wake();
    await clock.advance(60_000);
    await quiet();
    expect(fatal).toEqual([broken]);
    expect(claims).toBe(1);
  });
});

test('a fault of the relay itself does not end the loop silently', async () => {
  const fault = new TypeError('a bug');
  await subscribed('sub_a');
  dispatching({ store: { ...store, claimDeliveries: () => Promise.reject(fault) } });
  await eventually(() => fatal.length > 0);
  expect(fatal).toEqual([fault]);
});
