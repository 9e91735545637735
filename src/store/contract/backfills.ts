import type { Job } from './jobs.ts';

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
