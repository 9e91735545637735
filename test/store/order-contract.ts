import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { deliveryIdOf } from '../../src/domain/delivery.ts';
import type { DeliveryClaim, Store } from '../../src/store/store.ts';
import type { StoreUnderTest } from './contract.ts';
import { aClinic, accepted, anEvent, aSubscriber, claim, furnished, record, refused } from './fixtures.ts';

const ordered = aSubscriber('sub_1', { order: 'perClinic' });
const idOf = (eventId: string) => deliveryIdOf(eventId, 'sub_1');
const eventsOf = (claims: readonly DeliveryClaim[]) => claims.map(({ event }) => event.id);

/** The part of the contract that subscribers with an order lean on. */
export function keepsTheOrder(open: () => Promise<StoreUnderTest>): void {
  describe('a subscriber that takes the events of each clinic in order', () => {
    let under: StoreUnderTest;
    let store: Store;

    beforeEach(async () => {
      under = await open();
      store = under.store;
      await furnished(store, ordered);
      await store.saveClinic(aClinic('clinic-2', 'New York'));
      await store.follow('clinic-2', [{ category: 'orders', startAt: 0 }]);
      await record(store, [anEvent('a1'), anEvent('a2'), anEvent('a3')]);
      await record(store, [anEvent('b1'), anEvent('b2')], 'clinic-2');
    });
    afterEach(() => under.discard());

    const reopened = async (): Promise<void> => {
      store = await under.reopen();
    };
    const claimOne = async (eventId: string): Promise<DeliveryClaim> => {
      const claims = await claim(store);
      const found = claims.find(({ event }) => event.id === eventId);
      if (!found) throw new Error(`${eventId} was not to be had: ${eventsOf(claims)}`);
      return found;
    };

    for (const when of ['at once', 'after a crash']) {
      test(`gets the first of every clinic and nothing behind it, ${when}`, async () => {
        if (when === 'after a crash') await reopened();
        const claims = await claim(store);
        expect(eventsOf(claims)).toEqual(['a1', 'b1']);
        expect(await claim(store)).toEqual([]);
        expect(await store.nextDueAt()).toBeNull();
        await store.recordAttempt(claims[1] as DeliveryClaim, accepted);
        expect(eventsOf(await claim(store))).toEqual(['b2']);
      });

      test(`waits for the retry of the first, ${when}`, async () => {
        const start = under.clock.now();
        await store.recordAttempt(await claimOne('a1'), refused);
        if (when === 'after a crash') await reopened();
        expect(eventsOf(await claim(store)).filter((id) => id.startsWith('a'))).toEqual([]);
        expect(await store.nextDueAt()).toBe(start + 10_000);
        await under.clock.advance(10_000);
        await store.recordAttempt(await claimOne('a1'), accepted);
        expect(eventsOf(await claim(store))).toContain('a2');
      });
    }

    test('goes on when the first has failed for good', async () => {
      for (const waitMs of [0, 10_000, 20_000]) {
        await under.clock.advance(waitMs);
        await store.recordAttempt(await claimOne('a1'), refused);
      }
      expect((await store.delivery(idOf('a1')))?.state).toBe('failed');
      await claimOne('a2');
    });

    test('is told what one waits behind', async () => {
      expect(await store.waitsBehind(idOf('a3'))).toBe(idOf('a1'));
      expect(await store.waitsBehind(idOf('a1'))).toBeNull();
      expect(await store.waitsBehind(idOf('b1'))).toBeNull();
      await store.recordAttempt(await claimOne('a1'), accepted);
      expect(await store.waitsBehind(idOf('a3'))).toBe(idOf('a2'));
      expect(await store.waitsBehind(idOf('a1'))).toBeNull();
      expect(await store.waitsBehind('unknown')).toBeNull();
    });

    test('gets a replay past what waits, and nothing waits for the replay', async () => {
      await store.recordAttempt(await claimOne('a1'), accepted);
      const second = await claimOne('a2');
      await store.startRounds([idOf('a1')]);
      expect(await store.waitsBehind(idOf('a1'))).toBeNull();
      const replayed = await claimOne('a1');
      await store.recordAttempt(second, accepted);
      await store.recordAttempt(await claimOne('a3'), accepted);
      expect((await store.recordAttempt(replayed, refused)).delivery.state).toBe('pending');
    });

    test('goes on with the next when the backlog was skipped', async () => {
      await store.pauseSubscriber('sub_1', 'person');
      expect(await claim(store)).toEqual([]);
      await store.resumeSubscriber('sub_1', { lift: ['person'], backlog: 'skip' });
      await record(store, [anEvent('a4')]);
      expect(eventsOf(await claim(store))).toEqual(['a4']);
    });

    test('is probed in rotation, clinic by clinic, while it is failing', async () => {
      await record(store, [anEvent('a9')]);
      for (const id of ['c1', 'c2', 'c3', 'c4']) {
        await store.saveClinic(aClinic(id, id));
        await store.follow(id, [{ category: 'orders', startAt: 0 }]);
        await record(store, [anEvent(`${id}-1`), anEvent(`${id}-2`)], id);
      }
      for (const each of await claim(store)) await store.recordAttempt(each, refused);
      const probed: string[] = [];
      for (let probes = 0; probes < 7; probes++) {
        const dueAt = (await store.nextDueAt()) ?? 0;
        await under.clock.advance(Math.max(0, dueAt - under.clock.now()));
        for (const each of await claim(store, 1)) {
          probed.push(each.event.id);
          await store.recordAttempt(each, refused);
        }
      }
      const firsts = ['a1', 'b1', 'c1-1', 'c2-1', 'c3-1', 'c4-1'];
      expect(probed.slice(0, 6).toSorted()).toEqual(firsts);
      expect(probed[6]).toBe(probed[0]);
    });

    test('begins with what is open when it chooses the order, and gets everything when it gives it up', async () => {
      await store.changeSubscriber('sub_1', { order: null });
      expect(eventsOf(await claim(store, 2))).toEqual(['a1', 'a2']);
      await store.changeSubscriber('sub_1', { order: 'perClinic' });
      expect(eventsOf(await claim(store))).toEqual(['b1']);
      await reopened();
      expect(eventsOf(await claim(store)).toSorted()).toEqual(['a1', 'b1']);
      await store.changeSubscriber('sub_1', { order: null });
      expect(eventsOf(await claim(store)).toSorted()).toEqual(['a2', 'a3', 'b2']);
    });

    test('stands in nobody’s way', async () => {
      await store.addSubscriber(aSubscriber('sub_2'));
      await record(
        store,
        ['d1', 'd2'].map((id) => anEvent(id, { subscriberIds: ['sub_1', 'sub_2'] })),
      );
      expect(eventsOf(await claim(store, 10, 'sub_2'))).toEqual(['d1', 'd2']);
    });
  });
}
