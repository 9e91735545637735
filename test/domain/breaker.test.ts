import { describe, expect, test } from 'vitest';
import type { Outcome } from '../../src/domain/attempt.ts';
import {
  type AfterAttemptOfSubscriber,
  afterAttemptOfSubscriber,
  closedBreaker,
  paceOf,
} from '../../src/domain/breaker.ts';
import { type Health, untriedHealth } from '../../src/domain/subscriber.ts';

const now = 1_000_000_000;
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

const rejected = (status: number, retryAfterMs: number | null = null): Outcome => ({
  kind: 'rejected',
  status,
  retryAfterMs,
  because: 'status',
});
const accepted: Outcome = { kind: 'accepted', status: 200 };
const timedOut: Outcome = { kind: 'timedOut', phase: 'headers', timeoutMs: 15_000 };
const local: Outcome = { kind: 'unreachable', error: 'local', code: 'EMFILE' };

const tried: Health = {
  ...untriedHealth,
  failedInRow: ['d1'],
  firstFailureAt: now - 20,
  lastFailureAt: now - 10,
  lastSuccessAt: 5,
};
const fourFailed: Health = { ...tried, failedInRow: ['1', '2', '3', '4'], firstFailureAt: now - 30_000 };
const failing: Health = {
  ...tried,
  failedInRow: ['1', '2', '3', '4', '5'],
  isFailing: true,
  nextProbeAt: now,
};

describe('what an attempt makes of a subscriber', () => {
  for (const { before, outcome, deliveryId, durationMs, isProbe, random, after, because } of [
    {
      before: tried,
      outcome: accepted,
      after: {
        health: { ...untriedHealth, lastSuccessAt: now, isSlow: false },
        pause: null,
        turned: null,
      },
      because: 'a success clears everything',
    },
    {
      before: tried,
      outcome: accepted,
      durationMs: 1_001,
      after: { health: { isSlow: true } },
      because: 'a success that took over a second leaves one slot',
    },
    {
      before: tried,
      outcome: rejected(500),
      deliveryId: 'd2',
      after: {
        health: { failedInRow: ['d1', 'd2'], firstFailureAt: now - 20, lastFailureAt: now, isSlow: true },
        turned: null,
      },
      because: 'different deliveries that fail are counted',
    },
    {
      before: tried,
      outcome: rejected(500),
      deliveryId: 'd1',
      after: { health: { failedInRow: ['d1'], lastFailureAt: now } },
      because: 'a lone bad event counts once',
    },
    {
      before: fourFailed,
      outcome: rejected(500),
      deliveryId: '4',
      after: { health: { isFailing: false }, turned: null },
      because: 'the same four again open nothing',
    },
    {
      before: fourFailed,
      outcome: timedOut,
      deliveryId: '5',
      after: { health: { isFailing: true, failedProbes: 0, nextProbeAt: now + 30_000 }, turned: 'failing' },
      because: 'the fifth different one opens the breaker; the first probe waits half a minute',
    },
    {
      before: { ...fourFailed, firstFailureAt: now - 29_999 },
      outcome: timedOut,
      deliveryId: '5',
      after: { health: { isFailing: false }, turned: null },
      because: 'a restart of a few seconds opens nothing, however many fail in it',
    },
    {
      before: { ...fourFailed, failedInRow: ['1', '2', '3', '4', '5'] },
      outcome: timedOut,
      deliveryId: '1',
      after: { health: { isFailing: true }, turned: 'failing' },
      because: 'once half a minute is over, any failure after five different ones opens it',
    },
    {
      before: fourFailed,
      outcome: rejected(429, hourMs),
      deliveryId: '5',
      after: { health: { isFailing: true, nextProbeAt: now + hourMs } },
      because: 'a probe waits as long as was asked for',
    },
    {
      before: failing,
      outcome: timedOut,
      isProbe: true,
      after: { health: { isFailing: true, failedProbes: 1, nextProbeAt: now + minuteMs }, turned: null },
      because: 'after a failed probe the next one waits twice as long',
    },
    {
      before: failing,
      outcome: timedOut,
      isProbe: true,
      random: 0.5,
      after: { health: { nextProbeAt: now + 1.05 * minuteMs, probeWaitMs: 1.05 * minuteMs } },
      because: 'a tenth longer at most, by chance: those that went out together are probed apart',
    },
    {
      before: { ...failing, failedProbes: 40 },
      outcome: timedOut,
      isProbe: true,
      after: { health: { nextProbeAt: now + 15 * minuteMs } },
      because: 'without that a probe is never further away than a quarter of an hour',
    },
    {
      before: failing,
      outcome: timedOut,
      deliveryId: '9',
      after: {
        health: { failedProbes: 0, nextProbeAt: now, failedInRow: failing.failedInRow },
        turned: null,
      },
      because: 'what was under way when the breaker opened is no probe',
    },
    {
      before: failing,
      outcome: local,
      isProbe: true,
      after: { health: { failedProbes: 0, nextProbeAt: now + 30_000 } },
      because: 'a probe that the own machine could not send is tried again later, and says nothing',
    },
    {
      before: failing,
      outcome: accepted,
      isProbe: true,
      after: {
        health: { isFailing: false, failedInRow: [], nextProbeAt: null, slowStartSlots: 1, isSlow: false },
        turned: 'recovered',
      },
      because: 'a success closes the breaker and starts slowly',
    },
    {
      before: { ...untriedHealth, slowStartSlots: 3 },
      outcome: accepted,
      after: { health: { slowStartSlots: 4 }, turned: null },
      because: 'each success gives a slot more',
    },
    {
      before: { ...untriedHealth, slowStartSlots: 63 },
      outcome: accepted,
      after: { health: { slowStartSlots: null } },
      because: 'the slow start ends',
    },
    {
      before: { ...failing, firstFailureAt: now - 5 * dayMs },
      outcome: timedOut,
      isProbe: true,
      after: { pause: 'outage' },
      because: 'case 135: five days without a success pause it',
    },
    {
      before: { ...failing, firstFailureAt: now - 5 * dayMs + 1 },
      outcome: timedOut,
      isProbe: true,
      after: { pause: null },
      because: 'a little less than five days do not',
    },
    {
      before: { ...tried, firstFailureAt: now - 9 * dayMs },
      outcome: timedOut,
      after: { pause: null },
      because: 'a single event that fails for days pauses nobody',
    },
    {
      before: { ...fourFailed, firstFailureAt: now - 6 * dayMs },
      outcome: timedOut,
      deliveryId: '5',
      after: { pause: 'outage', turned: 'failing' },
      because: 'a quiet subscriber that failed every day for six is paused too',
    },
    {
      before: untriedHealth,
      outcome: timedOut,
      after: { health: { failedInRow: ['d1'], firstFailureAt: now } },
      because: 'the first failure is dated',
    },
    {
      before: failing,
      outcome: rejected(410),
      isProbe: true,
      after: { health: { lastFailureAt: now }, pause: 'gone' },
      because: 'case 123: 410 pauses it',
    },
    {
      before: tried,
      outcome: { kind: 'blocked', reason: 'a loopback address', allowWith: null },
      after: { health: tried, pause: 'address' },
      because: 'a refused address pauses it',
    },
    {
      before: failing,
      outcome: { kind: 'interrupted' },
      isProbe: true,
      after: { health: failing, pause: null, turned: null },
      because: 'an interruption is not its fault',
    },
    {
      before: tried,
      outcome: local,
      after: { health: tried, pause: null },
      because: 'case 47: a local fault is not its fault',
    },
  ] as readonly {
    before: Health;
    outcome: Outcome;
    deliveryId?: string;
    durationMs?: number;
    isProbe?: boolean;
    random?: number;
    after: { health?: Partial<Health> } & Partial<Omit<AfterAttemptOfSubscriber, 'health'>>;
    because: string;
  }[]) {
    test(because, () => {
      const attempt = {
        random: random ?? 0,
        deliveryId: deliveryId ?? 'd1',
        outcome,
        durationMs: durationMs ?? 5,
        isProbe: isProbe ?? false,
      };
      expect(afterAttemptOfSubscriber(before, attempt, now)).toMatchObject(after);
    });
  }
});

test('a person closes the breaker: it counts afresh and starts slowly', () => {
  expect(closedBreaker(failing)).toMatchObject({
    isFailing: false,
    failedInRow: [],
    firstFailureAt: null,
    nextProbeAt: null,
    slowStartSlots: 1,
    lastFailureAt: failing.lastFailureAt,
  });
});

test('who fails one delivery after another is sent five a second at most, whatever it may be sent otherwise', () => {
  const fiveFailed = { ...fourFailed, failedInRow: ['1', '2', '3', '4', '5'] };
  expect([null, 2, 100].map((rate) => paceOf(fourFailed, rate))).toEqual([null, 2, 100]);
  expect([null, 2, 100].map((rate) => paceOf(fiveFailed, rate))).toEqual([5, 2, 5]);
});
