import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { deliveryIdOf } from '../domain/delivery.ts';
import { NotFound } from '../domain/errors.ts';
import type { RecordedEvent } from '../domain/event.ts';
import type { ClinicStore, LogStore, PollStore, SubscriberStore } from '../store/store.ts';
import { mayDo } from './auth.ts';
import { explanationView, given, keptTo } from './deliveries.ts';
import { deliveryView, viewOfDelivery } from './delivery-view.ts';
import { explainAbsence } from './explain-absence.ts';
import { explainDelivery } from './explain-delivery.ts';
import { subscriberFor, visibleSubscriberIds, visibleSubscribers } from './ownership.ts';
import { checkWindow, idQuery, listOf, pageQuery, shown, windowQuery } from './query.ts';
import { type Route, route } from './route.ts';

export interface EventsDependencies {
  readonly store: LogStore &
    Pick<SubscriberStore, 'subscribers'> &
    Pick<ClinicStore, 'clinics'> &
    Pick<PollStore, 'streams' | 'setAsides'>;
  readonly clock: Pick<Clock, 'now'>;
  /** Nothing is sent. */
  readonly isShadow: boolean;
}

const listQuery = z.strictObject({
  state: z.enum(['recorded', 'past']).optional(),
  clinicId: idQuery.optional(),
  eventType: idQuery.optional(),
  /** Whether one of Fullscript's own webhooks brought it, too. */
  pushed: z.enum(['true', 'false'], 'must be true or false').optional(),
  ...windowQuery,
  ...pageQuery,
});

const eventView = z.object({
  id: z.string(),
  type: z.string(),
  clinicId: z.string(),
  category: z.string(),
  /**
   * `past`: created before the start of its stream; `shadow`: recorded in shadow mode: both are
   * delivered by a backfill only; `imported`: handled elsewhere, never delivered.
   */
  state: z.enum(['recorded', 'past', 'shadow', 'imported']),
  createdAt: z.string().nullable(),
  recordedAt: z.string(),
});

const wholeEventView = eventView.extend({
  /** Every clinic in which it was seen, the first at the front. */
  clinicIds: z.array(z.string()),
  deliveries: z.array(deliveryView),
  /** The exact JSON text that Fullscript gave; `null` when it is past or no longer stored. */
  body: z.string().nullable(),
});

export function eventRoutes({ store, clock, isShadow }: EventsDependencies): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/events',
      scope: 'read',
      summary: 'List events, newest recorded first, without their bodies',
      query: listQuery,
      answers: { status: 200, schema: listOf(eventView) },
      async answer({ caller, query }) {
        checkWindow(query);
        const { limit, cursor = null, pushed, ...wanted } = query;
        const kept = keptTo(await visibleSubscriberIds(store, caller), undefined);
        const page = await store.events(
          {
            ...given(wanted),
            ...(kept && { subscriberIds: kept }),
            ...(pushed !== undefined && { isPushed: pushed === 'true' }),
          },
          { limit, cursor },
        );
        return { body: { data: page.items.map(viewOfEvent), nextCursor: page.nextCursor } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/events/{id}',
      scope: 'read',
      summary: 'Show an event with its body and its deliveries',
      answers: { status: 200, schema: wholeEventView },
      async answer({ caller, id }) {
        const sightings = await store.event(id);
        const visible = await visibleSubscribers(store, caller);
        const found = await Promise.all(
          visible.map(async (subscriber) => ({
            subscriber,
            delivery: await store.delivery(deliveryIdOf(id, subscriber.id)),
          })),
        );
        const deliveries = found.flatMap(({ subscriber, delivery }) =>
          delivery === null ? [] : [viewOfDelivery(delivery, subscriber)],
        );
        const through = deliveries[0]?.clinicId;
        const event = sightings.find(({ clinicId }) => clinicId === through) ?? sightings[0];
        const isOwed = deliveries.length > 0 || mayDo(caller, 'admin');
        if (event === undefined || !isOwed) throw new NotFound('event', id);
        return {
          body: {
            ...viewOfEvent(event),
            clinicIds: sightings.map(({ clinicId }) => clinicId),
            deliveries,
            body: await store.eventBody(event.clinicId, id),
          },
        };
      },
    }),
    route({
      method: 'get',
      path: '/v1/events/{id}/explain',
      scope: 'read',
      summary: 'Say in one line why an event has not come to a subscriber',
      query: z.strictObject({ subscriberId: idQuery }),
      answers: { status: 200, schema: explanationView },
      async answer({ caller, id, query }) {
        const subscriber = await subscriberFor(store, caller, query.subscriberId);
        const delivery = await store.delivery(deliveryIdOf(id, subscriber.id));
        if (delivery !== null) {
          const lastAttemptAt = (await store.attempts(delivery.id)).at(-1)?.startedAt ?? null;
          const waitsBehind = await store.waitsBehind(delivery.id);
          return {
            body: explainDelivery({
              delivery,
              subscriber,
              lastAttemptAt,
              waitsBehind,
              isShadow,
              now: clock.now(),
            }),
          };
        }
        const [events, clinics, streams, setAsides] = await Promise.all([
          store.event(id),
          store.clinics(),
          store.streams(),
          store.setAsides(),
        ]);
        const clinicNames = new Map(clinics.map((clinic) => [clinic.id, clinic.name]));
        const sightings = events.map((event) => ({
          event,
          clinicName: clinicNames.get(event.clinicId) ?? null,
        }));
        return {
          body: explainAbsence({ eventId: id, subscriber, sightings, setAsides, streams, clinicNames }),
        };
      },
    }),
  ];
}

function viewOfEvent(event: RecordedEvent): z.infer<typeof eventView> {
  const { id, type, clinicId, category, isPast, withheld } = event;
  return {
    id,
    type,
    clinicId,
    category,
    state: withheld ?? (isPast ? 'past' : 'recorded'),
    createdAt: shown(event.createdAt),
    recordedAt: shown(event.recordedAt),
  };
}
