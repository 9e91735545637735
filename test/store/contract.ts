import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { deliveryIdOf } from '../../src/domain/delivery.ts';
import { ClaimLost, Conflict, InvalidInput, NotFound } from '../../src/domain/errors.ts';
import type { DeliveryClaim, RefreshClaim, Store } from '../../src/store/store.ts';
import type { SimulatedClock } from '../world/clock.ts';
import {
  aClinic,
  aConnection,
  accepted,
  anEvent,
  aSubscriber,
  claim,
  furnished,
  pollOf,
  record,
  refused,
} from './fixtures.ts';
import { keepsTheOrder } from './order-contract.ts';
import { readsForward } from './positions-contract.ts';
import { keepsPushes } from './push-contract.ts';

export interface StoreUnderTest {
  readonly store: Store;
  readonly clock: SimulatedClock;
  /** What the next process finds after this one was killed: opens the same place again. */
  reopen(): Promise<Store>;
  discard(): Promise<void>;
}

/** Holds a store to `store.ts`. What a crash leaves is part of the contract, so every promise is checked after `reopen`, too. */
export function keepsTheContract(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(name, () => {
    let under: StoreUnderTest;
    let store: Store;

    beforeEach(async () => {
      under = await open();
      store = under.store;
    });
    afterEach(() => under.discard());

    const reopened = async (): Promise<Store> => {
      store = await under.reopen();
      return store;
    };

    const only = (claims: readonly DeliveryClaim[]): DeliveryClaim => {
      expect(claims).toHaveLength(1);
      return claims[0] as DeliveryClaim;
    };

    describe('events', () => {
      test('a recorded event is seen, has its exact text, and is owed to its subscriber once', async () => {
        await furnished(store);
        const body = '{"id":"e1", "n":12345678901234567890,"x":10.0,"s":"\\u00e9\\/"}';
        await record(store, [anEvent('e1', { body })]);
        for (const when of ['at once', 'after a crash']) {
          if (when === 'after a crash') await reopened();
          expect(await store.unseen('clinic-1', ['e1', 'e2', 'e2']), when).toEqual(['e2']);
          expect(await store.eventBody('clinic-1', 'e1'), when).toBe(body);
          const { items } = await store.deliveries({}, { limit: 10, cursor: null });
          expect(items, when).toMatchObject([
            { id: deliveryIdOf('e1', 'sub_1'), state: 'pending', sequence: 1, clinicId: 'clinic-1' },
          ]);
        }
      });

      test('a text that was fetched again is the event’s from then on', async () => {
        await furnished(store);
        await record(store, [anEvent('e1')]);
        await store.recordAttempt(only(await claim(store)), accepted);
        const fetched = { clinicId: 'clinic-1', eventId: 'e1', body: '{"id":"e1", "again":1.0}' };
        const unknown = { clinicId: 'clinic-2', eventId: 'e1', body: '{}' };
        await store.startRounds([deliveryIdOf('e1', 'sub_1')], [fetched, unknown]);
        await reopened();
        expect(await store.eventBody('clinic-1', 'e1')).toBe(fetched.body);
        expect(await store.bodyStates([fetched, unknown])).toEqual(['kept', 'gone']);
        expect(only(await claim(store)).event.body).toBe(fetched.body);
      });

      test('case 5: recording an event again adds nothing', async () => {
        await furnished(store);
        await record(store, [anEvent('e1')]);
        await record(store, [anEvent('e1'), anEvent('e2')]);
        const { items } = await store.deliveries({}, { limit: 10, cursor: null });
        expect(items.map((delivery) => [delivery.eventId, delivery.sequence])).toEqual([
          ['e2', 2],
          ['e1', 1],
        ]);
      });

      test('a stale version of the subscriber set records nothing', async () => {
        await furnished(store);
        const { version } = await store.subscribers();
        await store.addSubscriber(aSubscriber('sub_2'));
        const poll = await pollOf(store);
        const answer = await store.recordEvents(poll, {
          events: [anEvent('e1')],
          subscribersVersion: version,
        });
        expect(answer).toEqual({ kind: 'subscribersChanged' });
        expect(await store.unseen('clinic-1', ['e1'])).toEqual(['e1']);
      });

      test('pausing a subscriber does not make its version stale', async () => {
        await furnished(store);
        const { version } = await store.subscribers();
        await store.pauseSubscriber('sub_1', 'person');
        expect((await store.subscribers()).version).toBe(version);
      });

      test('an event seen in a second clinic adds deliveries only for who has none, and keeps its own clinic', async () => {
        await furnished(store);
        await store.saveClinic(aClinic('clinic-2', 'New York'));
        await store.follow('clinic-2', [{ category: 'orders', startAt: 0 }]);
        await store.addSubscriber(aSubscriber('sub_2'));
        await record(store, [anEvent('e1')]);
        await record(store, [anEvent('e1', { subscriberIds: ['sub_1', 'sub_2'] })], 'clinic-2');
        await reopened();
        const { items } = await store.deliveries({}, { limit: 10, cursor: null });
        expect(items.map((delivery) => [delivery.subscriberId, delivery.clinicId])).toEqual([
          ['sub_2', 'clinic-2'],
          ['sub_1', 'clinic-1'],
        ]);
        expect(await store.event('e1')).toMatchObject([{ clinicId: 'clinic-1' }, { clinicId: 'clinic-2' }]);
        expect(await store.eventBody('clinic-2', 'e1')).toBe(anEvent('e1').body);
      });

      test('case 165: a body that differs from the one in another clinic is reported, and each clinic keeps its own', async () => {
        await furnished(store);
        await store.saveClinic(aClinic('clinic-2', 'New York'));
        await store.follow('clinic-2', [{ category: 'orders', startAt: 0 }]);
        await record(store, [anEvent('e1')]);
        const poll = await pollOf(store, 'clinic-2');
        const { version } = await store.subscribers();
        const events = [anEvent('e1', { body: '{"id":"e1","other":true}' })];
        const answer = await store.recordEvents(poll, { events, subscribersVersion: version });
        expect(answer).toMatchObject({ kind: 'recorded', differing: ['e1'] });
        expect(await store.eventBody('clinic-1', 'e1')).toBe(anEvent('e1').body);
        expect(await store.eventBody('clinic-2', 'e1')).toBe('{"id":"e1","other":true}');
      });

      for (const { body, differing, because } of [
        { body: '{"id":"e1","other":true}', differing: ['e1'], because: 'they differ' },
        { body: anEvent('e1').body, differing: [], because: 'they are equal' },
      ]) {
        test(`bodies of one event that two clinics record at once are compared: ${because}`, async () => {
          await furnished(store);
          await store.saveClinic(aClinic('clinic-2', 'New York'));
          await store.follow('clinic-2', [{ category: 'orders', startAt: 0 }]);
          const { version: subscribersVersion } = await store.subscribers();
          const [first, second] = [await pollOf(store), await pollOf(store, 'clinic-2')];
          const answers = await Promise.all([
            store.recordEvents(first, { events: [anEvent('e1')], subscribersVersion }),
            store.recordEvents(second, { events: [anEvent('e1', { body })], subscribersVersion }),
          ]);
          expect(answers).toMatchObject([
            { kind: 'recorded', events: 1, deliveries: 1, differing: [] },
            { kind: 'recorded', events: 1, deliveries: 0, differing },
          ]);
          await reopened();
          expect(await store.eventBody('clinic-1', 'e1')).toBe(anEvent('e1').body);
          expect(await store.eventBody('clinic-2', 'e1')).toBe(body);
        });
      }

      test('an event of the past is known, without a body and without deliveries', async () => {
        await furnished(store);
        await record(store, [anEvent('e1', { isPast: true, body: null, subscriberIds: [] })]);
        await reopened();
        expect(await store.unseen('clinic-1', ['e1'])).toEqual([]);
        expect(await store.eventBody('clinic-1', 'e1')).toBeNull();
        expect((await store.events({ state: 'past' }, { limit: 5, cursor: null })).items).toHaveLength(1);
        expect((await store.deliveries({}, { limit: 5, cursor: null })).items).toHaveLength(0);
      });

      test('ids that would run into each other are kept apart', async () => {
        await store.saveClinic(aClinic('a', 'A'));
        await store.saveClinic(aClinic('ab', 'B'));
        await store.addSubscriber(aSubscriber());
        for (const clinicId of ['a', 'ab'])
          await store.follow(clinicId, [{ category: 'orders', startAt: 0 }]);
        await record(store, [anEvent('bc')], 'a');
        expect(await store.unseen('ab', ['c'])).toEqual(['c']);
        expect(await store.unseen('a', ['__proto__', 'constructor'])).toEqual(['__proto__', 'constructor']);
      });
    });

    describe('polls', () => {
      test('a stream has one poller; another gets it when the lease lapsed, and the first can record nothing more', async () => {
        await furnished(store);
        const first = await pollOf(store);
        expect(await store.claimPolls({ streams: [first.stream], leaseMs: 60_000 })).toEqual([]);
        await under.clock.advance(61_000);
        const second = await pollOf(store);
        const { version } = await store.subscribers();
        await expect(
          store.recordEvents(first, { events: [anEvent('e1')], subscribersVersion: version }),
        ).rejects.toThrow(ClaimLost);
        await expect(
          store.endPoll(first, { kind: 'failed', problem: 'late', nextPollAt: 0 }),
        ).rejects.toThrow(ClaimLost);
        expect(await store.unseen('clinic-1', ['e1'])).toEqual(['e1']);
        await store.endPoll(second, { kind: 'failed', problem: 'status 500', nextPollAt: 7 });
        await expect((await reopened()).streams()).resolves.toMatchObject([
          { cursor: null, failedInRow: 1, problem: 'status 500', nextPollAt: 7 },
        ]);
      });

      test('a completed poll moves the cursor, and never back', async () => {
        await furnished(store);
        const end = { kind: 'completed', isSweep: true, newestEventAt: 9, nextPollAt: 1 } as const;
        await store.endPoll(await pollOf(store), { ...end, cursor: 500 });
        await store.endPoll(await pollOf(store), { ...end, cursor: 400 });
        await reopened();
        expect(await store.streams()).toMatchObject([{ cursor: 500, problem: null, newestEventAt: 9 }]);
      });

      test('a cursor that a clock far ahead left behind does not stay there', async () => {
        const end = { kind: 'completed', isSweep: false, newestEventAt: null, nextPollAt: 0 } as const;
        await furnished(store);
        await store.endPoll(await pollOf(store), { ...end, cursor: 9e15 });
        await store.endPoll(await pollOf(store), { ...end, cursor: 400 });
        expect(await store.streams()).toMatchObject([{ cursor: 400 }]);
      });

      test('following again keeps the start and the cursor', async () => {
        await furnished(store);
        await record(store, []);
        await store.follow('clinic-1', [{ category: 'orders', startAt: 99 }]);
        expect(await store.streams()).toMatchObject([{ startAt: 0, cursor: 5_000 }]);
      });

      test('case 180: an item that cannot be retrieved is final after three tries over an hour, and resolved when it is read', async () => {
        await furnished(store);
        const item = { key: 'e1', eventId: 'e1', reason: 'retrievalFailed', detail: 'status 404' } as const;
        const poll = await pollOf(store);
        expect(await store.setAside(poll, item)).toMatchObject({ tries: 1, isFinal: false });
        await under.clock.advance(1_000);
        expect(await store.setAside(poll, item)).toMatchObject({ tries: 2, isFinal: false });
        await under.clock.advance(1_000);
        expect(await store.setAside(poll, item)).toMatchObject({ tries: 3, isFinal: false });
        await under.clock.advance(3_600_000);
        expect(await store.setAside(poll, item)).toMatchObject({ tries: 4, isFinal: true });
        await reopened();
        expect(await store.setAsides()).toMatchObject([{ eventId: 'e1', isFinal: true, tries: 4 }]);
        await record(store, [anEvent('e1')]);
        expect(await store.setAsides()).toEqual([]);
        expect(await store.setAsides({ includeResolved: true })).toHaveLength(1);
      });
    });

    describe('deliveries', () => {
      test('claims are given for free slots only, oldest first, each once', async () => {
        await furnished(store);
        await record(store, [anEvent('e1'), anEvent('e2'), anEvent('e3')]);
        expect((await claim(store, 2)).map(({ event }) => event.id)).toEqual(['e1', 'e2']);
        expect((await claim(store, 5)).map(({ event }) => event.id)).toEqual(['e3']);
        expect(await claim(store, 5)).toEqual([]);
        expect(await store.claimDeliveries({ slotsBySubscriber: new Map(), leaseMs: 1 })).toEqual([]);
      });

      test('a claim holds all that an attempt needs', async () => {
        await furnished(store);
        await record(store, [anEvent('e1')]);
        expect(only(await claim(store))).toMatchObject({
          attempt: 1,
          delivery: { sequence: 1, round: 1 },
          event: { id: 'e1', type: 'order.placed', body: anEvent('e1').body },
          subscriber: { url: 'https://ehr.example/hook', secrets: aSubscriber().secrets },
        });
      });

      test('no more are claimed than the subscriber’s requests a second, and the next due time says when one more may be', async () => {
        await furnished(store, aSubscriber('sub_1', { requestsPerSecond: 2 }));
        await record(store, [anEvent('e1'), anEvent('e2'), anEvent('e3')]);
        expect(await claim(store)).toHaveLength(1);
        expect(await claim(store)).toHaveLength(0);
        const dueAt = (await store.nextDueAt()) ?? 0;
        expect(dueAt).toBeGreaterThan(under.clock.now());
        await under.clock.advance(dueAt - under.clock.now());
        expect(await claim(store)).toHaveLength(1);
        await under.clock.advance(60_000);
        expect(await claim(store)).toHaveLength(1);
      });

      for (const { requestsPerSecond, because } of [
        { requestsPerSecond: 1000, because: 'a higher rate counts at once' },
        { requestsPerSecond: null, because: 'without a rate nothing waits for one' },
      ]) {
        test(`a rate of ${requestsPerSecond} after a very low one is no wait of a hundred seconds: ${because}`, async () => {
          await furnished(store, aSubscriber('sub_1', { requestsPerSecond: 0.01 }));
          await record(store, [anEvent('e1'), anEvent('e2')]);
          expect(await claim(store)).toHaveLength(1);
          await store.changeSubscriber('sub_1', { requestsPerSecond });
          expect((await store.nextDueAt()) ?? 0).toBeLessThanOrEqual(under.clock.now() + 1);
          await under.clock.advance(1);
          expect(await claim(store)).toHaveLength(1);
        });
      }

      test('who failed five deliveries in a row is sent five a second, until it takes one', async () => {
        await furnished(store, aSubscriber('sub_1', { retrySeconds: [3_600] }));
        await record(
          store,
          Array.from({ length: 20 }, (_, index) => anEvent(`e${index}`)),
        );
        for (const each of await claim(store, 5)) await store.recordAttempt(each, refused);
        const sixth = only(await claim(store, 10));
        expect(await claim(store, 10)).toHaveLength(0);
        await under.clock.advance(1_000);
        const seventh = only(await claim(store, 10));
        await store.recordAttempt(sixth, refused);
        await store.recordAttempt(seventh, accepted);
        expect(await claim(store, 10)).toHaveLength(10);
      });

      test('headers are kept, and lie on the disk sealed', async () => {
        await furnished(store, aSubscriber('sub_1', { headers: { authorization: 'Bearer gateway' } }));
        await reopened();
        expect((await store.subscribers()).subscribers).toMatchObject([
          { headers: { authorization: 'Bearer gateway' } },
        ]);
      });

      test('first attempts go before retries', async () => {
        await furnished(store);
        await record(store, [anEvent('e1')]);
        await store.recordAttempt(only(await claim(store)), refused);
        await under.clock.advance(60_000);
        await record(store, [anEvent('e2')]);
        expect((await claim(store, 1)).map(({ event }) => event.id)).toEqual(['e2']);
        expect((await claim(store, 1)).map(({ event }) => event.id)).toEqual(['e1']);
      });

      test('case 12: an accepted attempt delivers, and is never sent again', async () => {
        await furnished(store);
        await record(store, [anEvent('e1')]);
        const after = await store.recordAttempt(only(await claim(store)), accepted);
        expect(after.delivery).toMatchObject({ state: 'delivered', attempts: 1, dueAt: null });
        expect(after.subscriber.health.lastSuccessAt).not.toBeNull();
        await reopened();
        expect(await claim(store)).toEqual([]);
        expect(await store.attempts(after.delivery.id)).toMatchObject([
          { number: 1, outcome: { kind: 'accepted', status: 200 }, excerpt: null, isLate: false },
        ]);
      });

      test('cases 13 and 14: a failed attempt is due again after its wait, and ends as failed when the schedule is used up', async () => {
        await furnished(store);
        await record(store, [anEvent('e1')]);
        const start = under.clock.now();
        await store.recordAttempt(only(await claim(store)), refused);
        await reopened();
        expect(await store.nextDueAt()).toBe(start + 10_000);
        expect(await claim(store)).toEqual([]);
        await under.clock.advance(10_000);
        await store.recordAttempt(only(await claim(store)), refused);
        await under.clock.advance(20_000);
        const after = await store.recordAttempt(only(await claim(store)), refused);
        expect(after.delivery).toMatchObject({ state: 'failed', endReason: 'scheduleUsedUp', attempts: 3 });
        expect(await store.nextDueAt()).toBeNull();
        await reopened();
        expect(await store.attempts(after.delivery.id)).toMatchObject([
          { number: 1, excerpt: 'not now' },
          { number: 2 },
          { number: 3 },
        ]);
        expect(await store.deliveryCounts(null)).toMatchObject({ failed: 1, pending: 0 });
      });

      test('cases 7 and 9: an attempt that a crash cut off is interrupted: numbered, due at once, no step consumed', async () => {
        await furnished(store);
        await record(store, [anEvent('e1')]);
        const cutOff = only(await claim(store));
        await reopened();
        expect(await store.attempts(cutOff.delivery.id)).toMatchObject([
          { number: 1, outcome: { kind: 'interrupted' } },
        ]);
        const again = only(await claim(store));
        expect(again).toMatchObject({ attempt: 2, delivery: { failures: 0, interruptedInRow: 1 } });
        expect((await store.subscribers()).subscribers[0]?.health.failedInRow).toEqual([]);
      });

      test('case 71: a lapsed lease is given away; the late result is on record and changes nothing', async () => {
        await furnished(store);
        await record(store, [anEvent('e1')]);
        const slow = only(await claim(store));
        await under.clock.advance(31_000);
        const second = only(await claim(store));
        expect(second.attempt).toBe(2);
        await expect(store.recordAttempt(slow, accepted)).rejects.toThrow(ClaimLost);
        expect(await store.delivery(slow.delivery.id)).toMatchObject({ state: 'pending' });
        await reopened();
        const attempts = await store.attempts(slow.delivery.id);
        expect(attempts.filter((attempt) => attempt.isLate)).toMatchObject([{ number: 1 }]);
      });

      test('a renewed lease is kept', async () => {
        await furnished(store);
        await record(store, [anEvent('e1')]);
        const slow = only(await claim(store));
        await under.clock.advance(20_000);
        expect(await store.renew([slow], 30_000)).toHaveLength(1);
        await under.clock.advance(20_000);
        expect(await claim(store)).toEqual([]);
        expect((await store.recordAttempt(slow, accepted)).delivery.state).toBe('delivered');
      });

      test('a lease is not renewed for a claim that a deletion has ended', async () => {
        await furnished(store);
        await store.addSubscriber(aSubscriber('sub_2'));
        await record(store, [anEvent('e1', { subscriberIds: ['sub_1', 'sub_2'] })]);
        const ended = only(await claim(store));
        const kept = only(await claim(store, 1, 'sub_2'));
        await store.deleteSubscriber('sub_1');
        expect(await store.renew([ended, kept], 30_000)).toEqual([kept]);
      });

      test('410 pauses the subscriber and consumes no step', async () => {
        await furnished(store);
        await record(store, [anEvent('e1'), anEvent('e2')]);
        const after = await store.recordAttempt(only(await claim(store, 1)), {
          ...refused,
          outcome: { kind: 'rejected', status: 410, retryAfterMs: null, because: 'status' },
        });
        expect(after).toMatchObject({ paused: 'gone', delivery: { state: 'pending', failures: 0 } });
        await reopened();
        expect((await store.subscribers()).subscribers).toMatchObject([
          { pauseReasons: ['gone'], pausedAt: expect.any(Number) },
        ]);
        expect(await claim(store)).toEqual([]);
        expect(await store.deliveryCounts(['sub_1'])).toMatchObject({ held: 2, pending: 0 });
      });

      test('a failure under an old revision consumes a step and says nothing about the new endpoint', async () => {
        await furnished(store);
        await record(store, [anEvent('e1')]);
        const old = only(await claim(store));
        await store.changeSubscriber('sub_1', { url: 'https://new.example/hook' });
        const after = await store.recordAttempt(old, {
          ...refused,
          outcome: { kind: 'rejected', status: 410, retryAfterMs: null, because: 'status' },
        });
        expect(after.paused).toBeNull();
        expect(after.subscriber).toMatchObject({
          revision: 2,
          pauseReasons: [],
          health: { failedInRow: [] },
        });
      });
    });

    keepsTheOrder(open);
    keepsPushes(open);
    describe('the log read forward', () => readsForward({ store: () => store, reopened }));

    describe('replays', () => {
      test('a failed delivery starts a new round with the schedule afresh; attempts go on counting', async () => {
        await furnished(store, aSubscriber('sub_1', { retrySeconds: [] }));
        await record(store, [anEvent('e1')]);
        const { delivery } = await store.recordAttempt(only(await claim(store)), refused);
        expect(delivery.state).toBe('failed');
        expect(await store.startRounds([delivery.id, 'unknown'])).toEqual([
          { deliveryId: delivery.id, kind: 'newRound' },
        ]);
        await reopened();
        expect(only(await claim(store))).toMatchObject({
          attempt: 2,
          delivery: { round: 2, failures: 0, sequence: 1 },
        });
      });

      test('what is in flight, held or cancelled is left as it is and reported so', async () => {
        await furnished(store);
        await record(store, [anEvent('e1'), anEvent('e2')]);
        const inFlight = only(await claim(store, 1));
        const other = deliveryIdOf('e2', 'sub_1');
        expect(await store.startRounds([inFlight.delivery.id])).toMatchObject([{ kind: 'inFlight' }]);
        expect(await store.startRounds([other])).toMatchObject([{ kind: 'due' }]);
        await store.pauseSubscriber('sub_1', 'person');
        expect(await store.startRounds([other])).toMatchObject([{ kind: 'held' }]);
        await store.deleteSubscriber('sub_1');
        expect(await store.startRounds([other])).toMatchObject([{ kind: 'cancelled' }]);
      });

      test('a replay of a delivered one keeps the first success on record', async () => {
        await furnished(store);
        await record(store, [anEvent('e1')]);
        const { delivery } = await store.recordAttempt(only(await claim(store)), accepted);
        await under.clock.advance(5_000);
        await store.startRounds([delivery.id]);
        const after = await store.recordAttempt(only(await claim(store)), accepted);
        expect(after.delivery).toMatchObject({ round: 2, attempts: 2, deliveredAt: delivery.deliveredAt });
      });
    });

    describe('events that were handled elsewhere', () => {
      const page = { limit: 10, cursor: null };

      test('are known from then on, withheld and never owed; doing it again changes nothing', async () => {
        await furnished(store);
        await record(store, [
          anEvent('owed'),
          anEvent('shadowed', { subscriberIds: [], withheld: 'shadow' }),
        ]);
        const ids = ['new', 'shadowed', 'owed', 'new'];
        const counts = { recorded: 1, withheld: 1, known: 0, owed: 1 };
        expect(await store.importSeen('clinic-1', ids, { isDryRun: true })).toEqual(counts);
        expect(await store.unseen('clinic-1', ['new'])).toEqual(['new']);
        expect(await store.event('shadowed')).toMatchObject([{ withheld: 'shadow' }]);
        expect(await store.importSeen('clinic-1', ids, { isDryRun: false })).toEqual(counts);
        await reopened();
        expect(await store.importSeen('clinic-1', ids, { isDryRun: false })).toEqual({
          recorded: 0,
          withheld: 0,
          known: 2,
          owed: 1,
        });
        expect(await store.unseen('clinic-1', ids)).toEqual([]);
        expect(await store.event('new')).toMatchObject([{ withheld: 'imported', isPast: true }]);
        expect(await store.event('shadowed')).toMatchObject([{ withheld: 'imported' }]);
        await record(store, [anEvent('new')]);
        expect((await store.deliveries({}, page)).items.map(({ eventId }) => eventId)).toEqual(['owed']);
      });

      test('are a known clinic’s', async () => {
        const imported = store.importSeen('clinic-9', ['e1'], { isDryRun: false });
        await expect(imported).rejects.toBeInstanceOf(NotFound);
      });
    });

    describe('backfills', () => {
      const job = (done: number) => ({
        id: 'bkf_1',
        kind: 'backfill' as const,
        state: 'running' as const,
        owner: 'owner',
        createdAt: 0,
        endedAt: null,
        ask: {},
        progress: { done },
      });
      const owed = (eventId: string, body: string | null = null, clinicId = 'clinic-1') => ({
        clinicId,
        eventId,
        type: 'order.placed',
        body,
      });
      const owe = (events: readonly ReturnType<typeof owed>[], subscriberId = 'sub_2') =>
        store.oweEvents({ subscriberId, events, jobAfter: job });

      test('known events are owed to a later subscriber once, in the order given, with the job, through a crash', async () => {
        await furnished(store);
        await record(store, [anEvent('e1'), anEvent('e2')]);
        await store.addSubscriber(aSubscriber('sub_2'));
        expect(await owe([owed('e2'), owed('e1'), owed('e2')])).toEqual({ kind: 'owed', deliveries: 2 });
        await reopened();
        expect(await store.job('bkf_1')).toEqual(job(2));
        expect(await owe([owed('e1'), owed('e2')])).toEqual({ kind: 'owed', deliveries: 0 });
        const { items } = await store.deliveries({ subscriberIds: ['sub_2'] }, { limit: 10, cursor: null });
        expect(items.map(({ eventId, sequence, isBackfilled }) => [eventId, sequence, isBackfilled])).toEqual(
          [
            ['e1', 2, true],
            ['e2', 1, true],
          ],
        );
        expect(
          (await store.events({ subscriberIds: ['sub_2'] }, { limit: 10, cursor: null })).items,
        ).toHaveLength(2);
        expect(await store.deliveryCounts(['sub_2'])).toMatchObject({ pending: 2 });
      });

      test('an event without a text is owed only with one, which is what is sent; nothing is recorded before', async () => {
        await furnished(store);
        await record(store, [
          anEvent('past', { body: null, isPast: true, subscriberIds: [] }),
          anEvent('e2', { subscriberIds: [] }),
        ]);
        expect(await owe([owed('past'), owed('e2')], 'sub_1')).toEqual({
          kind: 'bodiesNeeded',
          events: [owed('past')],
        });
        expect(await store.job('bkf_1')).toBeNull();
        const body = anEvent('past').body;
        expect(await owe([owed('past', body), owed('e2')], 'sub_1')).toEqual({ kind: 'owed', deliveries: 2 });
        await reopened();
        expect((await claim(store)).map(({ event }) => [event.id, event.body])).toEqual([
          ['past', body],
          ['e2', anEvent('e2').body],
        ]);
      });

      test('live events go first, though they came later; so do retries', async () => {
        await furnished(store);
        await record(store, [anEvent('old', { subscriberIds: [] }), anEvent('retried')]);
        const retried = only(await claim(store));
        await store.recordAttempt(retried, refused);
        await owe([owed('old')], 'sub_1');
        await under.clock.advance(10_000);
        await record(store, [anEvent('live')]);
        const order = [];
        for (let turn = 0; turn < 3; turn++) order.push(only(await claim(store, 1)).event.id);
        expect(order).toEqual(['live', 'retried', 'old']);
      });

      test('what the log does not know adds nothing, and a deleted subscriber is owed nothing', async () => {
        await furnished(store);
        expect(await owe([owed('unknown', '{}')], 'sub_1')).toEqual({ kind: 'owed', deliveries: 0 });
        await store.deleteSubscriber('sub_1');
        await expect(owe([owed('unknown')], 'sub_1')).rejects.toBeInstanceOf(NotFound);
      });
    });

    describe('subscribers', () => {
      test('case 25: a subscriber comes back whole after a crash, its secrets included', async () => {
        const subscriber = aSubscriber('sub_1', { challengeToken: 'the challenge', eventTypes: ['order.*'] });
        await store.addSubscriber(subscriber);
        await reopened();
        expect((await store.subscribers()).subscribers).toEqual([subscriber]);
      });

      test('one owner has a name once; another owner may have it, too', async () => {
        await store.addSubscriber(aSubscriber('sub_1', { name: 'ehr' }));
        await expect(store.addSubscriber(aSubscriber('sub_2', { name: 'ehr' }))).rejects.toThrow(Conflict);
        await store.addSubscriber(aSubscriber('sub_3', { name: 'ehr', owner: 'somebody' }));
        await expect(store.changeSubscriber('sub_9', { name: 'x' })).rejects.toThrow(NotFound);
      });

      test('deleting ends claims and cancels what is open, and its results change nothing', async () => {
        await furnished(store);
        await record(store, [anEvent('e1'), anEvent('e2')]);
        const inFlight = only(await claim(store, 1));
        await store.deleteSubscriber('sub_1');
        await expect(store.recordAttempt(inFlight, accepted)).rejects.toThrow(ClaimLost);
        await reopened();
        const { items } = await store.deliveries({}, { limit: 9, cursor: null });
        expect(items.map(({ state, endReason }) => [state, endReason])).toEqual([
          ['cancelled', 'subscriberDeleted'],
          ['cancelled', 'subscriberDeleted'],
        ]);
        await expect(store.deleteSubscriber('sub_1')).rejects.toThrow(NotFound);
      });

      test('while paused nothing is claimed; resuming delivers what was held', async () => {
        await furnished(store);
        const since = under.clock.now();
        await store.pauseSubscriber('sub_1', 'person');
        await under.clock.advance(1_000);
        await store.pauseSubscriber('sub_1', 'gone');
        await store.resumeSubscriber('sub_1', { lift: ['gone'], backlog: 'deliver' });
        await record(store, [anEvent('e1')]);
        await reopened();
        expect((await store.subscribers()).subscribers).toMatchObject([{ pausedAt: since }]);
        expect(await claim(store)).toEqual([]);
        expect(await store.nextDueAt()).toBeNull();
        await store.resumeSubscriber('sub_1', { lift: ['person'], backlog: 'deliver' });
        expect(await claim(store)).toHaveLength(1);
      });

      test('resuming with skip ends what was held as failed, in the same commit', async () => {
        await furnished(store);
        await store.pauseSubscriber('sub_1', 'person');
        await record(store, [anEvent('e1'), anEvent('e2')]);
        await store.resumeSubscriber('sub_1', { lift: ['person'], backlog: 'skip' });
        await reopened();
        expect(await claim(store)).toEqual([]);
        const { items } = await store.deliveries({ state: 'failed' }, { limit: 9, cursor: null });
        expect(items.map(({ endReason }) => endReason)).toEqual(['skipped', 'skipped']);
        expect((await store.deliveries({ includeSkipped: false }, { limit: 9, cursor: null })).items).toEqual(
          [],
        );
      });

      test('skipping touches only what was held: nothing of an active subscriber, or of one that stays paused', async () => {
        await furnished(store);
        await record(store, [anEvent('e1')]);
        await store.resumeSubscriber('sub_1', { lift: ['person'], backlog: 'skip' });
        expect(await store.deliveryCounts(null)).toMatchObject({ pending: 1, failed: 0 });
        await store.pauseSubscriber('sub_1', 'person');
        await store.pauseSubscriber('sub_1', 'removed');
        await store.resumeSubscriber('sub_1', { lift: ['person'], backlog: 'skip' });
        expect(await store.deliveryCounts(null)).toMatchObject({ held: 1, failed: 0 });
      });

      describe('that is failing', () => {
        const ids = ['e1', 'e2', 'e3', 'e4', 'e5', 'e6'];

        /** Five of six different deliveries failed, so the breaker is open; the sixth was never tried. */
        const failing = async () => {
          await furnished(store, aSubscriber('sub_1', { retrySeconds: [60, 60] }));
          await record(
            store,
            ids.map((id) => anEvent(id)),
          );
          const turns: (string | null)[] = [];
          for (let made = 0; made < 5; made++) {
            if (made === 4) await under.clock.advance(30_000);
            turns.push((await store.recordAttempt(only(await claim(store, 1)), refused)).turned);
          }
          expect(turns).toEqual([null, null, null, null, 'failing']);
        };
        const health = async () => (await store.subscribers()).subscribers[0]?.health;

        test('gets no deliveries but a probe at a time, the first after half a minute', async () => {
          await failing();
          expect(await claim(store, 5)).toEqual([]);
          expect(await store.deliveryCounts(null)).toMatchObject({ held: 6, pending: 0 });
          expect(await store.nextDueAt()).toBe(under.clock.now() + 30_000);
          await reopened();
          await under.clock.advance(30_000);
          expect(await claim(store, 5)).toMatchObject([{ event: { id: 'e6' } }]);
          expect(await claim(store, 5)).toEqual([]);
        });

        test('is probed in rotation, and no step of a schedule is consumed', async () => {
          await failing();
          const probed: string[] = [];
          for (let made = 0; made < 8; made++) {
            await under.clock.advance(15 * 60_000);
            const probe = only(await claim(store, 5));
            probed.push(probe.event.id);
            const { delivery } = await store.recordAttempt(probe, refused);
            expect(delivery).toMatchObject({ state: 'pending', dueAt: probe.delivery.dueAt });
          }
          expect(probed).toEqual(['e6', 'e1', 'e2', 'e3', 'e4', 'e5', 'e6', 'e1']);
          await reopened();
          const { items } = await store.deliveries({ eventId: 'e1' }, { limit: 1, cursor: null });
          expect(items).toMatchObject([{ failures: 1, attempts: 3 }]);
          expect((await store.attempts(items[0]?.id ?? '')).map(({ isProbe }) => isProbe)).toEqual([
            false,
            true,
            true,
          ]);
        });

        test('is active again with the first success, and what is past due is due', async () => {
          await failing();
          await under.clock.advance(60_000);
          const { turned, subscriber } = await store.recordAttempt(only(await claim(store)), accepted);
          expect(turned).toBe('recovered');
          expect(subscriber.health).toMatchObject({ isFailing: false, slowStartSlots: 1 });
          await reopened();
          expect(await claim(store)).toHaveLength(5);
        });

        test('is probed at once when its URL changes', async () => {
          await failing();
          await store.changeSubscriber('sub_1', { url: 'https://new.example/hook' });
          expect(await claim(store, 5)).toHaveLength(1);
        });

        test('is probed at once when somebody asks for a replay', async () => {
          await failing();
          const { items } = await store.deliveries({ eventId: 'e1' }, { limit: 1, cursor: null });
          expect(await store.startRounds([items[0]?.id ?? ''])).toMatchObject([{ kind: 'held' }]);
          await reopened();
          expect(await claim(store, 5)).toHaveLength(1);
        });

        test('is active again when a person says so', async () => {
          await failing();
          await store.resumeSubscriber('sub_1', { lift: [], backlog: 'deliver', closeBreaker: true });
          await reopened();
          expect(await health()).toMatchObject({ isFailing: false, slowStartSlots: 1 });
          expect((await claim(store)).map(({ event }) => event.id)).toEqual(['e6']);
          await under.clock.advance(60_000);
          expect(await claim(store)).toHaveLength(6);
        });

        test('is paused after five days, and holds everything', async () => {
          await failing();
          await under.clock.advance(5 * 24 * 3_600_000);
          const { paused } = await store.recordAttempt(only(await claim(store)), refused);
          expect(paused).toBe('outage');
          await reopened();
          expect(await store.nextDueAt()).toBeNull();
          expect(await store.deliveryCounts(null)).toMatchObject({ held: 6, failed: 0 });
          await store.resumeSubscriber('sub_1', { lift: ['outage'], backlog: 'deliver', closeBreaker: true });
          expect(await claim(store)).toHaveLength(6);
        });

        test('is probed no later than its wait, although the clock ran far ahead before the start', async () => {
          await failing();
          await under.clock.advance(15 * 60_000);
          await store.recordAttempt(only(await claim(store)), refused);
          await under.clock.advance(-10 * 24 * 3_600_000);
          await reopened();
          expect(await store.nextDueAt()).toBe(under.clock.now() + 60_000);
          await under.clock.advance(60_000);
          expect(await claim(store)).toHaveLength(1);
        });

        test('keeps its breaker open over a probe that a crash cut off', async () => {
          await failing();
          await under.clock.advance(30_000);
          only(await claim(store));
          await reopened();
          expect(await health()).toMatchObject({ isFailing: true });
          expect(await claim(store)).toHaveLength(1);
          expect(await claim(store)).toEqual([]);
        });
      });

      test('a handshake lifts its reason for the revision that was asked, and for no other', async () => {
        await furnished(store, aSubscriber('sub_1', { pauseReasons: ['handshake'] }));
        await store.changeSubscriber('sub_1', { url: 'https://new.example/hook' });
        const how = { lift: ['handshake'], backlog: 'deliver' } as const;
        expect((await store.resumeSubscriber('sub_1', { ...how, shookRevision: 1 })).pauseReasons).toEqual([
          'handshake',
        ]);
        expect((await store.resumeSubscriber('sub_1', { ...how, shookRevision: 2 })).pauseReasons).toEqual(
          [],
        );
      });

      test('two changes at once are computed one after the other', async () => {
        await furnished(store);
        const add = (value: string) =>
          store.changeSubscriber('sub_1', ({ eventTypes }) => ({ eventTypes: [...eventTypes, value] }));
        await Promise.all([add('order.placed'), add('patient.created')]);
        expect((await store.subscribers()).subscribers[0]?.eventTypes).toEqual([
          'order.placed',
          'patient.created',
        ]);
      });

      test('a late success of a skipped delivery delivers it', async () => {
        await furnished(store);
        await record(store, [anEvent('e1')]);
        const inFlight = only(await claim(store));
        await store.pauseSubscriber('sub_1', 'person');
        await store.resumeSubscriber('sub_1', { lift: ['person'], backlog: 'skip' });
        expect((await store.recordAttempt(inFlight, accepted)).delivery.state).toBe('delivered');
      });
    });

    describe('lists', () => {
      test('pages run from newest to oldest and do not shift while the log grows', async () => {
        await furnished(store);
        await record(store, [anEvent('e1'), anEvent('e2'), anEvent('e3')]);
        const first = await store.deliveries({}, { limit: 2, cursor: null });
        await record(store, [anEvent('e4')]);
        const second = await store.deliveries({}, { limit: 2, cursor: first.nextCursor });
        expect([...first.items, ...second.items].map(({ eventId }) => eventId)).toEqual(['e3', 'e2', 'e1']);
        expect(second.nextCursor).toBeNull();
        await expect(store.deliveries({}, { limit: 2, cursor: 'x' })).rejects.toThrow(InvalidInput);
      });

      for (const { filter, ids, because } of [
        { filter: { eventType: 'patient.created' }, ids: ['e2'], because: 'the type' },
        { filter: { eventId: 'e1' }, ids: ['e1'], because: 'the event' },
        { filter: { subscriberIds: [] }, ids: [], because: 'nobody’s' },
        { filter: { subscriberIds: ['sub_1'] }, ids: ['e2', 'e1'], because: 'the subscriber' },
        { filter: { clinicId: 'elsewhere' }, ids: [], because: 'the clinic' },
        { filter: { state: 'pending' as const }, ids: ['e2'], because: 'the state' },
        { filter: { state: 'held' as const }, ids: [], because: 'nothing is held' },
      ]) {
        test(`deliveries are filtered by ${because}`, async () => {
          await furnished(store);
          await record(store, [anEvent('e1'), anEvent('e2', { type: 'patient.created' })]);
          await store.recordAttempt(only(await claim(store, 1)), accepted);
          const { items } = await store.deliveries(filter, { limit: 10, cursor: null });
          expect(items.map(({ eventId }) => eventId)).toEqual(ids);
        });
      }
    });

    describe('connections', () => {
      const connection = aConnection();

      test('one refresh at a time; the new pair is durable and the old one stays spare until it is dropped', async () => {
        await store.saveConnection(connection);
        const refresh = await store.claimRefresh('con_1', 30_000);
        expect(refresh?.connection.tokens?.refreshToken).toBe('rt-1');
        expect(await store.claimRefresh('con_1', 30_000)).toBeNull();
        if (!refresh) return;
        await store.saveTokens(refresh, { accessToken: 'at-2', refreshToken: 'rt-2', expiresAt: 20 });
        await reopened();
        expect(await store.connections()).toMatchObject([
          { tokens: { accessToken: 'at-2' }, spareTokens: { refreshToken: 'rt-1' } },
        ]);
        await store.dropSpareTokens('con_1', 'at-1');
        expect(await store.connections()).toMatchObject([{ spareTokens: { refreshToken: 'rt-1' } }]);
        await store.dropSpareTokens('con_1', 'at-2');
        expect(await store.connections()).toMatchObject([{ spareTokens: null }]);
      });

      const tokenUrl = { kind: 'tokenUrl', url: 'https://app.example/token', secret: null } as const;
      const theirs = { accessToken: 'at-theirs', refreshToken: 'rt-theirs', expiresAt: 30 };
      const mine = { accessToken: 'at-mine', refreshToken: 'rt-mine', expiresAt: 20 };
      for (const [what, end] of [
        ['overwrites', (held: RefreshClaim) => store.saveTokens(held, mine)],
        ['condemns', (held: RefreshClaim) => store.endRefresh(held, 'invalid_grant')],
      ] as const) {
        test(`a renewal never ${what} tokens that were replaced meanwhile, and leaves the work to the next`, async () => {
          await store.saveConnection(connection);
          const refresh = (await store.claimRefresh('con_1', 30_000)) as RefreshClaim;
          await store.saveConnection({ ...connection, tokens: theirs });
          await expect(end(refresh)).rejects.toThrow(ClaimLost);
          expect(await store.connections()).toMatchObject([{ tokens: theirs, state: 'working' }]);
          expect(await store.claimRefresh('con_1', 30_000)).not.toBeNull();
        });

        test(`a renewal never ${what} what came after a URL was replaced by another one`, async () => {
          const first = { ...connection, tokens: null, origin: tokenUrl };
          await store.saveConnection(first);
          const refresh = (await store.claimRefresh('con_1', 30_000)) as RefreshClaim;
          const moved = { ...tokenUrl, url: 'https://new.example/token' };
          await store.saveConnection({ ...first, origin: moved });
          await expect(end(refresh)).rejects.toThrow(ClaimLost);
          expect(await store.connections()).toMatchObject([{ tokens: null, state: 'working' }]);
        });

        test(`a renewal does not bring back a connection that was deleted meanwhile: it ${what} nothing`, async () => {
          await store.saveConnection(connection);
          const refresh = (await store.claimRefresh('con_1', 30_000)) as RefreshClaim;
          await store.deleteConnection('con_1', { isRevoked: true });
          await expect(end(refresh)).rejects.toThrow(NotFound);
          expect(await store.connections()).toEqual([]);
        });
      }

      for (const { change, tokens, spare, because } of [
        { change: { clinicId: 'c-1' }, tokens: 'at-1', spare: null, because: 'only its clinic was found' },
        {
          change: { origin: tokenUrl },
          tokens: null,
          spare: 'at-1',
          because: 'a URL hands its tokens out now',
        },
        { change: { declaredDigest: 'other' }, tokens: null, spare: 'at-1', because: 'the file has changed' },
      ]) {
        test(`saving a connection without tokens ${tokens ? 'keeps its pair' : 'makes its pair the spare one'}: ${because}`, async () => {
          await store.saveConnection(connection);
          await store.saveConnection({ ...connection, tokens: null, ...change });
          await reopened();
          const [saved] = await store.connections();
          expect(saved?.tokens?.accessToken ?? null).toBe(tokens);
          expect(saved?.spareTokens?.accessToken ?? null).toBe(spare);
        });
      }

      test('another URL that hands tokens out does not inherit the token of the one before', async () => {
        await store.saveConnection({ ...connection, origin: tokenUrl });
        const moved = { ...tokenUrl, url: 'https://new.example/token' };
        await store.saveConnection({ ...connection, origin: moved, tokens: null });
        expect(await store.connections()).toMatchObject([{ tokens: null, origin: moved }]);
      });

      test('a refresh that ends without tokens can name why somebody has to reconnect', async () => {
        await store.saveConnection(connection);
        const refresh = await store.claimRefresh('con_1', 30_000);
        if (refresh) await store.endRefresh(refresh, 'invalid_grant');
        await reopened();
        expect(await store.connections()).toMatchObject([
          { state: 'needsReconnect', stateReason: 'invalid_grant' },
        ]);
        expect(await store.claimRefresh('con_1', 30_000)).not.toBeNull();
      });

      test('forgotten tokens are gone, both pairs, and are owed to be revoked once', async () => {
        await store.saveConnection({ ...connection, declaredDigest: 'digest' });
        const changed = { ...connection, declaredDigest: 'digest', tokens: theirs };
        await store.saveConnection(changed);
        const owed = await store.forgetTokens('con_1', 'disconnected');
        expect(owed).toMatchObject([
          { tokens: theirs, failures: 0, dueAt: under.clock.now() },
          { tokens: connection.tokens, failures: 0, dueAt: under.clock.now() },
        ]);
        await reopened();
        expect(await store.revocations()).toEqual(owed);
        expect(await store.connections()).toMatchObject([
          { tokens: null, spareTokens: null, state: 'needsReconnect', stateReason: 'disconnected' },
        ]);
        expect(await store.deleteConnection('con_1', { isRevoked: true })).toEqual([]);
        expect(await store.deleteConnection('con_1', { isRevoked: true })).toEqual([]);
        expect(await store.forgetTokens('con_1', 'disconnected')).toEqual([]);
      });

      for (const { how, origin, owes, because } of [
        {
          how: { isRevoked: true },
          origin: connection.origin,
          owes: ['at-1'],
          because: 'the pair is the relay’s own',
        },
        {
          how: { isRevoked: false },
          origin: connection.origin,
          owes: [],
          because: 'the vendor has ended it',
        },
        { how: { isRevoked: true }, origin: tokenUrl, owes: [], because: 'the operator’s app ends its own' },
      ]) {
        test(`a connection that is removed leaves ${owes.length} pairs to be revoked: ${because}`, async () => {
          await store.saveConnection({ ...connection, origin });
          await store.deleteConnection('con_1', how);
          await reopened();
          expect((await store.revocations()).map(({ tokens }) => tokens.accessToken)).toEqual(owes);
        });
      }

      test('a revocation that is put off says so, and ends when it is done; its tokens are sealed', async () => {
        await store.saveConnection(connection);
        const [owed] = await store.deleteConnection('con_1', { isRevoked: true });
        if (!owed) throw new Error('it is owed');
        await store.saveRevocation({ ...owed, failures: 3, dueAt: 99 });
        await reopened();
        expect(await store.revocations()).toEqual([{ ...owed, failures: 3, dueAt: 99 }]);
        await store.endRevocation(owed.id);
        await store.endRevocation(owed.id);
        await reopened();
        expect(await store.revocations()).toEqual([]);
      });

      test('a link is used once, and what came of it is known until its time is over', async () => {
        const failure = { kind: 'otherClinic', reason: 'it was Oregon’s' } as const;
        expect(await store.usedLink('con_1')).toBeNull();
        const until = under.clock.now() + 1_000;
        expect([await store.useLink('con_1', until), await store.useLink('con_1', until)]).toEqual([
          true,
          false,
        ]);
        await reopened();
        expect(await store.usedLink('con_1')).toMatchObject({ failure: null });
        await store.failLink('con_1', failure);
        await store.failLink('con_2', failure);
        await reopened();
        expect(await store.usedLink('con_1')).toMatchObject({ failure });
        expect(await store.usedLink('con_2')).toBeNull();
        await under.clock.advance(1_000);
        await store.useLink('con_3', under.clock.now() + 1_000);
        await reopened();
        expect([await store.usedLink('con_1'), await store.useLink('con_3', until)]).toEqual([null, false]);
      });

      test('the clinic of a connection is said once, and nothing else of it changes but its name', async () => {
        const unknown = { ...connection, clinicId: null, isUnnamed: true } as const;
        await store.saveConnection(unknown);
        await store.forgetTokens('con_1', 'disconnected');
        const [{ isUnnamed, ...before } = unknown] = await store.connections();
        expect(isUnnamed).toBe(true);
        expect(await store.assignClinic('con_1', { id: 'clinic-1', name: 'Ohio' })).toBe(true);
        expect(await store.assignClinic('con_1', { id: 'clinic-1', name: 'Ohio' })).toBe(true);
        expect(await store.assignClinic('con_1', { id: 'clinic-2', name: 'Ohio' })).toBe(false);
        expect(await store.assignClinic('con_9', { id: 'clinic-1', name: 'Ohio' })).toBe(false);
        await reopened();
        expect(await store.connections()).toEqual([{ ...before, clinicId: 'clinic-1', name: 'Ohio' }]);
      });

      test('two changes of a clinic at once are both kept, and a change adds no clinic', async () => {
        await store.saveClinic(aClinic());
        await Promise.all([
          store.changeClinic('clinic-1', { isRemoved: true }),
          store.changeClinic('clinic-1', { isPaused: true }),
        ]);
        await reopened();
        expect(await store.clinics()).toEqual([{ ...aClinic(), isRemoved: true, isPaused: true }]);
        await expect(store.changeClinic('clinic-9', { isPaused: true })).rejects.toThrow(NotFound);
      });

      test('a clinic keeps its name to itself', async () => {
        await store.saveClinic(aClinic('clinic-1', 'Washington'));
        await expect(store.saveClinic(aClinic('clinic-2', 'Washington'))).rejects.toThrow(Conflict);
      });
    });

    describe('jobs, budget, revoked tokens', () => {
      test('a job is kept until it is taken off the record', async () => {
        const job = {
          id: 'aud_1',
          kind: 'audit',
          state: 'running',
          owner: 'operator',
          createdAt: 1,
          endedAt: null,
          ask: {},
          progress: { done: 1 },
        } as const;
        await store.saveJob(job);
        await store.saveJob({ ...job, id: 'aud_2' });
        await store.deleteJob('aud_1');
        await store.deleteJob('aud_unknown');
        await reopened();
        expect(await store.jobs()).toEqual([{ ...job, id: 'aud_2' }]);
        expect(await store.job('aud_1')).toBeNull();
      });

      test('what was revoked and how far a job was survives a crash', async () => {
        await store.revokeToken('jti-1', 10);
        await store.saveJob({
          id: 'job_1',
          kind: 'replay',
          state: 'running',
          owner: 'owner',
          createdAt: 1,
          endedAt: null,
          ask: { state: 'failed' },
          progress: { started: 3 },
        });
        await reopened();
        expect(await store.isRevoked('jti-1')).toBe(true);
        expect(await store.isRevoked('jti-2')).toBe(false);
        expect(await store.job('job_1')).toMatchObject({ progress: { started: 3 } });
      });

      test('a restart does not overrun the window of the budget', async () => {
        const ask = { count: 60, limit: 100, windowMs: 300_000 };
        expect(await store.reserveRequests(ask)).toMatchObject({ granted: 60 });
        await reopened();
        expect(await store.reserveRequests(ask)).toMatchObject({ granted: 40 });
        const refusal = await store.reserveRequests(ask);
        expect(refusal).toMatchObject({ granted: 0 });
        await under.clock.advance(refusal.retryInMs);
        expect((await store.reserveRequests(ask)).granted).toBeGreaterThan(0);
      });
    });
  });
}
