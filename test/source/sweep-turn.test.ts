import { expect, test } from 'vitest';
import { isSweepDue } from '../../src/source/sweep-turn.ts';

const hourMs = 3_600_000;
const streams = Array.from({ length: 1_000 }, (_, index) => ({
  clinicId: `clinic-${index}`,
  category: 'orders',
  sweptAt: 0,
}));

function dueAfter(hours: number): number {
  return streams.filter((stream) => isSweepDue(stream, 24, hours * hourMs)).length;
}

test('streams that were swept together are swept again one after the other, none later than sweepHours', () => {
  expect(dueAfter(17.9)).toBe(0);
  expect(dueAfter(21)).toBeGreaterThan(400);
  expect(dueAfter(21)).toBeLessThan(600);
  expect(dueAfter(24)).toBe(1_000);
});

test('a stream that was never swept is due, and so is one that was swept in the future', () => {
  const stream = { clinicId: 'clinic-1', category: 'orders' };
  expect(isSweepDue({ ...stream, sweptAt: null }, 24, 0)).toBe(true);
  expect(isSweepDue({ ...stream, sweptAt: 25 * hourMs }, 24, 0)).toBe(true);
});
