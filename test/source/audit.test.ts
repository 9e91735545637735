import { describe, expect, test } from 'vitest';
import { isBalanced } from '../../src/source/audit-book.ts';
import { auditStreamsOf } from '../../src/source/audit-job.ts';
import type { DeliveryClaim } from '../../src/store/store.ts';
import { accepted, aSubscriber, claim, refused } from '../store/fixtures.ts';
import { audited, everything, latest, polled, repairing, unseenEvent } from './auditing.ts';
import { type PollingRelay, pollingRelay, recordedIds } from './clinic.ts';

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;
const orders = { clinic: 'Washington', type: 'order.placed' } as const;

describe('an audit balances', () => {
  test('what was polled: each listed event stands in one bucket, by its day', async () => {
    const relay = await pollingRelay({ startFromMs: 3 * day });
    const { clock, fullscript } = relay;
    for (const ago of [5, 2, 2, 1]) fullscript.addEvent({ ...orders, createdAt: clock.now() - ago * day });
    await clock.advance(minute);
    const job = await audited(relay);
    expect(job.progress).toMatchObject({
      streams: 2,
      done: 2,
      unlisted: 0,
      counts: { listed: 4, pending: 3, filtered: 1, missing: 0 },
    });
    expect(isBalanced(job.progress.counts)).toBe(true);
    expect(await auditStreamsOf(job, relay.store)).toMatchObject([
      {
        category: 'orders',
        days: {
          '2026-11-17': { listed: 1, filtered: 1 },
          '2026-11-20': { listed: 2, pending: 2 },
          '2026-11-21': { listed: 1, pending: 1 },
        },
      },
      { category: 'patients', days: {} },
    ]);
  });

  test('an event that nobody has polled yet is not missing: its stream is polled first', async () => {
    const relay = await polled({ pollSecondsMin: 900 });
    const { id } = relay.fullscript.addEvent(orders);
    const job = await audited(relay);
    expect(job.progress.counts).toMatchObject({ listed: 1, missing: 0, pending: 1 });
    expect(await recordedIds(relay.store)).toEqual([id]);
  });

  test('an event that is recorded while it is listed counts by what became of it', async () => {
    const relay = await polled();
    const during = relay.auditor.begin(everything, 'operator');
    const { id } = relay.fullscript.addEvent(orders);
    await relay.clock.advance(5 * minute);
    expect((await latest(relay, await during)).progress.counts).toMatchObject({ listed: 1, pending: 1 });
    expect(await recordedIds(relay.store)).toEqual([id]);
  });

  test('several pages, and an item that stands on two of them, count once', async () => {
    const relay = await polled();
    for (let index = 0; index < 230; index++) relay.fullscript.addEvent(orders);
    await relay.clock.advance(2 * minute);
    relay.fullscript.faults.switchOn({ name: 'item-twice' });
    expect((await audited(relay)).progress.counts).toMatchObject({ listed: 230, pending: 230 });
  });

  for (const fault of [
    'items-only-ids',
    'bare-string-items',
    'list-without-meta',
    'other-list-key',
    'order-descending',
  ]) {
    test(`lists with ${fault}`, async () => {
      const relay = await polled();
      for (let index = 0; index < 3; index++) relay.fullscript.addEvent(orders);
      await relay.clock.advance(2 * minute);
      relay.fullscript.faults.switchOn({ name: fault });
      const { counts } = (await audited(relay)).progress;
      expect(counts).toMatchObject({ listed: 3, pending: 3 });
      expect(isBalanced(counts)).toBe(true);
    });
  }

  test('an audit of one clinic lists no other', async () => {
    const relay = await polled({ clinics: ['Washington', 'New York'] });
    for (const clinic of ['Washington', 'New York', 'New York'])
      relay.fullscript.addEvent({ ...orders, clinic });
    await relay.clock.advance(minute);
    const newYork = (await relay.store.clinics()).find(({ name }) => name === 'New York');
    const job = await audited(relay, { ...everything, clinicId: newYork?.id ?? '' });
    expect(job.progress).toMatchObject({ streams: 2, counts: { listed: 2 } });
  });
});

describe('what became of an event', () => {
  const first = (claims: readonly DeliveryClaim[]): DeliveryClaim => {
    if (!claims[0]) throw new Error('one is due');
    return claims[0];
  };

  for (const { bucket, because, happens } of [
    { bucket: 'pending', because: 'it was not tried yet', happens: async () => {} },
    {
      bucket: 'delivered',
      because: 'its subscriber took it',
      happens: async ({ store }: PollingRelay) => {
        await store.recordAttempt(first(await claim(store)), accepted);
      },
    },
    {
      bucket: 'failed',
      because: 'its schedule is used up',
      happens: async ({ store, clock }: PollingRelay) => {
        for (let attempts = 0; attempts < 3; attempts++) {
          await store.recordAttempt(first(await claim(store)), refused);
          await clock.advance(minute);
        }
      },
    },
    {
      bucket: 'held',
      because: 'its subscriber is paused',
      happens: ({ store }: PollingRelay) => store.pauseSubscriber('sub_1', 'person'),
    },
    {
      bucket: 'cancelled',
      because: 'its subscriber was deleted',
      happens: ({ store }: PollingRelay) => store.deleteSubscriber('sub_1'),
    },
  ]) {
    test(`${bucket}: ${because}`, async () => {
      const relay = await polled();
      relay.fullscript.addEvent(orders);
      await relay.clock.advance(minute);
      await happens(relay);
      const { counts } = (await audited(relay)).progress;
      expect(counts).toMatchObject({ listed: 1, [bucket]: 1 });
      expect(isBalanced(counts)).toBe(true);
    });
  }

  test('of several deliveries the worst counts, and an event without any is filtered', async () => {
    const relay = await polled();
    await relay.store.addSubscriber(aSubscriber('sub_2', { eventTypes: ['order.placed'] }));
    await relay.store.changeSubscriber('sub_1', { eventTypes: ['order.*'] });
    relay.fullscript.addEvent(orders);
    relay.fullscript.addEvent({ ...orders, type: 'patient.created' });
    await relay.clock.advance(minute);
    await relay.store.recordAttempt(first(await claim(relay.store)), accepted);
    await relay.store.pauseSubscriber('sub_2', 'person');
    const { counts } = (await audited(relay)).progress;
    expect(counts).toMatchObject({ listed: 2, held: 1, delivered: 0, filtered: 1 });
  });

  test('an event of a second clinic counts by the deliveries of the first, where all had it through that one', async () => {
    const relay = await polled({ clinics: ['Washington', 'New York'] });
    const { id, createdAt } = relay.fullscript.addEvent(orders);
    await relay.clock.advance(minute);
    await relay.store.recordAttempt(first(await claim(relay.store)), accepted);
    relay.fullscript.addEvent({ ...orders, clinic: 'New York', id, createdAt });
    await relay.clock.advance(minute);
    expect(await relay.store.event(id)).toHaveLength(2);
    expect((await audited(relay)).progress.counts).toMatchObject({ listed: 2, delivered: 2, filtered: 0 });
  });

  test('what cannot be read is set aside, and items without an id are counted apart', async () => {
    const relay = await polled();
    const [event] = [1, 2, 3].map(() => relay.fullscript.addEvent(orders));
    relay.fullscript.faults.switchOn({ name: 'retrieval-fails', status: 404, eventId: event?.id ?? '' });
    await relay.clock.advance(minute);
    relay.fullscript.faults.switchOn({ name: 'item-of-other-clinic', times: 1 });
    relay.fullscript.addEvent(orders);
    await relay.clock.advance(3 * hour);
    relay.fullscript.faults.switchOn({ name: 'item-without-id', category: 'orders' });
    const { counts, withoutId } = (await audited(relay)).progress;
    // The first item of the page is the one that cannot be retrieved; it has no id now.
    expect(withoutId).toBe(1);
    expect(counts).toMatchObject({ listed: 3, setAside: 1, pending: 2, missing: 0 });
    relay.fullscript.faults.switchAllOff();
    expect((await audited(relay)).progress).toMatchObject({
      withoutId: 0,
      counts: { listed: 4, missing: 0 },
    });
  });
});

describe('an event that no poll has seen', () => {
  test('is found as missing, and left alone unless a repair was asked for', async () => {
    const relay = await polled();
    const id = await unseenEvent(relay);
    const job = await audited(relay);
    expect(job.progress).toMatchObject({ counts: { listed: 1, missing: 1 }, repaired: 0 });
    expect(isBalanced(job.progress.counts)).toBe(false);
    expect(await auditStreamsOf(job, relay.store)).toMatchObject([
      {
        category: 'orders',
        missingIds: [id],
        repaired: 0,
        days: { '2026-11-12': { listed: 1, missing: 1 } },
      },
      { category: 'patients', missingIds: [] },
    ]);
    expect(await recordedIds(relay.store)).toEqual([]);
    expect(relay.lines.filter(({ level }) => level === 'error')).toMatchObject([
      { facts: { missing: 1, category: 'orders' } },
      { facts: { missing: 1, isBalanced: false } },
    ]);
  });

  test('is taken in by a repair, enqueued once, and in its place at the next audit', async () => {
    const relay = await polled();
    const id = await unseenEvent(relay);
    expect((await audited(relay, repairing)).progress).toMatchObject({ counts: { missing: 1 }, repaired: 1 });
    expect(await recordedIds(relay.store)).toEqual([id]);
    const { items } = await relay.store.deliveries({ eventId: id }, { limit: 10, cursor: null });
    expect(items).toMatchObject([{ sequence: 1, state: 'pending' }]);
    const again = await audited(relay, repairing);
    expect(again.progress).toMatchObject({ counts: { missing: 0, pending: 1 }, repaired: 0 });
    const after = await relay.store.deliveries({}, { limit: 10, cursor: null });
    expect(after.items).toHaveLength(1);
  });

  test('from before the start of its stream is recorded as past by a repair, and never sent', async () => {
    const relay = await polled({ startFromMs: 5 * day });
    const id = await unseenEvent(relay);
    expect((await audited(relay, repairing)).progress).toMatchObject({ counts: { missing: 1 }, repaired: 1 });
    expect(await relay.store.event(id)).toMatchObject([{ isPast: true }]);
    const { items } = await relay.store.deliveries({}, { limit: 10, cursor: null });
    expect(items).toEqual([]);
    expect((await audited(relay)).progress.counts).toMatchObject({ listed: 1, missing: 0, filtered: 1 });
  });

  test('and that the vendor does not hand out stays missing, with the reason', async () => {
    const relay = await polled();
    const id = await unseenEvent(relay);
    relay.fullscript.faults.switchOn({ name: 'retrieval-fails', status: 500, eventId: id });
    const job = await audited(relay, repairing);
    expect(job.progress).toMatchObject({ counts: { missing: 1 }, repaired: 0 });
    relay.fullscript.faults.switchAllOff();
    expect((await audited(relay, repairing)).progress).toMatchObject({ counts: { missing: 1 }, repaired: 1 });
  });

  test('is named as the reason says when no poll of its stream completes', async () => {
    const relay = await polled();
    const id = relay.fullscript.addEvent(orders).id;
    relay.fullscript.faults.switchOn({ name: 'retrieval-fails', status: 500, eventId: id });
    const job = await audited(relay);
    expect(job.progress.counts).toMatchObject({ listed: 1, missing: 1 });
    expect(await auditStreamsOf(job, relay.store)).toMatchObject([
      { missingIds: [id], problem: '1 events could not be retrieved yet' },
      { problem: null },
    ]);
  });
});

describe('a stream that cannot be listed is named, and the others are audited', () => {
  for (const { reason, because, inNeed, happens } of [
    {
      reason: 'off',
      because: 'its category is forbidden',
      inNeed: 0,
      happens: ({ fullscript }: PollingRelay) =>
        fullscript.faults.switchOn({ name: 'category-forbidden', category: 'orders', clinic: 'Washington' }),
    },
    {
      reason: 'failed',
      because: 'its list answers 500',
      inNeed: 1,
      happens: ({ fullscript }: PollingRelay) =>
        fullscript.faults.switchOn({ name: 'error-status', category: 'orders', clinic: 'Washington' }),
    },
    {
      reason: 'failed',
      because: 'its pages go round in a circle',
      inNeed: 1,
      happens: ({ fullscript }: PollingRelay) =>
        fullscript.faults.switchOn({ name: 'page-cycle', category: 'orders', clinic: 'Washington' }),
    },
  ]) {
    test(`${reason}: ${because}`, async () => {
      const relay = await polled({ clinics: ['Washington', 'New York'] });
      relay.fullscript.addEvent({ ...orders, clinic: 'New York' });
      await relay.clock.advance(minute);
      happens(relay);
      const job = await audited(relay);
      expect(job.progress).toMatchObject({
        streams: 4,
        done: 4,
        unlisted: 1,
        unlistedInNeed: inNeed,
        counts: { listed: 1, pending: 1 },
      });
      const unlisted = (await auditStreamsOf(job, relay.store)).filter(({ kind }) => kind === 'unlisted');
      expect(unlisted).toMatchObject([{ category: 'orders', reason }]);
    });
  }

  test('paused and disconnected clinics, without a request', async () => {
    const relay = await polled({ clinics: ['Washington', 'New York'] });
    const [paused, left] = await relay.store.clinics();
    if (!paused || !left) throw new Error('two were discovered');
    await relay.store.changeClinic(paused.id, { isPaused: true });
    for (const { id, clinicId } of await relay.store.connections()) {
      if (clinicId === left.id) await relay.store.forgetTokens(id, 'its users took it back');
    }
    const { list } = relay.fullscript.requests().byOperation;
    const job = await audited(relay);
    expect(job.progress).toMatchObject({ unlisted: 4, unlistedInNeed: 2 });
    expect(relay.fullscript.requests().byOperation.list).toBe(list);
    await relay.store.changeClinic(left.id, { isRemoved: true });
    expect((await audited(relay)).progress).toMatchObject({ streams: 2, unlisted: 2, unlistedInNeed: 0 });
  });

  test('a failure that passes is waited for', async () => {
    const relay = await polled();
    relay.fullscript.addEvent(orders);
    await relay.clock.advance(minute);
    relay.fullscript.faults.switchOn({ name: 'error-status', operation: 'list', times: 2 });
    expect((await audited(relay)).progress).toMatchObject({ unlisted: 0, counts: { listed: 1 } });
  });
});
