import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { allot, type Lane, slotsOf } from '../../src/delivery/lanes.ts';
import { untriedHealth } from '../../src/domain/subscriber.ts';
import { recipient } from '../world/recipient.ts';

function lane(subscriberId: string, changes: Partial<Lane> = {}): Lane {
  return { subscriberId, slots: 8, inFlight: 0, isSlow: false, mayHaveWork: true, ...changes };
}

describe('a subscriber’s slots', () => {
  const healthy = { ...untriedHealth, isSlow: false };
  for (const { changes, slots, because } of [
    { changes: {}, slots: 8, because: 'the configured number' },
    { changes: { concurrency: 3 }, slots: 3, because: 'its own number' },
    { changes: { concurrency: 30 }, slots: 30, because: 'its own number may be larger' },
    { changes: { health: untriedHealth }, slots: 1, because: 'nothing has succeeded yet' },
    {
      changes: { health: { ...healthy, isFailing: true } },
      slots: 1,
      because: 'a probe at a time while its breaker is open',
    },
    {
      changes: { health: { ...healthy, slowStartSlots: 3 } },
      slots: 3,
      because: 'it has come back and starts slowly',
    },
    {
      changes: { health: { ...healthy, slowStartSlots: 30 } },
      slots: 8,
      because: 'a slow start ends at its own number',
    },
    { changes: { pauseReasons: ['person' as const] }, slots: 0, because: 'it is paused' },
    { changes: { deletedAt: 1 }, slots: 0, because: 'it is deleted' },
  ]) {
    test(`are ${slots}: ${because}`, () => {
      expect(slotsOf(recipient({ health: healthy, ...changes }), 8)).toBe(slots);
    });
  }
});

describe('free slots', () => {
  for (const { lanes, slots, given, because } of [
    { lanes: [lane('a')], slots: 64, given: { a: 8 }, because: 'a lane gets no more than its own' },
    { lanes: [lane('a', { inFlight: 6 })], slots: 64, given: { a: 2 }, because: 'what is under way counts' },
    { lanes: [lane('a'), lane('b')], slots: 5, given: { a: 3, b: 2 }, because: 'they are dealt out in turn' },
    {
      lanes: [lane('a', { mayHaveWork: false }), lane('b')],
      slots: 4,
      given: { b: 4 },
      because: 'a lane without work is passed over',
    },
    {
      lanes: [lane('a', { inFlight: 8, mayHaveWork: false }), lane('b')],
      slots: 9,
      given: { b: 1 },
      because: 'all lanes share what there is',
    },
    {
      lanes: [lane('a', { slots: 1, inFlight: 3 })],
      slots: 64,
      given: {},
      because: 'a lane that has just slowed down waits for its own',
    },
    {
      lanes: ['a', 'b', 'c'].map((id) => lane(id, { slots: 1, isSlow: true })),
      slots: 4,
      given: { a: 1, b: 1 },
      because: 'all slow ones together get half',
    },
    {
      lanes: [
        lane('a', { slots: 1, inFlight: 2, isSlow: true }),
        lane('b', { slots: 1, isSlow: true }),
        lane('c'),
      ],
      slots: 4,
      given: { c: 2 },
      because: 'the slow half is used up, the other half is not',
    },
    {
      lanes: [lane('a', { slots: 1, isSlow: true })],
      slots: 1,
      given: { a: 1 },
      because: 'half of one slot is one slot',
    },
  ]) {
    test(`of ${slots} are given as ${JSON.stringify(given)}: ${because}`, () => {
      expect(Object.fromEntries(allot(lanes, slots))).toEqual(given);
    });
  }

  test('are never overdrawn, whatever the lanes are like', () => {
    const anyLane = fc.record({
      slots: fc.nat(9),
      inFlight: fc.nat(9),
      isSlow: fc.boolean(),
      mayHaveWork: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(anyLane, { maxLength: 20 }), fc.integer({ min: 1, max: 64 }), (shapes, slots) => {
        const lanes = shapes.map((shape, index) => ({ subscriberId: `s${index}`, ...shape }));
        const given = allot(lanes, slots);
        const sum = (of: readonly Lane[], what: (lane: Lane) => number) =>
          of.reduce((total, each) => total + what(each), 0);
        const givenTo = ({ subscriberId }: Lane) => given.get(subscriberId) ?? 0;
        const slow = lanes.filter(({ isSlow }) => isSlow);
        const inFlight = sum(lanes, (each) => each.inFlight);
        expect(sum(lanes, givenTo)).toBeLessThanOrEqual(Math.max(0, slots - inFlight));
        const slowInFlight = sum(slow, (each) => each.inFlight);
        expect(sum(slow, givenTo)).toBeLessThanOrEqual(
          Math.max(0, Math.max(1, Math.floor(slots / 2)) - slowInFlight),
        );
        for (const each of lanes) {
          expect(givenTo(each)).toBeLessThanOrEqual(Math.max(0, each.slots - each.inFlight));
          if (!each.mayHaveWork) expect(given.has(each.subscriberId)).toBe(false);
          // Nobody who could have had one more is left out while something is free.
          const couldTake = each.mayHaveWork && !each.isSlow && each.inFlight + givenTo(each) < each.slots;
          if (couldTake) expect(sum(lanes, givenTo) + inFlight).toBeGreaterThanOrEqual(slots);
        }
      }),
      { seed: 4 },
    );
  });
});
