import { afterAttemptOfSubscriber } from '../../domain/breaker.ts';
import { afterAttempt, type Delivery } from '../../domain/delivery.ts';
import { ClaimLost } from '../../domain/errors.ts';
import { type Health, type Subscriber, scheduleOf } from '../../domain/subscriber.ts';
import type { AfterAttempt, AttemptResult } from '../store.ts';
import type { Decision } from './commits.ts';
import type { Core } from './core.ts';
import type { AttemptFact, OpenAttempt } from './facts.ts';
import { bodyStateOf } from './log.ts';
import type { State } from './state.ts';

/** What an attempt's result means for its subscriber. */
type TurnOfHealth = Pick<AfterAttempt, 'paused' | 'turned'>;

/** Puts on record what came of attempts. */
export function attemptResults({ codec, clock, random }: Pick<Core, 'codec' | 'clock' | 'random'>) {
  const subscriberOf = (state: State, { subscriberId }: Delivery): Subscriber | undefined => {
    const row = state.subscribers.get(subscriberId);
    return row && codec.subscriber(state, row);
  };

  /** What an attempt's result makes of its delivery and subscriber, put on record. */
  const recordResult = (decision: Decision, open: OpenAttempt, result: AttemptResult): TurnOfHealth => {
    const { state } = decision;
    const before = state.deliveries.get(open.deliveryId);
    const subscriber = before && subscriberOf(state, before);
    if (!before || !subscriber) throw new ClaimLost(`delivery ${open.deliveryId}`);
    const now = clock.now();
    const after = afterAttempt(before, result.outcome, {
      waitsMs: scheduleOf(subscriber),
      now,
      random: result.random,
      isProbe: open.isProbe,
    });
    const isCurrent = open.revision === subscriber.revision;
    const { health, pause, turned } = isCurrent
      ? healthChange(subscriber.health, { ...result, deliveryId: before.id, isProbe: open.isProbe }, now)
      : { health: null, pause: null, turned: null };
    const isNewPause =
      pause !== null && subscriber.deletedAt === null && !subscriber.pauseReasons.includes(pause);
    decision.record({
      ...attemptFact(decision, open, before, result),
      after: {
        state: after.state,
        failures: after.failures,
        interruptedInRow: after.interruptedInRow,
        dueAt: after.dueAt,
        waitMs: after.waitMs,
        endedAt: after.endedAt,
        ...(after.endReason !== null && { endReason: after.endReason }),
        ...(after.deliveredAt !== null && { deliveredAt: after.deliveredAt }),
        ...(after.probedAt !== before.probedAt && after.probedAt !== null && { probedAt: after.probedAt }),
      },
      ...(health && { health }),
      ...(isNewPause && { pause }),
    });
    return { paused: isNewPause ? pause : null, turned };
  };

  /** An attempt that its holder did not end in time. */
  const interrupt = (decision: Decision, open: OpenAttempt): void => {
    const durationMs = Math.max(0, clock.now() - open.startedAt);
    recordResult(decision, open, {
      outcome: { kind: 'interrupted' },
      durationMs,
      excerpt: null,
      random: random(),
    });
  };

  return { subscriberOf, recordResult, interrupt };
}

export function attemptFact(
  decision: Decision,
  open: OpenAttempt,
  delivery: Delivery,
  { outcome, durationMs, excerpt }: AttemptResult,
): AttemptFact {
  return {
    t: 'attempt',
    delivery: open.deliveryId,
    n: open.number,
    round: delivery.round,
    at: open.startedAt,
    ms: Math.round(durationMs),
    outcome,
    revision: open.revision,
    ...(open.isProbe && { probe: 1 as const }),
    ...(excerpt &&
      outcome.kind !== 'accepted' &&
      // What was answered to an event that is erased may repeat it.
      bodyStateOf(decision.state, delivery) !== 'erased' && {
        excerpt: keepExcerpt(decision, open, excerpt),
      }),
  };
}

/** The health that goes on record with an attempt, and nothing when only the time of a success moved on. */
function healthChange(before: Health, attempt: Parameters<typeof afterAttemptOfSubscriber>[1], now: number) {
  const { health, pause, turned } = afterAttemptOfSubscriber(before, attempt, now);
  const isFirstSuccess = before.lastSuccessAt === null && health.lastSuccessAt !== null;
  return { health: isFirstSuccess || differs(health, before) ? health : null, pause, turned };
}

/** In anything but the time of the last success. */
function differs(after: Health, before: Health): boolean {
  for (const name of Object.keys(after) as (keyof Health)[]) {
    if (name === 'lastSuccessAt' || after[name] === before[name]) continue;
    if (name !== 'failedInRow' || String(after[name]) !== String(before[name])) return true;
  }
  return false;
}

/** At most 1 KiB of an answer goes on record. */
const excerptBytesMax = 1024;

function keepExcerpt({ keep }: Decision, open: OpenAttempt, excerpt: string) {
  return keep(Buffer.from(excerpt).subarray(0, excerptBytesMax), {
    kind: 'excerpt',
    record: `${open.deliveryId}#${open.number}`,
  });
}
