import { probedSoon } from '../../domain/breaker.ts';
import { type Delivery, startRound } from '../../domain/delivery.ts';
import type { Health } from '../../domain/subscriber.ts';
import type { DeliveryStore, FetchedBody, RoundStarted } from '../store.ts';
import type { Decision } from './commits.ts';
import type { Core } from './core.ts';
import { idsPerLine } from './facts.ts';
import { eventKey } from './kinds.ts';
import { bodyStateOf } from './log.ts';
import type { State } from './state.ts';

/** New rounds of attempts: replays. */
export function roundPart({ commits, clock }: Core): Pick<DeliveryStore, 'startRounds'> {
  return {
    startRounds: (deliveryIds, fetched = []) =>
      commits.commit((decision) => {
        const { state, record } = decision;
        const now = clock.now();
        state.deliveries.need(deliveryIds);
        for (const each of fetched) keepFetched(decision, each, now);
        const started: RoundStarted[] = [];
        const changed: string[] = [];
        const asked = new Map<string, Health>();
        for (const deliveryId of new Set(deliveryIds)) {
          const delivery = state.deliveries.get(deliveryId);
          const subscriber = delivery && state.subscribers.get(delivery.subscriberId);
          if (!delivery || !subscriber) continue;
          const kind = roundKind(
            state,
            delivery,
            subscriber.deletedAt !== null,
            subscriber.pauseReasons.length > 0,
          );
          started.push({ deliveryId, kind });
          const health = state.healthOf(subscriber.id);
          const isStarted = kind === 'newRound' || kind === 'due';
          if (health.isFailing && (isStarted || kind === 'held')) asked.set(subscriber.id, health);
          if (isStarted && startRound(delivery, now) !== delivery) changed.push(deliveryId);
        }
        for (let from = 0; from < changed.length; from += idsPerLine) {
          record({ t: 'round', at: now, of: changed.slice(from, from + idsPerLine) });
        }
        for (const [id, health] of asked) {
          const row = state.subscribers.get(id);
          if (row) record({ t: 'subscriber', row, bumped: false, health: probedSoon(health, now) });
        }
        return started;
      }),
  };
}

function roundKind(
  state: State,
  delivery: Delivery,
  isDeleted: boolean,
  isPaused: boolean,
): RoundStarted['kind'] {
  if (delivery.state === 'cancelled' || isDeleted) return 'cancelled';
  if (state.openAttempts.has(delivery.id)) return 'inFlight';
  if (delivery.state !== 'pending') return roundKindOf[bodyStateOf(state, delivery)];
  return isPaused || state.healthOf(delivery.subscriberId).isFailing ? 'held' : 'due';
}

const roundKindOf = { kept: 'newRound', gone: 'notKept', erased: 'erased' } as const;

/** Keeps the text of an event that was fetched again. @throws NotInMemory */
export function keepFetched({ state, record, keep }: Decision, fetched: FetchedBody, now: number): void {
  const { clinicId: clinic, eventId: event, body: text } = fetched;
  const key = eventKey(clinic, event);
  const row = state.events.get(key);
  if (row === undefined || row.isErased) return;
  record({
    t: 'bodyKept',
    at: now,
    clinic,
    event,
    body: keep(Buffer.from(text), { kind: 'body', record: key }),
  });
}
