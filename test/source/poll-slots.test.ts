import { expect, test } from 'vitest';
import { PollSlots } from '../../src/source/poll-slots.ts';

const ended = Promise.resolve();

test('eight polls go on at once, and two of them of one clinic', () => {
  const slots = new PollSlots();
  for (let number = 0; number < 8; number++) {
    expect(slots.isFull).toBe(false);
    slots.take({ clinicId: `clinic-${number % 4}`, category: `c${number}` }, ended);
  }
  expect([slots.isFull, slots.hasRoomFor('clinic-1'), slots.hasRoomFor('clinic-4')]).toEqual([
    true,
    false,
    true,
  ]);
  const first = { clinicId: 'clinic-1', category: 'c1' };
  expect(slots.isTakenBy(first)).toBe(true);
  slots.release(first);
  slots.release(first);
  expect([slots.isTakenBy(first), slots.hasRoomFor('clinic-1'), slots.isFull]).toEqual([false, true, false]);
  slots.take(first, ended);
  expect(slots.isFull).toBe(true);
});
