import { expect, test } from 'vitest';
import { pollingRelay, recordedIds } from './clinic.ts';

const minute = 60_000;
const requestsPerFiveMinutes = 125;

test('with fifty clinics the vendor’s limit is never overrun, however it asks for air, and every clinic is read again', async () => {
  const clinics = Array.from({ length: 50 }, (_, index) => `Clinic ${index}`);
  const { clock, fullscript, store, fatal } = await pollingRelay({
    clinics,
    categories: ['orders'],
    startFromMs: minute,
    requestsPerFiveMinutes,
    limit: { requests: requestsPerFiveMinutes, windowMs: 5 * minute },
  });
  const requestsIn = async (ms: number): Promise<number> => {
    const { all } = fullscript.requests();
    await clock.advance(ms);
    return fullscript.requests().all - all;
  };
  expect(await requestsIn(6 * minute)).toBeGreaterThan(requestsPerFiveMinutes);
  const events = clinics.map((clinic) => fullscript.addEvent({ clinic, type: 'order.placed' }));
  for (const fault of [
    { name: 'rate-limited', retryAfterSeconds: 120, times: 1 },
    { name: 'error-status', status: 503, retryAfterSeconds: 120, times: 1 },
    { name: 'rate-limited' },
    { name: 'error-status', status: 503 },
  ] as const) {
    fullscript.faults.switchOn(fault);
    let seconds = 0;
    while ((await requestsIn(1_000)) === 0) expect(++seconds).toBeLessThan(300);
    // What was under way together with the refused one ends; then all are silent, for 30 s at least.
    await clock.advance(1_000);
    expect(await requestsIn(27_000)).toBe(0);
    await clock.advance(2 * minute);
    fullscript.faults.switchAllOff();
    expect(await requestsIn(5 * minute)).toBeGreaterThan(0);
  }
  await clock.advance(15 * minute);
  expect([...(await recordedIds(store))].sort()).toEqual(events.map(({ id }) => id).sort());
  expect(fullscript.requests().violations).toBe(0);
  expect(fatal).toEqual([]);
}, 120_000);
