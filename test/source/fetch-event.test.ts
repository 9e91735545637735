import { describe, expect, test } from 'vitest';
import type { Clinic, Connection } from '../../src/domain/clinic.ts';
import type { RetrieveEvent } from '../../src/source/clinic-access.ts';
import { createFetchEvent } from '../../src/source/fetch-event.ts';
import { aClinic } from '../store/fixtures.ts';

const event = { clinicId: 'clinic-1', eventId: 'e1' };
const body = '{"id":"e1", "n":12345678901234567890}';
const retrieved = { kind: 'event', body, type: null, createdAt: null, clinicId: 'clinic-1' } as const;

function fetching(
  retrieve: RetrieveEvent,
  { clinic = {}, state = 'working' }: { clinic?: Partial<Clinic>; state?: Connection['state'] | null } = {},
) {
  const connection = { clinicId: 'clinic-1', state } as Connection;
  return createFetchEvent({
    store: {
      clinics: async () => [{ ...aClinic(), ...clinic }],
      connections: async () => (state === null ? [] : [connection]),
    },
    access: { retrieve, retrieveSparingly: async () => ({ kind: 'unavailable', detail: 'sparingly' }) },
  });
}

const unasked: RetrieveEvent = async () => expect.fail('the vendor was asked');
const urgently = { isUrgent: true, signal: new AbortController().signal };

describe('an event is fetched again', () => {
  test('as the vendor’s exact text', async () => {
    expect(await fetching(async () => retrieved)(event, urgently)).toEqual({ kind: 'event', body });
  });

  test('with what others leave of the budget when nobody waits for it', async () => {
    const fetch = fetching(unasked);
    expect(await fetch(event, { ...urgently, isUrgent: false })).toEqual({
      kind: 'notNow',
      detail: 'sparingly',
    });
  });

  for (const { answer, kind, because } of [
    { answer: { kind: 'notFound' }, kind: 'gone', because: 'the vendor has it no more' },
    { answer: { kind: 'rejected', status: 410 }, kind: 'gone', because: 'asking again would not help' },
    { answer: { kind: 'unreadable', detail: 'no JSON' }, kind: 'gone', because: 'it cannot be sent' },
    { answer: { ...retrieved, clinicId: 'clinic-2' }, kind: 'gone', because: 'it is another clinic’s' },
    { answer: { kind: 'unavailable', detail: 'ECONNRESET' }, kind: 'notNow', because: 'it may pass' },
    { answer: { kind: 'forbidden' }, kind: 'notNow', because: 'the scope may be granted' },
    { answer: { kind: 'limited', status: 429, retryAfterMs: null }, kind: 'notNow', because: 'it may pass' },
    { answer: { kind: 'noAccess', detail: 'x' }, kind: 'notNow', because: 'somebody may reconnect it' },
  ] as const) {
    test(`or is ${kind} after ${JSON.stringify(answer)}: ${because}`, async () => {
      expect((await fetching(async () => answer)(event, urgently)).kind).toBe(kind);
    });
  }

  for (const { clinic, state, says } of [
    { clinic: { isPaused: true }, state: 'working', says: 'its clinic Washington is paused' },
    { clinic: { isRemoved: true }, state: 'working', says: 'its clinic is not connected' },
    { clinic: { id: 'clinic-2' }, state: 'working', says: 'its clinic is not connected' },
    { clinic: {}, state: null, says: 'its clinic is not connected' },
    { clinic: {}, state: 'needsReconnect', says: 'its clinic Washington has to be reconnected' },
  ] as const) {
    test(`or says that ${says}, and asks nobody`, async () => {
      expect(await fetching(unasked, { clinic, state })(event, urgently)).toEqual({
        kind: 'notNow',
        detail: says,
      });
    });
  }

  test('and whoever halts does not wait for the vendor', async () => {
    const halt = new AbortController();
    const answer = fetching(() => new Promise(() => {}))(event, { isUrgent: true, signal: halt.signal });
    halt.abort();
    expect((await answer).kind).toBe('notNow');
  });
});
