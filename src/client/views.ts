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
  /** The waits of a round; `null` for those of its profile. */
  readonly retrySeconds: readonly number[] | null;
  /** Requests at once; `null` for what the configuration says. */
  readonly concurrency: number | null;
  /** `null` for as many as come. */
  readonly requestsPerSecond: number | null;
  /** `null` where none is promised. */
  readonly order: 'perClinic' | null;
  readonly envelope: string;
  /** Each request to it carries a token over its body. */
  readonly jwt: boolean;
  readonly thin: boolean;
  /** Of its static headers; nobody is shown their values. */
  readonly headerNames: readonly string[];
  /** `null` where it is the operator's alone. */
  readonly owner: string | null;
  readonly hasChallengeToken: boolean;
  /** The kind of its signature: `v1a` is asymmetric. */
  readonly signature: 'v1' | 'v1a';
  /** `whpk_…`, newest first; empty unless it signs as v1a. */
  readonly publicKeys: readonly string[];
  readonly lastSuccessAt: string | null;
  readonly lastFailureAt: string | null;
  readonly createdAt: string;
}

/** A subscriber after a change, with what is allowed and probably not meant. */
export interface ChangedSubscriberView extends SubscriberView {
  readonly warnings: readonly string[];
}

/** A subscriber after `resume`, and what came of the handshake that it owed. */
export interface ResumedSubscriberView extends SubscriberView {
  readonly handshakeResult?: {
    readonly passed: boolean;
    readonly message: string;
    readonly hint: string;
  };
}

/** The only answers that ever hold the secret; a challenge token stands in it if one was made. */
export interface NewSubscriberView extends ChangedSubscriberView {
  /** Absent where receivers know the public key alone. */
  readonly secret?: string;
  readonly backfill?: BackfillView;
  readonly challengeToken?: string;
}

/** A subscriber's fields as file and API name them; the relay judges their values. */
export interface SubscriberInput {
  /** Of a new one: since when it is sent events of the past; `now`, a length of time, or an instant. */
  readonly startFrom?: string | undefined;
  readonly name?: string | undefined;
  readonly url?: string | undefined;
  readonly profile?: string | undefined;
  readonly secret?: string | undefined;
  readonly signature?: string | undefined;
  readonly challenge?: boolean | undefined;
  /** `null` takes it away. */
  readonly challengeToken?: string | null | undefined;
  readonly eventTypes?: readonly string[] | undefined;
  readonly clinicIds?: readonly string[] | undefined;
  readonly envelope?: string | undefined;
  readonly handshake?: string | undefined;
  /** `null`, of these four: as if none had ever been chosen. */
  readonly retrySeconds?: readonly number[] | null | undefined;
  readonly concurrency?: number | null | undefined;
  readonly requestsPerSecond?: number | null | undefined;
  readonly order?: string | null | undefined;
  readonly jwt?: boolean | undefined;
  readonly thin?: boolean | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
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
  /** The subscriber's breaker was open: a failure consumed no step of the schedule. */
  readonly isProbe: boolean;
  /** It came after its claim was lost and changed nothing. */
  readonly isLate: boolean;
  readonly excerpt: string | null;
}

export interface DeliveryWithAttempts extends DeliveryView {
  readonly attempts: readonly AttemptView[];
}

export interface ExplanationView {
  /** One word for programs. */
  readonly because: string;
  readonly explanation: string;
}

export interface ReplayView {
  readonly id: string;
  readonly state: 'running' | 'done' | 'cancelled';
  /** How many deliveries it found to replay. */
  readonly matched: number;
  /** How many of them it has gone through. */
  readonly done: number;
  /** For how many of those the event was kept no longer and was fetched again. */
  readonly fetched: number;
  /** How many were left as they are, because nobody has their event any more. */
  readonly notKept: number;
  /** How many were left as they are, because their event could not be fetched at the time. */
  readonly notFetched: number;
}

export interface BackfillView {
  readonly id: string;
  readonly subscriberId: string;
  readonly from: string;
  readonly state: 'running' | 'done' | 'cancelled';
  /** How many events it has found so far. */
  readonly matched: number;
  /** How many of them it has gone through. */
  readonly done: number;
  /** For how many of these it made a delivery. */
  readonly enqueued: number;
  /** How many were left out because nobody has their text any more. */
  readonly unavailable: number;
}

/** What a backfill would take. */
export interface BackfillCountView {
  readonly from: string;
  readonly matched: number;
  readonly streams: readonly {
    readonly clinicId: string;
    readonly category: string;
    readonly events: number;
  }[];
}

/** What a replay of one delivery did: a `newRound`, made `due` now, or left as it is. */
export interface ReplayStartedView {
  readonly deliveryId: string;
  readonly kind: 'newRound' | 'due' | 'inFlight' | 'held';
  /** The relay did not have the event any more, and fetched it from Fullscript again. */
  readonly isFetched: boolean;
}

/** What a replay would go through; nothing is changed. */
export interface ReplayCountView {
  readonly matched: number;
  /** Of these, whose event would have to be fetched again. */
  readonly toFetch: number;
}

/** What came of an erasure. */
export interface ErasureView {
  readonly id: string;
  readonly state: 'running' | 'done' | 'cancelled';
  readonly dryRun: boolean;
  /** Why it was cancelled, or what it waits for. */
  readonly problem: string | null;
  /** `null` until it is on record. */
  readonly result: {
    /** False for a dry run, and when open deliveries stood in the way. */
    readonly erased: boolean;
    readonly events: number;
    /** Open deliveries that stand in the way, or would be ended; after an erasure, events that were left. */
    readonly open: number;
    readonly ended: number;
    readonly files: number;
    readonly unreadable: number;
    readonly note: string;
  } | null;
}

/** How many events were listed, and what became of them: each stands in one bucket. */
export interface AuditCounts {
  readonly listed: number;
  readonly missing: number;
  readonly setAside: number;
  readonly failed: number;
  readonly held: number;
  readonly pending: number;
  readonly cancelled: number;
  readonly delivered: number;
  readonly filtered: number;
}

export interface AuditedStreamView extends AuditCounts {
  readonly clinicId: string;
  readonly category: string;
  readonly balanced: boolean;
  readonly withoutId: number;
  readonly repaired: number;
  readonly missingIds: readonly string[];
  readonly problem: string | null;
}

export interface AuditView extends AuditCounts {
  readonly id: string;
  readonly state: 'running' | 'done' | 'cancelled';
  readonly repair: boolean;
  readonly progress: { readonly streams: number; readonly done: number };
  /** `null` until it is done. */
  readonly balanced: boolean | null;
  /** Listed without an id that can be used. */
  readonly withoutId: number;
  readonly repaired: number;
  /** The first 1,000. */
  readonly missingIds: readonly string[];
  /** Empty while it is running, as `streams` is. */
  readonly unlisted: readonly UnlistedStreamView[];
  readonly streams: readonly AuditedStreamView[];
}

/** A stream of which the audit says nothing; `off` and `paused` were decided by the vendor or a person. */
export interface UnlistedStreamView {
  readonly clinicId: string;
  readonly category: string;
  readonly reason: 'off' | 'paused' | 'noAccess' | 'failed' | 'outOfTime';
  readonly detail: string;
}

/** Without the scope `admin` only the id and the name are shown. */
export interface ClinicView {
  /** The vendor's, or the connection's while its tokens were not used yet. */
  readonly id: string;
  readonly name: string;
  readonly state?: 'active' | 'paused' | 'connecting' | 'waiting' | 'needsReconnect' | 'removed';
  readonly stateReason?: string | null;
  /** While it is not read: how long the vendor still lists all that is missing. */
  readonly daysLeft?: number | null;
  readonly connections?: readonly { readonly state: 'working' | 'needsReconnect' | 'restored' }[];
}

/** What the start of a new clinic would take. */
export interface StartCountView {
  readonly clinicId: string;
  readonly name: string;
  readonly startAt: string;
  readonly categories: readonly {
    readonly category: string;
    readonly taken: number;
    readonly past: number;
    readonly isAtLeast: boolean;
    readonly problem: string | null;
  }[];
}

export interface StreamView {
  readonly clinicId: string;
  readonly category: string;
  readonly state: 'new' | 'reading' | 'failing' | 'off';
  /** What was created before is past. */
  readonly startAt: string;
  /** Up to which moment all that Fullscript listed is on record; `null` before the first complete reading. */
  readonly readUntil: string | null;
  /** The last stretch that Fullscript listed no more when the stream came to be read. */
  readonly gap: { readonly from: string; readonly until: string } | null;
  /** Since the last complete reading began; `null` before the first. */
  readonly lagSeconds: number | null;
  readonly problem: string | null;
  /** How long after its `created_at` an event was still not listed: the greatest of the last 30 days. */
  readonly lateSeconds: number;
  /** While it does not advance: days until the vendor no longer lists what is missing. */
  readonly daysLeft: number | null;
}

/** An item of a list that could not be read. */
export interface SetAsideView {
  readonly clinicId: string;
  readonly category: string;
  readonly eventId: string | null;
  readonly reason: string;
  readonly detail: string;
  readonly tries: number;
  /** It no longer stops its stream, and is tried again daily. */
  readonly isFinal: boolean;
}

export interface StatusView {
  readonly at: string;
  /** Events are read and recorded, and nothing is sent. */
  readonly shadow?: boolean;
  readonly store: {
    /** Why no writes are taken at the moment; `null` when they are. */
    readonly trouble: {
      readonly message: string;
      readonly hint: string;
      readonly since: string | null;
    } | null;
    /** What is held since the store came out of a backup; `null` when nothing is. */
    readonly restored: {
      readonly takenAt: string;
      readonly restoredAt: string;
      readonly subscribers: number;
      readonly connections: number;
      readonly openDeliveries: number;
    } | null;
  };
  readonly clinics: readonly ClinicView[];
  readonly streams: readonly StreamView[];
  readonly budget?: {
    /** What either of them would have to be; `null` while each stream can be polled every `pollSecondsMax`. */
    readonly shortfall: { readonly requestsPerFiveMinutes: number; readonly pollSecondsMax: number } | null;
    /** What cannot be sent to Fullscript at the moment, and why; `null` while requests may go. */
    readonly standstill?: {
      readonly because: 'usedUp' | 'vendorAsked' | 'manyEvents';
      /** Whose new events wait; `null` when nothing at all is sent. */
      readonly clinicId: string | null;
      readonly since: string;
      readonly until: string;
    } | null;
  } | null;
  /** Since the relay started; `reused` are those on a connection that an earlier request had left open. */
  readonly connections?: { readonly answered: number; readonly reused: number } | null;
  /** Without the scope `admin` they are only counted; of many, the first are shown. */
  readonly setAside: { readonly count: number; readonly items: readonly SetAsideView[] };
  readonly deliveries: {
    readonly counts: Readonly<Record<string, number>>;
    /** Since when the oldest delivery that may be sent has waited for its turn; `null` when none does. */
    readonly overdueSince: string | null;
  };
  /** `null` without the scope `admin`. */
  readonly audits: {
    readonly last: {
      readonly id: string;
      readonly endedAt: string;
      readonly balanced: boolean;
      readonly listed: number;
      readonly missing: number;
      readonly repaired: number;
      readonly unlistedInNeed: number;
    } | null;
    readonly running: { readonly id: string; readonly streams: number; readonly done: number } | null;
  } | null;
  readonly subscribers: {
    readonly counts: Readonly<Record<string, number>>;
    readonly notActive: readonly {
      readonly name: string;
      readonly state: string;
      readonly pauseReasons: readonly string[];
    }[];
  };
}

export interface OperationalTestView {
  readonly taken: boolean;
  /** The status, or why there was none. */
  readonly answer: number | string;
}
