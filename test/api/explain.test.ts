import { describe, expect, test } from 'vitest';
import { explainAbsence } from '../../src/api/explain-absence.ts';
import { explainDelivery } from '../../src/api/explain-delivery.ts';
import type { SetAside, Stream } from '../../src/domain/clinic.ts';
import { type Delivery, newDelivery } from '../../src/domain/delivery.ts';
import type { RecordedEvent } from '../../src/domain/event.ts';
import { type PauseReason, type Subscriber, untriedHealth } from '../../src/domain/subscriber.ts';
import { recipient } from '../world/recipient.ts';

const now = Date.parse('2026-11-22T12:00:00Z');
const minuteMs = 60_000;

const unchallenged = { kind: 'rejected', status: 200, retryAfterMs: null, because: 'challenge' } as const;
const answerChallenge =
  'To acknowledge, the receiver has to answer 200 or 201 with the JSON body {"challenge":"…"} that holds its challenge token.';
const refused = { kind: 'rejected', status: 503, retryAfterMs: null, because: 'status' } as const;

function aDelivery(changes: Partial<Delivery> = {}): Delivery {
  const owed = {
    eventId: 'evt_1',
    subscriberId: 'sub_1',
    clinicId: 'c1',
    eventType: 'order.placed',
    sequence: 1,
  };
  return { ...newDelivery(owed, now - 10 * minuteMs), ...changes };
}

describe('a delivery explains itself in one line', () => {
  const failing = {
    health: { ...untriedHealth, isFailing: true, firstFailureAt: now - 60 * minuteMs },
  };
  const failsOneAfterAnother = { ...untriedHealth, failedInRow: ['d1', 'd2', 'd3', 'd4', 'd5'] };
  const failed = {
    state: 'failed',
    attempts: 10,
    dueAt: null,
    endedAt: now - minuteMs,
    lastOutcome: refused,
  } as const;
  for (const { delivery, subscriber, word, says, reason } of [
    {
      delivery: aDelivery(),
      word: 'due',
      says: 'Attempt 1 is due since 2026-11-22T11:50:00.000Z; it is under way, or waits for a free slot.',
      reason: 'it was not tried yet',
    },
    {
      delivery: aDelivery(),
      subscriber: { requestsPerSecond: 0.5 },
      word: 'due',
      says: 'Attempt 1 is due since 2026-11-22T11:50:00.000Z; it is under way, or waits for its turn: ehr is sent at most 0.5 requests a second, as its requestsPerSecond says.',
      reason: 'its subscriber is sent no more than it asked for',
    },
    {
      delivery: aDelivery(),
      subscriber: { requestsPerSecond: 20, health: failsOneAfterAnother },
      word: 'due',
      says: 'Attempt 1 is due since 2026-11-22T11:50:00.000Z; it is under way, or waits for its turn: ehr is sent at most 5 requests a second until it takes one, for it fails one delivery after another.',
      reason: 'its subscriber is spared, which is no setting of its own',
    },
    {
      delivery: aDelivery(),
      subscriber: { requestsPerSecond: 2, health: failsOneAfterAnother },
      word: 'due',
      says: 'Attempt 1 is due since 2026-11-22T11:50:00.000Z; it is under way, or waits for its turn: ehr is sent at most 2 requests a second, as its requestsPerSecond says.',
      reason: 'the slower of the two rates holds',
    },
    {
      delivery: aDelivery({ attempts: 2, dueAt: now + 5 * minuteMs, lastOutcome: refused }),
      word: 'waiting',
      says: 'Waiting for attempt 3 at 2026-11-22T12:05:00.000Z, after status 503 at 2026-11-22T11:59:00.000Z.',
      reason: 'it waits for a retry',
    },
    {
      delivery: aDelivery(),
      subscriber: {
        pauseReasons: ['person', 'gone'] as PauseReason[],
        pausedAt: Date.parse('2026-11-22T10:00:00Z'),
      },
      word: 'held',
      says: 'Held, because ehr is paused since 2026-11-22T10:00:00.000Z: somebody paused it; it answered 410 Gone. `relay subscribers resume sub_1` lifts it.',
      reason: 'every reason of the pause is named, with what lifts it',
    },
    {
      delivery: aDelivery(),
      subscriber: { pauseReasons: ['handshake'] as PauseReason[], pausedAt: now },
      word: 'held',
      says: 'Held, because ehr is paused since 2026-11-22T12:00:00.000Z: its challenge token has not been answered yet. `relay subscribers resume sub_1` asks for it again.',
      reason: 'an owed handshake names the command that asks again',
    },
    {
      delivery: aDelivery(),
      subscriber: { pauseReasons: ['removed'] as PauseReason[], pausedAt: now },
      word: 'held',
      says: 'Held, because ehr is paused since 2026-11-22T12:00:00.000Z: it is no longer in the configuration file (its return lifts that).',
      reason: 'no command lifts what the file decides',
    },
    {
      delivery: aDelivery({ attempts: 1, dueAt: now + minuteMs, lastOutcome: unchallenged }),
      word: 'waiting',
      says: `Waiting for attempt 2 at 2026-11-22T12:01:00.000Z, after challenge 200 at 2026-11-22T11:59:00.000Z. ${answerChallenge}`,
      reason: 'a success without the challenge token says what has to be answered',
    },
    {
      delivery: aDelivery({ ...failed, endReason: 'scheduleUsedUp', lastOutcome: unchallenged }),
      word: 'failed',
      says: `Failed at 2026-11-22T11:59:00.000Z after 10 attempts; the last one: challenge 200 at 2026-11-22T11:59:00.000Z. ${answerChallenge} \`relay replay ${aDelivery().id}\` starts a new round.`,
      reason: 'it says so when the schedule is used up, too',
    },
    {
      delivery: aDelivery({ attempts: 1, lastOutcome: refused }),
      subscriber: failing,
      word: 'held',
      says: 'Held, because ehr has been failing since 2026-11-22T11:00:00.000Z; the first success lifts it, or `relay subscribers resume sub_1`. Last attempt: status 503 at 2026-11-22T11:59:00.000Z.',
      reason: 'its subscriber is failing',
    },
    {
      delivery: aDelivery({ ...failed, endReason: 'scheduleUsedUp' }),
      word: 'failed',
      says: `Failed at 2026-11-22T11:59:00.000Z after 10 attempts; the last one: status 503 at 2026-11-22T11:59:00.000Z. \`relay replay ${aDelivery().id}\` starts a new round.`,
      reason: 'its schedule is used up',
    },
    {
      delivery: aDelivery({ ...failed, endReason: 'skipped' }),
      word: 'failed',
      says: `Skipped at 2026-11-22T11:59:00.000Z, when its subscriber was resumed without its backlog. \`relay replay ${aDelivery().id}\` starts a new round.`,
      reason: 'it was skipped',
    },
    {
      delivery: aDelivery({ ...failed, endReason: 'bodyLost' }),
      word: 'failed',
      says: "Failed at 2026-11-22T11:59:00.000Z, because the stored event cannot be read any more. `relay replay dlv_5c8b9FwlD0t6f2Wwofcwzjvgbx` fetches event evt_1 from Fullscript again, if it is no older than 30 days; otherwise restore the data folder's `bodies` from a backup.",
      reason: 'its body is lost',
    },
    {
      delivery: aDelivery({ state: 'cancelled', dueAt: null, endedAt: now, endReason: 'subscriberDeleted' }),
      subscriber: { deletedAt: now },
      word: 'cancelled',
      says: 'Cancelled at 2026-11-22T12:00:00.000Z, because its subscriber was deleted; it is never sent again.',
      reason: 'its subscriber was deleted',
    },
    {
      delivery: aDelivery({ state: 'delivered', attempts: 2, dueAt: null, endedAt: now }),
      word: 'delivered',
      says: 'Delivered at 2026-11-22T12:00:00.000Z by attempt 2.',
      reason: 'it is there',
    },
  ]) {
    test(reason, () => {
      const explained = explainDelivery({
        delivery,
        subscriber: recipient(subscriber as Partial<Subscriber>),
        waitsBehind: null,
        isShadow: false,
        lastAttemptAt: delivery.lastOutcome === null ? null : now - minuteMs,
        now,
      });
      expect(explained).toEqual({ because: word, explanation: says });
    });
  }
});

test('in shadow mode what is due or waits is told to wait for its end, and what is held is held', () => {
  const facts = { delivery: aDelivery(), lastAttemptAt: null, waitsBehind: null, isShadow: true, now };
  expect(explainDelivery({ ...facts, subscriber: recipient({}) })).toEqual({
    because: 'shadow',
    explanation: expect.stringContaining('`source.shadow` is false'),
  });
  const paused = recipient({ pauseReasons: ['person'] });
  expect(explainDelivery({ ...facts, subscriber: paused }).because).toBe('held');
});

test('a delivery that waits its turn names the one that it waits behind', () => {
  const facts = {
    delivery: aDelivery(),
    lastAttemptAt: null,
    waitsBehind: 'dlv_ahead',
    isShadow: false,
    now,
  };
  expect(explainDelivery({ ...facts, subscriber: recipient({ order: 'perClinic' }) })).toEqual({
    because: 'waiting',
    explanation:
      "Waiting behind delivery dlv_ahead, an earlier one of the same clinic: ehr is sent each clinic's events in order. `relay deliveries explain dlv_ahead` says what that one waits for.",
  });
  const paused = recipient({ order: 'perClinic', pauseReasons: ['person'] });
  expect(explainDelivery({ ...facts, subscriber: paused }).because).toBe('held');
});

describe('an event that has no delivery is explained in one line', () => {
  const anEvent = (changes: Partial<RecordedEvent> = {}): RecordedEvent => ({
    id: 'evt_1',
    clinicId: 'c1',
    category: 'orders',
    type: 'order.placed',
    createdAt: now - minuteMs,
    recordedAt: now,
    isPast: false,
    ...changes,
  });
  const aStream = (changes: Partial<Stream>): Stream => ({
    clinicId: 'c1',
    category: 'orders',
    startAt: 0,
    cursor: null,
    polledAt: now,
    sweptAt: null,
    nextPollAt: now,
    failedInRow: 0,
    problem: null,
    isOff: false,
    recorded: 0,
    newestEventAt: null,
    ...changes,
  });
  const unreadable: SetAside = {
    clinicId: 'c1',
    category: 'orders',
    key: 'evt_1',
    eventId: 'evt_1',
    reason: 'retrievalFailed',
    detail: 'answered 404',
    firstTriedAt: now - minuteMs,
    lastTriedAt: now,
    tries: 3,
    isFinal: true,
    resolvedAt: null,
  };
  const explain = (
    facts: {
      events?: readonly RecordedEvent[];
      subscriber?: Partial<Subscriber>;
      setAsides?: readonly SetAside[];
      streams?: readonly Stream[];
    },
    eventId = 'evt_1',
  ) =>
    explainAbsence({
      eventId,
      subscriber: recipient(facts.subscriber),
      sightings: (facts.events ?? []).map((event) => ({ event, clinicName: 'Washington' })),
      setAsides: facts.setAsides ?? [],
      streams: facts.streams ?? [],
      clinicNames: new Map([['c1', 'Washington']]),
    });

  for (const { facts, word, says, reason } of [
    {
      facts: { subscriber: { eventTypes: ['lab_order.*'] }, events: [anEvent()] },
      word: 'filtered',
      says: 'Filtered by eventTypes: order.placed is none of those that ehr takes (lab_order.*).',
      reason: 'its type is not wanted',
    },
    {
      facts: { subscriber: { clinicIds: ['New York'] }, events: [anEvent()] },
      word: 'filtered',
      says: 'Filtered by clinicIds: its clinic c1 is none of those that ehr takes (New York).',
      reason: 'its clinic is not wanted',
    },
    {
      facts: { subscriber: { clinicIds: ['Washington'] }, events: [anEvent()] },
      word: 'filtered',
      says: 'The filters of ehr did not let it through when it was recorded; they were changed since, which adds nothing of the past.',
      reason: 'the filters would let it through today, and once did not',
    },
    {
      facts: { subscriber: { createdAt: now + minuteMs }, events: [anEvent()] },
      word: 'beforeRegistration',
      says: 'Recorded at 2026-11-22T12:00:00.000Z, before ehr was registered at 2026-11-22T12:01:00.000Z; `relay subscribers backfill` sends it.',
      reason: 'the subscriber came later',
    },
    {
      facts: { subscriber: { deletedAt: now }, events: [anEvent()] },
      word: 'deleted',
      says: 'ehr was deleted at 2026-11-22T12:00:00.000Z; nothing is added to it.',
      reason: 'the subscriber is gone',
    },
    {
      facts: { events: [anEvent({ isPast: true })] },
      word: 'past',
      says: 'Created before the start of its stream: known, and delivered by `relay subscribers backfill` only.',
      reason: 'it is of the past',
    },
    {
      facts: { setAsides: [unreadable] },
      word: 'setAside',
      says: 'Listed, and cannot be read (retrievalFailed: answered 404); it is set aside and tried again daily. Last tried at 2026-11-22T12:00:00.000Z.',
      reason: 'it was set aside',
    },
    {
      facts: { setAsides: [{ ...unreadable, isFinal: false }] },
      word: 'setAside',
      says: 'Listed, and cannot be read (retrievalFailed: answered 404); it is tried again at the next poll. Last tried at 2026-11-22T12:00:00.000Z.',
      reason: 'it may still be read',
    },
    {
      facts: { setAsides: [{ ...unreadable, resolvedAt: now }] },
      word: 'notListed',
      says: 'Fullscript has not listed an event evt_1 to the relay.',
      reason: 'an item that is no longer listed stops nothing',
    },
    {
      facts: {
        streams: [
          aStream({ category: 'orders', isOff: true, failedInRow: 3 }),
          aStream({ category: 'patients', failedInRow: 2 }),
          aStream({ category: 'products', polledAt: null }),
          aStream({ category: 'clinic_keys' }),
        ],
      },
      word: 'notListed',
      says: 'Fullscript has not listed an event evt_1 to the relay. Off at the moment: orders of Washington. Could not be read lately: patients of Washington. Not read to the end yet: products of Washington.',
      reason: 'nobody heard of it, and three streams are in doubt',
    },
  ]) {
    test(reason, () => {
      expect(explain(facts)).toEqual({ because: word, explanation: says });
    });
  }

  test('whatever the id is, it stays one line that can be printed', () => {
    const { explanation } = explain({}, 'evt\n\u001b[31m\u202eevil');
    expect(explanation).toBe('Fullscript has not listed an event evt [31m evil to the relay.');
  });

  test('of many streams in doubt it names five and counts the rest', () => {
    const streams = Array.from({ length: 8 }, (_, at) => aStream({ clinicId: `c${at + 2}`, isOff: true }));
    expect(explain({ streams }).explanation).toContain('orders of c6 and 3 more.');
  });
});
