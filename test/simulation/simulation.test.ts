import { describe, expect, test } from 'vitest';
import { mutants } from './mutants.ts';
import { simulate } from './simulate.ts';

/** `SIMULATED_SEEDS=<first>-<last>` asks for others. */
const [first = 1, last = 60] = (process.env.SIMULATED_SEEDS ?? '1-40').split('-').map(Number);

describe('whatever breaks', () => {
  for (let from = first; from <= last; from += 10) {
    const to = Math.min(from + 9, last);
    test(`nothing is lost, doubled or invented in the bad days of seeds ${from} to ${to}`, {
      timeout: 120_000,
    }, async () => {
      for (let seed = from; seed <= to; seed++) {
        const { violations } = await simulate({ seed });
        expect(violations, `replay it by: npm run simulate -- --seed ${seed}`).toEqual([]);
      }
    });
  }
});

test('the same seed brings the same days, whatever keys and ids were drawn', async () => {
  const [once, again] = [await simulate({ seed: 7 }), await simulate({ seed: 7 })];
  expect(again.digest).toBe(once.digest);
  expect(again.lines.length).toBeGreaterThan(50);
});

const seedsForMutants = 20;

for (const mutant of mutants) {
  test(`a bug put in on purpose is found: ${mutant.name}`, { timeout: 120_000 }, async () => {
    for (let seed = 1; seed <= seedsForMutants; seed++) {
      const { violations } = await simulate({ seed, mutant });
      if (violations.length > 0) {
        expect(mutant.breaks).toContain(violations[0]?.invariant);
        return;
      }
    }
    expect.fail(`none of ${seedsForMutants} seeds found it`);
  });
}
