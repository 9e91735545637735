import type { Stream } from '../domain/clinic.ts';

const dayMs = 86_400_000;
/** So long after its beginning in UTC a day is over in every zone: days begin last at UTC−12. */
const overEverywhereMs = 36 * 3_600_000;

/** The vendor lists them. */
export const historyDays = 30;

/** The last day that ends before all that the vendor still lists, as a list's lower bound. */
export function dayBeforeHistory(stream: Pick<Stream, 'cursor' | 'startAt'>, now: number): string {
  return dayBefore(stream, now, historyDays);
}

/**
 * The last day that ends, in whatever zone the vendor's days are and though it be left out,
 * before the `days` that are wanted. They are counted back from the cursor, or from the
 * start before there is one: this machine's clock may be far ahead, and would hide events.
 */
export function dayBefore(
  { cursor, startAt }: Pick<Stream, 'cursor' | 'startAt'>,
  now: number,
  days: number,
): string {
  const wantedFrom = Math.min(cursor ?? startAt, now) - days * dayMs;
  return new Date(wantedFrom - overEverywhereMs).toISOString().slice(0, 10);
}
