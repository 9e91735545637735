import type { Outcome } from '../../domain/attempt.ts';
import type { Delivery } from '../../domain/delivery.ts';
import type { EventInClinic, EventWithBody } from '../../domain/event.ts';
import type { PauseReason, Subscriber } from '../../domain/subscriber.ts';
import type { Claim } from './claim.ts';

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
  /**
   * When the next delivery that nobody has claimed may be sent to an active or failing
   * subscriber, also when that moment is past; `null` when none will.
   *
   * @param except ids of subscribers that do not count.
   */
  nextDueAt(except?: ReadonlySet<string>): Promise<number | null>;
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
