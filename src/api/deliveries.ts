import { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { Replayed } from '../delivery/fetched-rounds.ts';
import type { Delivery } from '../domain/delivery.ts';
import { Conflict, NotFound } from '../domain/errors.ts';
import type { Subscriber } from '../domain/subscriber.ts';
import type { LogStore, SubscriberStore } from '../store/store.ts';
import type { Caller } from './auth.ts';
import { attemptView, deliveryView, shownStates, viewOfAttempt, viewOfDelivery } from './delivery-view.ts';
import { explainDelivery } from './explain-delivery.ts';
import { visibleSubscriberIds, visibleSubscribers } from './ownership.ts';
import { checkWindow, idQuery, listOf, pageQuery, windowQuery } from './query.ts';
import { type Route, route } from './route.ts';

export interface DeliveriesDependencies {
  readonly store: LogStore & Pick<SubscriberStore, 'subscribers'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly replayer: { startRound(delivery: Delivery): Promise<Replayed | null> };
  /** Nothing is sent. */
  readonly isShadow: boolean;
}

const listQuery = z.strictObject({
  state: z.enum(shownStates).optional(),
  subscriberId: idQuery.optional(),
  clinicId: idQuery.optional(),
  eventType: idQuery.optional(),
  eventId: idQuery.optional(),
  ...windowQuery,
  ...pageQuery,
});

export const explanationView = z.object({ because: z.string(), explanation: z.string() });

const startedView = z.object({
  deliveryId: z.string(),
  /** `due`: it was waiting and is due now; `inFlight`, `held`: left as it is. */
  kind: z.enum(['newRound', 'due', 'inFlight', 'held']),
  /** The relay did not have the event any more, and fetched it from Fullscript again. */
  isFetched: z.boolean(),
});

export function deliveryRoutes({
  store,
  clock,
  replayer,
  isShadow,
}: DeliveriesDependencies): readonly Route[] {
  /** @throws NotFound for an unknown and for somebody else's one alike */
  const deliveryFor = async (
    caller: Caller,
    id: string,
  ): Promise<{ delivery: Delivery; subscriber: Subscriber }> => {
    const delivery = await store.delivery(id);
    const visible = await visibleSubscribers(store, caller);
    const subscriber = visible.find((each) => each.id === delivery?.subscriberId);
    if (delivery === null || subscriber === undefined) throw new NotFound('delivery', id);
    return { delivery, subscriber };
  };

  return [
    route({
      method: 'get',
      path: '/v1/deliveries',
      scope: 'read',
      summary: 'List deliveries, newest first',
      query: listQuery,
      answers: { status: 200, schema: listOf(deliveryView) },
      async answer({ caller, query }) {
        checkWindow(query);
        const { limit, cursor = null, subscriberId, ...wanted } = query;
        const ids = await visibleSubscriberIds(store, caller);
        const kept = keptTo(ids, subscriberId);
        const page = await store.deliveries(
          { ...given(wanted), ...(kept && { subscriberIds: kept }) },
          { limit, cursor },
        );
        const { subscribers } = await store.subscribers();
        const byId = new Map(subscribers.map((subscriber) => [subscriber.id, subscriber]));
        const data = page.items.map((delivery) => viewOfDelivery(delivery, byId.get(delivery.subscriberId)));
        return { body: { data, nextCursor: page.nextCursor } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/deliveries/{id}',
      scope: 'read',
      summary: 'Show a delivery with its attempts',
      answers: { status: 200, schema: deliveryView.extend({ attempts: z.array(attemptView) }) },
      async answer({ caller, id }) {
        const { delivery, subscriber } = await deliveryFor(caller, id);
        const attempts = await store.attempts(id);
        return {
          body: { ...viewOfDelivery(delivery, subscriber), attempts: attempts.map(viewOfAttempt) },
        };
      },
    }),
    route({
      method: 'get',
      path: '/v1/deliveries/{id}/explain',
      scope: 'read',
      summary: 'Say in one line why a delivery is where it is',
      answers: { status: 200, schema: explanationView },
      async answer({ caller, id }) {
        const { delivery, subscriber } = await deliveryFor(caller, id);
        const lastAttemptAt = (await store.attempts(id)).at(-1)?.startedAt ?? null;
        const waitsBehind = await store.waitsBehind(id);
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
      },
    }),
    route({
      method: 'post',
      path: '/v1/deliveries/{id}/replay',
      scope: 'write',
      summary: 'Start a new round, or make a waiting one due now',
      answers: { status: 202, schema: startedView },
      async answer({ caller, id }) {
        const { delivery } = await deliveryFor(caller, id);
        const replayed = await replayer.startRound(delivery);
        if (replayed === null) throw new NotFound('delivery', id);
        if (replayed.kind === 'cancelled') throw neverAgain(id);
        if (replayed.kind === 'notKept') throw notKept(id);
        if (replayed.kind === 'erased') throw erased(id);
        if (replayed.kind === 'notFetched') throw notFetched(id, replayed.detail);
        const { kind, isFetched } = replayed;
        return { body: { deliveryId: id, kind, isFetched } };
      },
    }),
  ];
}

function notKept(id: string): Conflict {
  return new Conflict(
    'event_not_kept',
    `There is nothing to send for delivery ${id}: its event is kept no longer, and Fullscript does not have it any more.`,
    {
      hint: 'Raise retention.bodiesDays to keep the text of events for longer.',
    },
  );
}

function erased(id: string): Conflict {
  return new Conflict('event_erased', `There is nothing to send for delivery ${id}: its event was erased.`, {
    hint: 'It is not fetched again; what was sent before stays in the log.',
  });
}

function notFetched(id: string, detail: string): Conflict {
  return new Conflict(
    'event_not_fetched',
    `The event of delivery ${id} is kept no longer, and cannot be fetched again now: ${detail}.`,
    { hint: 'See to its clinic (`relay clinics list`), or wait a little, and replay it then.' },
  );
}

function neverAgain(id: string): Conflict {
  return new Conflict(
    'delivery_cancelled',
    `Delivery ${id} is never sent again: its subscriber was deleted.`,
    {
      hint: 'Register the subscriber anew; what was sent before stays in the log.',
    },
  );
}

/** The subscribers to keep a list to: those that the caller may see, and of these the one it asked for. */
export function keptTo(
  visible: readonly string[] | null,
  asked: string | undefined,
): readonly string[] | undefined {
  if (asked === undefined) return visible ?? undefined;
  return visible === null || visible.includes(asked) ? [asked] : [];
}

type Given<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> };

/** Without what was not asked. */
export function given<T extends object>(asked: T): Given<T> {
  return Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined)) as Given<T>;
}
