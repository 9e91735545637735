import { deliveryIdOf } from '../../domain/delivery.ts';
import { NotFound } from '../../domain/errors.ts';
import type { BackfillStore, OwedEvent } from '../store.ts';
import type { Decision } from './commits.ts';
import type { Core } from './core.ts';
import { idsPerLine, type OwedFact } from './facts.ts';
import { eventKey } from './kinds.ts';

export function backfillPart({ commits, clock }: Core): BackfillStore {
  return {
    oweEvents: ({ subscriberId, events, jobAfter }) =>
      commits.commit((decision) => {
        const { state, record } = decision;
        const subscriber = state.subscribers.get(subscriberId);
        if (!subscriber || subscriber.deletedAt !== null) throw new NotFound('subscriber', subscriberId);
        const owed = [...new Map(events.map((event) => [event.eventId, event])).values()].filter(
          (event) =>
            state.eventNumberOf(event) !== null &&
            !state.deliveries.has(deliveryIdOf(event.eventId, subscriberId)),
        );
        const needed = owed.filter((event) => event.body === null && !state.isBodyKept(event));
        if (needed.length > 0) return { kind: 'bodiesNeeded', events: needed };
        state.events.need(owed.map(({ clinicId, eventId }) => eventKey(clinicId, eventId)));
        const at = clock.now();
        for (const event of owed) if (!state.isBodyKept(event)) keepBody(decision, event, at);
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

function keepBody(
  { state, record, keep }: Decision,
  { clinicId, eventId, body }: OwedEvent,
  at: number,
): void {
  const bodyOf = state.events.get(eventKey(clinicId, eventId))?.bodyOf;
  const ref = keep(Buffer.from(body ?? ''), { kind: 'body', record: eventKey(bodyOf ?? clinicId, eventId) });
  const of = bodyOf === undefined ? {} : { bodyOf };
  record({ t: 'bodyMoved', at, clinic: clinicId, event: eventId, body: ref, ...of });
}
