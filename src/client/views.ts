/**
 * What the relay's API shows, as far as its clients read it. Instants are ISO 8601 in
 * UTC; `null` is "not yet" or "none".
 */
export interface PageView<T> {
  readonly data: readonly T[];
  readonly nextCursor: string | null;
}

export type StateOfSubscriber = 'active' | 'failing' | 'paused' | 'deleted';
export type StateOfDelivery = 'pending' | 'held' | 'delivered' | 'failed' | 'cancelled';

export interface SubscriberView {
  readonly id: string;
  readonly name: string;
  readonly url: string;
  readonly profile: 'fullscript' | 'standard';
  readonly state: StateOfSubscriber;
  /** Why it is paused; empty while it is not. */
  readonly pauseReasons: readonly string[];
  readonly eventTypes: readonly string[];
  readonly clinicIds: readonly string[];
  readonly isDeclared: boolean;
  readonly createdAt: string;
}

/** The only answer that ever holds the secret, and the challenge token if one was made. */
export interface NewSubscriberView extends SubscriberView {
  readonly secret: string;
  readonly challengeToken?: string | undefined;
  readonly warnings?: readonly string[];
}

/** A subscriber's fields as file and API name them; the relay judges their values. */
export interface SubscriberInput {
  readonly name?: string | undefined;
  readonly url?: string | undefined;
  readonly profile?: string | undefined;
  readonly secret?: string | undefined;
  readonly challenge?: boolean | undefined;
  readonly challengeToken?: string | undefined;
  readonly eventTypes?: readonly string[] | undefined;
  readonly clinicIds?: readonly string[] | undefined;
  readonly envelope?: string | undefined;
  readonly handshake?: string | undefined;
  readonly retrySeconds?: readonly number[] | undefined;
  readonly concurrency?: number | undefined;
}

export interface DeliveryView {
  readonly id: string;
  readonly state: StateOfDelivery;
  readonly subscriberId: string;
  readonly clinicId: string;
  readonly eventId: string;
  readonly eventType: string;
  readonly sequence: number;
  readonly round: number;
  /** How many attempts were made. */
  readonly attemptCount: number;
  readonly createdAt: string;
  readonly dueAt: string | null;
  readonly deliveredAt: string | null;
  readonly endReason: string | null;
  /** One word for what came of the last attempt; `null` before the first. */
  readonly lastOutcome: string | null;
}

export interface AttemptView {
  readonly number: number;
  readonly round: number;
  readonly startedAt: string;
  readonly durationMs: number;
  readonly outcome: string;
  readonly excerpt: string | null;
}

export interface DeliveryWithAttempts extends DeliveryView {
  readonly attempts: readonly AttemptView[];
}

export interface ExplanationView {
  readonly explanation: string;
}

export interface ReplayView {
  readonly id: string;
  readonly state: 'running' | 'done' | 'cancelled';
  /** How many deliveries it found to replay. */
  readonly matched: number;
  /** How many of them it has gone through. */
  readonly done: number;
}

/** What a replay of one delivery did: a `newRound`, made `due` now, or left as it is. */
export interface ReplayStartedView {
  readonly deliveryId: string;
  readonly kind: 'newRound' | 'due' | 'inFlight' | 'held' | 'cancelled';
}

export interface ClinicView {
  readonly id: string;
  readonly name: string;
  readonly state?: string;
}
