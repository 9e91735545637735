import type { Outcome } from '../../domain/attempt.ts';
import type { Clinic, Connection, SetAside, Stream, TokenOrigin } from '../../domain/clinic.ts';
import type { Delivery, EndReason } from '../../domain/delivery.ts';
import type { Push, RecordedEvent } from '../../domain/event.ts';
import type { Health, PauseReason, Subscriber } from '../../domain/subscriber.ts';
import type { TokenKey } from '../../domain/token-key.ts';
import type { Job, LinkFailure, Revocation } from '../store.ts';

/**
 * What the journal says happened: each fact is one line, holds results and not
 * intentions, and is all that `apply` needs. Once released, a fact's meaning never
 * changes; a new meaning gets a new type.
 */
export type Fact = LogFact | FoldedFact;

export type FactOf<Type extends Fact['t']> = Extract<Fact, { readonly t: Type }>;

/** Of events, deliveries and attempts; what some of them do to the folded part goes along. */
export type LogFact =
  | EventFact
  | OwedFact
  | WithheldFact
  | ClaimedFact
  /** Claims taken back before anything was sent: no attempt came of them. */
  | { readonly t: 'unclaimed'; readonly at: number; readonly of: readonly string[] }
  | AttemptFact
  /** A new round, or a pending one made due: `startRound`. */
  | { readonly t: 'round'; readonly at: number; readonly of: readonly string[] }
  /** Ended without an attempt: `endUnsent`. */
  | {
      readonly t: 'ended';
      readonly at: number;
      readonly reason: Exclude<EndReason, 'scheduleUsedUp'>;
      readonly of: readonly string[];
    }
  | LogRetentionFact
  | ErasedFact
  /** Fullscript's own webhook brought an event that is on record. */
  | { readonly t: 'pushed'; readonly clinic: string; readonly event: string; readonly push: Push }
  /** An event's text was fetched again. */
  | {
      readonly t: 'bodyKept';
      readonly at: number;
      readonly clinic: string;
      readonly event: string;
      readonly body: SealedRef;
    };

/** Of the small rows that the checkpoint holds, and of nothing else. */
export type FoldedFact =
  | { readonly t: 'clinic'; readonly row: Clinic }
  | { readonly t: 'connection'; readonly row: ConnectionRow }
  | { readonly t: 'connectionGone'; readonly id: string }
  /** A link to connect a clinic by was used, or nothing came of one. */
  | { readonly t: 'link'; readonly at: number; readonly row: LinkRow }
  | { readonly t: 'revocation'; readonly row: RevocationRow }
  | { readonly t: 'revocationGone'; readonly id: string }
  | { readonly t: 'stream'; readonly row: Stream }
  | { readonly t: 'setAside'; readonly row: SetAside }
  | SubscriberFact
  | { readonly t: 'job'; readonly row: Job }
  | { readonly t: 'jobGone'; readonly id: string }
  /** The store came out of a backup taken at `takenAt`. */
  | { readonly t: 'restored'; readonly takenAt: number; readonly restoredAt: number }
  | { readonly t: 'tokenKey'; readonly row: TokenKeyRow }
  | { readonly t: 'tokenKeyGone'; readonly id: string }
  | { readonly t: 'revoked'; readonly jti: string; readonly until: number }
  /** Requests taken out of the vendor's budget. */
  | { readonly t: 'budget'; readonly at: number; readonly count: number; readonly countsUntil: number }
  | FoldedRetentionFact;

/** Row numbers from the first to the second, which is not included. */
export type Run = readonly [from: number, to: number];

/** What retention did to the log. */
export type LogRetentionFact =
  /** Rows that are kept no longer, by number. */
  | { readonly t: 'deliveriesGone'; readonly at: number; readonly of: readonly Run[] }
  | { readonly t: 'eventsGone'; readonly at: number; readonly of: readonly Run[] }
  /** An event's body lies elsewhere now, because the file that it lay in is to go. */
  | {
      readonly t: 'bodyMoved';
      readonly at: number;
      readonly clinic: string;
      readonly event: string;
      readonly body: SealedRef;
      /** The clinic whose record the body is sealed for, when it is another one's. */
      readonly bodyOf?: string;
    }
  | {
      readonly t: 'excerptMoved';
      readonly at: number;
      readonly delivery: string;
      readonly n: number;
      readonly from: SealedRef;
      readonly excerpt: SealedRef;
    };

/** What retention deleted of files and small rows. */
export type FoldedRetentionFact =
  /** The bodies' files of the days before this one (days since 1970) are gone, and their keys. */
  | { readonly t: 'bodiesGone'; readonly at: number; readonly before: number }
  /** A file of bodies is gone, and its key: what was to be kept of it lies elsewhere. */
  | { readonly t: 'fileGone'; readonly at: number; readonly file: string }
  /** A look at what is to go, and the small rows that it deleted at once. @see Retention */
  | {
      readonly t: 'retained';
      readonly at: number;
      readonly trustedAt: number;
      readonly doubtedMs: number;
      readonly jobs?: readonly string[];
      /** Ids of revoked tokens. */
      readonly tokens?: readonly string[];
      /** Their keys in the table. */
      readonly setAsides?: readonly string[];
    };

/** The texts of these events are erased, and what was answered to these deliveries. */
export interface ErasedFact {
  readonly t: 'erased';
  readonly at: number;
  /** The subject that asked for it. */
  readonly by: string;
  /** A code of the patient's id that only the holder of the master key can make again. */
  readonly patient: string;
  readonly events: readonly (readonly [clinic: string, event: string])[];
  readonly deliveries: readonly string[];
  /** Files that hold bytes of them, to be written anew without these. */
  readonly files: readonly string[];
}

/** A delivery and all that is kept with it. */
export interface StoredDelivery {
  readonly delivery: Delivery;
  readonly attempts: readonly AttemptRow[];
  readonly open?: OpenAttempt;
}

/** An attempt under way: whoever holds its number may record what came of it. */
export interface OpenAttempt {
  readonly deliveryId: string;
  readonly number: number;
  readonly revision: number;
  readonly startedAt: number;
  /** The breaker was open when it was claimed. */
  readonly isProbe: boolean;
}

/** Of deliveries on one line of the journal: a longer list goes on several. */
export const idsPerLine = 1_000;

/** An event seen in a clinic, and the deliveries that follow from it. */
export interface EventFact {
  readonly t: 'event';
  readonly row: Omit<EventRow, 'recordedAt' | 'deliveries' | 'isSeenAgain'>;
  readonly at: number;
  /** Subscriber id and the sequence number of its delivery. */
  readonly to: readonly (readonly [subscriberId: string, sequence: number])[];
}

/** Known events that were handled elsewhere: nobody is owed them. */
export interface WithheldFact {
  readonly t: 'withheld';
  readonly at: number;
  readonly clinic: string;
  readonly of: readonly string[];
}

/** Deliveries that a backfill added to known events. */
export interface OwedFact {
  readonly t: 'owed';
  readonly at: number;
  readonly subscriber: string;
  readonly of: readonly (readonly [clinicId: string, eventId: string, type: string, sequence: number])[];
}

/** `bumped`: the set of subscribers, or whom they want events for, changed. */
export interface SubscriberFact {
  readonly t: 'subscriber';
  readonly row: SubscriberRow;
  readonly bumped: boolean;
  readonly health?: Health;
}

/** Attempts about to be made: the start of each is on record before its POST. */
export interface ClaimedFact {
  readonly t: 'claimed';
  readonly at: number;
  readonly of: readonly (readonly [deliveryId: string, attempt: number, revision: number, isProbe?: 1])[];
}

/** What came of an attempt; without `after`, the result came too late to change anything. */
export interface AttemptFact {
  readonly t: 'attempt';
  readonly delivery: string;
  readonly n: number;
  readonly round: number;
  /** When it began. */
  readonly at: number;
  readonly ms: number;
  readonly outcome: Outcome;
  readonly revision: number;
  readonly probe?: 1;
  readonly excerpt?: SealedRef;
  readonly after?: Pick<
    Delivery,
    'state' | 'failures' | 'interruptedInRow' | 'dueAt' | 'waitMs' | 'endedAt'
  > & {
    readonly endReason?: EndReason;
    readonly deliveredAt?: number;
    readonly probedAt?: number;
  };
  /** Left out when nothing but the time of the last success changed. */
  readonly health?: Health;
  readonly pause?: PauseReason;
}

/** Where sealed bytes lie. */
export interface SealedRef {
  /** Name of the file in the bodies' folder. */
  readonly file: string;
  readonly at: number;
  readonly length: number;
  /** SHA-256 of the sealed bytes, 128 bits in base64url. */
  readonly digest: string;
}

export interface EventRow extends RecordedEvent {
  readonly body: SealedRef | null;
  /** The clinic whose record holds the body, when it was equal to this one's. */
  readonly bodyOf?: string;
  /** The deliveries made when it was recorded: the number of the first one, and how many. */
  readonly deliveries: readonly [first: number, count: number];
  /** It had been seen in another clinic before. */
  readonly isSeenAgain: boolean;
  /** Its text was erased on demand, and is not to be had again. */
  readonly isErased?: true;
}

/** A subscriber without what changes with every delivery, its secrets sealed. */
export interface SubscriberRow
  extends Omit<Subscriber, 'secrets' | 'challengeToken' | 'headers' | 'health' | 'sequence'> {
  readonly sealed: string;
}

/** A connection, its tokens sealed. */
export interface ConnectionRow extends Omit<Connection, 'tokens' | 'spareTokens' | 'origin'> {
  readonly origin: TokenOrigin['kind'];
  readonly tokenUrl: string | null;
  readonly sealed: string;
}

export interface LinkRow {
  /** Of the connection that was to come of it. */
  readonly id: string;
  readonly keptUntil: number;
  readonly failure: LinkFailure | null;
}

/** A pair to be ended at the vendor, sealed. */
export interface RevocationRow extends Omit<Revocation, 'tokens'> {
  readonly sealed: string;
}

/** A key that signs tokens, its private half sealed. */
export interface TokenKeyRow extends Omit<TokenKey, 'privateKey'> {
  readonly sealed: string;
}

export interface AttemptRow {
  readonly number: number;
  readonly round: number;
  readonly startedAt: number;
  readonly durationMs: number;
  readonly outcome: Outcome;
  readonly revision: number;
  readonly isProbe: boolean;
  readonly isLate: boolean;
  readonly excerpt: SealedRef | null;
}
