import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SequenceWatch } from '../../src/receiver/sequence-watch.ts';

const minute = 60_000;

test('a number that others overtook is no gap until it has been missing for long enough', () => {
  const watch = new SequenceWatch(10 * minute);
  expect(watch.note(57, 0)).toEqual([]);
  expect(watch.note(60, minute)).toEqual([]);
  expect(watch.note(61, 11 * minute - 1)).toEqual([]);
  expect(watch.note(62, 11 * minute)).toEqual([{ from: 58, to: 59, missingForMs: 10 * minute }]);
  expect(watch.note(63, 12 * minute)).toEqual([]);
});

test('what came late in the meantime is not in the gap', () => {
  const watch = new SequenceWatch(10 * minute);
  watch.note(1, 0);
  watch.note(6, 0);
  watch.note(3, minute);
  expect(watch.note(7, 10 * minute)).toEqual([
    { from: 2, to: 2, missingForMs: 10 * minute },
    { from: 4, to: 5, missingForMs: 10 * minute },
  ]);
});

test('it begins with the first number that it sees; what is below it is no gap, and replays are none', () => {
  const watch = new SequenceWatch(0);
  for (const sequence of [57, 56, 1, 57, 58]) expect(watch.note(sequence, 0)).toEqual([]);
});

test('with no patience each gap is told at once', () => {
  const watch = new SequenceWatch(0);
  watch.note(1, 0);
  expect(watch.note(3, 0)).toEqual([{ from: 2, to: 2, missingForMs: 0 }]);
});

test('whatever the order, exactly what never came is told', () => {
  const numbers = fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { minLength: 1 });
  fc.assert(
    fc.property(numbers, (sequences) => {
      const watch = new SequenceWatch(minute);
      const first = sequences[0] ?? 0;
      const last = Math.max(...sequences);
      for (const sequence of sequences) expect(watch.note(sequence, 0)).toEqual([]);
      const gaps = watch.note(last + 1, minute);
      const told = gaps.flatMap(({ from, to }) =>
        Array.from({ length: to - from + 1 }, (_, index) => from + index),
      );
      const absent = Array.from({ length: last - first + 1 }, (_, index) => first + index).filter(
        (sequence) => !sequences.includes(sequence),
      );
      expect(told.toSorted((a, b) => a - b)).toEqual(absent);
    }),
  );
});
