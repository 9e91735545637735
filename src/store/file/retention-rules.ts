import { stateIn } from './kinds.ts';
import { type State, streamKey } from './state.ts';

/** When something was recorded last; `null` in an empty log. */
export function newestRecord({ events }: State): number | null {
  const last = events.before(events.end);
  return last === null ? null : events.columns.recordedAt.get(last);
}

/** Jobs that ended before; of audits whoever runs them keeps the newest. */
export function jobsGone({ jobs }: State, endedBefore: number): readonly string[] {
  return [...jobs.values()]
    .filter(({ kind, endedAt }) => kind !== 'audit' && endedAt !== null && endedAt < endedBefore)
    .map(({ id }) => id);
}

/** Ids of revoked tokens that have come to their end by themselves before a moment. */
export function tokensGone({ revoked }: State, endedBefore: number): readonly string[] {
  return [...revoked.entries()].filter(([, until]) => until < endedBefore).map(([jti]) => jti);
}

/** Keys of items that were read after all before a moment. */
export function setAsidesGone({ setAsides }: State, resolvedBefore: number): readonly string[] {
  return [...setAsides.entries()]
    .filter(([, { resolvedAt }]) => resolvedAt !== null && resolvedAt < resolvedBefore)
    .map(([key]) => key);
}

/** An id goes when nothing hangs on it, and the vendor was seen not to list it any more. */
export function eventGoes(
  state: State,
  recordedBefore: number,
  backfilled: Backfilled,
): (number: number) => boolean {
  const { events, words } = state;
  const { clinic, category, recordedAt, bodyFile } = events.columns;
  const backfilledSince = backfilledIn(state, backfilled.end).events;
  return (number) => {
    if (!events.isThere(number) || recordedAt.get(number) >= recordedBefore) return false;
    const key = { clinicId: words.text(clinic.get(number)), category: words.text(category.get(number)) };
    const sweptFrom = sweptFromOf(state, key);
    if (state.listed.get(number) >= sweptFrom) return false;
    const file = words.text(bodyFile.get(number));
    if (file !== '' && !state.isExpired(file)) return false;
    if (backfilled.events.has(number) || backfilledSince.has(number)) return false;
    return !hasDelivery(state, number, (each) => isOpen(state, each));
  };
}

/** Events of these numbers whose body lies in the file. */
export function eventsIn(
  { events, words }: State,
  { from, to }: { readonly from: number; readonly to: number },
  file: string,
): number[] {
  const word = words.known(file);
  const found: number[] = [];
  if (word === null) return found;
  for (let number = from; number < to; number++) {
    if (events.columns.bodyFile.get(number) === word && events.isThere(number)) found.push(number);
  }
  return found;
}

/** Events of deliveries that a backfill added: the rows of these events say nothing of them. */
export interface Backfilled {
  readonly events: ReadonlySet<number>;
  /** Of the deliveries before this number. */
  readonly end: number;
}

/** @param rule of the deliveries from `from` on, those that it says yes to. */
export function backfilledIn(
  { deliveries }: State,
  from: number,
  rule: (number: number) => boolean = () => true,
): Backfilled {
  const { backfillOf } = deliveries.columns;
  const events = new Set<number>();
  for (let number = from; number < deliveries.end; number++) {
    const event = backfillOf.get(number);
    if (event > 0 && deliveries.isThere(number) && rule(number)) events.add(event - 1);
  }
  return { events, end: deliveries.end };
}

/** One that was imported is of any of its clinic's streams: all of them have to have been swept. */
function sweptFromOf(state: State, key: { readonly clinicId: string; readonly category: string }): number {
  if (key.category !== '') return state.sweeps.get(streamKey(key)) ?? 0;
  const streams = [...state.streams.values()].filter(({ clinicId }) => clinicId === key.clinicId);
  const swept = streams.map((stream) => state.sweeps.get(streamKey(stream)) ?? 0);
  return swept.length === 0 ? 0 : Math.min(...swept);
}

/** Whether an open delivery is still to be sent out of this file. */
export function isAwaited(state: State, file: string): boolean {
  const { events, words } = state;
  const word = words.known(file);
  if (word === null) return false;
  const isOpenHere = (each: number) => isOpen(state, each);
  const backfilled = backfilledIn(state, 0, isOpenHere).events;
  for (let number = 0; number < events.end; number++) {
    if (events.columns.bodyFile.get(number) !== word || !events.isThere(number)) continue;
    if (backfilled.has(number) || hasDelivery(state, number, isOpenHere)) return true;
  }
  return false;
}

/** Whether a delivery is not at its end, or an attempt of it is under way. */
export function isOpen({ deliveries }: State, number: number): boolean {
  return stateIn(deliveries.columns.flags.get(number)) === 'pending' || deliveries.isBusy(number);
}

/** Whether a rule says yes to any delivery made with the event that is still there. */
export function hasDelivery(
  { events, deliveries }: State,
  number: number,
  rule: (delivery: number) => boolean,
): boolean {
  const first = events.columns.first.get(number);
  const end = first + events.columns.count.get(number);
  for (let at = first; at < end; at++) if (deliveries.isThere(at) && rule(at)) return true;
  return false;
}
