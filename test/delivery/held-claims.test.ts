import { expect, test } from 'vitest';
import { HeldClaims } from '../../src/delivery/held-claims.ts';
import type { DeliveryClaim } from '../../src/store/store.ts';
import { simulatedClock } from '../world/clock.ts';
import { keptLog } from '../world/log.ts';

const claim = { claimId: 'dlv_1#1', attempt: 1, delivery: { id: 'dlv_1' } } as DeliveryClaim;

/** Over a store that renews nothing, after it was asked by `whileAsked`. */
function heldClaims(whileAsked: (time: number) => void = () => {}) {
  const clock = simulatedClock(0);
  const { logger, lines } = keptLog();
  let asked = 0;
  const held = new HeldClaims({
    store: {
      renew: async () => {
        asked += 1;
        whileAsked(asked);
        return [];
      },
    },
    clock,
    logger,
    leaseMs: 30_000,
    onError: (error) => {
      throw error;
    },
  });
  return { clock, held, told: () => lines.map(({ facts }) => facts) };
}

test('a claim that is not renewed twice is told as lost; once may be that its result is on its way', async () => {
  const { clock, held, told } = heldClaims();
  held.add(claim);
  await clock.advance(10_000);
  expect(told()).toEqual([]);
  await clock.advance(10_000);
  expect(told()).toEqual([{ deliveryId: 'dlv_1', attempt: 1 }]);
});

test('a claim that ends while its renewal is asked for is not lost', async () => {
  let release = () => {};
  const { clock, held, told } = heldClaims((time) => {
    if (time === 2) release();
  });
  release = held.add(claim);
  await clock.advance(30_000);
  expect(told()).toEqual([]);
});
