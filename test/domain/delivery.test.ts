import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Outcome } from '../../src/domain/attempt.ts';
import {
  afterAttempt,
  type Delivery,
  deliveryIdOf,
  endUnsent,
  newDelivery,
  queuedAt,
  shownState,
  startRound,
} from '../../src/domain/delivery.ts';

const now = 1_000_000;
const owed = { eventId: 'e1', subscriberId: 'sub_1', clinicId: 'c1', eventType: 'order.placed', sequence: 7 };
const waitsMs = [5_000, 300_000];

const rejected = (status: number, retryAfterMs: number | null = null): Outcome => ({
  kind: 'rejected',
  status,
  retryAfterMs,
  because: 'status',
});
const accepted: Outcome = { kind: 'accepted', status: 200 };
const interrupted: Outcome = { kind: 'interrupted' };
const timedOut: Outcome = { kind: 'timedOut', phase: 'headers', timeoutMs: 15_000 };
const blocked: Outcome = { kind: 'blocked', reason: 'a loopback address', allowWith: null };
const unreachable: Outcome = { kind: 'unreachable', error: 'refused', code: 'ECONNREFUSED' };

const pending = newDelivery(owed, 0);
const delivered = afterAttempt(pending, accepted, { waitsMs, now: 50, random: 0 });
const skipped = endUnsent(pending, 'skipped', 60);
const cancelled = endUnsent(pending, 'subscriberDeleted', 70);
const triedOnce: Delivery = { ...pending, attempts: 1, failures: 1 };
const triedTwice: Delivery = { ...pending, attempts: 2, failures: 2 };
const interruptedTwice: Delivery = { ...triedOnce, attempts: 3, interruptedInRow: 2 };

test('a failed probe consumes no step, and gives the turn to others', () => {
  const probed = afterAttempt(triedOnce, rejected(503), { waitsMs, now, random: 0, isProbe: true });
  expect(probed).toMatchObject({ state: 'pending', attempts: 2, failures: 1, dueAt: triedOnce.dueAt });
  expect(queuedAt(triedOnce)).toBe(triedOnce.dueAt);
  expect(queuedAt(probed)).toBe(now);
  expect(afterAttempt(triedOnce, accepted, { waitsMs, now, random: 0, isProbe: true }).state).toBe(
    'delivered',
  );
});

describe('what an attempt makes of a delivery', () => {
  for (const { before, outcome, after, because } of [
    {
      before: pending,
      outcome: accepted,
      after: { state: 'delivered', dueAt: null, deliveredAt: now, endedAt: now, attempts: 1, failures: 0 },
      because: 'an acknowledgement delivers it',
    },
    {
      before: pending,
      outcome: rejected(503),
      after: { state: 'pending', dueAt: now + 5_000, waitMs: 5_000, failures: 1, attempts: 1 },
      because: 'a failure waits the first step',
    },
    {
      before: triedOnce,
      outcome: timedOut,
      after: { state: 'pending', dueAt: now + 300_000, failures: 2, attempts: 2 },
      because: 'the second failure waits the second step',
    },
    {
      before: triedTwice,
      outcome: unreachable,
      after: {
        state: 'failed',
        endReason: 'scheduleUsedUp',
        dueAt: null,
        endedAt: now,
        failures: 3,
        attempts: 3,
      },
      because: 'the schedule is used up',
    },
    {
      before: pending,
      outcome: rejected(429, 120_000),
      after: { state: 'pending', dueAt: now + 120_000, waitMs: 120_000, failures: 1 },
      because: 'case 124: Retry-After is kept to',
    },
    {
      before: triedOnce,
      outcome: rejected(410),
      after: { state: 'pending', dueAt: now, failures: 1, attempts: 2 },
      because: 'case 123: 410 holds the subscriber and consumes no step',
    },
    {
      before: triedTwice,
      outcome: blocked,
      after: { state: 'pending', dueAt: now, failures: 2, attempts: 3 },
      because: 'a refused address consumes no step, not even the last',
    },
    {
      before: triedTwice,
      outcome: interrupted,
      after: { state: 'pending', dueAt: now, failures: 2, interruptedInRow: 1, attempts: 3 },
      because: 'an interrupted attempt consumes no step and is due at once',
    },
    {
      before: interruptedTwice,
      outcome: interrupted,
      after: { state: 'pending', dueAt: now + 300_000, failures: 1, interruptedInRow: 3 },
      because: 'the third interruption in a row waits the current step',
    },
    {
      before: { ...interruptedTwice, failures: 2 },
      outcome: interrupted,
      after: { state: 'pending', dueAt: now + 300_000, failures: 2 },
      because: 'past the last step, it waits the last step',
    },
    {
      before: interruptedTwice,
      outcome: rejected(500),
      after: { interruptedInRow: 0, failures: 2 },
      because: 'an answer ends the row of interruptions',
    },
    {
      before: skipped,
      outcome: accepted,
      after: { state: 'delivered', endReason: null, deliveredAt: now },
      because: 'a late success of a skipped one delivers it',
    },
    {
      before: skipped,
      outcome: rejected(500),
      after: { state: 'failed', endReason: 'skipped', dueAt: null, attempts: 1 },
      because: 'a late failure of a skipped one changes nothing',
    },
    {
      before: cancelled,
      outcome: accepted,
      after: { state: 'cancelled', endReason: 'subscriberDeleted', deliveredAt: null, attempts: 1 },
      because: 'a cancelled one stays so',
    },
    {
      before: startRound(delivered, 60),
      outcome: accepted,
      after: { state: 'delivered', deliveredAt: 50, endedAt: now, attempts: 2, round: 2 },
      because: 'the first success stays on record',
    },
  ] as const) {
    test(because, () => {
      expect(afterAttempt(before, outcome, { waitsMs, now, random: 0 })).toMatchObject({
        ...after,
        lastOutcome: outcome,
      });
    });
  }

  test('without a schedule the first failure ends it, and interruptions do not', () => {
    const asked = { waitsMs: [], now, random: 0 };
    expect(afterAttempt(pending, rejected(500), asked)).toMatchObject({ state: 'failed' });
    let delivery = pending;
    for (let time = 0; time < 5; time++) delivery = afterAttempt(delivery, interrupted, asked);
    expect(delivery).toMatchObject({ state: 'pending', dueAt: now, attempts: 5 });
  });
});

describe('a replay', () => {
  for (const { before, after, because } of [
    {
      before: { ...skipped, attempts: 3, failures: 2 },
      after: {
        state: 'pending',
        round: 2,
        failures: 0,
        attempts: 3,
        dueAt: now,
        endReason: null,
        endedAt: null,
      },
      because: 'of a failed one starts a round with the schedule afresh; attempts go on counting',
    },
    {
      before: delivered,
      after: { state: 'pending', round: 2, deliveredAt: 50, dueAt: now },
      because: 'of a delivered one keeps the first success',
    },
    {
      before: triedOnce,
      after: { state: 'pending', round: 1, failures: 1, dueAt: now, waitMs: 0 },
      because: 'of a pending one makes it due now, in its round',
    },
    { before: cancelled, after: cancelled, because: 'of a cancelled one does nothing' },
  ]) {
    test(because, () => expect(startRound(before, now)).toMatchObject(after));
  }
});

describe('an end without an attempt', () => {
  for (const { before, reason, after, because } of [
    {
      before: pending,
      reason: 'skipped',
      after: { state: 'failed', endReason: 'skipped', dueAt: null },
      because: 'skipped is failed',
    },
    {
      before: pending,
      reason: 'bodyLost',
      after: { state: 'failed', endReason: 'bodyLost' },
      because: 'nothing to send is failed',
    },
    {
      before: pending,
      reason: 'subscriberDeleted',
      after: { state: 'cancelled', endedAt: now },
      because: 'deleted is cancelled',
    },
    {
      before: delivered,
      reason: 'subscriberDeleted',
      after: delivered,
      because: 'what is delivered stays delivered',
    },
    { before: skipped, reason: 'subscriberDeleted', after: skipped, because: 'what has failed stays failed' },
  ] as const) {
    test(because, () => expect(endUnsent(before, reason, now)).toMatchObject(after));
  }
});

describe('whatever happens to a delivery', () => {
  const outcome: fc.Arbitrary<Outcome> = fc.oneof(
    fc.constantFrom(accepted, interrupted, timedOut, blocked, unreachable, rejected(410)),
    fc
      .record({ retryAfterMs: fc.option(fc.nat()), status: fc.constantFrom(429, 500, 301) })
      .map(({ status, retryAfterMs }) => rejected(status, retryAfterMs)),
  );
  const step = fc.oneof(
    { weight: 6, arbitrary: outcome.map((of) => ({ kind: 'attempt', of }) as const) },
    { weight: 2, arbitrary: fc.constant({ kind: 'replay' } as const) },
    { weight: 1, arbitrary: fc.constantFrom({ kind: 'skipped' } as const, { kind: 'bodyLost' } as const) },
    { weight: 1, arbitrary: fc.constant({ kind: 'subscriberDeleted' } as const) },
  );
  const apply = (
    delivery: Delivery,
    happening: typeof step extends fc.Arbitrary<infer Step> ? Step : never,
    schedule: { waitsMs: readonly number[]; now: number; random: number },
  ): Delivery => {
    if (happening.kind === 'attempt') return afterAttempt(delivery, happening.of, schedule);
    if (happening.kind === 'replay') return startRound(delivery, schedule.now);
    return endUnsent(delivery, happening.kind, schedule.now);
  };

  test('attempts count up, failures stay within the schedule, pending is always due and ended never is', () => {
    const schedules = fc.array(fc.nat({ max: 86_400_000 }), { maxLength: 5 });
    fc.assert(
      fc.property(
        schedules,
        fc.array(step, { maxLength: 40 }),
        fc.double({ min: 0, max: 0.99, noNaN: true }),
        (waits, steps, random) => {
          let delivery = newDelivery(owed, 0);
          steps.forEach((happening, index) => {
            const before = delivery;
            delivery = apply(before, happening, { waitsMs: waits, now: index + 1, random });
            expect(delivery.attempts).toBe(before.attempts + (happening.kind === 'attempt' ? 1 : 0));
            expect(delivery.round).toBeGreaterThanOrEqual(before.round);
            // The last failure is the one that finds no step left.
            expect(delivery.failures).toBeLessThanOrEqual(
              waits.length + (delivery.state === 'pending' ? 0 : 1),
            );
            const isPending = delivery.state === 'pending';
            expect([delivery.dueAt === null, delivery.endedAt === null]).toEqual([!isPending, isPending]);
            if (delivery.dueAt !== null && delivery !== before) {
              expect(delivery.dueAt).toBe(index + 1 + delivery.waitMs);
            }
            expect(delivery.endReason === null).toBe(isPending || delivery.state === 'delivered');
            if (before.state === 'cancelled') expect(delivery.state).toBe('cancelled');
            if (before.deliveredAt !== null) expect(delivery.deliveredAt).toBe(before.deliveredAt);
            expect([delivery.id, delivery.sequence]).toEqual([before.id, before.sequence]);
          });
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('the id of a delivery', () => {
  test('is the same for the same event and subscriber, for ever', () => {
    expect(deliveryIdOf('evt-1', 'sub_1')).toBe('dlv_SjIfz7QSk2hzqqEclKNk5sSqEy');
  });

  test('keeps pairs apart that would run into each other', () => {
    const pairs = fc.tuple(fc.string(), fc.string());
    fc.assert(
      fc.property(pairs, pairs, (one, other) => {
        fc.pre(one[0] !== other[0] || one[1] !== other[1]);
        expect(deliveryIdOf(...one)).not.toBe(deliveryIdOf(...other));
      }),
    );
    expect(deliveryIdOf('a","b', 'c')).not.toBe(deliveryIdOf('a', 'b","c'));
  });
});

describe('the state that is shown', () => {
  for (const { state, subscriber, shown } of [
    { state: 'pending', subscriber: 'active', shown: 'pending' },
    { state: 'pending', subscriber: 'failing', shown: 'held' },
    { state: 'pending', subscriber: 'paused', shown: 'held' },
    { state: 'delivered', subscriber: 'paused', shown: 'delivered' },
    { state: 'failed', subscriber: 'failing', shown: 'failed' },
    { state: 'cancelled', subscriber: 'deleted', shown: 'cancelled' },
  ] as const) {
    test(`${state} of one that is ${subscriber} is ${shown}`, () => {
      expect(shownState({ state }, subscriber)).toBe(shown);
    });
  }
});
