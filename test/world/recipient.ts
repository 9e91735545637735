import { type Subscriber, untriedHealth } from '../../src/domain/subscriber.ts';

/** An active subscriber that any test may change to its needs. */
export function recipient(changes: Partial<Subscriber> = {}): Subscriber {
  return {
    id: 'sub_1',
    name: 'ehr',
    url: 'http://127.0.0.1:9/hook',
    profile: 'fullscript',
    secrets: [{ value: 'relay-test-secret-0123456789abcdef', expiresAt: null }],
    challengeToken: null,
    eventTypes: [],
    clinicIds: [],
    envelope: 'event',
    handshake: 'onRegistration',
    retrySeconds: null,
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
    health: { ...untriedHealth, isSlow: false },
    revision: 1,
    sequence: 1,
    createdAt: 0,
    deletedAt: null,
    ...changes,
  };
}
