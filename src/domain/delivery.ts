import { createHash } from 'node:crypto';
import { judge, type Outcome } from './attempt.ts';
import { waitBeforeNextMs } from './backoff.ts';
import type { SubscriberState } from './subscriber.ts';

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
  /** A backfill added it to an event of the past: its first attempt comes after those of all others. */
  readonly isBackfilled?: true;
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
  /** When it last served as a probe and failed: others take their turn before it does again. */
  readonly probedAt: number | null;
  /** The first success, kept over replays. */
  readonly deliveredAt: number | null;
  readonly endedAt: number | null;
  readonly lastOutcome: Outcome | null;
}

export type DeliveryState = 'pending' | 'delivered' | 'failed' | 'cancelled';

/**
 * `bodyLost`: the stored event cannot be read any more, so there is nothing to send.
 * `erased`: somebody had it erased.
 */
export type EndReason = 'scheduleUsedUp' | 'skipped' | 'bodyLost' | 'subscriberDeleted' | 'erased';

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
  owed: Pick<Delivery, 'eventId' | 'subscriberId' | 'clinicId' | 'eventType' | 'sequence' | 'isBackfilled'>,
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
    probedAt: null,
    deliveredAt: null,
    endedAt: null,
    lastOutcome: null,
  };
}

/** Where it stands in its subscriber's row: `null` once ended. A failed probe goes to the end of what is due. */
export function queuedAt({ dueAt, probedAt }: Pick<Delivery, 'dueAt' | 'probedAt'>): number | null {
  return dueAt === null ? null : Math.max(dueAt, probedAt ?? 0);
}

/** After so many interruptions in a row the next one waits the current step: a crash loop is no reason to hammer. */
const interruptionsAtOnce = 3;

/**
 * What an attempt makes of a delivery.
 *
 * A refusal that holds the subscriber (410, a refused address), an interruption and a
 * failed probe consume no step of the schedule. A success counts whatever the state is, except of a
 * cancelled one; a failure changes only what is pending.
 *
 * @param waitsMs the subscriber's schedule, see `waitBeforeNextMs`.
 * @param random in [0, 1).
 * @param isProbe it was claimed while the subscriber's breaker was open.
 */
export function afterAttempt(
  delivery: Delivery,
  outcome: Outcome,
  {
    waitsMs,
    now,
    random,
    isProbe = false,
  }: { waitsMs: readonly number[]; now: number; random: number; isProbe?: boolean },
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
      probedAt: null,
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
  if (isProbe) return { ...tried, interruptedInRow: 0, probedAt: now };
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
  return { ...delivery, state, endReason, dueAt: null, waitMs: 0, probedAt: null, endedAt: now };
}

export function shownState(delivery: Pick<Delivery, 'state'>, subscriber: SubscriberState): ShownState {
  return delivery.state === 'pending' && subscriber !== 'active' ? 'held' : delivery.state;
}
