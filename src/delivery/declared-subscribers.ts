import type { Clock } from '../clock.ts';
import { filterWarnings } from '../domain/filter-warnings.ts';
import { startOf } from '../domain/start-from.ts';
import type { PauseReason, SigningSecret, Subscriber } from '../domain/subscriber.ts';
import {
  declaredSubscriberId,
  isHandshakeStale,
  newSubscriber,
  owesHandshake,
  type SubscriberInput,
} from '../domain/subscriber-input.ts';
import type { Logger } from '../logger.ts';
import type { SubscriberChange, SubscriberStore } from '../store/store.ts';
import { newBackfillJob } from './backfill.ts';

/** A subscriber as the configuration file names it. Its secret is given, because one made at each start would be another. */
export type DeclaredSubscriber = SubscriberInput & { readonly secret: string };

export interface DeclareDependencies {
  readonly store: Pick<
    SubscriberStore,
    'subscribers' | 'addSubscriber' | 'changeSubscriber' | 'pauseSubscriber' | 'resumeSubscriber'
  >;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The subject that the command line's own tokens have. */
export const operator = 'owner';

const secretOverlapMs = 24 * 3_600_000;

/**
 * Brings the subscribers of the store in line with the configuration file. One that is no
 * longer there is paused and never cancelled, and resumes when it comes back; a changed
 * secret is a rotation; who owes a handshake is paused until it passes.
 */
export async function declareSubscribers(
  declared: readonly DeclaredSubscriber[],
  { store, clock, logger }: DeclareDependencies,
): Promise<void> {
  const { subscribers } = await store.subscribers();
  const byId = new Map(subscribers.map((subscriber) => [subscriber.id, subscriber]));
  const present = new Set<string>();
  for (const input of declared) {
    const id = idFor(input.name, byId);
    present.add(id);
    const known = byId.get(id);
    if (known) await bringInLine(known, input);
    else await add(id, input);
  }
  for (const subscriber of subscribers) {
    if (!subscriber.isDeclared || subscriber.deletedAt !== null || present.has(subscriber.id)) continue;
    if (subscriber.pauseReasons.includes('removed')) continue;
    await store.pauseSubscriber(subscriber.id, 'removed');
    logger.warn('A subscriber is no longer in the configuration: it is paused, and what it is owed waits.', {
      subscriberId: subscriber.id,
      name: subscriber.name,
    });
  }

  async function add(id: string, input: DeclaredSubscriber): Promise<void> {
    const about = { id, owner: operator, isDeclared: true, createdAt: clock.now() };
    const subscriber = newSubscriber(input, { ...about, pauseReasons: [] });
    const pauseReasons: readonly PauseReason[] = owesHandshake(subscriber) ? ['handshake'] : [];
    const { startFrom = 'now' } = input;
    if (startFrom === 'now') await store.addSubscriber({ ...subscriber, pauseReasons });
    else {
      const now = clock.now();
      const ask = { subscriberId: id, from: startOf(startFrom, now) };
      const backfill = newBackfillJob(ask, { owner: operator, matched: 0, now });
      await store.addSubscriber({ ...subscriber, pauseReasons }, backfill);
    }
  }

  async function bringInLine(known: Subscriber, input: DeclaredSubscriber): Promise<void> {
    if (known.pauseReasons.includes('removed')) {
      await store.resumeSubscriber(known.id, { lift: ['removed'], backlog: 'deliver' });
      logger.info('A subscriber is back in the configuration.', { subscriberId: known.id, name: known.name });
    }
    const wanted = newSubscriber({ ...input, challenge: undefined }, { ...known, pauseReasons: [] });
    const change: SubscriberChange = {
      url: wanted.url,
      profile: wanted.profile,
      challengeToken: wanted.challengeToken,
      eventTypes: wanted.eventTypes,
      clinicIds: wanted.clinicIds,
      envelope: wanted.envelope,
      handshake: wanted.handshake,
      retrySeconds: wanted.retrySeconds,
      concurrency: wanted.concurrency,
      requestsPerSecond: wanted.requestsPerSecond,
      order: wanted.order,
      jwt: wanted.jwt,
      thin: wanted.thin,
      headers: wanted.headers,
      secrets: rotated(known, wanted, clock.now()),
    };
    const isChanged = Object.entries(change).some(
      ([field, value]) => JSON.stringify(value) !== JSON.stringify(known[field as keyof Subscriber]),
    );
    if (!isChanged) return;
    // Paused first: a start that is cut off in between must not leave a new endpoint unasked.
    const isOwed = owesHandshake(wanted) && isHandshakeStale(known, wanted);
    if (isOwed) await store.pauseSubscriber(known.id, 'handshake');
    await store.changeSubscriber(known.id, change);
    if (!owesHandshake(wanted)) {
      await store.resumeSubscriber(known.id, { lift: ['handshake'], backlog: 'deliver' });
    }
  }
}

/** Says what in the filters of the file is probably not meant. */
export function warnOfFilters(
  declared: readonly DeclaredSubscriber[],
  clinics: Parameters<typeof filterWarnings>[1],
  logger: Logger,
): void {
  for (const subscriber of declared) {
    for (const warning of filterWarnings(subscriber, clinics)) {
      logger.warn(`A declared subscriber’s filter: ${warning}`, { name: subscriber.name });
    }
  }
}

function idFor(name: string, known: ReadonlyMap<string, Subscriber>): string {
  for (let deleted = 0; ; deleted++) {
    const id = declaredSubscriberId(name, deleted);
    if ((known.get(id)?.deletedAt ?? null) === null) return id;
  }
}

/** Receivers of Fullscript's own signature refuse two, so theirs switches at once; the others' overlaps. */
function rotated(known: Subscriber, wanted: Subscriber, now: number): readonly SigningSecret[] {
  const [current] = known.secrets;
  const [next] = wanted.secrets;
  if (current === undefined || next === undefined || current.value === next.value) return known.secrets;
  if (wanted.profile === 'fullscript') return [next];
  return [next, { value: current.value, expiresAt: now + secretOverlapMs }];
}
