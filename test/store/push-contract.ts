import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { NewEvent, RecordedPush, Store } from '../../src/store/store.ts';
import type { StoreUnderTest } from './contract.ts';
import { aClinic, anEvent, claim, furnished, pollOf, record } from './fixtures.ts';

const stream = { clinicId: 'clinic-1', category: 'orders' };

/** The part of the contract that Fullscript's own webhooks lean on. */
export function keepsPushes(open: () => Promise<StoreUnderTest>): void {
  describe('an event that Fullscript’s own webhook brings', () => {
    let under: StoreUnderTest;
    let store: Store;

    beforeEach(async () => {
      under = await open();
      store = under.store;
      await furnished(store);
    });
    afterEach(() => under.discard());

    const push = async (event: NewEvent, to = stream): Promise<RecordedPush> => {
      const { version } = await store.subscribers();
      const recorded = await store.recordPushed({ stream: to, event, subscribersVersion: version });
      if (recorded.kind === 'subscribersChanged') throw new Error('the subscribers changed');
      return recorded;
    };
    const counts = async () => (await store.pushDays(0)).map(({ day: _, ...rest }) => rest);

    test('is recorded and owed once, whichever way it comes first', async () => {
      expect(await push(anEvent('e1'))).toEqual({ kind: 'first', deliveries: 1, differs: false });
      await record(store, [anEvent('e1'), anEvent('e2'), anEvent('e3')]);
      expect(await push(anEvent('e2'))).toEqual({ kind: 'later', deliveries: 0, differs: false });
      for (const when of ['at once', 'after a crash']) {
        if (when === 'after a crash') store = await under.reopen();
        expect((await push(anEvent('e1'))).kind, when).toBe('again');
        expect((await store.deliveries({}, { limit: 10, cursor: null })).items, when).toHaveLength(3);
        expect(await store.unseen('clinic-1', ['e1', 'e2', 'e3', 'e4']), when).toEqual(['e4']);
        expect(await counts(), when).toEqual([
          { events: 3, pushedFirst: 1, polledFirst: 1, neverPushed: 1, differing: 0 },
        ]);
        const never = await store.events({ isPushed: false }, { limit: 10, cursor: null });
        expect(
          never.items.map(({ id }) => id),
          when,
        ).toEqual(['e3']);
      }
      expect(await claim(store)).toHaveLength(3);
    });

    test('comes while its stream is being read, and is recorded once', async () => {
      const poll = await pollOf(store);
      await push(anEvent('e1'));
      const { version } = await store.subscribers();
      const recorded = await store.recordEvents(poll, {
        events: [anEvent('e1')],
        subscribersVersion: version,
      });
      expect(recorded).toMatchObject({ kind: 'recorded', events: 0, deliveries: 0 });
    });

    test('with another text than the poll’s is said to differ, and the text on record stays', async () => {
      await record(store, [anEvent('e1')]);
      expect(await push(anEvent('e1', { body: '{"id":"e1","type":"order.placed"}' }))).toEqual({
        kind: 'later',
        deliveries: 0,
        differs: true,
      });
      expect(await store.eventBody('clinic-1', 'e1')).toBe(anEvent('e1').body);
      expect(await counts()).toMatchObject([{ differing: 1 }]);
    });

    test('in a second clinic is not owed again', async () => {
      await store.saveClinic(aClinic('clinic-2', 'New York'));
      await record(store, [anEvent('e1')]);
      const answer = await push(anEvent('e1'), { clinicId: 'clinic-2', category: 'orders' });
      expect(answer).toEqual({ kind: 'first', deliveries: 0, differs: false });
    });

    test('in a category that is not read is recorded all the same', async () => {
      const to = { clinicId: 'clinic-1', category: 'fulfillment' };
      expect((await push(anEvent('e1', { type: 'fulfillment.shipment.shipped' }), to)).kind).toBe('first');
      expect(await claim(store)).toHaveLength(1);
    });

    test('is computed again when the set of subscribers has changed', async () => {
      const { version } = await store.subscribers();
      await store.pauseSubscriber('sub_1', 'person');
      await store.deleteSubscriber('sub_1');
      const answer = await store.recordPushed({ stream, event: anEvent('e1'), subscribersVersion: version });
      expect(answer).toEqual({ kind: 'subscribersChanged' });
      expect(await store.unseen('clinic-1', ['e1'])).toEqual(['e1']);
    });
  });
}
