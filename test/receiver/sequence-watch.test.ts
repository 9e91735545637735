import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SequenceWatch } from '../../src/receiver/sequence-watch.ts';

const minute = 60_000;

const first = (sequence: number) => ({ sequence, isFirstAttempt: true });
const again = (sequence: number) => ({ sequence, isFirstAttempt: false });

test('a number that others overtook is no gap until it has been missing for long enough', () => {
  const watch = new SequenceWatch(10 * minute);
  expect(watch.note(first(57), 0)).toEqual([]);
  expect(watch.note(first(60), minute)).toEqual([]);
  expect(watch.note(first(61), 11 * minute - 1)).toEqual([]);
  expect(watch.note(first(62), 11 * minute)).toEqual([{ from: 58, to: 59, missingForMs: 10 * minute }]);
  expect(watch.note(first(63), 12 * minute)).toEqual([]);
});

test('what came late in the meantime is not in the gap', () => {
  const watch = new SequenceWatch(10 * minute);
  watch.note(first(1), 0);
  watch.note(first(6), 0);
  watch.note(first(3), minute);
  expect(watch.note(first(7), 10 * minute)).toEqual([
    { from: 2, to: 2, missingForMs: 10 * minute },
    { from: 4, to: 5, missingForMs: 10 * minute },
  ]);
});

test('it begins with the first number that it sees; what is below it is no gap, and replays are none', () => {
  const watch = new SequenceWatch(0);
  for (const sequence of [57, 56, 1, 57, 58]) expect(watch.note(first(sequence), 0)).toEqual([]);
});

test('it begins with no retry and no replay: they may be from weeks ago', () => {
  const watch = new SequenceWatch(minute);
  expect(watch.note(again(5), 0)).toEqual([]);
  expect(watch.note(first(1000), 0)).toEqual([]);
  expect(watch.note(first(1001), minute)).toEqual([]);
});

test('a number whose first attempt never came is there with its retry', () => {
  const watch = new SequenceWatch(minute);
  watch.note(first(1), 0);
  watch.note(first(3), 0);
  watch.note(again(2), 0);
  watch.note(again(4), 0);
  expect(watch.note(first(5), minute)).toEqual([]);
});

test('with no patience each gap is told at once', () => {
  const watch = new SequenceWatch(0);
  watch.note(first(1), 0);
  expect(watch.note(first(3), 0)).toEqual([{ from: 2, to: 2, missingForMs: 0 }]);
});

test('whatever the order, exactly what never came is told', () => {
  const numbers = fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { minLength: 1 });
  fc.assert(
    fc.property(numbers, (sequences) => {
      const watch = new SequenceWatch(minute);
      const begin = sequences[0] ?? 0;
      const last = Math.max(...sequences);
      for (const sequence of sequences) expect(watch.note(first(sequence), 0)).toEqual([]);
      const gaps = watch.note(first(last + 1), minute);
      const told = gaps.flatMap(({ from, to }) =>
        Array.from({ length: to - from + 1 }, (_, index) => from + index),
      );
      const absent = Array.from({ length: last - begin + 1 }, (_, index) => begin + index).filter(
        (sequence) => !sequences.includes(sequence),
      );
      expect(told.toSorted((a, b) => a - b)).toEqual(absent);
    }),
  );
});
