import { getHeapSpaceStatistics } from 'node:v8';
import { describe, expect, test } from 'vitest';
import { UnderWay } from '../../src/delivery/under-way.ts';

describe('what is under way', () => {
  test('is there from when it is added until it is taken out', () => {
    const underWay = new UnderWay<string>();
    const endFirst = underWay.add('first');
    underWay.add('second');
    expect(underWay.size).toBe(2);
    endFirst();
    expect(underWay.items()).toEqual(['second']);
    underWay.add('third');
    expect(underWay.items().toSorted()).toEqual(['second', 'third']);
    expect(underWay.size).toBe(2);
  });

  test('may be taken out in any order, and everything may have gone', () => {
    const underWay = new UnderWay<number>();
    const ends = Array.from({ length: 10 }, (_, n) => underWay.add(n));
    for (const n of [3, 9, 0, 5, 1, 8, 2, 7, 6, 4]) ends[n]?.();
    expect(underWay.items()).toEqual([]);
    expect(underWay.size).toBe(0);
  });

  test('is let go of once it is over: little of what passes through grows old', () => {
    const underWay = new UnderWay<object>();
    const one = () => ({ many: new Array(1_000).fill(0.5) });
    underWay.add(one());
    // Whoever serves for long is old itself.
    for (let made = 0; made < 20_000; made += 1) one();
    const before = oldBytes();
    const ends: (() => void)[] = [];
    for (let made = 0; made < 20_000; made += 1) {
      ends[made % 64]?.();
      ends[made % 64] = underWay.add(one());
    }
    expect(oldBytes() - before).toBeLessThan(16_000_000);
  });
});

/** Only a full collection frees these. */
function oldBytes(): number {
  return getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space')?.space_used_size ?? 0;
}
