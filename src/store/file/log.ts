import { StoreCorrupt } from '../../domain/errors.ts';
import type { EventInClinic, RecordedEvent } from '../../domain/event.ts';
import type { BodyState, LogStore } from '../store.ts';
import { bodyUnreadable } from './bodies.ts';
import type { Core } from './core.ts';
import type { EventRow, SealedRef, StoredDelivery } from './facts.ts';
import { eventKey, isErased, storedDelivery } from './kinds.ts';
import { deliveriesWanted, eventsWanted, pageOf, rowsFrom, shownIn } from './listing.ts';
import { positionBefore, rowAfter } from './positions.ts';
import type { State } from './state.ts';

export function logPart({ commits, bodies, coldRows, codec }: Core): LogStore {
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

  /** A delivery with its attempts, from memory or from its index. */
  const found = async (deliveryId: string): Promise<StoredDelivery | null> => {
    const at = await commits.read((state) => {
      const delivery = state.deliveries.hot(deliveryId);
      if (delivery) return { row: { delivery, attempts: state.attempts.get(deliveryId) ?? [] } };
      const number = state.deliveries.numberOf(deliveryId);
      return number === null ? null : { place: state.deliveries.placeOf(number) };
    });
    if (at === null) return null;
    return 'row' in at ? at.row : storedDelivery((await coldRows.read([at.place]))[0]);
  };

  return {
    delivery: async (deliveryId) => (await found(deliveryId))?.delivery ?? null,

    waitsBehind: (deliveryId) =>
      commits.read((state) => {
        const delivery = state.deliveries.hot(deliveryId);
        return delivery ? state.due.waitsBehind(delivery) : null;
      }),

    attempts: async (deliveryId) => {
      const recorded = (await found(deliveryId))?.attempts ?? [];
      // A late result was recorded after attempts that were made after it.
      const rows = recorded.toSorted((a, b) => a.number - b.number);
      return Promise.all(
        rows.map(async (row) => {
          const { excerpt: ref } = row;
          const isThere = ref !== null && !(await commits.read((state) => state.isExpired(ref.file)));
          const excerpt = isThere ? await excerptOf(deliveryId, row.number, ref) : null;
          return codec.attempt(deliveryId, row, excerpt);
        }),
      );
    },

    deliveries: async (filter, ask) => {
      const { found, nextCursor } = await commits.read((state) =>
        pageOf(state.deliveries, ask, deliveriesWanted(state, filter)),
      );
      const cold = found.flatMap((each) => ('place' in each ? [each.place] : []));
      const stored = (await coldRows.read(cold)).values();
      const items = found.map((each) =>
        'row' in each ? each.row : storedDelivery(stored.next().value).delivery,
      );
      return { items, nextCursor };
    },

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

    event: async (eventId) => {
      const found = await commits.read(({ events }) =>
        events
          .numbersOf(eventId)
          .sort((a, b) => a - b)
          .map((number) => events.at(number)),
      );
      return (await coldRows.rows(found)).map(recordedEvent);
    },

    eventBody: async (clinicId, eventId) => {
      const found = await commits.read(({ events }) => {
        const number = events.numberOf(eventKey(clinicId, eventId));
        return number === null ? [] : [events.at(number)];
      });
      const [row] = await coldRows.rows(found);
      if (!row?.body || (await commits.read((state) => state.isExpired(row.body?.file ?? '')))) return null;
      const record = eventKey(row.bodyOf ?? clinicId, eventId);
      try {
        return (await bodies.open(row.body, { kind: 'body', record })).toString();
      } catch (error) {
        if (error instanceof StoreCorrupt) throw bodyUnreadable(`body of event ${eventId}`, error);
        throw error;
      }
    },

    bodyStates: (events) => commits.read((state) => events.map((event) => bodyStateOf(state, event))),

    events: async (filter, ask) => {
      const { found, nextCursor } = await commits.read((state) =>
        pageOf(state.events, ask, eventsWanted(state, filter)),
      );
      return { items: (await coldRows.rows(found)).map(recordedEvent), nextCursor };
    },

    eventsEnd: () => commits.read(({ events }) => positionBefore(events, events.end)),

    eventsAfter: async (position, filter, limit) => {
      const { found, end } = await commits.read((state) => {
        const { events } = state;
        const first = position === null ? 0 : rowAfter(events, position);
        const { numbers, end } = rowsFrom(events, first, limit, eventsWanted(state, filter));
        const found = numbers.map((number) => ({
          at: events.at(number),
          position: positionBefore(events, number + 1),
        }));
        return { found, end: positionBefore(events, end) };
      });
      const rows = await coldRows.rows(found.map(({ at }) => at));
      const items = found.map((each, index) => ({
        event: recordedEvent(rows[index] as EventRow),
        position: each.position,
      }));
      return { items, position: end };
    },
  };
}

/** By the columns in memory: whether a body that should be there can be read, nobody knows before. */
export function bodyStateOf(state: State, { clinicId, eventId }: EventInClinic): BodyState {
  const number = state.events.numberOf(eventKey(clinicId, eventId));
  if (number === null) return 'gone';
  if (isErased(state.events.columns.flags.get(number))) return 'erased';
  const file = state.words.text(state.events.columns.bodyFile.get(number));
  return file === '' || state.isExpired(file) ? 'gone' : 'kept';
}

export function recordedEvent({
  body: _body,
  bodyOf: _bodyOf,
  deliveries: _deliveries,
  isSeenAgain: _isSeenAgain,
  isErased: _isErased,
  ...event
}: EventRow): RecordedEvent {
  return event;
}
