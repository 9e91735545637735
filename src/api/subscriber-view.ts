import { z } from 'zod';
import type { Clinic } from '../domain/clinic.ts';
import { filterWarnings } from '../domain/filter-warnings.ts';
import { publicKeysOf, signatureKindOf } from '../domain/signing-secret.ts';
import { type Subscriber, stateOfSubscriber } from '../domain/subscriber.ts';
import { backfillView } from './backfills.ts';
import { shown } from './query.ts';

/** What the API shows of a subscriber: never a secret, never a challenge token. */
export const subscriberView = z.object({
  id: z.string(),
  name: z.string(),
  url: z.string(),
  profile: z.enum(['fullscript', 'standard']),
  state: z.enum(['active', 'failing', 'paused', 'deleted']),
  pauseReasons: z.array(z.enum(['person', 'gone', 'address', 'outage', 'handshake', 'removed', 'restored'])),
  pausedAt: z.string().nullable(),
  eventTypes: z.array(z.string()),
  clinicIds: z.array(z.string()),
  envelope: z.enum(['event', 'event_payload', 'both']),
  handshake: z.enum(['onRegistration', 'perEvent', 'off']),
  hasChallengeToken: z.boolean(),
  retrySeconds: z.array(z.number()).nullable(),
  concurrency: z.number().nullable(),
  requestsPerSecond: z.number().nullable(),
  order: z.enum(['perClinic']).nullable(),
  jwt: z.boolean(),
  thin: z.boolean(),
  /** Without their values, which are mostly passwords. */
  headerNames: z.array(z.string()),
  owner: z.string().nullable(),
  isDeclared: z.boolean(),
  /** Which kind of signature its newest secret makes. */
  signature: z.enum(['v1', 'v1a']),
  /** `whpk_…`, of those secrets that sign as v1a, newest first; nothing secret. */
  publicKeys: z.array(z.string()),
  /** Until when an older secret signs beside the current one. */
  olderSecretUntil: z.string().nullable(),
  lastSuccessAt: z.string().nullable(),
  lastFailureAt: z.string().nullable(),
  revision: z.number(),
  createdAt: z.string(),
});

/** The only answers that hold the secret: to a registration and to a rotation. A private key is in none. */
export const newSubscriberView = subscriberView.extend({
  secret: z.string().optional(),
  challengeToken: z.string().optional(),
  /** What sends it the events since its `startFrom`. */
  backfill: backfillView.optional(),
  warnings: z.array(z.string()),
});

export type SubscriberView = z.infer<typeof subscriberView>;

export function viewOfSubscriber(subscriber: Subscriber, now: number): SubscriberView {
  const { id, name, url, profile, envelope, handshake, concurrency, owner, isDeclared, revision } =
    subscriber;
  const untils = subscriber.secrets.flatMap(({ expiresAt }) =>
    expiresAt !== null && expiresAt > now ? [expiresAt] : [],
  );
  return {
    id,
    name,
    url,
    profile,
    state: stateOfSubscriber(subscriber),
    pauseReasons: [...subscriber.pauseReasons],
    pausedAt: shown(subscriber.pausedAt),
    eventTypes: [...subscriber.eventTypes],
    clinicIds: [...subscriber.clinicIds],
    envelope,
    handshake,
    hasChallengeToken: subscriber.challengeToken !== null,
    retrySeconds: subscriber.retrySeconds === null ? null : [...subscriber.retrySeconds],
    concurrency,
    requestsPerSecond: subscriber.requestsPerSecond,
    order: subscriber.order,
    jwt: subscriber.jwt,
    thin: subscriber.thin,
    headerNames: Object.keys(subscriber.headers),
    owner,
    isDeclared,
    signature: signatureKindOf(subscriber.secrets[0]?.value ?? ''),
    publicKeys: [...publicKeysOf(subscriber.secrets, now)],
    olderSecretUntil: untils.length === 0 ? null : shown(Math.max(...untils)),
    lastSuccessAt: shown(subscriber.health.lastSuccessAt),
    lastFailureAt: shown(subscriber.health.lastFailureAt),
    revision,
    createdAt: shown(subscriber.createdAt),
  };
}

/** A secret that its receiver has to know; of an asymmetric one that is the public key alone, which every view shows. */
export function shownSecret({ secrets }: Subscriber): { readonly secret?: string } {
  const value = secrets[0]?.value ?? '';
  return signatureKindOf(value) === 'v1a' ? {} : { secret: value };
}

/** What is allowed and probably not meant. */
export function warningsFor(
  subscriber: Subscriber,
  { others, clinics }: { readonly others: readonly Subscriber[]; readonly clinics: readonly Clinic[] },
): readonly string[] {
  const living = others.filter((other) => other.id !== subscriber.id && other.deletedAt === null);
  const secret = subscriber.secrets[0]?.value;
  return [
    ...filterWarnings(subscriber, clinics),
    ...living
      .filter(({ url }) => url === subscriber.url)
      .map(({ name }) => `${name} has the same URL: each event that both want comes twice.`),
    ...living
      .filter(({ secrets }) => secrets.some(({ value }) => value === secret))
      .map(({ name }) => `${name} signs with the same secret; give each subscriber its own.`),
    ...(subscriber.handshake === 'perEvent' && subscriber.challengeToken === null
      ? ['It has no challenge token, so that no handshake is made, whatever `handshake` says.']
      : []),
    ...(new URL(subscriber.url).search === ''
      ? []
      : ['The URL has a query; whoever may read subscribers sees it, so it must hold no password.']),
  ];
}
