import { z } from 'zod';
import { type Attempt, outcomeLabel, statusOf } from '../domain/attempt.ts';
import { type Delivery, shownState } from '../domain/delivery.ts';
import { type Subscriber, stateOfSubscriber } from '../domain/subscriber.ts';
import { shown } from './query.ts';

export const shownStates = ['pending', 'held', 'delivered', 'failed', 'cancelled'] as const;

export const deliveryView = z.object({
  id: z.string(),
  state: z.enum(shownStates),
  subscriberId: z.string(),
  clinicId: z.string(),
  eventId: z.string(),
  eventType: z.string(),
  sequence: z.number(),
  round: z.number(),
  attemptCount: z.number(),
  createdAt: z.string(),
  dueAt: z.string().nullable(),
  deliveredAt: z.string().nullable(),
  endedAt: z.string().nullable(),
  endReason: z.enum(['scheduleUsedUp', 'skipped', 'bodyLost', 'subscriberDeleted', 'erased']).nullable(),
  lastOutcome: z.string().nullable(),
});

export const attemptView = z.object({
  number: z.number(),
  round: z.number(),
  startedAt: z.string(),
  durationMs: z.number(),
  outcome: z.string(),
  /** The answer's status; `null` when no status line was read. */
  status: z.number().nullable(),
  /** The subscriber's breaker was open: a failure consumed no step of the schedule. */
  isProbe: z.boolean(),
  /** It came after its claim was lost and changed nothing. */
  isLate: z.boolean(),
  /** At most 1 KiB of the answer; `null` for accepted ones. */
  excerpt: z.string().nullable(),
});

export type DeliveryView = z.infer<typeof deliveryView>;

/** @param subscriber of the delivery; `undefined` when the store knows it no more. */
export function viewOfDelivery(delivery: Delivery, subscriber: Subscriber | undefined): DeliveryView {
  const { id, subscriberId, clinicId, eventId, eventType, sequence, round, endReason } = delivery;
  return {
    id,
    state: shownState(delivery, subscriber ? stateOfSubscriber(subscriber) : 'deleted'),
    subscriberId,
    clinicId,
    eventId,
    eventType,
    sequence,
    round,
    attemptCount: delivery.attempts,
    createdAt: shown(delivery.createdAt),
    dueAt: shown(delivery.dueAt),
    deliveredAt: shown(delivery.deliveredAt),
    endedAt: shown(delivery.endedAt),
    endReason,
    lastOutcome: delivery.lastOutcome && outcomeLabel(delivery.lastOutcome),
  };
}

export function viewOfAttempt(attempt: Attempt): z.infer<typeof attemptView> {
  const { number, round, startedAt, durationMs, outcome, isProbe, isLate, excerpt } = attempt;
  return {
    number,
    round,
    startedAt: shown(startedAt),
    durationMs,
    outcome: outcomeLabel(outcome),
    status: statusOf(outcome),
    isProbe,
    isLate,
    excerpt,
  };
}
