import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  defaultWaitsMs,
  readRetryAfterMs,
  retryAfterMaxMs,
  waitBeforeNextMs,
} from '../../src/domain/backoff.ts';

const hourMs = 3_600_000;

describe('the wait before the next attempt', () => {
  for (const { failures, asked, random, waitMs, because } of [
    {
      failures: 1,
      asked: null,
      random: 0,
      waitMs: 5_000,
      because: 'the first wait follows the first failure',
    },
    { failures: 2, asked: null, random: 0, waitMs: 300_000, because: 'the second follows the second' },
    { failures: 3, asked: null, random: 0, waitMs: null, because: 'the schedule is used up' },
    { failures: 3, asked: 5_000, random: 0, waitMs: null, because: 'asking for time adds no attempt' },
    { failures: 1, asked: 120_000, random: 0, waitMs: 120_000, because: 'Retry-After lengthens it' },
    { failures: 2, asked: 1_000, random: 0, waitMs: 300_000, because: 'Retry-After never shortens it' },
    {
      failures: 1,
      asked: 86_400_000,
      random: 0,
      waitMs: 10 * hourMs,
      because: 'it is believed for ten hours',
    },
    { failures: 1, asked: null, random: 0.99, waitMs: 5_000, because: 'a short wait stays exact' },
    { failures: 2, asked: null, random: 0.5, waitMs: 315_000, because: 'jitter adds up to a tenth' },
    {
      failures: 1,
      asked: 86_400_000,
      random: 0.5,
      waitMs: 10 * hourMs + 450_000,
      because: 'jitter adds a quarter of an hour at most',
    },
  ]) {
    test(`after ${failures} failures, asked for ${asked}: ${because}`, () => {
      expect(waitBeforeNextMs([5_000, 300_000], failures, asked, random)).toBe(waitMs);
    });
  }

  test('without a schedule there is none', () => {
    expect(waitBeforeNextMs([], 1, 60_000, 0)).toBeNull();
  });

  test('is never less than the step nor than what was asked for, and never a quarter of an hour more', () => {
    const anyWait = fc.integer({ min: 0, max: 86_400_000 });
    fc.assert(
      fc.property(
        anyWait,
        fc.option(anyWait),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (step, asked, random) => {
          const least = Math.max(step, Math.min(asked ?? 0, retryAfterMaxMs));
          const waitMs = waitBeforeNextMs([step], 1, asked, random) ?? -1;
          expect(waitMs).toBeGreaterThanOrEqual(least);
          expect(waitMs).toBeLessThanOrEqual(least + 900_000);
          expect(Number.isInteger(waitMs)).toBe(true);
        },
      ),
    );
  });

  test('the default schedules are the vendor’s and that of Standard Webhooks, then on for three days', () => {
    const minutes = (waits: readonly number[]) => waits.map((waitMs) => waitMs / 60_000);
    expect(minutes(defaultWaitsMs.fullscript)).toEqual([1, 5, 30, 60, 300, 600, 840, 1200, 1440]);
    expect(minutes(defaultWaitsMs.standard)).toEqual([5 / 60, 5, 30, 120, 300, 600, 840, 1200, 1440]);
  });
});

describe('Retry-After', () => {
  const now = Date.parse('2026-11-22T12:00:00Z');

  for (const { header, waitMs, because } of [
    { header: '120', waitMs: 120_000, because: 'case 124: seconds' },
    { header: '0', waitMs: 0, because: 'no wait' },
    { header: '99999999', waitMs: retryAfterMaxMs, because: 'case 125: clamped' },
    { header: '9'.repeat(400), waitMs: retryAfterMaxMs, because: 'case 125: no number is too large' },
    { header: '1e999', waitMs: null, because: 'case 125: no number of seconds' },
    { header: 'Infinity', waitMs: null, because: 'case 125: no number of seconds' },
    { header: '-1', waitMs: null, because: 'case 126: negative' },
    { header: '1.5', waitMs: null, because: 'case 126: not whole' },
    { header: 'NaN', waitMs: null, because: 'case 126: not a number' },
    { header: '', waitMs: null, because: 'case 126: empty' },
    { header: '120, 60', waitMs: null, because: 'case 126: two headers' },
    { header: undefined, waitMs: null, because: 'case 126: none' },
    { header: 'Sun, 22 Nov 2026 12:02:00 GMT', waitMs: 120_000, because: 'a date' },
    { header: 'Sun, 22 Nov 2026 11:59:00 GMT', waitMs: null, because: 'case 126: a date of the past' },
    { header: 'Tue, 31 Feb 2027 12:00:00 GMT', waitMs: null, because: 'case 126: 31 February' },
    { header: 'Mon, 22 Nov 2026 12:02:00 GMT', waitMs: null, because: 'a weekday that it is not' },
    { header: 'Sun, 22 Nov 2026 25:00:00 GMT', waitMs: null, because: 'an hour that is not' },
    { header: 'Sun, 22 Nov 2026 12:02:00 +0100', waitMs: null, because: 'not in GMT' },
    { header: '2026-11-22T12:02:00Z', waitMs: null, because: 'not a date of HTTP’s' },
    { header: 'Fri, 31 Dec 9999 23:59:59 GMT', waitMs: retryAfterMaxMs, because: 'case 127: the year 9999' },
  ]) {
    test(`"${header?.slice(0, 40)}": ${because}`, () => {
      expect(readRetryAfterMs(header, now)).toBe(waitMs);
    });
  }

  test('whatever a subscriber writes, it is a wait of at most ten hours or nothing', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (header) => {
        const waitMs = readRetryAfterMs(header, now);
        if (waitMs !== null) {
          expect(waitMs).toBeGreaterThanOrEqual(0);
          expect(waitMs).toBeLessThanOrEqual(retryAfterMaxMs);
        }
      }),
    );
  });
});
