import type { PauseReason, SigningSecret, Subscriber } from '../../domain/subscriber.ts';
import type { Job } from './jobs.ts';

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
