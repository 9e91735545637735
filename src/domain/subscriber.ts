import { defaultWaitsMs } from './backoff.ts';
import type { Clinic } from './clinic.ts';
import { matchesEventType, type RecordedEvent } from './event.ts';

/** Which wire format a subscriber speaks. */
export type Profile = 'fullscript' | 'standard';

/** What is put round the event, for the profile `fullscript`. */
export type Envelope = 'event' | 'event_payload' | 'both';

/**
 * When the empty request that checks the challenge token is made. `perEvent`: at the
 * registration and before every attempt, which fails when it is not answered.
 */
export type Handshake = 'onRegistration' | 'perEvent' | 'off';

/** Why a subscriber is not sent to. A set: each is lifted by its own event, `resume` lifts what a person may lift. */
export type PauseReason =
  /** Somebody paused it. */
  | 'person'
  /** It answered 410. */
  | 'gone'
  /** The address guard refused its address. */
  | 'address'
  /** Five days of failing. */
  | 'outage'
  /** Its challenge token has not been answered yet. */
  | 'handshake'
  /** It is no longer in the configuration file. */
  | 'removed'
  /** The store was restored from a backup. */
  | 'restored';

/** In which order a subscriber is sent its deliveries: a clinic's events one after the other, as they were recorded. */
export type Order = 'perClinic';

export interface SigningSecret {
  readonly value: string;
  /** It signs beside the newer one until then; `null` for the current one. */
  readonly expiresAt: number | null;
}

/**
 * How the subscriber has been doing: the breaker's state. It changes with recorded
 * attempts only, so that every process sees the same.
 */
export interface Health {
  /** The breaker is open: only probes are sent. */
  readonly isFailing: boolean;
  /** The different deliveries that failed since the last success, the first five of them. */
  readonly failedInRow: readonly string[];
  readonly firstFailureAt: number | null;
  readonly lastFailureAt: number | null;
  readonly lastSuccessAt: number | null;
  /** The last attempt failed or took long, or none succeeded yet: it gets one slot. */
  readonly isSlow: boolean;
  /** Since the breaker opened. */
  readonly failedProbes: number;
  /** Not before then is a probe sent; `null` while the breaker is closed. */
  readonly nextProbeAt: number | null;
  /** The wait that `nextProbeAt` came from, so that a start after a clock step can clamp it. */
  readonly probeWaitMs: number;
  /** It has come back, and gets one slot more with every success; `null` when it has them all. */
  readonly slowStartSlots: number | null;
}

export const untriedHealth: Health = {
  isFailing: false,
  failedInRow: [],
  firstFailureAt: null,
  lastFailureAt: null,
  lastSuccessAt: null,
  isSlow: true,
  failedProbes: 0,
  nextProbeAt: null,
  probeWaitMs: 0,
  slowStartSlots: null,
};

/** Where events are sent, how, and which ones. Its URL is its endpoint. */
export interface Subscriber {
  readonly id: string;
  /** Unique among one owner's. */
  readonly name: string;
  readonly url: string;
  readonly profile: Profile;
  /** Newest first; all of them sign while none has expired (profile `standard`), the first one alone otherwise. */
  readonly secrets: readonly SigningSecret[];
  readonly challengeToken: string | null;
  /** Patterns; none means all. */
  readonly eventTypes: readonly string[];
  /** Clinic ids or configured names; none means all. */
  readonly clinicIds: readonly string[];
  readonly envelope: Envelope;
  readonly handshake: Handshake;
  /** The waits after the first, second … failure of a round; `null` for the profile's own. */
  readonly retrySeconds: readonly number[] | null;
  /** `null` for the configured `concurrencyPerSubscriber`. */
  readonly concurrency: number | null;
  /** `null` for as many as its slots allow. */
  readonly requestsPerSecond: number | null;
  /** `null` when no order is promised. */
  readonly order: Order | null;
  /** Every request to it carries a token (`relay-signature`) over its body. */
  readonly jwt: boolean;
  /** It is sent ids only, nothing of a patient's. */
  readonly thin: boolean;
  /** On every request to it, by name; mostly what its gateway wants to see. */
  readonly headers: Readonly<Record<string, string>>;
  /** The subject of the token that created it; `null` for a declared one without an owner, which only an admin sees. */
  readonly owner: string | null;
  /** It stands in the configuration file and is read-only in the API. */
  readonly isDeclared: boolean;
  readonly pauseReasons: readonly PauseReason[];
  /** Since when it has been paused without a break, by the store's clock; `null` while it is not. */
  readonly pausedAt: number | null;
  readonly health: Health;
  /** Grows with every change of URL, profile, secret or challenge token. */
  readonly revision: number;
  /** How many deliveries it has been given so far: the last `relay-sequence`. */
  readonly sequence: number;
  readonly createdAt: number;
  /** Deleted: kept so that its past deliveries can name it; nothing is added to it. */
  readonly deletedAt: number | null;
}

export type SubscriberState = 'active' | 'failing' | 'paused' | 'deleted';

/** Derived, never stored. */
export function stateOfSubscriber(
  subscriber: Pick<Subscriber, 'pauseReasons' | 'health' | 'deletedAt'>,
): SubscriberState {
  if (subscriber.deletedAt !== null) return 'deleted';
  if (subscriber.pauseReasons.length > 0) return 'paused';
  return subscriber.health.isFailing ? 'failing' : 'active';
}

/** The waits of a round in milliseconds. */
export function scheduleOf(subscriber: Pick<Subscriber, 'retrySeconds' | 'profile'>): readonly number[] {
  return subscriber.retrySeconds?.map((seconds) => seconds * 1000) ?? defaultWaitsMs[subscriber.profile];
}

/** Why an event does not go to a subscriber; `null` when it does. */
export type FilterRule = 'eventTypes' | 'clinicIds' | 'deleted';

/**
 * Applied once, when an event is recorded, and never later: what a subscriber is owed
 * does not change with its filters.
 *
 * @param clinicName the configured name of the event's clinic, which a filter may use instead of the id.
 */
export function filteredBy(
  subscriber: Pick<Subscriber, 'eventTypes' | 'clinicIds' | 'deletedAt'>,
  event: Pick<RecordedEvent, 'type' | 'clinicId'>,
  clinicName: string | null,
): FilterRule | null {
  if (subscriber.deletedAt !== null) return 'deleted';
  const { eventTypes, clinicIds } = subscriber;
  if (eventTypes.length > 0 && !eventTypes.some((pattern) => matchesEventType(pattern, event.type))) {
    return 'eventTypes';
  }
  if (
    clinicIds.length > 0 &&
    !clinicIds.some((wanted) => wanted === event.clinicId || wanted === clinicName)
  ) {
    return 'clinicIds';
  }
  return null;
}

/** The ids of the subscribers that an event is owed to. Paused ones are owed it too. */
export function subscribersOf(
  event: Pick<RecordedEvent, 'type' | 'clinicId'>,
  subscribers: readonly Subscriber[],
  clinic: Pick<Clinic, 'name'> | null,
): readonly string[] {
  return subscribers
    .filter((subscriber) => filteredBy(subscriber, event, clinic?.name ?? null) === null)
    .map((subscriber) => subscriber.id);
}

/** Reasons that `resume` lifts; the others are lifted by what they wait for. */
export const reasonsLiftedByResume: readonly PauseReason[] = [
  'person',
  'gone',
  'address',
  'outage',
  'restored',
];
