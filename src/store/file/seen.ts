import { deliveryIdOf } from '../../domain/delivery.ts';
import { NotFound } from '../../domain/errors.ts';
import type { SeenStore } from '../store.ts';
import type { Core } from './core.ts';
import { idsPerLine } from './facts.ts';
import { eventKey } from './kinds.ts';
import type { State } from './state.ts';

export function seenPart({ commits, clock }: Core): SeenStore {
  return {
    importSeen: (clinicId, eventIds, { isDryRun }) =>
      commits.commit(({ state, record }) => {
        if (!state.clinics.get(clinicId)) throw new NotFound('clinic', clinicId);
        const ids = [...new Set(eventIds)];
        const unknown = ids.filter((id) => !state.events.has(eventKey(clinicId, id)));
        const met = ids.filter((id) => state.events.has(eventKey(clinicId, id)));
        const unowed = met.filter((id) => !isOwed(state, id));
        state.events.need(unowed.map((id) => eventKey(clinicId, id)));
        const fresh = unowed.filter(
          (id) => state.events.get(eventKey(clinicId, id))?.withheld !== 'imported',
        );
        const counts = {
          recorded: unknown.length,
          withheld: fresh.length,
          known: unowed.length - fresh.length,
          owed: met.length - unowed.length,
        };
        if (isDryRun) return counts;
        const at = clock.now();
        for (const id of unknown) {
          // Which list will name it nobody says; what it is shows in no list that is read again.
          const about = { category: '', type: 'unknown', createdAt: null, body: null } as const;
          const row = { id, clinicId, ...about, isPast: true, withheld: 'imported' } as const;
          record({ t: 'event', row, at, to: [] });
        }
        for (let from = 0; from < fresh.length; from += idsPerLine) {
          record({ t: 'withheld', at, clinic: clinicId, of: fresh.slice(from, from + idsPerLine) });
        }
        return counts;
      }),
  };
}

function isOwed({ sequences, deliveries }: State, eventId: string): boolean {
  for (const subscriberId of sequences.keys()) {
    if (deliveries.has(deliveryIdOf(eventId, subscriberId))) return true;
  }
  return false;
}
