import { expect, test } from 'vitest';
import { audited } from './auditing.ts';
import { pollingRelay, recordedIds } from './clinic.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const orders = { clinic: 'Washington', type: 'order.placed' } as const;

for (const status of [500, 502, 403]) {
  test(`an event that always answers ${status} holds the cursor, and not the events after it`, async () => {
    const { clock, fullscript, store } = await pollingRelay();
    await clock.advance(minute);
    const [before] = await store.streams();
    const stubborn = fullscript.addEvent(orders);
    fullscript.faults.switchOn({ name: 'retrieval-fails', status, eventId: stubborn.id });
    await clock.advance(minute);
    const after = Array.from({ length: 9 }, () => fullscript.addEvent(orders).id);
    await clock.advance(30 * minute);
    expect([...(await recordedIds(store))].sort()).toEqual(after.sort());
    expect((await store.streams())[0]).toMatchObject({
      cursor: before?.cursor,
      problem: expect.stringContaining('1 events could not be retrieved'),
    });
    expect(await store.setAsides()).toEqual([]);
    fullscript.faults.switchAllOff();
    await clock.advance(30 * minute);
    expect(await recordedIds(store)).toContain(stubborn.id);
    expect((await store.streams())[0]?.problem).toBeNull();
  });
}

test('while no event can be retrieved, a poll asks for a few and not for all of them', async () => {
  const { clock, fullscript, store } = await pollingRelay({ pollSecondsMin: 600 });
  await clock.advance(minute);
  for (let index = 0; index < 150; index++) fullscript.addEvent(orders);
  fullscript.faults.switchOn({ name: 'error-status', operation: 'retrieve' });
  await clock.advance(10 * minute);
  expect(fullscript.requests().byOperation.retrieve).toBe(4);
  fullscript.faults.switchAllOff();
  await clock.advance(hour);
  expect(await recordedIds(store)).toHaveLength(150);
});

test('case 175: a vendor’s clock that was days ahead hides nothing once it is right again', async () => {
  const { clock, fullscript, store } = await pollingRelay();
  await clock.advance(minute);
  fullscript.faults.switchOn({ name: 'clock-skewed', seconds: (5 * day) / 1000 });
  await clock.advance(10 * minute);
  fullscript.faults.switchAllOff();
  const event = fullscript.addEvent(orders);
  await clock.advance(2 * minute);
  expect(await recordedIds(store)).toEqual([event.id]);
});

test('case 176: after three days without the relay everything is caught up, once', async () => {
  const { clock, fullscript, store, poller, restart } = await pollingRelay();
  await clock.advance(minute);
  const stopped = poller.stop(1_000);
  await clock.advance(2_000);
  await stopped;
  const missed: string[] = [];
  for (let hours = 0; hours < 72; hours++) {
    missed.push(fullscript.addEvent(orders).id);
    await clock.advance(hour);
  }
  await restart();
  await clock.advance(10 * minute);
  expect([...(await recordedIds(store))].sort()).toEqual(missed.sort());
  expect((await store.deliveries({}, { limit: 100, cursor: null })).items).toHaveLength(missed.length);
});

test('case 177: away for longer than the vendor remembers, the gap is told with its ends, and polling goes on', async () => {
  const { clock, fullscript, store, poller, restart, lines } = await pollingRelay();
  await clock.advance(minute);
  const stopped = poller.stop(1_000);
  await clock.advance(2_000);
  await stopped;
  await clock.advance(40 * day);
  await restart();
  await clock.advance(minute);
  const gaps = lines.filter(({ message }) => message.includes('longer than the vendor remembers'));
  expect(gaps.map(({ level, facts }) => [level, facts.category])).toEqual([
    ['error', 'orders'],
    ['error', 'patients'],
  ]);
  expect(gaps[0]?.facts.from).toMatch(/^2026-11-22T12/);
  expect(gaps[0]?.facts.until).toMatch(/^2026-12-02T12/);
  const [stream] = await store.streams();
  expect([stream?.gap?.from, stream?.gap?.until].map((at) => new Date(at ?? 0).toISOString())).toEqual([
    gaps[0]?.facts.from,
    gaps[0]?.facts.until,
  ]);
  const event = fullscript.addEvent(orders);
  await clock.advance(2 * minute);
  expect(await recordedIds(store)).toEqual([event.id]);
  expect(lines.filter(({ message }) => message.includes('longer than the vendor'))).toHaveLength(2);
});

for (const { fault, because } of [
  { fault: { name: 'category-missing', category: 'orders' }, because: 'off' },
  { fault: { name: 'error-status', operation: 'list' }, because: 'failing' },
] as const) {
  test(`a stream that was ${because} from its start on for longer than the vendor remembers has a gap`, async () => {
    const { clock, fullscript, store, poller, restart } = await pollingRelay({
      categories: ['orders'],
      pollSecondsMin: 900,
    });
    fullscript.faults.switchOn(fault);
    await clock.advance(hour);
    // So that a month of failing polls need not be gone through.
    const stopped = poller.stop(1_000);
    await clock.advance(31 * day);
    await stopped;
    fullscript.faults.switchAllOff();
    await restart();
    await clock.advance(2 * hour);
    const [stream] = await store.streams();
    expect(stream?.gap?.from).toBe(stream?.startAt);
    expect((stream?.gap?.until ?? 0) - (stream?.startAt ?? 0)).toBeGreaterThan(day);
    await clock.advance(day);
    expect((await store.streams())[0]?.gap).toEqual(stream?.gap);
  });
}

test('a start that lies further back than the vendor lists is no gap, also when the first poll fails', async () => {
  const { clock, fullscript, store, lines } = await pollingRelay({ startFromMs: 60 * day });
  fullscript.faults.switchOn({ name: 'error-status', operation: 'list', times: 2 });
  await clock.advance(hour);
  expect((await store.streams()).map(({ gap }) => gap)).toEqual([undefined, undefined]);
  expect(lines.filter(({ level }) => level === 'error')).toEqual([]);
});

for (const status of [404, 422]) {
  test(`a list that says nothing of its pages, and answers ${status} behind the last, ends there`, async () => {
    const relay = await pollingRelay({
      categories: ['orders'],
      http: (http) => async (request) => {
        const answer = await http(request);
        const isBehind = answer.kind === 'answered' && /page%5Bnumber%5D=[2-9]/.test(request.url);
        return isBehind && answer.body.toString() === '{"events":[]}' ? { ...answer, status } : answer;
      },
    });
    const { clock, fullscript, store } = relay;
    fullscript.faults.switchOn({ name: 'list-without-meta' });
    await clock.advance(minute);
    const made = Array.from({ length: 150 }, () => fullscript.addEvent(orders).id);
    await clock.advance(10 * minute);
    expect([...(await recordedIds(store))].sort()).toEqual(made.sort());
    expect((await store.streams())[0]).toMatchObject({ isOff: false, problem: null });
    expect(await audited(relay)).toMatchObject({ progress: { counts: { listed: 150, missing: 0 } } });
  });
}

test('a list of over a thousand pages is read to its end', async () => {
  const pages = 1_010;
  const { clock, store } = await pollingRelay({
    categories: ['orders'],
    http: (http) => (request) => {
      const { pathname, searchParams } = new URL(request.url);
      if (!pathname.endsWith('/events/orders')) return http(request);
      const page = Number(searchParams.get('page[number]'));
      const events = [{ id: `e-${page}`, created_at: '2026-11-20T12:00:00.000Z' }];
      const list = { events, meta: { next_page: page < pages ? page + 1 : null } };
      return Promise.resolve({
        kind: 'answered',
        status: 200,
        retryAfter: undefined,
        vendorNow: clock.now(),
        body: Buffer.from(JSON.stringify(list)),
      });
    },
  });
  await clock.advance(5 * minute);
  expect((await store.streams())[0]).toMatchObject({ problem: null, cursor: expect.any(Number) });
  expect(await store.unseen((await store.clinics())[0]?.id ?? '', [`e-${pages}`])).toEqual([]);
});

test('events of the past, however many, are known, and none of them is retrieved', async () => {
  const { clock, fullscript, store } = await pollingRelay();
  for (let index = 0; index < 250; index++) {
    fullscript.addEvent({ ...orders, createdAt: clock.now() - day + index });
  }
  await clock.advance(minute);
  const { items } = await store.events({ state: 'past' }, { limit: 1_000, cursor: null });
  expect(items).toHaveLength(250);
  expect(fullscript.requests().byOperation.retrieve ?? 0).toBe(0);
});

test('a list that knows no pages and says nothing of them is read twice and not for ever', async () => {
  const { clock, fullscript, store } = await pollingRelay({
    categories: ['orders'],
    http: (http) => (request) => http({ ...request, url: request.url.replace(/page%5Bnumber%5D=\d+/, '') }),
  });
  fullscript.faults.switchOn({ name: 'list-without-meta' });
  await clock.advance(minute);
  const event = fullscript.addEvent(orders);
  const before = fullscript.requests().byOperation.list ?? 0;
  await clock.advance(31_000);
  expect(await recordedIds(store)).toEqual([event.id]);
  expect((fullscript.requests().byOperation.list ?? 0) - before).toBe(2);
  expect((await store.streams())[0]?.problem).toBeNull();
});
