import { expect, test } from 'vitest';
import { pollingRelay, recordedIds } from './clinic.ts';

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
