import { expect, test } from 'vitest';
import { RequestBudget } from '../../src/source/budget.ts';
import { simulatedClock } from '../world/clock.ts';
import { keptLog } from '../world/log.ts';
import { noon, pollingRelay, recordedIds } from './clinic.ts';

const minute = 60_000;
const orders = { clinic: 'Washington', type: 'order.placed' } as const;

test('a burst of new events stays within the vendor’s limit, and all of them arrive', async () => {
  const relay = await pollingRelay({
    requestsPerFiveMinutes: 100,
    limit: { requests: 100, windowMs: 5 * minute },
    startFromMs: minute,
  });
  for (let index = 0; index < 300; index++) relay.fullscript.addEvent(orders);
  await relay.clock.advance(60 * minute);
  expect(await recordedIds(relay.store)).toHaveLength(300);
  expect(relay.fullscript.requests().violations).toBe(0);
});

test('a restart does not overrun the window', async () => {
  const relay = await pollingRelay({
    requestsPerFiveMinutes: 60,
    limit: { requests: 60, windowMs: 5 * minute },
    startFromMs: minute,
  });
  for (let index = 0; index < 200; index++) relay.fullscript.addEvent(orders);
  for (let start = 0; start < 5; start++) {
    await relay.clock.advance(30_000);
    await relay.restart();
  }
  await relay.clock.advance(40 * minute);
  expect(relay.fullscript.requests().violations).toBe(0);
  expect(await recordedIds(relay.store)).toHaveLength(200);
});

test('case 156: 429 with Retry-After stops the whole app until then', async () => {
  const relay = await pollingRelay();
  await relay.clock.advance(minute);
  relay.fullscript.faults.switchOn({ name: 'rate-limited', retryAfterSeconds: 240, times: 1 });
  await relay.clock.advance(40_000);
  const { all } = relay.fullscript.requests();
  await relay.clock.advance(3 * minute);
  expect(relay.fullscript.requests().all).toBe(all);
  await relay.clock.advance(2 * minute);
  expect(relay.fullscript.requests().all).toBeGreaterThan(all);
});

test('case 157: 429 without Retry-After backs off further each time, and recovers', async () => {
  const relay = await pollingRelay();
  await relay.clock.advance(minute);
  relay.fullscript.faults.switchOn({ name: 'rate-limited' });
  const before = relay.fullscript.requests().all;
  await relay.clock.advance(30 * minute);
  expect(relay.fullscript.requests().all - before).toBeLessThan(40);
  relay.fullscript.faults.switchAllOff();
  const event = relay.fullscript.addEvent(orders);
  await relay.clock.advance(20 * minute);
  expect(await recordedIds(relay.store)).toEqual([event.id]);
});

/** A budget that never runs out, so that only pauses and turns count. */
function aBudget() {
  const clock = simulatedClock(noon);
  const { logger, lines } = keptLog();
  const store = { reserveRequests: async () => ({ granted: 1, useWithinMs: 5_000, retryInMs: 0 }) };
  const budget = new RequestBudget({ store, clock, random: () => 0, logger, requestsPerFiveMinutes: 100 });
  const pauses = () => lines.map(({ facts }) => facts.pauseMs);
  return { budget, clock, pauses };
}

test('requests that were refused together count as one refusal', async () => {
  const { budget, clock, pauses } = aBudget();
  for (let refused = 0; refused < 8; refused++) budget.pause(null);
  await clock.advance(30_000);
  budget.pause(null);
  expect(pauses()).toEqual([30_000, 60_000]);
});

test('the backoff grows to ten minutes, and an answer makes it short again', async () => {
  const { budget, clock, pauses } = aBudget();
  for (let refusal = 0; refusal < 7; refusal++) {
    budget.pause(null);
    await clock.advance(10 * minute);
  }
  expect(pauses()).toEqual([30_000, 60_000, 120_000, 240_000, 480_000, 600_000, 600_000]);
  budget.answered();
  budget.pause(null);
  expect(pauses().at(-1)).toBe(30_000);
});

test('an answer from before the pause does not shorten the next one', async () => {
  const { budget, clock, pauses } = aBudget();
  budget.pause(null);
  budget.answered();
  await clock.advance(30_000);
  budget.pause(null);
  expect(pauses()).toEqual([30_000, 60_000]);
});

test('Retry-After: 0 is no air at all, so the relay chooses itself', () => {
  const { budget, pauses } = aBudget();
  budget.pause(0);
  expect(pauses()).toEqual([30_000]);
});

test('a longer pause counts, a shorter one does not', async () => {
  const { budget, clock, pauses } = aBudget();
  budget.pause(60_000);
  budget.pause(10_000);
  budget.pause(90_000);
  expect(pauses()).toEqual([60_000, 90_000]);
  let ranAt = 0;
  void budget.run('list', async () => {
    ranAt = clock.now();
  });
  await clock.advance(2 * minute);
  expect(ranAt).toBe(noon + 90_000);
});

test('when requests wait, tokens go before details, and details before lists', async () => {
  const { budget, clock } = aBudget();
  const order: string[] = [];
  const held: (() => void)[] = [];
  const hold = () => new Promise<void>((resolve) => held.push(resolve));
  for (let busy = 0; busy < 16; busy++) void budget.run('list', hold);
  for (const kind of ['list', 'retrieve', 'token', 'list', 'retrieve', 'token'] as const) {
    void budget.run(kind, async () => {
      order.push(kind);
    });
  }
  await clock.advance(1_000);
  expect(order).toEqual([]);
  held[0]?.();
  await clock.advance(1_000);
  expect(order).toEqual(['token', 'token', 'retrieve', 'retrieve', 'list', 'list']);
});

test('stopped, it sends nothing more, and whoever waits is told', async () => {
  const { budget, clock } = aBudget();
  budget.pause(60 * minute);
  const waiting = expect(budget.run('list', async () => 'sent')).rejects.toMatchObject({ code: 'stopped' });
  budget.stop();
  await clock.advance(1);
  await waiting;
});

/** A budget over a store that remembers what was taken from it. */
function aCountedBudget(requestsPerFiveMinutes = 2_500) {
  const clock = simulatedClock(noon);
  const { logger } = keptLog();
  const counts: number[] = [];
  const store = {
    reserveRequests: async ({ count }: { count: number }) => {
      counts.push(count);
      return { granted: count, useWithinMs: 5_000, retryInMs: 0 };
    },
  };
  const budget = new RequestBudget({ store, clock, random: () => 0, logger, requestsPerFiveMinutes });
  return { budget, clock, counts };
}

const answered = async () => 'answered';

test('requests that are made together take one block', async () => {
  const { budget, counts } = aCountedBudget();
  await Promise.all(Array.from({ length: 8 }, () => budget.run('retrieve', answered)));
  expect(counts).toEqual([8]);
});

for (const { everyMs, limit, blocks, because } of [
  { everyMs: 100, limit: 2_500, blocks: 40, because: 'requests that follow each other share blocks' },
  { everyMs: 100, limit: 100, blocks: 250, because: 'of a small budget little is taken ahead' },
  { everyMs: 3_000, limit: 2_500, blocks: 20, because: 'a quiet relay takes what it needs' },
]) {
  test(`one request every ${everyMs} ms, a minute long, takes at most ${blocks} blocks: ${because}`, async () => {
    const { budget, clock, counts } = aCountedBudget(limit);
    const requests = Math.floor(minute / everyMs);
    for (let sent = 0; sent < requests; sent++) {
      await budget.run('list', answered);
      await clock.advance(everyMs);
    }
    expect(counts.length).toBeLessThanOrEqual(blocks);
    const taken = counts.reduce((sum, count) => sum + count, 0);
    expect(taken - requests, 'what was taken ahead and never used').toBeLessThanOrEqual(limit * 0.02);
  });
}

test('what is left of a block after five seconds is not used any more', async () => {
  const { budget, clock, counts } = aCountedBudget();
  for (let sent = 0; sent < 10; sent++) await budget.run('list', answered);
  await clock.advance(5_000);
  const before = counts.length;
  await budget.run('list', answered);
  expect(counts.slice(before)).toEqual([1]);
});

test('many requests that wait out one pause are no leak to Node', async () => {
  const warnings: Error[] = [];
  const hear = (warning: Error) => warnings.push(warning);
  process.on('warning', hear);
  const { budget, clock } = aCountedBudget();
  budget.pause(minute);
  const waiting = Array.from({ length: 40 }, () => budget.run('list', answered));
  await clock.advance(minute);
  await Promise.all(waiting);
  process.off('warning', hear);
  expect(warnings).toEqual([]);
});

test('a standstill says why, since when and until when, and ends by itself', async () => {
  const clock = simulatedClock(noon);
  const { logger, lines } = keptLog();
  let free = { granted: 0, useWithinMs: 0, retryInMs: 200_000 };
  const store = { reserveRequests: async () => free };
  const budget = new RequestBudget({ store, clock, random: () => 0, logger, requestsPerFiveMinutes: 100 });
  expect(budget.standstill).toBeNull();
  const waiting = budget.run('list', answered);
  await clock.advance(1_000);
  expect(budget.standstill).toEqual({
    because: 'usedUp',
    clinicId: null,
    since: noon,
    until: noon + 200_000,
  });
  expect(lines.map(({ facts }) => facts)).toEqual([{ requestsPerFiveMinutes: 100, waitMs: 200_000 }]);
  budget.pause(30_000);
  expect(budget.standstill).toEqual({
    because: 'vendorAsked',
    clinicId: null,
    since: noon + 1_000,
    until: noon + 31_000,
  });
  await clock.advance(30_000);
  expect(budget.standstill).toMatchObject({ because: 'usedUp' });
  free = { granted: 1, useWithinMs: 5_000, retryInMs: 0 };
  await clock.advance(169_000);
  await waiting;
  expect(budget.standstill).toBeNull();
});

test('a short wait for room is in nobody’s log, and since when it stands is the beginning', async () => {
  const clock = simulatedClock(noon);
  const { logger, lines } = keptLog();
  const store = { reserveRequests: async () => ({ granted: 0, useWithinMs: 0, retryInMs: 9_000 }) };
  const budget = new RequestBudget({ store, clock, random: () => 0, logger, requestsPerFiveMinutes: 100 });
  void budget.run('list', answered).catch(() => {});
  await clock.advance(20_000);
  expect(budget.standstill).toEqual({ because: 'usedUp', clinicId: null, since: noon, until: noon + 27_000 });
  expect(lines).toEqual([]);
  budget.stop();
  await clock.advance(1);
});

test('the events of one clinic take nine tenths of a window at most: lists, tokens and other clinics go on', async () => {
  const { budget, clock } = aCountedBudget(100);
  let retrieved = 0;
  const retrieve = async () => {
    retrieved += 1;
  };
  const retrievals = Array.from({ length: 120 }, () => budget.run('retrieve', retrieve, 'clinic-1'));
  await clock.advance(1_000);
  expect(retrieved).toBe(90);
  const until = noon + 5 * minute;
  expect(budget.standstill).toEqual({ because: 'manyEvents', clinicId: 'clinic-1', since: noon, until });
  expect(await budget.run('list', answered)).toBe('answered');
  expect(await budget.run('token', answered)).toBe('answered');
  expect(await budget.run('retrieve', answered, 'clinic-2')).toBe('answered');
  expect(budget.standstill).toMatchObject({ clinicId: 'clinic-1' });
  await clock.advance(5 * minute - 1_001);
  expect(retrieved).toBe(90);
  await clock.advance(1);
  await Promise.all(retrievals);
  expect(retrieved).toBe(120);
  expect(budget.standstill).toBeNull();
});

test('while thousands of events of one clinic come in, another one is read as ever', async () => {
  const delays = async (burst: number) => {
    const relay = await pollingRelay({
      clinics: ['Washington', 'New York'],
      requestsPerFiveMinutes: 1_000,
      limit: { requests: 1_000, windowMs: 5 * minute },
      startFromMs: minute,
    });
    await relay.clock.advance(10 * minute);
    for (let made = 0; made < burst; made++) relay.fullscript.addEvent(orders);
    const clinicId = relay.fullscript.clinics.find(({ name }) => name === 'New York')?.id ?? '';
    let longestMs = 0;
    for (let made = 0; made < 20; made++) {
      const at = relay.clock.now();
      const { id } = relay.fullscript.addEvent({ clinic: 'New York', type: 'order.placed' });
      let isRecorded = false;
      while (!isRecorded) {
        await relay.clock.advance(5_000);
        const { items } = await relay.store.events({ clinicId }, { limit: 100, cursor: null });
        isRecorded = items.some((event) => event.id === id);
      }
      longestMs = Math.max(longestMs, relay.clock.now() - at);
      await relay.clock.advance(30_000);
    }
    expect(relay.fullscript.requests().violations).toBe(0);
    return longestMs;
  };
  expect(await delays(4_000)).toBeLessThanOrEqual((await delays(0)) + 30_000);
});
