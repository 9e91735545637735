import { describe, expect, test } from 'vitest';
import { readDuration, readInstant, shownInstant } from '../../src/cli/instant.ts';

const now = Date.parse('2026-11-22T12:00:00Z');

describe('a moment is read', () => {
  for (const { text, is } of [
    { text: '30d', is: '2026-10-23T12:00:00.000Z' },
    { text: '12h', is: '2026-11-22T00:00:00.000Z' },
    { text: '15m', is: '2026-11-22T11:45:00.000Z' },
    { text: '2026-11-01', is: '2026-11-01T00:00:00.000Z' },
    { text: '2026-11-01T08:30Z', is: '2026-11-01T08:30:00.000Z' },
    { text: '2026-11-01T08:30:15.250+02:00', is: '2026-11-01T06:30:15.250Z' },
    { text: '2024-02-29T00:00:00Z', is: '2024-02-29T00:00:00.000Z' },
  ]) {
    test(text, () => {
      const at = readInstant(text, now);
      expect(at === null ? null : new Date(at).toISOString()).toBe(is);
    });
  }
});

describe('a moment is not guessed at', () => {
  for (const { text, because } of [
    { text: '', because: 'it is empty' },
    { text: 'yesterday', because: 'it is a word' },
    { text: '2026-02-30', because: 'the day does not exist' },
    { text: '2026-02-30T00:00:00Z', because: 'the day does not exist' },
    { text: '2026-13-01', because: 'the month does not exist' },
    { text: '2026-11-22T24:30:00Z', because: 'the hour does not exist' },
    { text: '2026-11-22T00:00:00', because: 'it has no zone' },
    { text: '2026-11-22T00:00:00+99:00', because: 'the zone does not exist' },
    { text: '0000-01-01', because: 'it is before 1970' },
    { text: '1e20', because: 'it is a number' },
    { text: '-5d', because: 'it is negative' },
    { text: '5', because: 'it has no unit' },
    { text: '1e9d', because: 'it is no whole number' },
    { text: '999999d', because: 'it is before 1970' },
    { text: '٣d', because: 'its digits are not ASCII' },
    { text: ' 5d', because: 'it begins with a space' },
  ]) {
    test(`${JSON.stringify(text)}: ${because}`, () => expect(readInstant(text, now)).toBeNull());
  }
});

test('a length of time is at least a second', () => {
  expect(['30d', '90s', '0m', '1.5h', '-1h', ''].map(readDuration)).toEqual([
    2_592_000_000,
    90_000,
    null,
    null,
    null,
    null,
  ]);
});

test('what is shown can be given back', () => {
  const shown = shownInstant('2026-11-01T08:30:15.000Z');
  expect(shown).toBe('2026-11-01T08:30:15Z');
  expect(readInstant(shown, now)).toBe(Date.parse('2026-11-01T08:30:15Z'));
  expect(shownInstant(null)).toBe('-');
});
