import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import { type Clock, wait } from '../clock.ts';
import { deliveryIdOf } from '../domain/delivery.ts';
import { RelayError, StoreCorrupt } from '../domain/errors.ts';
import { isEventTypePattern, matchesEventType, type RecordedEvent } from '../domain/event.ts';
import type { EventPosition, EventsAfter, LogStore, SubscriberStore } from '../store/store.ts';
import { type Caller, mayDo } from './auth.ts';
import type { ServerSentEvent } from './event-stream.ts';
import { visibleSubscribers } from './ownership.ts';
import { idQuery, instantQuery } from './query.ts';
import { type Route, route } from './route.ts';

export interface ListenDependencies {
  readonly store: Pick<LogStore, 'eventsEnd' | 'eventsAfter' | 'eventBody' | 'delivery'> &
    Pick<SubscriberStore, 'subscribers'>;
  readonly clock: Clock;
}

const lookAgainMs = 500;
const eventsAtOnce = 100;
const listenersMax = 32;
/** So that nobody takes up every place. */
const listenersOfOneMax = 16;

const listenQuery = z.strictObject({
  /** Patterns, `order.*,patient.created`. */
  eventTypes: z
    .string()
    .max(2_000)
    .transform((text) => text.split(','))
    .refine(
      (patterns) => patterns.every(isEventTypePattern),
      'must be patterns such as order.*,patient.created',
    )
    .optional(),
  clinicId: idQuery.optional(),
  /** Recorded then or later; without it and without a position, what comes from now on. */
  since: instantQuery.optional(),
  /** Where an earlier stream ended: the id of its last message. The header Last-Event-ID says the same. */
  after: z.string().max(100).optional(),
});

/** The data of a message `event`. */
const listenedView = z.object({
  id: z.string(),
  type: z.string(),
  clinicId: z.string(),
  category: z.string(),
  recordedAt: z.string(),
  /** The exact JSON text that Fullscript gave, in base64; `null` when it is no longer stored. */
  bodyBase64: z.string().nullable(),
});

/** For a developer's own machine: what the relay records, as it comes. */
export function listenRoutes({ store, clock }: ListenDependencies): readonly Route[] {
  /** The subject of each. */
  const listeners: string[] = [];

  /** What a caller may hear of. An event that was seen in two clinics is owed through one of them. */
  const audibleTo = async (caller: Caller, items: EventsAfter['items']): Promise<EventsAfter['items']> => {
    if (items.length === 0 || mayDo(caller, 'admin')) return items;
    const visible = await visibleSubscribers(store, caller);
    const isOwed = async ({ event: { id, clinicId } }: EventsAfter['items'][number]) => {
      const owed = await Promise.all(
        visible.map((subscriber) => store.delivery(deliveryIdOf(id, subscriber.id))),
      );
      return owed.some((delivery) => delivery?.clinicId === clinicId);
    };
    const areOwed = await Promise.all(items.map(isOwed));
    return items.filter((_, number) => areOwed[number]);
  };

  const checkRoom = (subject: string): void => {
    const own = listeners.filter((each) => each === subject).length;
    if (own >= listenersOfOneMax) throw tooManyListeners(`${subject} listens ${own} times already.`);
    if (listeners.length >= listenersMax) throw tooManyListeners(`${listenersMax} listen already.`);
  };

  const viewOf = async (event: RecordedEvent): Promise<z.infer<typeof listenedView>> => {
    const { id, type, clinicId, category, recordedAt } = event;
    const body = await store.eventBody(clinicId, id).catch((error: unknown) => {
      if (error instanceof StoreCorrupt) return null;
      throw error;
    });
    return {
      id,
      type,
      clinicId,
      category,
      recordedAt: new Date(recordedAt).toISOString(),
      bodyBase64: body === null ? null : Buffer.from(body).toString('base64'),
    };
  };

  return [
    route({
      method: 'get',
      path: '/v1/listen',
      scope: 'read',
      summary: 'Stream events as they are recorded, as server-sent events',
      query: listenQuery,
      answers: { status: 200, schema: listenedView, isStream: true },
      async answer({ caller, query, lastEventId, signal }) {
        const { clinicId, since, eventTypes } = query;
        const filter = { ...(clinicId !== undefined && { clinicId }), ...(since !== undefined && { since }) };
        const isWanted = (event: RecordedEvent) =>
          hasText(event) && (eventTypes?.some((pattern) => matchesEventType(pattern, event.type)) ?? true);
        const given = query.after ?? lastEventId;
        const first = given ?? (since === undefined ? await store.eventsEnd() : null);
        // A position that cannot be served is refused before the stream begins.
        await store.eventsAfter(first, filter, 1);
        checkRoom(caller.subject);

        async function* messages(): AsyncGenerator<ServerSentEvent> {
          listeners.push(caller.subject);
          try {
            let position = first;
            if (position !== null) yield positionMessage(position);
            while (!signal.aborted) {
              const { items, position: end } = await store.eventsAfter(position, filter, eventsAtOnce);
              const wanted = items.filter(({ event }) => isWanted(event));
              for (const { event, position: id } of await audibleTo(caller, wanted)) {
                yield { name: 'event', id, data: await viewOf(event) };
              }
              if (end !== position) yield positionMessage(end);
              position = end;
              if (items.length < eventsAtOnce) await wait(clock, lookAgainMs, signal);
              // Events that are passed over wait for nothing, and nobody else would have a turn.
              else await setImmediate();
            }
          } finally {
            listeners.splice(listeners.indexOf(caller.subject), 1);
          }
        }
        return { stream: messages() };
      },
    }),
  ];
}

/** What happened before its stream's start, or was handled elsewhere, has none and is no news. */
function hasText({ isPast, withheld }: RecordedEvent): boolean {
  return !isPast && withheld !== 'imported';
}

/** Tells a listener how far it has come, also past events that it does not want. */
function positionMessage(position: EventPosition): ServerSentEvent {
  return { name: 'position', id: position, data: {} };
}

function tooManyListeners(message: string): RelayError {
  return new RelayError('too_many_listeners', message, { hint: 'End one of them, or try again later.' });
}
