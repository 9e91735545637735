import type { Stream } from '../domain/clinic.ts';
import type { ListPage } from './events-api.ts';

const dayMs = 86_400_000;
/** So long after its beginning in UTC a day is over in every zone: days begin last at UTC−12. */
const overEverywhereMs = 36 * 3_600_000;

/** The vendor lists them. */
export const historyDays = 30;

/** Of one list: a million events. Only a list that never ends has more. */
export const pagesMax = 10_000;

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

/**
 * What a list answered for a page: one that was only guessed and is not there is empty,
 * the end of a list that says nothing of its pages.
 *
 * @param before the page that it follows; `null` for the first.
 */
export function pageOrEnd<Other extends { readonly kind: string }>(
  answer: ListPage | Other,
  before: ListPage | null,
): ListPage | Other {
  const isThere = answer.kind !== 'notFound' && answer.kind !== 'rejected';
  if (isThere || !before?.isNextGuessed) return answer;
  return { kind: 'page', items: [], nextPage: null, vendorNow: null };
}

/**
 * The number of the page to ask for next, `null` at the end of the list: also when a page
 * that was only guessed turns out to be the one before again, because this list has no pages.
 *
 * @param before the page that `page` followed; `null` for the first.
 */
export function pageAfter(page: ListPage, before: ListPage | null): number | null {
  return before?.isNextGuessed && namesOf(page) === namesOf(before) ? null : page.nextPage;
}

function namesOf({ items }: ListPage): string {
  return JSON.stringify(items.map(({ id, digest }) => id ?? digest));
}
