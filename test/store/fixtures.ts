import type { Clinic, Connection } from '../../src/domain/clinic.ts';
import { type Subscriber, untriedHealth } from '../../src/domain/subscriber.ts';
import type { DeliveryClaim, ErasureAsk, Job, NewEvent, PollClaim, Store } from '../../src/store/store.ts';

export function aClinic(id = 'clinic-1', name = 'Washington'): Clinic {
  return { id, name, isPaused: false, isRemoved: false, createdAt: 0 };
}

export function aConnection(changes: Partial<Connection> = {}): Connection {
  return {
    id: 'con_1',
    clinicId: null,
    name: 'Washington',
    origin: { kind: 'refreshToken' },
    tokens: { accessToken: 'at-1', refreshToken: 'rt-1', expiresAt: 10 },
    spareTokens: null,
    declaredDigest: null,
    state: 'working',
    stateReason: null,
    refreshedAt: null,
    createdAt: 0,
    ...changes,
  };
}

export function aJob(id: string): Job {
  return {
    id,
    kind: 'replay',
    state: 'running',
    owner: 'owner',
    createdAt: 1,
    endedAt: null,
    ask: {},
    progress: {},
  };
}

export function aSubscriber(id = 'sub_1', changes: Partial<Subscriber> = {}): Subscriber {
  return {
    id,
    name: id,
    url: 'https://ehr.example/hook',
    profile: 'fullscript',
    secrets: [{ value: 'a-signing-secret-of-more-than-32-characters', expiresAt: null }],
    challengeToken: null,
    eventTypes: [],
    clinicIds: [],
    envelope: 'event',
    handshake: 'onRegistration',
    retrySeconds: [10, 20],
    concurrency: null,
    requestsPerSecond: null,
    order: null,
    jwt: false,
    thin: false,
    headers: {},
    owner: 'owner',
    isDeclared: false,
    pauseReasons: [],
    pausedAt: null,
    health: untriedHealth,
    revision: 1,
    sequence: 0,
    createdAt: 0,
    deletedAt: null,
    ...changes,
  };
}

export function anEvent(id: string, changes: Partial<NewEvent> = {}): NewEvent {
  return {
    id,
    type: 'order.placed',
    createdAt: 1_000,
    body: `{"id":"${id}","type":"order.placed","data":{"first_name":"Zoë"}}`,
    isPast: false,
    subscriberIds: ['sub_1'],
    ...changes,
  };
}

export function anErasure(patientId: string, changes: Partial<ErasureAsk> = {}): ErasureAsk {
  return {
    patientId,
    clinicId: null,
    endsOpen: false,
    isDryRun: false,
    by: 'operator',
    jobAfter: (found) => ({
      id: 'ers_1',
      kind: 'erasure',
      state: 'running',
      owner: 'operator',
      createdAt: 0,
      endedAt: null,
      ask: {},
      progress: { ...found },
    }),
    signal: new AbortController().signal,
    ...changes,
  };
}

/** A store with one clinic, one stream and one subscriber. */
export async function furnished(store: Store, subscriber = aSubscriber()): Promise<void> {
  await store.saveClinic(aClinic());
  await store.follow('clinic-1', [{ category: 'orders', startAt: 0 }]);
  await store.addSubscriber(subscriber);
}

export async function pollOf(store: Store, clinicId = 'clinic-1', category = 'orders'): Promise<PollClaim> {
  const [claim] = await store.claimPolls({ streams: [{ clinicId, category }], leaseMs: 60_000 });
  if (!claim) throw new Error('the stream is taken');
  return claim;
}

/** Records events as a poll would, with the current subscribers' version, and ends the poll. */
export async function record(
  store: Store,
  events: readonly NewEvent[],
  clinicId = 'clinic-1',
): Promise<void> {
  const claim = await pollOf(store, clinicId);
  const { version } = await store.subscribers();
  const recorded = await store.recordEvents(claim, { events, subscribersVersion: version });
  if (recorded.kind !== 'recorded') throw new Error('the subscribers changed');
  await store.endPoll(claim, {
    kind: 'completed',
    cursor: 5_000,
    isSweep: true,
    newestEventAt: 1_000,
    nextPollAt: 0,
  });
}

export async function claim(
  store: Store,
  slots = 10,
  subscriberId = 'sub_1',
): Promise<readonly DeliveryClaim[]> {
  return store.claimDeliveries({ slotsBySubscriber: new Map([[subscriberId, slots]]), leaseMs: 30_000 });
}

export const accepted = {
  outcome: { kind: 'accepted', status: 200 },
  durationMs: 5,
  excerpt: null,
  random: 0,
} as const;

export const refused = {
  outcome: { kind: 'rejected', status: 503, retryAfterMs: null, because: 'status' },
  durationMs: 5,
  excerpt: 'not now',
  random: 0,
} as const;
