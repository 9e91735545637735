import { judge, type Outcome } from './attempt.ts';
import { withJitter } from './backoff.ts';
import type { Health, PauseReason } from './subscriber.ts';

/**
 * A subscriber's breaker.
 *
 * ```
 *            5 different deliveries failed, no success for half a minute
 *   ┌────────┐ ────────────────────────────────────────► ┌─────────┐ ─┐ a failed probe:
 *   │ closed │                                           │ failing │  │ the next one
 *   │        │ ◄──────────────────────────────────────── └────┬────┘ ◄┘ waits longer
 *   └────────┘   a success, or a person's `resume`:           │ 5 days without a success
 *     ▲          slow start                                   ▼
 *     └──────────────────────────────────────────────── paused (outage)
 * ```
 *
 * While it is failing, one probe at a time is sent, and nothing consumes a step of a
 * schedule. One event that always fails opens nothing: different deliveries are counted.
 * Nor does a subscriber that stumbles over first attempts, or restarts: a few seconds of
 * failures in a row are what the schedule is for.
 */
export interface AfterAttemptOfSubscriber {
  readonly health: Health;
  /** The attempt is a reason to pause it. */
  readonly pause: PauseReason | null;
  readonly turned: 'failing' | 'recovered' | null;
}

const slowFromMs = 1_000;
const failedInRowMax = 5;
const failedForMs = 30_000;
/** Until the breaker opens: so fast it is found out whether they all fail, and the rest is spared. */
const failingPerSecond = 5;
const firstProbeMs = 30_000;
const probeMaxMs = 15 * 60_000;
const hourMs = 3_600_000;
const outageMs = 5 * 24 * hourMs;
/** A relay that was off for days has seen little of an outage. */
const outageSeenMs = 12 * hourMs;
/** From so many slots on, a subscriber that came back is like any other. */
const slowStartMax = 64;

/**
 * What a recorded attempt makes of its subscriber's health. Interrupted attempts and
 * faults of the relay's own machine say nothing about the subscriber.
 *
 * Source of five days and twelve hours: Standard Webhooks 1.0.0, "Disabling endpoints".
 */
export function afterAttemptOfSubscriber(
  health: Health,
  attempt: {
    readonly deliveryId: string;
    readonly outcome: Outcome;
    readonly durationMs: number;
    /** It was claimed while the breaker was open. */
    readonly isProbe: boolean;
    /** In [0, 1): keeps the probes of subscribers that went out together apart. */
    readonly random: number;
  },
  now: number,
): AfterAttemptOfSubscriber {
  const { outcome, isProbe, random } = attempt;
  const probeIn = (waitMs: number) => probeAfter(withJitter(waitMs, random), now);
  if (outcome.kind === 'interrupted') return unchanged(health);
  if (outcome.kind === 'blocked') return { ...unchanged(health), pause: 'address' };
  if (outcome.kind === 'unreachable' && outcome.error === 'local') {
    return unchanged(isProbe ? { ...health, ...probeIn(firstProbeMs) } : health);
  }
  if (judge(outcome) === 'delivered') return afterSuccess(health, attempt.durationMs, now);

  const failed: Health = {
    ...health,
    failedInRow: withAnother(health.failedInRow, attempt.deliveryId),
    firstFailureAt: health.firstFailureAt ?? now,
    lastFailureAt: now,
    isSlow: true,
  };
  if (outcome.kind === 'rejected' && outcome.status === 410) {
    return { ...unchanged(failed), pause: 'gone' };
  }
  const retryAfterMs = (outcome.kind === 'rejected' && outcome.retryAfterMs) || 0;
  if (!health.isFailing) {
    const failedMs = now - (failed.firstFailureAt ?? now);
    if (failed.failedInRow.length < failedInRowMax || failedMs < failedForMs) return unchanged(failed);
    const probe = probeIn(Math.max(firstProbeMs, retryAfterMs));
    return {
      health: { ...failed, isFailing: true, failedProbes: 0, ...probe },
      pause: pauseAfterDays(failed, now),
      turned: 'failing',
    };
  }
  // What was under way when the breaker opened is no probe and changes no rhythm.
  if (!isProbe) return { ...unchanged(failed), pause: pauseAfterDays(failed, now) };
  const failedProbes = health.failedProbes + 1;
  const waitMs = Math.min(firstProbeMs * 2 ** failedProbes, probeMaxMs);
  return {
    health: { ...failed, failedProbes, ...probeIn(Math.max(waitMs, retryAfterMs)) },
    pause: pauseAfterDays(failed, now),
    turned: null,
  };
}

/**
 * Requests a second that a subscriber is sent, `null` for as many as it has slots: one that
 * fails one delivery after another is spared until it takes one, and so are the others,
 * who share a disk with the records of its failures.
 */
export function paceOf({ failedInRow }: Health, requestsPerSecond: number | null): number | null {
  if (failedInRow.length < failedInRowMax) return requestsPerSecond;
  return Math.min(requestsPerSecond ?? failingPerSecond, failingPerSecond);
}

/** A person says that it is well again: the breaker is closed, and counts afresh. */
export function closedBreaker(health: Health): Health {
  return {
    ...health,
    isFailing: false,
    failedInRow: [],
    firstFailureAt: null,
    failedProbes: 0,
    nextProbeAt: null,
    probeWaitMs: 0,
    slowStartSlots: 1,
  };
}

/** Somebody asks for a try, or changed what may have been wrong: it is probed at once, and then as if it had just opened. */
export function probedSoon(health: Health, now: number): Health {
  return health.isFailing ? { ...health, failedProbes: 0, ...probeAfter(0, now) } : health;
}

function afterSuccess(health: Health, durationMs: number, now: number): AfterAttemptOfSubscriber {
  const slots = health.isFailing ? 1 : health.slowStartSlots && health.slowStartSlots + 1;
  return {
    health: {
      ...closedBreaker(health),
      lastFailureAt: null,
      lastSuccessAt: now,
      isSlow: durationMs > slowFromMs,
      slowStartSlots: slots !== null && slots < slowStartMax ? slots : null,
    },
    pause: null,
    turned: health.isFailing ? 'recovered' : null,
  };
}

function probeAfter(waitMs: number, now: number): Pick<Health, 'nextProbeAt' | 'probeWaitMs'> {
  return { nextProbeAt: now + waitMs, probeWaitMs: waitMs };
}

function pauseAfterDays({ firstFailureAt, lastFailureAt }: Health, now: number): PauseReason | null {
  if (firstFailureAt === null || lastFailureAt === null) return null;
  return now - firstFailureAt >= outageMs && lastFailureAt - firstFailureAt >= outageSeenMs ? 'outage' : null;
}

function withAnother(failedInRow: readonly string[], deliveryId: string): readonly string[] {
  const isKnown = failedInRow.includes(deliveryId) || failedInRow.length >= failedInRowMax;
  return isKnown ? failedInRow : [...failedInRow, deliveryId];
}

function unchanged(health: Health): AfterAttemptOfSubscriber {
  return { health, pause: null, turned: null };
}
