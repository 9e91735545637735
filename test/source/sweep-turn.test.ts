import { expect, test } from 'vitest';
import { isSweepDue } from '../../src/source/sweep-turn.ts';

const hourMs = 3_600_000;
const streams = Array.from({ length: 1_000 }, (_, index) => ({
  clinicId: `clinic-${index}`,
  category: 'orders',
  sweptAt: 0,
}));

test('streams that were swept together are swept again evenly over sweepHours, each once', () => {
  const dueAfter = (hours: number) =>
    streams.filter((stream) => isSweepDue(stream, 24, hours * hourMs)).length;
  for (const hours of [3, 6, 12, 18, 21]) {
    expect(dueAfter(hours)).toBeGreaterThan((1_000 * hours) / 24 - 60);
    expect(dueAfter(hours)).toBeLessThan((1_000 * hours) / 24 + 60);
  }
  expect(dueAfter(24)).toBe(1_000);
});

test('a stream is swept every sweepHours at the same time of its own, however often it is asked', () => {
  const stream = { clinicId: 'clinic-1', category: 'orders', sweptAt: 0 };
  const sweptAt: number[] = [];
  for (let now = 0; now < 10 * 24 * hourMs; now += hourMs / 4) {
    if (!isSweepDue(stream, 24, now)) continue;
    sweptAt.push(now);
    stream.sweptAt = now;
  }
  const apart = sweptAt.slice(1).map((at, index) => at - (sweptAt[index] as number));
  expect(apart).toEqual(Array.from({ length: 9 }, () => 24 * hourMs));
});

test('a stream that was never swept is due, and so is one that was swept in the future', () => {
  const stream = { clinicId: 'clinic-1', category: 'orders' };
  expect(isSweepDue({ ...stream, sweptAt: null }, 24, 0)).toBe(true);
  expect(isSweepDue({ ...stream, sweptAt: 25 * hourMs }, 24, 0)).toBe(true);
});
