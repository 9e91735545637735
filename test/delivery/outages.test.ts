import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createDeliver } from '../../src/delivery/deliver.ts';
import { Dispatcher } from '../../src/delivery/dispatcher.ts';
import type { Post, PostResult } from '../../src/delivery/post.ts';
import type { Store } from '../../src/store/store.ts';
import { aClinic, accepted, anEvent, claim, record } from '../store/fixtures.ts';
import { type SimulatedClock, simulatedClock } from '../world/clock.ts';
import { eventually } from '../world/eventually.ts';
import { keptLog } from '../world/log.ts';
import { recipient } from '../world/recipient.ts';
import { storeInFolder } from '../world/store.ts';

const startMs = Date.parse('2026-11-22T12:00:00Z');
const timeoutMs = 15_000;
const minuteMs = 60_000;

let clock: SimulatedClock;
let store: Store;
let log: ReturnType<typeof keptLog>;
let undo: (() => Promise<void>)[];
let eventsMade = 0;

beforeEach(async () => {
  clock = simulatedClock(startMs);
  const folder = await storeInFolder(clock);
  store = folder.store;
  undo = [folder.discard];
  log = keptLog();
  await store.saveClinic(aClinic());
  await store.follow('clinic-1', [{ category: 'orders', startAt: 0 }]);
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

interface Call {
  readonly subscriberId: string;
  readonly at: number;
}

/** A dispatcher on a network of the test's own; what it asked for, and how many exchanges each host had at once. */
function dispatching(answer: (subscriberId: string) => Promise<PostResult>) {
  const calls: Call[] = [];
  const open = new Map<string, { now: number; most: number }>();
  const post: Post = async ({ url }) => {
    const subscriberId = new URL(url).hostname.replace('.example', '');
    calls.push({ subscriberId, at: clock.now() });
    const held = open.get(subscriberId) ?? { now: 0, most: 0 };
    open.set(subscriberId, held);
    held.now += 1;
    held.most = Math.max(held.most, held.now);
    try {
      return await answer(subscriberId);
    } finally {
      held.now -= 1;
    }
  };
  let asked = 0;
  const watched = new Proxy(store, {
    get(target, name) {
      const method = Reflect.get(target, name);
      return async (...given: unknown[]) => {
        asked += 1;
        return Promise.resolve(Reflect.apply(method, target, given)).finally(() => {
          asked -= 1;
        });
      };
    },
  });
  let chances = 0;
  const random = () => {
    chances += 0.618;
    return chances % 1;
  };
  const dependencies = { store: watched, post, clock, logger: log.logger, userAgent: 'relay', timeoutMs };
  const dispatcher = new Dispatcher({
    ...dependencies,
    deliver: createDeliver({ ...dependencies, random }),
    onFatal: (error) => log.logger.error('fatal', { fault: String(error) }),
    concurrency: 64,
    concurrencyPerSubscriber: 8,
  });
  dispatcher.start();
  undo.push(async () => {
    const stopping = dispatcher.stop(0);
    await clock.advance(timeoutMs);
    await stopping;
  });

  /** Lets time pass no faster than the store does its part. */
  const pass = async (ms: number, stepMs: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += stepMs) {
      await clock.advance(stepMs);
      for (let turnsAtRest = 0; turnsAtRest < 5; turnsAtRest = asked > 0 ? 0 : turnsAtRest + 1) {
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  };
  return { dispatcher, calls, open, pass };
}

function answered(status: number): PostResult {
  return {
    kind: 'answered',
    status,
    retryAfter: undefined,
    location: undefined,
    answer: Buffer.alloc(0),
    isTruncated: false,
    durationMs: 5,
    reusedConnection: true,
  };
}

/** Subscribers that have taken a delivery before. */
async function subscribe(ids: readonly string[], requestsPerSecond: number | null = null): Promise<void> {
  for (const id of ids) {
    const url = `https://${id}.example/hook`;
    await store.addSubscriber(recipient({ id, name: id, url, sequence: 0, requestsPerSecond }));
  }
  await recordFor(ids, 1);
  for (const id of ids) {
    const [first] = await claim(store, 1, id);
    if (first === undefined) throw new Error(`${id} is owed nothing`);
    await store.recordAttempt(first, accepted);
  }
  await clock.advance(1_000);
}

async function recordFor(subscriberIds: readonly string[], count: number): Promise<void> {
  const events = Array.from({ length: count }, () => {
    eventsMade += 1;
    return anEvent(`event-${eventsMade}`, { subscriberIds });
  });
  await record(store, events);
}

describe('one dead host with ten thousand deliveries waiting', () => {
  test('case 101: has its own slots and no more, and the others get theirs as if it were not there', async () => {
    const good = ['good-1', 'good-2', 'good-3'];
    await subscribe(['dead', ...good]);
    for (let page = 0; page < 10; page += 1) await recordFor(['dead'], 1_000);
    const { dispatcher, open, calls, pass } = dispatching((subscriberId) =>
      subscriberId === 'dead'
        ? new Promise((resolve) =>
            clock.after(timeoutMs, () => resolve({ kind: 'timedOut', phase: 'connect', timeoutMs })),
          )
        : Promise.resolve(answered(200)),
    );
    await pass(1_000, 500);
    for (let second = 0; second < 60; second += 1) {
      await recordFor(good, 2);
      dispatcher.wake();
      const due = 4 + (second + 1) * 2 * good.length;
      await eventually(async () => (await store.deliveryCounts(null)).delivered === due);
      await pass(1_000, 1_000);
    }
    expect(open.get('dead')?.most).toBe(8);
    // Its first eight, and one at a time from then on: what is claimed is all that is in memory.
    expect(calls.filter(({ subscriberId }) => subscriberId === 'dead').length).toBeLessThan(8 + 5);
  }, 60_000);
});

describe('a network that is down for ten minutes, with a hundred subscribers', () => {
  test('case 102: each is told of once, probed now and then, and comes back at a moment and a rate of its own', async () => {
    const ids = Array.from({ length: 100 }, (_, n) => `sub-${n}`);
    await subscribe(ids, 2);
    let isUp = false;
    const { dispatcher, calls, pass } = dispatching(async () =>
      isUp ? answered(200) : { kind: 'unreachable', error: 'unreachable', code: 'ENETUNREACH' },
    );
    await recordFor(ids, 6);
    dispatcher.wake();
    await pass(10 * minuteMs, 5_000);
    const told = (message: string) => log.lines.filter((line) => line.message.startsWith(message)).length;
    expect(told('subscriber failing')).toBe(100);
    // Six first attempts, a retry or two until it is clear, and probes after 0.5, 1, 2 and 4 minutes.
    expect(calls.length / ids.length).toBeLessThan(6 + 2 + 4.5);

    const downCalls = calls.length;
    isUp = true;
    await pass(12 * minuteMs, 1_000);
    expect(await store.deliveryCounts(null)).toMatchObject({
      delivered: 700,
      pending: 0,
      held: 0,
      failed: 0,
    });
    expect(told('subscriber recovered')).toBe(100);
    expect(told('fatal')).toBe(0);
    const sinceUp = calls.slice(downCalls);
    expect(sinceUp.length).toBe(600);
    const inSecond = new Map<number, string[]>();
    for (const { subscriberId, at } of sinceUp) {
      const second = Math.floor(at / 1_000);
      inSecond.set(second, [...(inSecond.get(second) ?? []), subscriberId]);
    }
    const first = new Map(sinceUp.toReversed().map(({ subscriberId, at }) => [subscriberId, at]));
    const returned = [...first.values()].toSorted((a, b) => a - b);
    const spreadMs = (returned.at(-1) ?? 0) - (returned[0] ?? 0);
    expect(spreadMs, 'they do not come back in one moment').toBeGreaterThan(15_000);
    for (const subscriberIds of inSecond.values()) {
      for (const id of ids) {
        expect(subscriberIds.filter((other) => other === id).length).toBeLessThanOrEqual(3);
      }
    }
  }, 90_000);
});
