import { expect, test } from 'vitest';
import { pollingRelay, recordedIds } from './clinic.ts';

const minute = 60_000;
const clinics = Array.from({ length: 1_000 }, (_, number) => `Clinic ${number}`);
const limit = { requests: 2_500, windowMs: 5 * minute };

test('a thousand clinics share one limit that is used to the full and never exceeded, over bursts, refusals and a restart', {
  timeout: 180_000,
}, async () => {
  const relay = await pollingRelay({
    clinics,
    requestsPerFiveMinutes: limit.requests,
    limit,
    startFromMs: 30 * minute,
  });
  for (let number = 0; number < 300; number++) {
    relay.fullscript.addEvent({ clinic: clinics[number * 3] as string, type: 'order.placed' });
  }
  await relay.clock.advance(20_000);
  relay.fullscript.faults.switchOn({ name: 'rate-limited', retryAfterSeconds: 20, times: 3 });
  await relay.clock.advance(minute);
  await relay.restart();
  await relay.clock.advance(3 * minute);
  expect(relay.fullscript.requests().all).toBeGreaterThan(0.95 * limit.requests);
  await relay.clock.advance(3 * minute);
  const { all, violations } = relay.fullscript.requests();
  expect(violations).toBe(0);
  expect(all).toBeGreaterThan(1.2 * limit.requests);
  const polled = (await relay.store.streams()).filter(({ polledAt }) => polledAt !== null);
  expect(polled).toHaveLength(2 * clinics.length);
  expect(await recordedIds(relay.store)).toHaveLength(300);
});
