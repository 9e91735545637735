import { deliveryIdOf } from '../../domain/delivery.ts';
import { NotFound } from '../../domain/errors.ts';
import type { BackfillStore } from '../store.ts';
import type { Core } from './core.ts';
import { idsPerLine, type OwedFact } from './facts.ts';
import { eventKey } from './kinds.ts';
import { bodyStateOf } from './log.ts';
import { keepFetched } from './rounds.ts';

export function backfillPart({ commits, clock }: Core): BackfillStore {
  return {
    unowed: (subscriberId, eventIds) =>
      commits.read((state) =>
        eventIds.filter((eventId) => !state.deliveries.has(deliveryIdOf(eventId, subscriberId))),
      ),

    oweEvents: ({ subscriberId, events, jobAfter }) =>
      commits.commit((decision) => {
        const { state, record } = decision;
        const subscriber = state.subscribers.get(subscriberId);
        if (!subscriber || subscriber.deletedAt !== null) throw new NotFound('subscriber', subscriberId);
        const owed = [...new Map(events.map((event) => [event.eventId, event])).values()].filter(
          (event) =>
            state.eventNumberOf(event) !== null &&
            bodyStateOf(state, event) !== 'erased' &&
            !state.deliveries.has(deliveryIdOf(event.eventId, subscriberId)),
        );
        const needed = owed.filter((event) => event.body === null && bodyStateOf(state, event) === 'gone');
        if (needed.length > 0) return { kind: 'bodiesNeeded', events: needed };
        state.events.need(owed.map(({ clinicId, eventId }) => eventKey(clinicId, eventId)));
        const at = clock.now();
        for (const { body, ...event } of owed) {
          if (body !== null && bodyStateOf(state, event) === 'gone')
            keepFetched(decision, { ...event, body }, at);
        }
        let sequence = state.sequences.get(subscriberId) ?? 0;
        const of = owed.map(({ clinicId, eventId, type }) => [clinicId, eventId, type, ++sequence] as const);
        for (let from = 0; from < of.length; from += idsPerLine) {
          const fact: OwedFact = {
            t: 'owed',
            at,
            subscriber: subscriberId,
            of: of.slice(from, from + idsPerLine),
          };
          record(fact);
        }
        record({ t: 'job', row: jobAfter(owed.length) });
        return { kind: 'owed', deliveries: owed.length };
      }),
  };
}
