import { describe, expect, test } from 'vitest';
import type { FaultAsk } from '../../src/sandbox/faults.ts';
import { seededRandom, seedOf } from '../../src/sandbox/random.ts';
import { play } from './scenario.ts';
import { someSwitches, switchesOneByOne, untried } from './switches.ts';

/** `SWITCH_SEEDS=500` plays so many random combinations instead of a few. */
const seeds = Number(process.env.SWITCH_SEEDS ?? 8);
const pushedWith: readonly (readonly FaultAsk[])[] = [
  [],
  [{ name: 'late-listed' }],
  [{ name: 'retrieval-fails', times: 20 }],
  [{ name: 'invalid-grant', clinic: 'New York' }],
  [{ name: 'category-forbidden', category: 'orders' }],
  [{ name: 'odd-ids' }, { name: 'small-pages', size: 3 }],
];
const slowMs = 120_000;
const firstSeed = Number(process.env.SWITCH_SEED ?? 1);

describe('whatever Fullscript means by what it does not say, all that it lists is delivered once', () => {
  test('every switch of the sandbox is tried', () => expect(untried).toEqual([]));

  for (const ask of switchesOneByOne) {
    test(
      JSON.stringify(ask),
      async () => {
        expect(await play({ switches: [ask], seed: 1, isFromStart: false })).toEqual([]);
      },
      slowMs,
    );
  }

  for (const switches of pushedWith) {
    const name = `with Fullscript’s own webhooks beside the polls, and ${JSON.stringify(switches)}`;
    test(
      name,
      async () => {
        expect(await play({ switches, seed: 2, isFromStart: false, isPushing: true })).toEqual([]);
      },
      slowMs,
    );
  }

  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    const random = seededRandom(seedOf(seed, 'switches'));
    const switches = someSwitches(random);
    const isFromStart = random.next() < 0.4;
    test(
      `seed ${seed}${isFromStart ? ' from the start' : ''}: ${JSON.stringify(switches)}`,
      async () => {
        expect(await play({ switches, seed, isFromStart })).toEqual([]);
      },
      slowMs,
    );
  }
});
