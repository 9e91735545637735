import { RelayRefused } from '../../src/client/errors.ts';
import type { CallApi } from '../../src/client/relay-api.ts';
import type { StoredEvent } from '../../src/sandbox/event-log.ts';
import { pause } from './pause.ts';
import type { Town } from './town.ts';

const looksMax = 400;
const lookMs = 25;

export async function pollAll(town: Town, call: CallApi): Promise<void> {
  for (const { id } of town.sandbox.fullscript.clinics) await town.post(call, `/v1/clinics/${id}/poll`);
}

/** Waits until the relay has them. */
export async function recorded(town: Town, call: CallApi, events: readonly StoredEvent[]): Promise<void> {
  await pollAll(town, call);
  for (const { id } of events) {
    for (let left = looksMax; left > 0 && !(await isKnown(call, id)); left--) await pause(lookMs);
  }
}

export async function isKnown(call: CallApi, eventId: string): Promise<boolean> {
  try {
    await call({ method: 'GET', path: `/v1/events/${eventId}` });
    return true;
  } catch (error) {
    if (error instanceof RelayRefused && error.status === 404) return false;
    throw error;
  }
}
