import { type Subscriber, untriedHealth } from '../../src/domain/subscriber.ts';
import type { Random } from '../../src/sandbox/random.ts';
import type { World } from './world.ts';

/** A subscriber of any kind; its host is its id, so that the network finds it after every move. */
export function inventSubscriber(number: number, world: World, random: Random): Subscriber {
  const id = `sub-${number}`;
  const profile = random.pick(['fullscript', 'standard'] as const);
  return {
    id,
    name: id,
    url: inventUrl(id, random),
    profile,
    secrets: [{ value: inventSecret(random), expiresAt: null }],
    challengeToken: profile === 'fullscript' && random.next() < 0.4 ? `token-${id}` : null,
    eventTypes: random.next() < 0.7 ? [] : ['order.*'],
    clinicIds: random.next() < 0.8 ? [] : [random.pick(world.fullscript.clinics).id],
    envelope: random.pick(['event', 'event_payload', 'both'] as const),
    handshake: 'off',
    retrySeconds: random.pick([[], [5], [5, 60], [1, 30, 300], [10, 120, 600, 1_800]]),
    concurrency: random.pick([null, 1, 2]),
    requestsPerSecond: random.pick([null, null, 0.5, 20]),
    order: number % 2 === 0 ? 'perClinic' : null,
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
    createdAt: world.time.now,
    deletedAt: null,
  };
}

export function inventUrl(subscriberId: string, random: Random): string {
  return `http://${subscriberId}/${random.int(1, 1_000_000)}`;
}

export function inventSecret(random: Random): string {
  return `whsec_${Buffer.from(random.hex(48), 'hex').toString('base64')}`;
}
