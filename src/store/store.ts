import type { Attempt, Outcome } from '../domain/attempt.ts';
import type {
  Clinic,
  Connection,
  SetAside,
  SetAsideReason,
  Stream,
  StreamKey,
  Tokens,
} from '../domain/clinic.ts';
import type { Delivery, ShownState } from '../domain/delivery.ts';
import type { EventInClinic, EventWithBody, RecordedEvent, Withheld } from '../domain/event.ts';
import type { PauseReason, SigningSecret, Subscriber } from '../domain/subscriber.ts';
import type { TokenKey } from '../domain/token-key.ts';

/**
 * What the relay remembers, and the only thing that lies between its two halves.
 *
 * Every method that changes something takes effect as a whole or not at all, and is
 * durable when it resolves. Reads show only what is durable. Instants are epoch
 * milliseconds of the store's own clock; leases are counted on a clock that never steps.
 * Whoever may throw `StoreUnavailable` decided nothing; after `StoreBroken` the process
 * has to end.
 *
 * Each part is what one user of the store needs; `test/store/contract.ts` holds every
 * store to all of it.
 */
export interface Store
  extends ClinicStore,
    PollStore,
    SeenStore,
    PushStore,
    SubscriberStore,
    DeliveryStore,
    BackfillStore,
    LogStore,
    JobStore,
    BudgetStore,
    RevokedTokenStore,
    ErasureStore,
    TokenKeyStore,
    RestorationStore {
  /** Resolves when writes are taken at the moment; throws `StoreUnavailable` naming the reason. */
  assertWritable(): Promise<void>;
  /** Ends open work tidily and releases the store. Nothing may be called after it. */
  close(): Promise<void>;
}

/** The right to do a piece of work now. Opaque to whoever holds it. */
export interface Claim {
  readonly claimId: string;
}

// --- clinics and connections --------------------------------------------------------

export interface ClinicStore {
  clinics(): Promise<readonly Clinic[]>;
  /** Adds it, or replaces what is known of it. A name that another clinic has is a `Conflict` `clinic_name_taken`. */
  saveClinic(clinic: Clinic): Promise<void>;
  /** Changes only what is given, of the clinic as it is at that moment. @throws NotFound */
  changeClinic(clinicId: string, change: Partial<Pick<Clinic, 'isPaused' | 'isRemoved'>>): Promise<Clinic>;
  connections(): Promise<readonly Connection[]>;
  /**
   * Adds it, or replaces everything but its tokens. Given `tokens` replace the pair; so
   * does `null` when the tokens come from elsewhere now (another kind of origin, another
   * `tokenUrl`, another `declaredDigest`). The pair that was replaced stays as spare.
   */
  saveConnection(connection: Connection): Promise<void>;
  /**
   * Says whose clinic a connection is, and changes nothing else of it.
   * @returns false when it was removed, or is another clinic's: then nothing changes.
   */
  assignClinic(connectionId: string, clinicId: string): Promise<boolean>;
  /** @returns what it was, for whoever revokes its tokens; `null` when there is none. */
  deleteConnection(connectionId: string): Promise<Connection | null>;
  /**
   * Takes both pairs off the record and keeps the rest; a person has to act.
   * @param needsReconnect why, in one line.
   * @returns what it was, for whoever revokes its tokens; `null` when there is none.
   */
  forgetTokens(connectionId: string, needsReconnect: string): Promise<Connection | null>;
  /** The right to renew a connection's tokens; `null` while somebody else has it. */
  claimRefresh(connectionId: string, leaseMs: number): Promise<RefreshClaim | null>;
  /**
   * Replaces the pair; the old one stays as spare. Ends the claim.
   * @throws ClaimLost also when the pair that was to be renewed was replaced or removed meanwhile
   * @throws NotFound when the connection was
   */
  saveTokens(claim: RefreshClaim, tokens: Tokens): Promise<Connection>;
  /** The pair of this access token worked: the spare one is dropped, if that pair is still the current one. */
  dropSpareTokens(connectionId: string, accessToken: string): Promise<void>;
  /**
   * Ends the claim without new tokens; a claim that is lost already is let be.
   * @param needsReconnect the one-line reason when a person has to act.
   * @throws ClaimLost, NotFound as `saveTokens` does, given a reason: it is about the pair of the claim
   */
  endRefresh(claim: RefreshClaim, needsReconnect: string | null): Promise<void>;
}

export interface RefreshClaim extends Claim {
  readonly connection: Connection;
}

// --- polls --------------------------------------------------------------------------

export interface PollStore {
  /** Starts streams that are not known yet; what is known of the others stays. */
  follow(clinicId: string, streams: readonly { category: string; startAt: number }[]): Promise<void>;
  streams(): Promise<readonly Stream[]>;
  /** Claims those of the given streams that nobody else has. One poller per stream, ever. */
  claimPolls(ask: {
    readonly streams: readonly StreamKey[];
    readonly leaseMs: number;
  }): Promise<readonly PollClaim[]>;
  /** Those of `eventIds` that were never recorded for the clinic, each once, in the order given. */
  unseen(clinicId: string, eventIds: readonly string[]): Promise<readonly string[]>;
  /**
   * Records events and the deliveries that follow from them. An event that is known for
   * its clinic adds nothing; a delivery that exists (the event came through another
   * clinic before) is not made again.
   *
   * @returns `subscribersChanged` when `subscribersVersion` is stale: nothing was
   *   recorded, read the subscribers again and recompute.
   * @throws ClaimLost
   */
  recordEvents(
    claim: PollClaim,
    batch: EventBatch,
  ): Promise<Recorded | { readonly kind: 'subscribersChanged' }>;
  /**
   * Notes a try at an item that cannot be read: made visible, and final by the rule of
   * `setAsideIsFinal`.
   * @throws ClaimLost
   */
  setAside(claim: PollClaim, item: UnreadableItem): Promise<SetAside>;
  /** Items that could not be read; those that were read after all only with `includeResolved`. */
  setAsides(filter?: { readonly includeResolved?: boolean }): Promise<readonly SetAside[]>;
  /** Extends the lease. @throws ClaimLost */
  renewPoll(claim: PollClaim, leaseMs: number): Promise<void>;
  /** Ends the claim and keeps what came of it. @throws ClaimLost */
  endPoll(claim: PollClaim, end: PollEnd): Promise<Stream>;
  /** Makes streams due now: `category` absent means all of the clinic's. */
  pollSoon(clinicId: string, category?: string): Promise<void>;
}

export interface PollClaim extends Claim {
  readonly stream: Stream;
}

export interface NewEvent {
  readonly id: string;
  readonly type: string;
  readonly createdAt: number | null;
  /** The exact JSON text of the event object; `null` when `isPast`. */
  readonly body: string | null;
  readonly isPast: boolean;
  /** Whom it is owed to: see `subscribersOf`. Empty when `isPast` or withheld. */
  readonly subscriberIds: readonly string[];
  readonly withheld?: Withheld;
}

export interface EventBatch {
  readonly events: readonly NewEvent[];
  /** The version of the subscriber set that `subscriberIds` were computed from. */
  readonly subscribersVersion: number;
}

export interface Recorded {
  readonly kind: 'recorded';
  /** Events that were new for their clinic. */
  readonly events: number;
  readonly deliveries: number;
  /** Ids whose body differs from the one recorded in another clinic. */
  readonly differing: readonly string[];
}

export interface UnreadableItem {
  readonly key: string;
  readonly eventId: string | null;
  readonly reason: SetAsideReason;
  readonly detail: string;
}

export type PollEnd =
  | {
      readonly kind: 'completed';
      /** When the poll began, by the vendor's clock. */
      readonly cursor: number;
      /** It read the whole 30 days. */
      readonly isSweep: boolean;
      readonly newestEventAt: number | null;
      /** See `Lateness`; 0 or absent when nothing was listed late. */
      readonly lateMs?: number;
      readonly nextPollAt: number;
    }
  /** The cursor stays where it was. */
  | { readonly kind: 'failed'; readonly problem: string; readonly nextPollAt: number }
  /** The category is not to be had for this clinic at the moment. */
  | { readonly kind: 'off'; readonly problem: string; readonly nextPollAt: number };

// --- events that were handled elsewhere ---------------------------------------------

export interface SeenStore {
  /**
   * Takes over ids of events that somebody handled without the relay: from now on they are
   * known in that clinic, withheld as `imported`, and never owed to anybody. One that
   * somebody was owed already stays as it is. Doing it again changes nothing.
   *
   * @param how.isDryRun only counts.
   * @throws NotFound when the clinic is not known
   */
  importSeen(
    clinicId: string,
    eventIds: readonly string[],
    how: { readonly isDryRun: boolean },
  ): Promise<SeenImported>;
}

/** How many of the ids, each counted once. */
export interface SeenImported {
  /** The log did not know: they will not be read. */
  readonly recorded: number;
  /** The log knew and nobody was owed: no backfill sends them. */
  readonly withheld: number;
  /** Were imported before. */
  readonly known: number;
  /** Somebody was owed already: left as they are. */
  readonly owed: number;
}

// --- Fullscript's own webhooks -----------------------------------------------------

export interface PushStore {
  /**
   * Records an event that Fullscript's own webhook brought, with the deliveries that
   * follow from it, and notes which way it came first; needs no claim.
   *
   * @returns `again` when a webhook had brought it before: nothing changes then;
   *   `subscribersChanged` as `recordEvents` does.
   */
  recordPushed(ask: {
    readonly stream: StreamKey;
    readonly event: NewEvent;
    readonly subscribersVersion: number;
  }): Promise<RecordedPush | { readonly kind: 'subscribersChanged' }>;
  /** By UTC day of their recording, the newest first: how the events of live streams came. */
  pushDays(since: number): Promise<readonly PushDay[]>;
}

export interface RecordedPush {
  /** `later`: a poll had found it. */
  readonly kind: 'first' | 'later' | 'again';
  readonly deliveries: number;
  /** Its text is another than the one that the poll retrieved. */
  readonly differs: boolean;
}

/** Events that were recorded on a day, those of the past left out, by the way that they came. */
export interface PushDay {
  /** `yyyy-mm-dd`. */
  readonly day: string;
  readonly events: number;
  readonly pushedFirst: number;
  /** A poll found them first, and a webhook came, too. */
  readonly polledFirst: number;
  /** No webhook has brought them. */
  readonly neverPushed: number;
  /** The webhook's text was another than the one that the poll had retrieved. */
  readonly differing: number;
}

// --- subscribers --------------------------------------------------------------------

export interface SubscriberStore {
  /** All of them, deleted ones too, and the version that every change of the set raises. */
  subscribers(): Promise<SubscriberSet>;
  /**
   * @param backfill goes on record in the same commit: no crash leaves one without the other.
   * @throws Conflict `subscriber_name_taken` when its owner has another one of that name.
   */
  addSubscriber(subscriber: Subscriber, backfill?: Job): Promise<Subscriber>;
  /**
   * Changes fields of one that is not deleted. A change of URL, profile, secrets,
   * challenge token or headers raises its revision.
   * @param change or what computes it from the subscriber as it is at that moment.
   * @throws NotFound, Conflict `subscriber_name_taken`
   */
  changeSubscriber(
    subscriberId: string,
    change: SubscriberChange | ((now: Subscriber) => SubscriberChange),
  ): Promise<Subscriber>;
  /** Ends its claims and cancels what is open, in the same commit. @throws NotFound */
  deleteSubscriber(subscriberId: string): Promise<Subscriber>;
  /** Adds a reason; nothing changes when it has it already. @throws NotFound */
  pauseSubscriber(subscriberId: string, reason: PauseReason): Promise<Subscriber>;
  /**
   * Takes reasons away, and what is past due becomes due. With `skip`, what was held
   * until it became active ends as failed (skipped) in the same commit.
   * @throws NotFound
   */
  resumeSubscriber(subscriberId: string, how: Resumption): Promise<Subscriber>;
}

export interface Resumption {
  readonly lift: readonly PauseReason[];
  readonly backlog: 'deliver' | 'skip';
  /** The revision whose handshake passed: `handshake` is lifted for no other. */
  readonly shookRevision?: number;
  /** A person says that it is well again. */
  readonly closeBreaker?: boolean;
}

export interface SubscriberSet {
  readonly version: number;
  readonly subscribers: readonly Subscriber[];
}

export type SubscriberChange = Partial<
  Pick<
    Subscriber,
    | 'name'
    | 'url'
    | 'profile'
    | 'challengeToken'
    | 'eventTypes'
    | 'clinicIds'
    | 'envelope'
    | 'handshake'
    | 'retrySeconds'
    | 'concurrency'
    | 'requestsPerSecond'
    | 'order'
    | 'jwt'
    | 'thin'
    | 'headers'
    | 'owner'
  > & { readonly secrets: readonly SigningSecret[] }
>;

// --- deliveries ---------------------------------------------------------------------

export interface DeliveryStore {
  /**
   * Claims due deliveries of active subscribers, for free slots only, and numbers the
   * attempt that each is about to get: first attempts before retries, oldest first. Of a
   * failing subscriber it claims one at a time as a probe, in rotation, when its next
   * probe is due.
   * Of a subscriber with an order it claims, of each clinic, nothing but the first that
   * is open; replays pass by.
   * Claims whose lease lapsed become attempts with outcome `interrupted` first.
   *
   * @param ask.slotsBySubscriber free slots; a subscriber that is not named gets none.
   */
  claimDeliveries(ask: {
    readonly slotsBySubscriber: ReadonlyMap<string, number>;
    readonly leaseMs: number;
  }): Promise<readonly DeliveryClaim[]>;
  /** Extends leases; claims that are lost already are left out of the answer. */
  renew(claims: readonly DeliveryClaim[], leaseMs: number): Promise<readonly DeliveryClaim[]>;
  /**
   * Records what came of a claimed attempt: the delivery by `afterAttempt`, the
   * subscriber's health by `afterAttemptOfSubscriber` (only if the attempt was sent under
   * its current revision), all in one commit. A result under a lost claim is recorded as
   * late and changes no state.
   *
   * @throws ClaimLost after recording the late result.
   */
  recordAttempt(claim: DeliveryClaim, result: AttemptResult): Promise<AfterAttempt>;
  /** When the next delivery that nobody has claimed may be sent to an active or failing subscriber; `null` when none will. */
  nextDueAt(): Promise<number | null>;
  /**
   * Starts a round for each: see `startRound`. In flight and held ones stay as they are.
   * A failing subscriber is probed at once: somebody believes that it is well again.
   * Unknown ids are left out of the answer.
   *
   * @param fetched texts of events that were fetched again: they are what is sent from now on.
   */
  startRounds(
    deliveryIds: readonly string[],
    fetched?: readonly FetchedBody[],
  ): Promise<readonly RoundStarted[]>;
}

export interface DeliveryClaim extends Claim {
  readonly delivery: Delivery;
  /** Number of the attempt that this claim is for, counted from 1. */
  readonly attempt: number;
  readonly startedAt: number;
  readonly event: EventWithBody;
  readonly subscriber: Subscriber;
}

export interface AttemptResult {
  readonly outcome: Outcome;
  readonly durationMs: number;
  /** At most 1 KiB of the answer; dropped when the outcome is accepted. */
  readonly excerpt: string | null;
  /** In [0, 1), for the jitter of the next wait. */
  readonly random: number;
}

export interface AfterAttempt {
  readonly delivery: Delivery;
  /** The subscriber as the attempt left it. */
  readonly subscriber: Subscriber;
  /** The attempt paused the subscriber for this reason. */
  readonly paused: PauseReason | null;
  /** The attempt opened the subscriber's breaker, or closed it. */
  readonly turned: 'failing' | 'recovered' | null;
}

export interface FetchedBody extends EventInClinic {
  /** The exact JSON text of the event object. */
  readonly body: string;
}

export interface RoundStarted {
  readonly deliveryId: string;
  /**
   * `due`: pending and made due now; `inFlight`, `held`: left as it is; `cancelled`: never
   * sent again; `notKept`, `erased`: left as it is, because the event's text is kept no
   * longer, or was erased.
   */
  readonly kind: 'newRound' | 'due' | 'inFlight' | 'held' | 'cancelled' | 'notKept' | 'erased';
}

// --- backfills ----------------------------------------------------------------------

export interface BackfillStore {
  /** Those of `eventIds` that the subscriber has no delivery for, in the order given. */
  unowed(subscriberId: string, eventIds: readonly string[]): Promise<readonly string[]>;
  /**
   * Owes known events to a subscriber, in the order given, and puts the job behind it on
   * record in the same commit: the only thing that adds deliveries to events of the past.
   * One that the subscriber has a delivery for, and one that the log knows no more, adds
   * nothing. A given body is kept, when there is none on record.
   *
   * @param ask.jobAfter the job as it stands then, given how many deliveries were made.
   * @returns `bodiesNeeded` when the text of some is neither on record nor given: nothing
   *   was recorded.
   * @throws NotFound when the subscriber is deleted
   */
  oweEvents(ask: {
    readonly subscriberId: string;
    readonly events: readonly OwedEvent[];
    readonly jobAfter: (deliveries: number) => Job;
  }): Promise<Owing>;
}

export interface OwedEvent {
  readonly clinicId: string;
  readonly eventId: string;
  readonly type: string;
  /** The exact JSON text of the event object, for one whose text is not on record. */
  readonly body: string | null;
}

export type Owing =
  | { readonly kind: 'owed'; readonly deliveries: number }
  | { readonly kind: 'bodiesNeeded'; readonly events: readonly OwedEvent[] };

// --- the log ------------------------------------------------------------------------

export interface LogStore {
  delivery(deliveryId: string): Promise<Delivery | null>;
  /**
   * The earlier delivery of the same clinic that has to end before this one is sent;
   * `null` when there is none, or its subscriber has no order.
   */
  waitsBehind(deliveryId: string): Promise<string | null>;
  /** In the order of their numbers; the excerpt of one whose excerpt is damaged is `null`. */
  attempts(deliveryId: string): Promise<readonly Attempt[]>;
  /** Newest first, by order of creation. */
  deliveries(filter: DeliveryFilter, page: PageAsk): Promise<Page<Delivery>>;
  /** Counts by shown state, for the whole log or one subscriber. */
  deliveryCounts(subscriberIds: readonly string[] | null): Promise<Readonly<Record<ShownState, number>>>;
  /** Every clinic in which the event was seen, the one it was seen in first at the front. */
  event(eventId: string): Promise<readonly RecordedEvent[]>;
  /**
   * The exact text; `null` when it is past, unknown or expired.
   * @throws StoreCorrupt `body_unreadable` when it is damaged
   */
  eventBody(clinicId: string, eventId: string): Promise<string | null>;
  /** Whether their texts are there, in the order given: `gone` are also those that are unknown or past. */
  bodyStates(events: readonly EventInClinic[]): Promise<readonly BodyState[]>;
  /** Newest recorded first. */
  events(filter: EventFilter, page: PageAsk): Promise<Page<RecordedEvent>>;
}

/** `erased`: on demand, and not to be had again. */
export type BodyState = 'kept' | 'gone' | 'erased';

export interface DeliveryFilter {
  readonly state?: ShownState;
  /** Only these subscribers': how a caller is kept to its own. */
  readonly subscriberIds?: readonly string[];
  readonly clinicId?: string;
  readonly eventType?: string;
  readonly eventId?: string;
  /** Created at or after. */
  readonly since?: number;
  /** Created before. */
  readonly until?: number;
  /** False leaves out those that ended as skipped. */
  readonly includeSkipped?: boolean;
}

export interface EventFilter {
  readonly state?: 'recorded' | 'past';
  readonly clinicId?: string;
  readonly eventType?: string;
  readonly since?: number;
  readonly until?: number;
  /** Only events that these subscribers were owed. */
  readonly subscriberIds?: readonly string[];
  /** Only those that Fullscript's own webhooks brought, too, or only the others. */
  readonly isPushed?: boolean;
}

export interface PageAsk {
  /** 1 to 1,000. */
  readonly limit: number;
  /** From the page before; `null` for the first. Stable while the log grows. */
  readonly cursor: string | null;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor: string | null;
}

// --- jobs, budget, revoked tokens ---------------------------------------------------

/** A stored piece of long work: it survives restarts, and running it twice does no more than once. */
export interface Job {
  readonly id: string;
  readonly kind: 'replay' | 'backfill' | 'audit' | 'erasure';
  readonly state: 'running' | 'done' | 'cancelled';
  /** The subject whose job it is. */
  readonly owner: string;
  readonly createdAt: number;
  readonly endedAt: number | null;
  /** What was asked, as its kind defines it. */
  readonly ask: Readonly<Record<string, unknown>>;
  /** How far it is, as its kind defines it. */
  readonly progress: Readonly<Record<string, unknown>>;
}

export interface JobStore {
  saveJob(job: Job): Promise<void>;
  job(jobId: string): Promise<Job | null>;
  jobs(): Promise<readonly Job[]>;
  /** Takes it off the record; nothing happens when there is none. */
  deleteJob(jobId: string): Promise<void>;
}

export interface BudgetStore {
  /**
   * Takes up to `count` requests out of the rolling window. What is granted counts for
   * the window from now on, used or not; it must be used within `useWithinMs`, so that no
   * restart overruns the vendor's limit.
   *
   * @param limit requests in any `windowMs`.
   */
  reserveRequests(ask: {
    readonly count: number;
    readonly limit: number;
    readonly windowMs: number;
  }): Promise<{ readonly granted: number; readonly useWithinMs: number; readonly retryInMs: number }>;
}

export interface RevokedTokenStore {
  /** Kept until `expiresAt`, when the token would have ended anyway. */
  revokeToken(jti: string, expiresAt: number): Promise<void>;
  isRevoked(jti: string): Promise<boolean>;
}

export interface ErasureStore {
  /**
   * Erases the texts of one patient's events, and what was answered to their deliveries:
   * on record first, then from the disk. It opens every event, one such work at a time.
   * What comes in after it began may be left out.
   *
   * @throws the signal's reason when it is ended halfway: what is on record is erased from
   *   the disk all the same, at the next start at the latest
   */
  erase(ask: ErasureAsk): Promise<Erased>;
}

export interface ErasureAsk {
  readonly patientId: string;
  /** `null` for all. */
  readonly clinicId: string | null;
  /** Open deliveries of such events end as failed (`erased`); otherwise nothing is erased while there are any. */
  readonly endsOpen: boolean;
  /** Counts and changes nothing. */
  readonly isDryRun: boolean;
  /** The subject that asks for it. */
  readonly by: string;
  readonly signal: AbortSignal;
}

export interface Erased {
  readonly isErased: boolean;
  /** Events that were erased, or would be. */
  readonly events: number;
  /** Open deliveries that stand in the way, or would end; after an erasure, events that were opened by a replay meanwhile, and left. */
  readonly open: number;
  /** Open deliveries that were ended. */
  readonly ended: number;
  /** Files that were written anew without them. */
  readonly files: number;
  /** Events whose text is damaged: nobody can say whose they are. */
  readonly unreadable: number;
  /** A code of the patient's id, as it is on record. */
  readonly patient: string;
}

export interface TokenKeyStore {
  /** Those that sign or signed tokens for subscribers; one is made with the first subscriber that is sent any. */
  tokenKeys(): Promise<readonly TokenKey[]>;
  /** @see rolledOver @returns all that are kept */
  rotateTokenKey(overlapMs: number): Promise<readonly TokenKey[]>;
}

export interface RestorationStore {
  /** What is still held since the store came out of a backup; `null` when nothing is, or it never did. */
  restoration(): Promise<Restoration | null>;
}

/** Instants are epoch milliseconds. */
export interface Restoration {
  /** When the backup was taken: what came after it is not in the store. */
  readonly takenAt: number;
  readonly restoredAt: number;
  /** Paused with reason `restored`. */
  readonly subscribers: number;
  readonly connections: number;
  /** Owed to those subscribers; some may have been delivered since the backup was taken. */
  readonly openDeliveries: number;
}
