import type { Delivery } from '../domain/delivery.ts';
import { StoreCorrupt } from '../domain/errors.ts';
import type { EventInClinic } from '../domain/event.ts';
import type { DeliveryStore, LogStore, RoundStarted } from '../store/store.ts';

/**
 * Asks the vendor for an event whose text the relay keeps no longer.
 *
 * @param how.isUrgent somebody waits for it; otherwise it takes what others leave of the budget.
 * @param how.signal ends the waiting, as `notNow`.
 */
export type FetchEvent = (
  event: EventInClinic,
  how: { readonly isUrgent: boolean; readonly signal: AbortSignal },
) => Promise<FetchedEvent>;

export type FetchedEvent =
  /** The exact text of the event object. */
  | { readonly kind: 'event'; readonly body: string }
  /** The vendor does not have it any more, or nothing that can be sent. */
  | { readonly kind: 'gone'; readonly detail: string }
  /** It may be had later. */
  | { readonly kind: 'notNow'; readonly detail: string };

export type RoundStore = Pick<DeliveryStore, 'startRounds'> & Pick<LogStore, 'eventBody'>;

export interface FetchingDependencies {
  readonly store: RoundStore;
  readonly fetchEvent: FetchEvent;
}

/** What a replay came to; `isFetched`: the event was fetched again for it. */
export type Replayed =
  | (RoundStarted & { readonly isFetched: boolean })
  | { readonly deliveryId: string; readonly kind: 'notFetched'; readonly detail: string };

/**
 * Starts a round for each of the deliveries. An event whose text is gone, or damaged, is
 * fetched again first, once for all of its deliveries.
 *
 * @param how.isUrgent somebody waits: also one whose damage nobody has met yet is looked at.
 * @returns `null` when the signal ended it halfway; asking again is safe.
 * @throws StoreCorrupt `body_unreadable` when it is damaged, urgent, and cannot be fetched
 */
export async function startFetchedRounds(
  deliveries: readonly Delivery[],
  { store, fetchEvent }: FetchingDependencies,
  how: Parameters<FetchEvent>[1],
): Promise<readonly Replayed[] | null> {
  const damage = new Map<string, StoreCorrupt>();
  for (const delivery of deliveries) {
    if (!how.isUrgent && delivery.endReason !== 'bodyLost') continue;
    const found = await damageOf(delivery, store);
    if (found) damage.set(delivery.id, found);
  }
  const whole = deliveries.filter(({ id }) => !damage.has(id)).map(({ id }) => id);
  const replayed: Replayed[] = [];
  const unkept = new Set(damage.keys());
  for (const started of whole.length > 0 ? await store.startRounds(whole) : []) {
    if (started.kind === 'notKept') unkept.add(started.deliveryId);
    else replayed.push({ ...started, isFetched: false });
  }
  for (const ofEvent of byEvent(deliveries.filter(({ id }) => unkept.has(id)))) {
    if (how.signal.aborted) return null;
    const { clinicId, eventId } = ofEvent[0];
    const ids = ofEvent.map(({ id }) => id);
    const answer = await fetchEvent({ clinicId, eventId }, how);
    if (how.signal.aborted) return null;
    if (answer.kind === 'event') {
      const started = await store.startRounds(ids, [{ clinicId, eventId, body: answer.body }]);
      replayed.push(...started.map((each) => ({ ...each, isFetched: true })));
      continue;
    }
    const damaged = ids.map((id) => damage.get(id)).find((each) => each !== undefined);
    if (damaged && how.isUrgent) throw damaged;
    for (const deliveryId of ids) {
      if (answer.kind === 'gone') replayed.push({ deliveryId, kind: 'notKept', isFetched: false });
      else replayed.push({ deliveryId, kind: 'notFetched', detail: answer.detail });
    }
  }
  return replayed;
}

async function damageOf({ clinicId, eventId }: Delivery, store: RoundStore): Promise<StoreCorrupt | null> {
  try {
    await store.eventBody(clinicId, eventId);
    return null;
  } catch (error) {
    if (error instanceof StoreCorrupt) return error;
    throw error;
  }
}

function byEvent(deliveries: readonly Delivery[]): readonly (readonly [Delivery, ...Delivery[]])[] {
  const groups = new Map<string, [Delivery, ...Delivery[]]>();
  for (const delivery of deliveries) {
    const key = JSON.stringify([delivery.clinicId, delivery.eventId]);
    const group = groups.get(key);
    if (group) group.push(delivery);
    else groups.set(key, [delivery]);
  }
  return [...groups.values()];
}
