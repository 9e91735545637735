import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Rates } from '../../src/store/file/rates.ts';
import { simulatedClock } from '../world/clock.ts';

test('whoever asks whenever, no second holds more than the rate and a tenth', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(0.5, 1, 3, 20, 400),
      fc.array(fc.integer({ min: 0, max: 700 }), { minLength: 1, maxLength: 60 }),
      async (perSecond, pausesMs) => {
        const clock = simulatedClock(0);
        const rates = new Rates(clock);
        const takenAt: number[] = [];
        for (const pauseMs of pausesMs) {
          await clock.advance(pauseMs);
          const free = rates.free('sub_1', perSecond);
          rates.take('sub_1', perSecond, free);
          for (let made = 0; made < free; made++) takenAt.push(clock.monotonic());
        }
        for (const from of takenAt) {
          const inSecond = takenAt.filter((at) => at >= from && at < from + 1000).length;
          expect(inSecond).toBeLessThanOrEqual(Math.ceil(perSecond * 1.1) + 1);
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('waiting as long as it says is always enough, and nobody else waits with it', async () => {
  const clock = simulatedClock(0);
  const rates = new Rates(clock);
  for (let made = 0; made < 50; made++) {
    await clock.advance(Math.max(0, rates.freeAt('sub_1', 3) - clock.now()));
    expect(rates.free('sub_1', 3)).toBeGreaterThanOrEqual(1);
    rates.take('sub_1', 3, 1);
    expect(rates.free('sub_2', 3)).toBeGreaterThanOrEqual(1);
  }
  expect(clock.monotonic()).toBeGreaterThan(16_000);
});
