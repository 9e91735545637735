import type { Gap, SetAside, SetAsideReason, Stream, StreamKey } from '../../domain/clinic.ts';
import type { Withheld } from '../../domain/event.ts';
import type { Claim } from './claim.ts';

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
  /** Items that could not be read; those that were read after all only with `includeResolved`, and while they are kept. */
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
      /** Absent when the stream was read in time. */
      readonly gap?: Gap;
      readonly nextPollAt: number;
    }
  /** The cursor stays where it was. */
  | { readonly kind: 'failed'; readonly problem: string; readonly nextPollAt: number }
  /** The category is not to be had for this clinic at the moment. */
  | { readonly kind: 'off'; readonly problem: string; readonly nextPollAt: number };
