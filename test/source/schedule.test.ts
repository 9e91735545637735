import { expect, test } from 'vitest';
import type { Stream } from '../../src/domain/clinic.ts';
import { fairSchedule } from '../../src/source/schedule.ts';

const now = Date.parse('2026-11-22T12:00:00Z');
const day = 86_400_000;

function aStream(changes: Partial<Stream>): Stream {
  return {
    clinicId: 'clinic-1',
    category: 'orders',
    startAt: 0,
    cursor: null,
    polledAt: null,
    sweptAt: null,
    nextPollAt: now,
    failedInRow: 0,
    problem: null,
    isOff: false,
    recorded: 0,
    newestEventAt: null,
    ...changes,
  };
}

const schedule = fairSchedule({
  requestsPerFiveMinutes: 2_500,
  pollSecondsMin: 30,
  pollSecondsMax: 900,
  random: () => 0,
});

for (const { streams, seconds, because } of [
  { streams: 1, seconds: 30, because: 'nothing is polled more often than that' },
  { streams: 200, seconds: 30, because: 'the budget bears it' },
  { streams: 1_000, seconds: 150, because: 'eight tenths of the budget are for lists' },
  { streams: 18_000, seconds: 2_700, because: 'the budget bears no more, whatever the ceiling says' },
]) {
  test(`with ${streams} streams each is polled every ${seconds} s: ${because}`, () => {
    expect(schedule.nextPollAt(aStream({}), { now, streams })).toBe(now + seconds * 1000);
  });
}

test('a failing stream is tried further and further apart, up to pollSecondsMax', () => {
  const waits = [0, 1, 2, 5, 50].map((failedInRow) => schedule.retryAt(aStream({ failedInRow }), now) - now);
  expect(waits).toEqual([30_000, 60_000, 120_000, 900_000, 900_000]);
});

test('what is longest due goes first, and what is not due does not go', () => {
  const streams = [
    aStream({ category: 'later', nextPollAt: now + 1 }),
    aStream({ category: 'second', nextPollAt: now - 1 }),
    aStream({ category: 'first', nextPollAt: now - 5 }),
  ];
  expect(schedule.due(streams, now).map(({ category }) => category)).toEqual(['first', 'second']);
});

test('case 192: a moment that a stepped clock left days ahead is due', () => {
  expect(schedule.due([aStream({ nextPollAt: now + 2 * day })], now)).toHaveLength(1);
});
