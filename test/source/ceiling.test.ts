import { expect, test } from 'vitest';
import { seededRandom } from '../../src/sandbox/random.ts';
import { playRelay } from '../bench/freshness/relay.ts';
import { makeWorld } from '../bench/freshness/world.ts';

test('in a week no stream waits longer than pollSecondsMax, though that takes most of the budget', () => {
  const random = seededRandom(1);
  const draw = () => random.next();
  // 180 streams every 900 s are 60 of the 100 requests; details, renewals and sweeps come on top.
  const terms = { requestsPerFiveMinutes: 100, pollSecondsMin: 30, pollSecondsMax: 900 };
  const { longestSeconds } = playRelay(makeWorld(30, draw), terms);
  expect(longestSeconds).toBeLessThanOrEqual(900);
  // The ceiling is reached: quiet streams wait for nearly as long.
  expect(longestSeconds).toBeGreaterThan(840);
}, 120_000);
