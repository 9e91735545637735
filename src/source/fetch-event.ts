import type { EventInClinic } from '../domain/event.ts';
import type { ClinicStore } from '../store/store.ts';
import { type ClinicAccess, wordsOf } from './clinic-access.ts';
import { halted, unlessHalted } from './halted.ts';
import { ofAnotherClinic } from './set-asides.ts';

export interface FetchEventDependencies {
  readonly store: Pick<ClinicStore, 'clinics' | 'connections'>;
  readonly access: Pick<ClinicAccess, 'retrieve' | 'retrieveSparingly'>;
}

/** An event that was taken in before, as the vendor has it now. */
export type EventAgain =
  /** The exact text of the event object. */
  | { readonly kind: 'event'; readonly body: string }
  /** The vendor does not have it any more, or nothing that can be sent. */
  | { readonly kind: 'gone'; readonly detail: string }
  /** It may be had later. */
  | { readonly kind: 'notNow'; readonly detail: string };

/** Retrieves single events again, through their clinic's connection and within the budget. */
export function createFetchEvent({ store, access }: FetchEventDependencies) {
  return async (
    { clinicId, eventId }: EventInClinic,
    { isUrgent, signal }: { readonly isUrgent: boolean; readonly signal: AbortSignal },
  ): Promise<EventAgain> => {
    const obstacle = await obstacleOf(clinicId, store);
    if (obstacle !== null) return { kind: 'notNow', detail: obstacle };
    const retrieve = isUrgent ? access.retrieve : access.retrieveSparingly;
    const answer = await unlessHalted(retrieve({ clinicId, eventId }), signal);
    switch (answer.kind) {
      case 'event': {
        const foreign = ofAnotherClinic({ id: eventId, clinicId: answer.clinicId }, clinicId);
        return foreign ? { kind: 'gone', detail: foreign.detail } : { kind: 'event', body: answer.body };
      }
      case 'notFound':
      case 'rejected':
      case 'unreadable':
      case 'tooLarge':
        return { kind: 'gone', detail: wordsOf(answer) };
      case halted.kind:
        return { kind: 'notNow', detail: 'it was not waited for' };
      case 'unauthorized':
      case 'forbidden':
      case 'limited':
      case 'unavailable':
      case 'noAccess':
        return { kind: 'notNow', detail: wordsOf(answer) };
    }
  };
}

/** Why nothing is read of the clinic at the moment; `null` when nothing speaks against it. */
async function obstacleOf(
  clinicId: string,
  store: Pick<ClinicStore, 'clinics' | 'connections'>,
): Promise<string | null> {
  const clinic = (await store.clinics()).find(({ id }) => id === clinicId);
  if (clinic === undefined || clinic.isRemoved) return 'its clinic is not connected';
  if (clinic.isPaused) return `its clinic ${clinic.name} is paused`;
  const connections = (await store.connections()).filter((each) => each.clinicId === clinicId);
  if (connections.some(({ state }) => state === 'working')) return null;
  return connections.length === 0
    ? 'its clinic is not connected'
    : `its clinic ${clinic.name} has to be reconnected`;
}
