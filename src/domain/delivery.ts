import { createHash } from 'node:crypto';
import { judge, type Outcome } from './attempt.ts';
import { waitBeforeNextMs } from './backoff.ts';
import type { Health, PauseReason, SubscriberState } from './subscriber.ts';

/**
 * One event owed to one subscriber.
 *
 * ```
 *                    accepted
 *   ┌─────────┐ ───────────────────────► ┌───────────┐
 *   │ pending │   schedule used up,      │ delivered │
 *   │         │   or skipped             └─────┬─────┘
 *   │         │ ──────────────► ┌────────┐     │
 *   │         │ ◄────────────── │ failed │     │
 *   └──┬──▲───┘    replay       └──┬─────┘     │
 *      │  └───────── replay ───────┼───────────┘
 *      │ subscriber deleted        │ (a late success of a skipped one delivers it)
 *      ▼                           ▼
 *   cancelled (final)          delivered
 * ```
 *
 * `held` is pending whose subscriber is not active: derived, never stored. The functions
 * below make every change; no store invents another.
 */
export interface Delivery {
  /** The same for the same event and subscriber, for ever: see `deliveryIdOf`. */
  readonly id: string;
  readonly eventId: string;
  readonly subscriberId: string;
  /** The clinic that the event came through; the body sent is that clinic's. */
  readonly clinicId: string;
  readonly eventType: string;
  /** Counts the subscriber's deliveries from 1 in the order of their creation, gap-free. */
  readonly sequence: number;
  readonly createdAt: number;
  readonly state: DeliveryState;
  /** Why it failed or was cancelled. */
  readonly endReason: EndReason | null;
  /** 1, and one more with each replay. */
  readonly round: number;
  /** Over all rounds, interrupted ones included. */
  readonly attempts: number;
  /** Failures of this round that consumed a step of the schedule. */
  readonly failures: number;
  readonly interruptedInRow: number;
  /** When it may be attempted next; `null` once ended. */
  readonly dueAt: number | null;
  /** The wait that `dueAt` came from, so that a start after a clock step can clamp it. */
  readonly waitMs: number;
  /** The first success, kept over replays. */
  readonly deliveredAt: number | null;
  readonly endedAt: number | null;
  readonly lastOutcome: Outcome | null;
}

export type DeliveryState = 'pending' | 'delivered' | 'failed' | 'cancelled';

/** `bodyLost`: the stored event cannot be read any more, so there is nothing to send. */
export type EndReason = 'scheduleUsedUp' | 'skipped' | 'bodyLost' | 'subscriberDeleted';

/** As people see it. */
export type ShownState = DeliveryState | 'held';

/** The id that an event has for a subscriber: also after a lost log, and no way back to the patient. */
export function deliveryIdOf(eventId: string, subscriberId: string): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([eventId, subscriberId]))
    .digest('base64url');
  return `dlv_${digest.slice(0, 26)}`;
}

export function newDelivery(
  owed: Pick<Delivery, 'eventId' | 'subscriberId' | 'clinicId' | 'eventType' | 'sequence'>,
  now: number,
): Delivery {
  return {
    id: deliveryIdOf(owed.eventId, owed.subscriberId),
    ...owed,
    createdAt: now,
    state: 'pending',
    endReason: null,
    round: 1,
    attempts: 0,
    failures: 0,
    interruptedInRow: 0,
    dueAt: now,
    waitMs: 0,
    deliveredAt: null,
    endedAt: null,
    lastOutcome: null,
  };
}

/** After so many interruptions in a row the next one waits the current step: a crash loop is no reason to hammer. */
const interruptionsAtOnce = 3;

/**
 * What an attempt makes of a delivery.
 *
 * A refusal that holds the subscriber (410, a refused address) and an interruption
 * consume no step of the schedule. A success counts whatever the state is, except of a
 * cancelled one; a failure changes only what is pending.
 *
 * @param waitsMs the subscriber's schedule, see `waitBeforeNextMs`.
 * @param random in [0, 1).
 */
export function afterAttempt(
  delivery: Delivery,
  outcome: Outcome,
  { waitsMs, now, random }: { waitsMs: readonly number[]; now: number; random: number },
): Delivery {
  const tried = { ...delivery, attempts: delivery.attempts + 1, lastOutcome: outcome };
  if (delivery.state === 'cancelled') return tried;
  const verdict = judge(outcome);
  if (verdict === 'delivered') {
    return {
      ...tried,
      state: 'delivered',
      endReason: null,
      interruptedInRow: 0,
      dueAt: null,
      waitMs: 0,
      deliveredAt: delivery.deliveredAt ?? now,
      endedAt: now,
    };
  }
  if (delivery.state !== 'pending') return tried;
  if (verdict === 'hold') return { ...tried, interruptedInRow: 0, dueAt: now, waitMs: 0 };
  if (verdict === 'again') {
    const interruptedInRow = delivery.interruptedInRow + 1;
    const step = Math.min(delivery.failures + 1, waitsMs.length);
    const waitMs =
      interruptedInRow < interruptionsAtOnce ? 0 : (waitBeforeNextMs(waitsMs, step, null, random) ?? 0);
    return { ...tried, interruptedInRow, dueAt: now + waitMs, waitMs };
  }
  const failures = delivery.failures + 1;
  const retryAfterMs = outcome.kind === 'rejected' ? outcome.retryAfterMs : null;
  const waitMs = waitBeforeNextMs(waitsMs, failures, retryAfterMs, random);
  if (waitMs === null) {
    return { ...end(tried, 'failed', 'scheduleUsedUp', now), failures, interruptedInRow: 0 };
  }
  return { ...tried, failures, interruptedInRow: 0, dueAt: now + waitMs, waitMs };
}

/** A replay: the schedule afresh, attempts go on counting. Pending ones become due now in their round. */
export function startRound(delivery: Delivery, now: number): Delivery {
  if (delivery.state === 'cancelled') return delivery;
  if (delivery.state === 'pending') return { ...delivery, dueAt: now, waitMs: 0 };
  return {
    ...delivery,
    state: 'pending',
    endReason: null,
    round: delivery.round + 1,
    failures: 0,
    interruptedInRow: 0,
    dueAt: now,
    waitMs: 0,
    endedAt: null,
  };
}

/** Ends a pending delivery without an attempt. */
export function endUnsent(
  delivery: Delivery,
  reason: Exclude<EndReason, 'scheduleUsedUp'>,
  now: number,
): Delivery {
  if (delivery.state !== 'pending') return delivery;
  return end(delivery, reason === 'subscriberDeleted' ? 'cancelled' : 'failed', reason, now);
}

function end(delivery: Delivery, state: 'failed' | 'cancelled', endReason: EndReason, now: number): Delivery {
  return { ...delivery, state, endReason, dueAt: null, waitMs: 0, endedAt: now };
}

export function shownState(delivery: Pick<Delivery, 'state'>, subscriber: SubscriberState): ShownState {
  return delivery.state === 'pending' && subscriber !== 'active' ? 'held' : delivery.state;
}

const slowFromMs = 1_000;
const failedInRowMax = 5;

/**
 * What a subscriber's health makes of a recorded attempt, and the reason to pause it, if
 * the outcome is one. Interrupted attempts say nothing about the subscriber.
 */
export function afterAttemptOfSubscriber(
  health: Health,
  attempt: { readonly deliveryId: string; readonly outcome: Outcome; readonly durationMs: number },
  now: number,
): { readonly health: Health; readonly pause: PauseReason | null } {
  const { outcome } = attempt;
  if (outcome.kind === 'interrupted') return { health, pause: null };
  if (outcome.kind === 'blocked') return { health, pause: 'address' };
  if (outcome.kind === 'unreachable' && outcome.error === 'local') return { health, pause: null };
  if (outcome.kind === 'accepted') {
    return {
      health: {
        isFailing: false,
        failedInRow: [],
        firstFailureAt: null,
        lastFailureAt: null,
        lastSuccessAt: now,
        isSlow: attempt.durationMs > slowFromMs,
      },
      pause: null,
    };
  }
  const isKnown =
    health.failedInRow.includes(attempt.deliveryId) || health.failedInRow.length >= failedInRowMax;
  return {
    health: {
      ...health,
      failedInRow: isKnown ? health.failedInRow : [...health.failedInRow, attempt.deliveryId],
      firstFailureAt: health.firstFailureAt ?? now,
      lastFailureAt: now,
      isSlow: true,
    },
    pause: outcome.kind === 'rejected' && outcome.status === 410 ? 'gone' : null,
  };
}
