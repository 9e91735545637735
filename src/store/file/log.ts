import {
  type Delivery,
  type DeliveryState,
  deliveryIdOf,
  type ShownState,
  shownState,
} from '../../domain/delivery.ts';
import { InvalidInput, StoreCorrupt } from '../../domain/errors.ts';
import type { RecordedEvent } from '../../domain/event.ts';
import { stateOfSubscriber } from '../../domain/subscriber.ts';
import type { DeliveryFilter, EventFilter, LogStore, Page, PageAsk } from '../store.ts';
import { bodyUnreadable } from './bodies.ts';
import type { Core } from './core.ts';
import type { EventRow, SealedRef } from './facts.ts';
import { rowsOf } from './polls.ts';
import { eventKey, type State } from './state.ts';

export function logPart({ commits, bodies, codec }: Core): LogStore {
  /** `null` when it is damaged: the attempt itself is whole. */
  const excerptOf = async (deliveryId: string, number: number, ref: SealedRef): Promise<string | null> => {
    try {
      const record = `${deliveryId}#${number}`;
      return (await bodies.open(ref, { kind: 'excerpt', record })).toString();
    } catch (error) {
      if (error instanceof StoreCorrupt) return null;
      throw error;
    }
  };

  return {
    delivery: (deliveryId) => commits.read((state) => state.deliveries.get(deliveryId) ?? null),

    attempts: async (deliveryId) => {
      const recorded = await commits.read((state) => state.attempts.get(deliveryId) ?? []);
      // A late result was recorded after attempts that were made after it.
      const rows = recorded.toSorted((a, b) => a.number - b.number);
      return Promise.all(
        rows.map(async (row) => {
          const excerpt = row.excerpt && (await excerptOf(deliveryId, row.number, row.excerpt));
          return codec.attempt(deliveryId, row, excerpt);
        }),
      );
    },

    deliveries: (filter, page) =>
      commits.read((state) =>
        pageOf(state.deliveryOrder, page, (id) => {
          const delivery = state.deliveries.get(id);
          return delivery && isWanted(state, delivery, filter) ? delivery : null;
        }),
      ),

    deliveryCounts: (subscriberIds) =>
      commits.read((state) => {
        const counts = { pending: 0, held: 0, delivered: 0, failed: 0, cancelled: 0 };
        for (const subscriberId of subscriberIds ?? state.counts.keys()) {
          const own = state.counts.get(subscriberId);
          if (!own) continue;
          for (const kind of ['pending', 'delivered', 'failed', 'cancelled'] as const) {
            counts[shownIn(state, { state: kind, subscriberId })] += own[kind];
          }
        }
        return counts;
      }),

    event: (eventId) => commits.read((state) => rowsOf(state, eventId).map(recordedEvent)),

    eventBody: async (clinicId, eventId) => {
      const row = await commits.read((state) => state.events.get(eventKey(clinicId, eventId)));
      if (!row?.body) return null;
      const record = eventKey(row.bodyOf ?? clinicId, eventId);
      try {
        return (await bodies.open(row.body, { kind: 'body', record })).toString();
      } catch (error) {
        if (error instanceof StoreCorrupt) throw bodyUnreadable(`body of event ${eventId}`, error);
        throw error;
      }
    },

    events: (filter, page) =>
      commits.read((state) =>
        pageOf(state.eventOrder, page, (key) => {
          const row = state.events.get(key);
          return row && isEventWanted(state, row, filter) ? recordedEvent(row) : null;
        }),
      ),
  };
}

/**
 * A page, newest first. The cursor is the position of the last item in the order of
 * creation, which only grows at its end: a page does not shift while the log grows.
 *
 * @throws InvalidInput `bad_cursor`
 */
function pageOf<Item>(
  order: readonly string[],
  { limit, cursor }: PageAsk,
  wanted: (key: string) => Item | null,
): Page<Item> {
  let at = order.length;
  if (cursor !== null) {
    at = /^\d{1,15}$/.test(cursor) ? Number(cursor) : -1;
    if (at < 0 || at > order.length) {
      throw new InvalidInput('bad_cursor', 'The cursor is not one that a list gave.', {
        hint: 'Leave it out to begin with the newest.',
      });
    }
  }
  const items: Item[] = [];
  while (at > 0) {
    const item = wanted(order[--at] as string);
    if (item === null) continue;
    if (items.length === limit) return { items, nextCursor: String(at + 1) };
    items.push(item);
  }
  return { items, nextCursor: null };
}

function shownIn(
  state: State,
  { state: stored, subscriberId }: { state: DeliveryState; subscriberId: string },
): ShownState {
  const row = state.subscribers.get(subscriberId);
  if (!row) return stored;
  return shownState({ state: stored }, stateOfSubscriber({ ...row, health: state.healthOf(subscriberId) }));
}

function isWanted(state: State, delivery: Delivery, filter: DeliveryFilter): boolean {
  if (filter.subscriberIds && !filter.subscriberIds.includes(delivery.subscriberId)) return false;
  if (filter.clinicId !== undefined && delivery.clinicId !== filter.clinicId) return false;
  if (filter.eventType !== undefined && delivery.eventType !== filter.eventType) return false;
  if (filter.eventId !== undefined && delivery.eventId !== filter.eventId) return false;
  if (filter.since !== undefined && delivery.createdAt < filter.since) return false;
  if (filter.until !== undefined && delivery.createdAt >= filter.until) return false;
  if (filter.includeSkipped === false && delivery.endReason === 'skipped') return false;
  return filter.state === undefined || shownIn(state, delivery) === filter.state;
}

function isEventWanted(state: State, row: EventRow, filter: EventFilter): boolean {
  if (filter.state !== undefined && row.isPast !== (filter.state === 'past')) return false;
  if (filter.clinicId !== undefined && row.clinicId !== filter.clinicId) return false;
  if (filter.eventType !== undefined && row.type !== filter.eventType) return false;
  if (filter.since !== undefined && row.recordedAt < filter.since) return false;
  if (filter.until !== undefined && row.recordedAt >= filter.until) return false;
  return filter.subscriberIds?.some((id) => state.deliveries.has(deliveryIdOf(row.id, id))) ?? true;
}

function recordedEvent({ body: _body, bodyOf: _bodyOf, ...event }: EventRow): RecordedEvent {
  return event;
}
