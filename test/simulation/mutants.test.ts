import { expect, test } from 'vitest';
import { mutants } from './mutants.ts';
import { simulate } from './simulate.ts';

const seeds = 20;

for (const mutant of mutants) {
  test(`a bug put in on purpose is found within ${seeds} seeds: ${mutant.name}`, {
    timeout: 180_000,
  }, async () => {
    for (let seed = 1; seed <= seeds; seed++) {
      const { violations } = await simulate({ seed, mutant });
      const [found] = violations;
      if (found === undefined) continue;
      expect(mutant.breaks, `seed ${seed}: ${found.what}`).toContain(found.invariant);
      return;
    }
    expect.fail('every promise held');
  });
}
