import { describe, expect, test } from 'vitest';
import { defaultWaitsMs } from '../../src/domain/backoff.ts';
import {
  filteredBy,
  scheduleOf,
  stateOfSubscriber,
  subscribersOf,
  untriedHealth,
} from '../../src/domain/subscriber.ts';
import { recipient } from '../world/recipient.ts';

const event = { type: 'order.placed', clinicId: 'clinic-1' };

describe('what a subscriber is owed', () => {
  for (const { changes, rule, because } of [
    { changes: {}, rule: null, because: 'no filter lets everything through' },
    { changes: { eventTypes: ['order.*'] }, rule: null, because: 'the type fits a pattern' },
    {
      changes: { eventTypes: ['patient.*', 'order.placed'] },
      rule: null,
      because: 'one pattern that fits is enough',
    },
    { changes: { eventTypes: ['patient.*'] }, rule: 'eventTypes', because: 'the type fits none' },
    { changes: { clinicIds: ['clinic-1'] }, rule: null, because: 'the clinic is named by its id' },
    { changes: { clinicIds: ['Washington'] }, rule: null, because: 'the clinic is named by its name' },
    { changes: { clinicIds: ['clinic-2', 'New York'] }, rule: 'clinicIds', because: 'it is another clinic' },
    {
      changes: { clinicIds: ['clinic-1'], eventTypes: ['x'] },
      rule: 'eventTypes',
      because: 'both have to fit',
    },
    { changes: { deletedAt: 1 }, rule: 'deleted', because: 'a deleted one is owed nothing' },
    { changes: { pauseReasons: ['person'] }, rule: null, because: 'a paused one is owed it still' },
  ] as const) {
    test(`${because} (${rule ?? 'owed'})`, () => {
      const subscriber = recipient(changes);
      expect(filteredBy(subscriber, event, 'Washington')).toBe(rule);
      expect(subscribersOf(event, [subscriber], { name: 'Washington' })).toEqual(
        rule === null ? ['sub_1'] : [],
      );
    });
  }

  test('a clinic without a name is not every clinic’s name', () => {
    expect(filteredBy(recipient({ clinicIds: ['null', ''] }), event, null)).toBe('clinicIds');
    expect(subscribersOf(event, [recipient()], null)).toEqual(['sub_1']);
  });
});

describe('the state of a subscriber', () => {
  const failing = { ...untriedHealth, isFailing: true };

  for (const { changes, state, because } of [
    { changes: {}, state: 'active', because: 'nothing speaks against it' },
    { changes: { health: failing }, state: 'failing', because: 'the breaker is open' },
    {
      changes: { health: failing, pauseReasons: ['person'] },
      state: 'paused',
      because: 'a pause outranks the breaker',
    },
    { changes: { pauseReasons: ['removed', 'gone'] }, state: 'paused', because: 'one reason left is enough' },
    { changes: { pauseReasons: ['person'], deletedAt: 1 }, state: 'deleted', because: 'deletion is final' },
  ] as const) {
    test(`${state}: ${because}`, () => expect(stateOfSubscriber(recipient(changes))).toBe(state));
  }
});

describe('the schedule of a subscriber', () => {
  for (const { changes, waitsMs, because } of [
    { changes: { retrySeconds: [5, 300] }, waitsMs: [5_000, 300_000], because: 'its own, in seconds' },
    { changes: { retrySeconds: [] }, waitsMs: [], because: 'its own, which has no retry' },
    { changes: { retrySeconds: null }, waitsMs: defaultWaitsMs.fullscript, because: 'that of its profile' },
    {
      changes: { profile: 'standard' },
      waitsMs: defaultWaitsMs.standard,
      because: 'that of its other profile',
    },
  ] as const) {
    test(because, () => expect(scheduleOf(recipient(changes))).toEqual(waitsMs));
  }
});
