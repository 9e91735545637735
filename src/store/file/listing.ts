import { type DeliveryState, deliveryIdOf, type ShownState, shownState } from '../../domain/delivery.ts';
import { InvalidInput } from '../../domain/errors.ts';
import { stateOfSubscriber } from '../../domain/subscriber.ts';
import type { DeliveryFilter, EventFilter, PageAsk } from '../store.ts';
import { endReasonIn, isPast, isPushed, isSeenAgain, stateIn } from './kinds.ts';
import type { LogRows, RowOrPlace } from './log-rows.ts';
import type { State } from './state.ts';

/** Says of a row, by its number, whether it is to be listed. */
export type Wanted = (number: number) => boolean;

/**
 * A page, newest first. The cursor is the number of the last row before it, and rows keep
 * their numbers: a page does not shift while the log grows, or its oldest rows go.
 *
 * @throws InvalidInput `bad_cursor`
 */
export function pageOf<Row, Name extends string>(
  rows: LogRows<Row, Name>,
  { limit, cursor }: PageAsk,
  wanted: Wanted,
): { readonly found: readonly RowOrPlace<Row>[]; readonly nextCursor: string | null } {
  let at = rows.end;
  if (cursor !== null) {
    at = /^\d{1,15}$/.test(cursor) ? Number(cursor) : -1;
    if (at < 0 || at > rows.end) {
      throw new InvalidInput('bad_cursor', 'The cursor is not one that a list gave.', {
        hint: 'Leave it out to begin with the newest.',
      });
    }
  }
  const found: RowOrPlace<Row>[] = [];
  for (let number = rows.before(at); number !== null; number = rows.before(number)) {
    if (!wanted(number)) continue;
    if (found.length === limit) return { found, nextCursor: String(number + 1) };
    found.push(rows.at(number));
  }
  return { found, nextCursor: null };
}

/** The first `limit` rows from `first` on, oldest first, and the number of the row that nobody looked at. */
export function rowsFrom<Row, Name extends string>(
  rows: LogRows<Row, Name>,
  first: number,
  limit: number,
  wanted: Wanted,
): { readonly numbers: readonly number[]; readonly end: number } {
  const numbers: number[] = [];
  let end = first;
  for (; end < rows.end && numbers.length < limit; end++) {
    if (rows.isThere(end) && wanted(end)) numbers.push(end);
  }
  return { numbers, end };
}

/** Looks at columns only: rows that are not wanted are never read. */
export function deliveriesWanted(state: State, filter: DeliveryFilter): Wanted {
  const { deliveries, words } = state;
  const { columns } = deliveries;
  const { since, until, eventId } = filter;
  const clinic = filter.clinicId === undefined ? null : words.known(filter.clinicId);
  const type = filter.eventType === undefined ? null : words.known(filter.eventType);
  const isUnknown = filter.clinicId !== undefined && clinic === null;
  if (isUnknown || (filter.eventType !== undefined && type === null)) return () => false;
  const isSubscriber = wordsOf(state, filter.subscriberIds);
  const ofEvent = eventId === undefined ? null : deliveriesOf(state, eventId);
  const isState = hasShownState(state, filter.state);
  return (number) => {
    if (ofEvent && !ofEvent.has(number)) return false;
    if (clinic !== null && columns.clinic.get(number) !== clinic) return false;
    if (type !== null && columns.type.get(number) !== type) return false;
    if (isSubscriber && isSubscriber[columns.subscriber.get(number)] !== 1) return false;
    if (since !== undefined && columns.createdAt.get(number) < since) return false;
    if (until !== undefined && columns.createdAt.get(number) >= until) return false;
    if (filter.includeSkipped === false && endReasonIn(columns.flags.get(number)) === 'skipped') return false;
    return isState(number);
  };
}

export function eventsWanted(state: State, filter: EventFilter): Wanted {
  const { events, words } = state;
  const { columns } = events;
  const { since, until } = filter;
  const clinic = filter.clinicId === undefined ? null : words.known(filter.clinicId);
  const type = filter.eventType === undefined ? null : words.known(filter.eventType);
  const isUnknown = filter.clinicId !== undefined && clinic === null;
  if (isUnknown || (filter.eventType !== undefined && type === null)) return () => false;
  const isOwed = wasOwedTo(state, filter.subscriberIds);
  return (number) => {
    if (filter.isPushed !== undefined && isPushed(columns.flags.get(number)) !== filter.isPushed)
      return false;
    if (filter.state !== undefined && isPast(columns.flags.get(number)) !== (filter.state === 'past')) {
      return false;
    }
    if (clinic !== null && columns.clinic.get(number) !== clinic) return false;
    if (type !== null && columns.type.get(number) !== type) return false;
    if (since !== undefined && columns.recordedAt.get(number) < since) return false;
    if (until !== undefined && columns.recordedAt.get(number) >= until) return false;
    return isOwed(number);
  };
}

/** As people see it: what is open is held while its subscriber is not active. */
export function shownIn(
  state: State,
  { state: stored, subscriberId }: { state: DeliveryState; subscriberId: string },
): ShownState {
  const row = state.subscribers.get(subscriberId);
  if (!row) return stored;
  return shownState({ state: stored }, stateOfSubscriber({ ...row, health: state.healthOf(subscriberId) }));
}

function hasShownState(state: State, shown: ShownState | undefined): Wanted {
  if (shown === undefined) return () => true;
  const { columns } = state.deliveries;
  const stored = shown === 'held' ? 'pending' : shown;
  /** By the subscriber's word. */
  const answers = new Map<number, boolean>();
  return (number) => {
    if (stateIn(columns.flags.get(number)) !== stored) return false;
    const subscriber = columns.subscriber.get(number);
    const known = answers.get(subscriber);
    if (known !== undefined) return known;
    const subscriberId = state.words.text(subscriber);
    const answer = shownIn(state, { state: stored, subscriberId }) === shown;
    answers.set(subscriber, answer);
    return answer;
  };
}

/** An event that was seen in another clinic before was owed through that one, too. */
function wasOwedTo(state: State, subscriberIds: readonly string[] | undefined): Wanted {
  const isSubscriber = wordsOf(state, subscriberIds);
  if (!isSubscriber) return () => true;
  const { events, deliveries } = state;
  const { first, count, flags } = events.columns;
  const { subscriber } = deliveries.columns;
  const isOwedHere = (number: number) => {
    let at = first.get(number);
    for (const end = at + count.get(number); at < end; at++) {
      if (isSubscriber[subscriber.get(at)] === 1 && deliveries.isThere(at)) return true;
    }
    return false;
  };
  const backfilled = new Set<number>();
  for (let at = 0; at < deliveries.end; at++) {
    const event = deliveries.columns.backfillOf.get(at);
    if (event > 0 && isSubscriber[subscriber.get(at)] === 1) backfilled.add(event - 1);
  }
  return (number) =>
    backfilled.has(number) ||
    isOwedHere(number) ||
    (isSeenAgain(flags.get(number)) && events.numbersLike(number).some(isOwedHere));
}

function deliveriesOf(state: State, eventId: string): ReadonlySet<number> {
  const numbers = new Set<number>();
  for (const subscriberId of state.sequences.keys()) {
    const number = state.deliveries.numberOf(deliveryIdOf(eventId, subscriberId));
    if (number !== null) numbers.add(number);
  }
  return numbers;
}

/** 1 at the words of these texts; `null` when there are none to look for. */
function wordsOf({ words }: State, texts: readonly string[] | undefined): Uint8Array | null {
  if (!texts) return null;
  const wanted = new Uint8Array(words.texts.length);
  for (const text of texts) {
    const word = words.known(text);
    if (word !== null) wanted[word] = 1;
  }
  return wanted;
}
