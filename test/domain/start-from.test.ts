import { describe, expect, test } from 'vitest';
import { readStartFrom, startFromInput, startOf } from '../../src/domain/start-from.ts';

const now = Date.parse('2026-11-22T12:00:00Z');

describe('a start', () => {
  for (const { text, at, because } of [
    { text: 'now', at: '2026-11-22T12:00:00.000Z', because: 'it is the present moment' },
    { text: '0d', at: '2026-11-22T12:00:00.000Z', because: 'so is no time ago' },
    { text: '30d', at: '2026-10-23T12:00:00.000Z', because: 'days have 24 hours' },
    { text: '12h', at: '2026-11-22T00:00:00.000Z', because: 'hours' },
    { text: '15m', at: '2026-11-22T11:45:00.000Z', because: 'minutes, not months' },
    { text: '2026-11-22T08:00:00Z', at: '2026-11-22T08:00:00.000Z', because: 'an instant' },
    { text: '2026-11-22T08:00:00+14:00', at: '2026-11-21T18:00:00.000Z', because: 'a far zone' },
    { text: '2028-02-29T23:59:59.999Z', at: '2028-02-29T23:59:59.999Z', because: 'a leap day, ahead' },
    { text: '1970-01-01T00:00:00Z', at: '1970-01-01T00:00:00.000Z', because: 'the earliest' },
  ]) {
    test(`${text} is ${at}: ${because}`, () => {
      expect(new Date(startOf(text, now)).toISOString()).toBe(at);
    });
  }

  for (const { text, because } of [
    { text: '', because: 'it is empty' },
    { text: 'NOW', because: 'words have one spelling' },
    { text: '30D', because: 'so have units' },
    { text: '30 d', because: 'there is a space' },
    { text: '-1d', because: 'nothing of the future is named so' },
    { text: '1e3d', because: 'it is no whole number' },
    { text: '٣d', because: 'the digit is of another script' },
    { text: '2026-11-22', because: 'a day has another beginning in each zone' },
    { text: '2026-11-22T08:00:00', because: 'there is no zone' },
    { text: '2026-02-29T00:00:00Z', because: 'the year has no leap day' },
    { text: '2026-11-22T24:00:00Z', because: 'there is no such hour' },
    { text: '2016-12-31T23:59:60Z', because: 'a leap second is no moment that can be compared' },
    { text: '2026-11-22T08:00:00+99:00', because: 'there is no such zone' },
    { text: '0000-01-01T00:00:00Z', because: 'the vendor’s lists could not be asked for that day' },
    { text: '1969-12-31T23:59:59Z', because: 'it is before 1970' },
  ]) {
    test(`${JSON.stringify(text)} is none: ${because}`, () => {
      expect(readStartFrom(text)).toBeNull();
      expect(startFromInput.safeParse(text).success).toBe(false);
    });
  }
});
