import { describe, expect, test } from 'vitest';
import { noon, pollingRelay, recordedIds } from './clinic.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

const orders = { clinic: 'Washington', type: 'order.placed' } as const;

async function streamOf(store: Awaited<ReturnType<typeof pollingRelay>>['store'], category = 'orders') {
  const stream = (await store.streams()).find((each) => each.category === category);
  if (!stream) throw new Error('not followed');
  return stream;
}

describe('what is recorded', () => {
  test('each new event is recorded once, with the exact text and a delivery, and the cursor moves', async () => {
    const { clock, fullscript, store } = await pollingRelay();
    await clock.advance(1_000);
    const made = [fullscript.addEvent(orders), fullscript.addEvent({ ...orders, type: 'patient.updated' })];
    await clock.advance(2 * minute);
    expect([...(await recordedIds(store))].sort()).toEqual(made.map(({ id }) => id).sort());
    for (const event of made) expect(await store.eventBody(event.clinicId, event.id)).toBe(event.text);
    expect((await store.deliveries({}, { limit: 10, cursor: null })).items).toHaveLength(2);
    const { cursor } = await streamOf(store);
    expect(cursor).toBeGreaterThan(noon);
    expect(cursor).toBeLessThanOrEqual(clock.now());
  });

  test('events from before the start are known, and neither retrieved nor delivered', async () => {
    const { clock, fullscript, store } = await pollingRelay();
    const past = fullscript.addEvent({ ...orders, createdAt: noon - 5 * day });
    await clock.advance(minute);
    expect(await store.unseen(past.clinicId, [past.id])).toEqual([]);
    expect(await recordedIds(store)).toEqual([]);
    expect(fullscript.ledger()[0]?.timesRetrieved).toBe(0);
  });

  test('a start in the past delivers from there on, and nothing older', async () => {
    const { clock, fullscript, store } = await pollingRelay({ startFromMs: 12 * hour });
    const old = fullscript.addEvent({ ...orders, createdAt: noon - 13 * hour });
    const wanted = fullscript.addEvent({ ...orders, createdAt: noon - 11 * hour });
    await clock.advance(minute);
    expect(await recordedIds(store)).toEqual([wanted.id]);
    expect(await store.unseen(old.clinicId, [old.id])).toEqual([]);
  });

  test('on the first pass an item without created_at is past, however new it may be', async () => {
    const { clock, fullscript, store } = await pollingRelay();
    fullscript.faults.switchOn({ name: 'items-only-ids' });
    const early = fullscript.addEvent({ ...orders, createdAt: noon - day });
    await clock.advance(minute);
    expect(await recordedIds(store)).toEqual([]);
    const later = fullscript.addEvent(orders);
    await clock.advance(2 * minute);
    expect(await recordedIds(store)).toEqual([later.id]);
    expect(await store.unseen(early.clinicId, [early.id])).toEqual([]);
  });

  for (const { fault, because } of [
    { fault: { name: 'page-cycle' }, because: 'failed' },
    { fault: { name: 'category-forbidden' }, because: 'was refused' },
  ] as const) {
    test(`an item without created_at that came while the first pass ${because} is asked for its date`, async () => {
      const { clock, fullscript, store } = await pollingRelay({ categories: ['orders'] });
      fullscript.faults.switchOn({ name: 'items-only-ids' });
      fullscript.faults.switchOn(fault);
      const early = fullscript.addEvent({ ...orders, createdAt: noon - day });
      await clock.advance(2 * minute);
      const later = fullscript.addEvent(orders);
      await clock.advance(hour);
      fullscript.faults.switchAllOff();
      fullscript.faults.switchOn({ name: 'items-only-ids' });
      await clock.advance(2 * hour);
      expect(await recordedIds(store)).toEqual([later.id]);
      expect(await store.unseen(early.clinicId, [early.id])).toEqual([]);
    });
  }

  test('a clinic’s own start goes before the configured one', async () => {
    const { clock, fullscript, store } = await pollingRelay({ clinicStartFrom: '12h' });
    fullscript.addEvent({ ...orders, createdAt: noon - 13 * hour });
    const wanted = fullscript.addEvent({ ...orders, createdAt: noon - 11 * hour });
    await clock.advance(minute);
    expect(await recordedIds(store)).toEqual([wanted.id]);
  });

  test('in shadow mode everything is read and kept, and owed to nobody; after it, what is new is', async () => {
    const { clock, fullscript, store, poller } = await pollingRelay({ isShadow: true });
    const shadowed = fullscript.addEvent(orders);
    await clock.advance(2 * minute);
    expect(await store.eventBody(shadowed.clinicId, shadowed.id)).toBe(shadowed.text);
    expect(await store.event(shadowed.id)).toMatchObject([{ withheld: 'shadow', isPast: false }]);
    await poller.stop(0);
    const page = { limit: 10, cursor: null };
    expect((await store.deliveries({}, page)).items).toEqual([]);
  });

  test('a start in the future is told, and what is created before it is not sent', async () => {
    const startsAt = new Date(noon + hour).toISOString();
    const { clock, fullscript, store, lines } = await pollingRelay({ clinicStartFrom: startsAt });
    await clock.advance(minute);
    fullscript.addEvent(orders);
    await clock.advance(hour);
    const wanted = fullscript.addEvent(orders);
    await clock.advance(2 * minute);
    expect(await recordedIds(store)).toEqual([wanted.id]);
    const told = lines.filter(({ message }) => message.includes('lies in the future'));
    expect(told).toMatchObject([{ level: 'warn', facts: { startAt: startsAt } }]);
  });

  test('a restart neither resets the start nor the cursor', async () => {
    const { clock, fullscript, store, restart } = await pollingRelay();
    await clock.advance(minute);
    const before = await streamOf(store);
    const during = fullscript.addEvent(orders);
    await restart();
    await clock.advance(2 * minute);
    expect(await recordedIds(store)).toEqual([during.id]);
    expect((await streamOf(store)).startAt).toBe(before.startAt);
  });
});

describe('shapes that the vendor may choose', () => {
  for (const fault of [
    'bare-event',
    'event-payload-wrapper',
    'other-list-key',
    'list-without-meta',
    'order-descending',
    'items-only-ids',
    'bare-string-items',
    'item-twice',
    'named-day-included',
  ]) {
    const number = { 'order-descending': 'case 166: ', 'item-twice': 'case 163: ' }[fault] ?? '';
    test(`${number}with ${fault}, every event arrives once with its exact text`, async () => {
      const { clock, fullscript, store } = await pollingRelay();
      await clock.advance(minute);
      fullscript.faults.switchOn({ name: fault });
      const made = Array.from({ length: 5 }, () => fullscript.addEvent(orders));
      await clock.advance(2 * minute);
      expect([...(await recordedIds(store))].sort()).toEqual(made.map(({ id }) => id).sort());
      for (const event of made) expect(await store.eventBody(event.clinicId, event.id)).toBe(event.text);
      expect(await store.setAsides()).toEqual([]);
    });
  }

  for (const fault of [
    'unknown-keys',
    'reordered-keys',
    'without-clinic-id',
    'unknown-type',
    'odd-ids',
    'equal-timestamps',
    'deep-event',
  ]) {
    const number = { 'unknown-keys': 'case 170: ', 'unknown-type': 'case 170: ', 'odd-ids': 'case 164: ' }[
      fault
    ];
    test(`${number ?? ''}an event made with ${fault} is relayed byte for byte`, async () => {
      const { clock, fullscript, store } = await pollingRelay();
      await clock.advance(minute);
      fullscript.faults.switchOn({ name: fault });
      const event = fullscript.addEvent(orders);
      await clock.advance(2 * minute);
      expect(await recordedIds(store)).toEqual([event.id]);
      expect(await store.eventBody(event.clinicId, event.id)).toBe(event.text);
    });
  }

  for (const utcOffsetMinutes of [-660, -480, 0, 630, 840]) {
    test(`case 197: days that begin ${utcOffsetMinutes} minutes from UTC hide no event`, async () => {
      const { clock, fullscript, store } = await pollingRelay({ pollSecondsMin: 900 });
      await clock.advance(minute);
      fullscript.faults.switchOn({ name: 'day-zone', utcOffsetMinutes });
      const made: string[] = [];
      for (let hours = 0; hours < 60; hours += 3) {
        made.push(fullscript.addEvent(orders).id);
        await clock.advance(3 * hour);
      }
      expect([...(await recordedIds(store))].sort()).toEqual(made.sort());
    });
  }

  test('case 166: an event that is listed a day late is found within the overlap', async () => {
    const { clock, fullscript, store } = await pollingRelay({ pollSecondsMin: 300 });
    await clock.advance(minute);
    const late = fullscript.addEvent({ ...orders, listedLateMs: day });
    await clock.advance(day - hour);
    expect(await recordedIds(store)).toEqual([]);
    await clock.advance(2 * hour);
    expect(await recordedIds(store)).toEqual([late.id]);
  });

  test('case 167: an event that is listed later than the overlap is found by the daily sweep', async () => {
    const { clock, fullscript, store } = await pollingRelay({ pollSecondsMin: 900 });
    await clock.advance(minute);
    const late = fullscript.addEvent({ ...orders, listedLateMs: 5 * day });
    await clock.advance(7 * day);
    expect(await recordedIds(store)).toEqual([late.id]);
  });

  test('case 163: pages that shift while they are read hide nothing and double nothing', async () => {
    const { clock, fullscript, store } = await pollingRelay({
      startFromMs: hour,
      // Whenever a page was read, events appear that belong before it.
      http: (http) => async (request) => {
        const answer = await http(request);
        if (request.url.includes('/events/orders') && shifts-- > 0) {
          for (let index = 0; index < 3; index++) make(noon - 20_000 - index);
        }
        return answer;
      },
    });
    let shifts = 4;
    const made: string[] = [];
    const make = (createdAt: number): void => {
      made.push(fullscript.addEvent({ ...orders, createdAt }).id);
    };
    for (let index = 0; index < 250; index++) make(noon - 10_000 + index);
    await clock.advance(5 * minute);
    expect(shifts).toBeLessThan(0);
    expect([...(await recordedIds(store))].sort()).toEqual(made.sort());
    const { items } = await store.deliveries({}, { limit: 1_000, cursor: null });
    expect(items).toHaveLength(made.length);
  });

  test('case 163: what pages hide on the first pass, when the front of the list leaves meanwhile, is found by the next poll', async () => {
    const { clock, fullscript, store } = await pollingRelay({
      startFromMs: 30 * day,
      categories: ['orders'],
    });
    const made = Array.from(
      { length: 250 },
      (_, index) => fullscript.addEvent({ ...orders, createdAt: noon - 20 * day + index }).id,
    );
    fullscript.faults.switchOn({ name: 'page-shift', items: 3, times: 2 });
    await clock.advance(10_000);
    expect(await recordedIds(store)).toHaveLength(made.length - 3);
    await clock.advance(2 * minute);
    expect([...(await recordedIds(store))].sort()).toEqual(made.sort());
    const { sweptAt } = await streamOf(store);
    await clock.advance(hour);
    expect((await streamOf(store)).sweptAt).toBe(sweptAt);
  });

  test('case 196: days whose distance from UTC changes in the middle hide no event', async () => {
    const { clock, fullscript, store } = await pollingRelay({ pollSecondsMin: 900 });
    const daylight = -7 * 60;
    await clock.advance(minute);
    const made: string[] = [];
    for (let hours = 0; hours < 96; hours += 3) {
      // Clocks go back an hour on the second night, and forth again on the fourth.
      const utcOffsetMinutes = hours >= 36 && hours < 84 ? daylight - 60 : daylight;
      fullscript.faults.switchAllOff();
      fullscript.faults.switchOn({ name: 'day-zone', utcOffsetMinutes });
      made.push(fullscript.addEvent(orders).id);
      await clock.advance(3 * hour);
    }
    expect([...(await recordedIds(store))].sort()).toEqual(made.sort());
  });

  test('case 161: lists that are empty for hours are nothing to tell', async () => {
    const { clock, fullscript, store, lines } = await pollingRelay();
    await clock.advance(6 * hour);
    for (const stream of await store.streams())
      expect(stream).toMatchObject({ problem: null, failedInRow: 0 });
    expect((await streamOf(store)).cursor).toBeGreaterThan(clock.now() - 5 * minute);
    expect(lines.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
    const event = fullscript.addEvent(orders);
    await clock.advance(2 * minute);
    expect(await recordedIds(store)).toEqual([event.id]);
  });

  test('every page is read, also when all of the first are known', async () => {
    const { clock, fullscript, store } = await pollingRelay({ startFromMs: hour });
    const made = Array.from({ length: 250 }, (_, index) =>
      fullscript.addEvent({ ...orders, createdAt: noon - 10_000 + index }),
    );
    await clock.advance(5 * minute);
    const more = fullscript.addEvent(orders);
    await clock.advance(2 * minute);
    expect(await recordedIds(store)).toHaveLength(made.length + 1);
    expect(await recordedIds(store)).toContain(more.id);
  });
});

describe('what cannot be read', () => {
  test('case 164: an item without an id is set aside visibly, and the page goes on', async () => {
    const { clock, fullscript, store } = await pollingRelay();
    await clock.advance(minute);
    fullscript.faults.switchOn({ name: 'item-without-id', category: 'orders' });
    const made = [fullscript.addEvent(orders), fullscript.addEvent(orders)];
    await clock.advance(2 * minute);
    expect(await recordedIds(store)).toEqual([made[1]?.id]);
    expect(await store.setAsides()).toMatchObject([{ reason: 'noId', isFinal: true, eventId: null }]);
    expect((await streamOf(store)).problem).toBeNull();
  });

  test('case 172: an event of another clinic is set aside, loudly, and not delivered', async () => {
    const { clock, fullscript, store, lines } = await pollingRelay({ clinics: ['Washington', 'New York'] });
    await clock.advance(minute);
    fullscript.faults.switchOn({ name: 'item-of-other-clinic' });
    const foreign = fullscript.addEvent(orders);
    await clock.advance(2 * minute);
    expect(await recordedIds(store)).toEqual([]);
    expect(await store.setAsides()).toMatchObject([{ reason: 'otherClinic', eventId: foreign.id }]);
    expect(lines.some(({ level, facts }) => level === 'warn' && facts.eventId === foreign.id)).toBe(true);
  });

  test('case 180: an event that cannot be retrieved holds the cursor for an hour and three tries, then is set aside', async () => {
    const { clock, fullscript, store } = await pollingRelay();
    await clock.advance(minute);
    const broken = fullscript.addEvent(orders);
    fullscript.faults.switchOn({ name: 'retrieval-fails', status: 404, eventId: broken.id });
    const { cursor } = await streamOf(store);
    const flowing = fullscript.addEvent(orders);
    await clock.advance(10 * minute);
    expect(await recordedIds(store)).toEqual([flowing.id]);
    expect(await streamOf(store)).toMatchObject({
      cursor,
      problem: expect.stringContaining('could not be retrieved'),
    });
    await clock.advance(2 * hour);
    expect(await store.setAsides()).toMatchObject([
      { eventId: broken.id, reason: 'retrievalFailed', isFinal: true },
    ]);
    expect((await streamOf(store)).cursor).toBeGreaterThan(cursor ?? 0);
  });

  test('case 168: an event that is too large to be taken is set aside, and the others flow', async () => {
    let large = '';
    const { clock, fullscript, store } = await pollingRelay({
      http: (http) => (request) =>
        large !== '' && request.url.includes(`/events/${large}`)
          ? Promise.resolve({ kind: 'tooLarge', bytesMax: 10_485_760 })
          : http(request),
    });
    await clock.advance(minute);
    const [first, second] = [fullscript.addEvent(orders), fullscript.addEvent(orders)];
    large = encodeURIComponent(first.id);
    await clock.advance(10 * minute);
    expect(await recordedIds(store)).toEqual([second.id]);
    await clock.advance(2 * hour);
    expect(await store.setAsides()).toMatchObject([{ eventId: first.id, reason: 'tooLarge', isFinal: true }]);
    expect((await streamOf(store)).problem).toBeNull();
  });

  test('case 168: a page of 10,000 events is taken whole', async () => {
    const ids = Array.from({ length: 10_000 }, (_, index) => `e-${index}`);
    const answer = (value: object) => ({
      kind: 'answered' as const,
      status: 200,
      body: Buffer.from(JSON.stringify(value)),
      vendorNow: noon,
      retryAfter: undefined,
    });
    let isListed = false;
    const { clock, store } = await pollingRelay({
      requestsPerFiveMinutes: 100_000,
      http: (http) => async (request) => {
        const id = new URL(request.url).pathname.split('/').at(-1) ?? '';
        if (isListed && id === 'orders') {
          return answer({ events: ids.map((id) => ({ id })), meta: { next_page: null } });
        }
        return id.startsWith('e-') ? answer({ event: { id, type: 'order.placed' } }) : http(request);
      },
    });
    await clock.advance(minute);
    isListed = true;
    await clock.advance(15 * minute);
    const counts = await store.deliveryCounts(null);
    expect(counts.pending).toBe(ids.length);
    expect(await streamOf(store)).toMatchObject({ problem: null });
  });

  test('what was set aside is tried again a day later, and recorded when it can be read', async () => {
    const { clock, fullscript, store } = await pollingRelay({ pollSecondsMin: 600 });
    await clock.advance(minute);
    const broken = fullscript.addEvent(orders);
    fullscript.faults.switchOn({ name: 'retrieval-fails', status: 404, eventId: broken.id });
    await clock.advance(3 * hour);
    fullscript.faults.switchAllOff();
    await clock.advance(hour);
    expect(await recordedIds(store)).toEqual([]);
    await clock.advance(day);
    expect(await recordedIds(store)).toEqual([broken.id]);
    expect(await store.setAsides()).toEqual([]);
  });

  for (const status of [500, 503, 429, 401, 403]) {
    test(`a retrieval that answers ${status} ends the poll with the cursor unmoved, and nothing is set aside`, async () => {
      const { clock, fullscript, store } = await pollingRelay();
      await clock.advance(minute);
      const event = fullscript.addEvent(orders);
      fullscript.faults.switchOn({ name: 'retrieval-fails', status, eventId: event.id });
      const { cursor } = await streamOf(store);
      await clock.advance(5 * minute);
      expect((await streamOf(store)).cursor).toBe(cursor);
      expect(await store.setAsides()).toEqual([]);
      fullscript.faults.switchAllOff();
      await clock.advance(30 * minute);
      expect(await recordedIds(store)).toEqual([event.id]);
    });
  }
});

describe('a failing list', () => {
  for (const { number, fault } of [
    { number: 158, name: 'error-status', status: 500 },
    { number: 158, name: 'error-status', status: 502 },
    { number: 158, name: 'error-status', status: 504 },
    { number: 158, name: 'connection-dropped', point: 'before' },
    { number: 158, name: 'connection-dropped', point: 'during' },
    { number: 159, name: 'html-error', status: 200 },
    { number: 160, name: 'truncated-json' },
    { number: 160, name: 'invalid-utf8' },
    { number: 162, name: 'page-cycle' },
    { number: 173, name: 'redirect' },
  ].map(({ number, ...fault }) => ({ number, fault }))) {
    test(`case ${number}: ${Object.values(fault).join(' ')} leaves the cursor where it is, and passes`, async () => {
      const { clock, fullscript, store, lines } = await pollingRelay();
      await clock.advance(minute);
      const { cursor } = await streamOf(store);
      fullscript.addEvent(orders);
      fullscript.faults.switchOn({ ...fault, operation: 'list' });
      await clock.advance(5 * minute);
      const failed = await streamOf(store);
      expect(failed.cursor).toBe(cursor);
      expect(failed.problem).not.toBeNull();
      const told = lines.filter(({ message }) => message.includes('A poll failed'));
      expect(told.length).toBeGreaterThan(0);
      for (const line of told) expect(JSON.stringify(line)).not.toMatch(/doctype|created_at|sandbox-/);
      fullscript.faults.switchAllOff();
      await clock.advance(30 * minute);
      expect(await recordedIds(store)).toHaveLength(1);
      expect((await streamOf(store)).problem).toBeNull();
    });
  }

  for (const { number, name } of [
    { number: 155, name: 'category-missing' },
    { number: 154, name: 'category-forbidden' },
    { number: 154, name: 'category-unauthorized' },
  ]) {
    test(`case ${number}: ${name} turns the category off for the clinic, hourly tried again; the others go on`, async () => {
      const { clock, fullscript, store, lines } = await pollingRelay();
      await clock.advance(minute);
      fullscript.faults.switchOn({ name, category: 'orders' });
      await clock.advance(5 * minute);
      expect(await streamOf(store)).toMatchObject({ isOff: true });
      expect(await streamOf(store, 'patients')).toMatchObject({ isOff: false, problem: null });
      expect((await store.connections())[0]?.state).toBe('working');
      const event = fullscript.addEvent(orders);
      const patient = fullscript.addEvent({ clinic: 'Washington', type: 'patient.created' });
      await clock.advance(2 * minute);
      expect(await recordedIds(store)).toEqual([patient.id]);
      fullscript.faults.switchAllOff();
      await clock.advance(hour + minute);
      expect(await recordedIds(store)).toContain(event.id);
      expect(await streamOf(store)).toMatchObject({ isOff: false });
      const told = lines.filter(({ message }) => message.startsWith('A category'));
      expect(told.map(({ message, facts }) => [message, facts.category])).toEqual([
        ['A category is off for a clinic.', 'orders'],
        ['A category that was off answers.', 'orders'],
      ]);
    });
  }

  test('case 178: a clinic that fails stops no other', async () => {
    const { clock, fullscript, store } = await pollingRelay({ clinics: ['Washington', 'New York'] });
    await clock.advance(minute);
    fullscript.faults.switchOn({ name: 'error-status', clinic: 'Washington' });
    const event = fullscript.addEvent({ clinic: 'New York', type: 'order.placed' });
    await clock.advance(2 * minute);
    expect(await recordedIds(store)).toEqual([event.id]);
  });

  test('case 179: a clinic that was removed is read no more, and added again it sends nothing twice', async () => {
    const { clock, fullscript, store, poller } = await pollingRelay();
    await clock.advance(minute);
    const before = fullscript.addEvent(orders);
    await clock.advance(2 * minute);
    const [connection] = await store.connections();
    if (!connection?.clinicId) throw new Error('it was found');
    await store.changeClinic(connection.clinicId, { isRemoved: true });
    await store.forgetTokens(connection.id, 'disconnected');
    await clock.advance(2 * minute);
    const { list } = fullscript.requests().byOperation;
    const during = fullscript.addEvent(orders);
    await clock.advance(hour);
    expect(fullscript.requests().byOperation.list).toBe(list);
    expect(await store.connections()).toMatchObject([{ tokens: null, spareTokens: null }]);

    await store.changeClinic(connection.clinicId, { isRemoved: false });
    await store.saveConnection({ ...connection, id: 'con_again', declaredDigest: null, state: 'working' });
    poller.forget('con_again');
    await clock.advance(20 * minute);
    expect(await recordedIds(store)).toEqual([before.id, during.id]);
    expect((await store.deliveries({}, { limit: 9, cursor: null })).items).toHaveLength(2);
  });

  test('a clinic whose vendor hangs at GET /clinic holds up no other', async () => {
    const never = new Promise<never>(() => {});
    const relay = await pollingRelay({
      clinics: ['Washington', 'New York'],
      http: (http) => (request) =>
        request.url.endsWith('/clinic') && request.accessToken?.endsWith('washington')
          ? never
          : http(request),
    });
    await relay.clock.advance(minute);
    const event = relay.fullscript.addEvent({ clinic: 'New York', type: 'order.placed' });
    await relay.clock.advance(minute);
    expect(await recordedIds(relay.store)).toEqual([event.id]);
  });

  test('a fault of the relay in one poll is loud, and stops neither the relay nor the cursor’s truth', async () => {
    let isBroken = false;
    const relay = await pollingRelay({
      http: (http) => (request) => {
        if (isBroken && request.url.includes('/events/orders')) throw new TypeError('nobody thought of this');
        return http(request);
      },
    });
    await relay.clock.advance(minute);
    const { cursor } = await streamOf(relay.store);
    isBroken = true;
    relay.fullscript.addEvent(orders);
    await relay.clock.advance(5 * minute);
    expect(relay.fatal).toEqual([]);
    expect(await streamOf(relay.store)).toMatchObject({
      cursor,
      problem: expect.stringContaining('TypeError'),
    });
    expect((await streamOf(relay.store, 'patients')).problem).toBeNull();
  });

  test('during a long pause a stream is claimed once, and a stop waits for nobody', async () => {
    const relay = await pollingRelay();
    await relay.clock.advance(minute);
    relay.fullscript.faults.switchOn({ name: 'rate-limited', retryAfterSeconds: 600, times: 1 });
    await relay.clock.advance(minute);
    const { list = 0 } = relay.fullscript.requests().byOperation;
    await relay.clock.advance(8 * minute);
    expect(relay.fullscript.requests().byOperation.list).toBe(list);
    let isStopped = false;
    void relay.poller.stop(20_000).then(() => {
      isStopped = true;
    });
    await relay.clock.advance(10);
    expect(isStopped).toBe(true);
    expect(relay.lines.filter(({ message }) => message.includes('taken over'))).toEqual([]);
  });
});

test('case 175: a machine whose clock is forty days ahead of the vendor hides no event from itself', async () => {
  const { clock, fullscript, store } = await pollingRelay();
  fullscript.faults.switchOn({ name: 'clock-skewed', seconds: -40 * 86_400 });
  await clock.advance(minute);
  const event = fullscript.addEvent(orders);
  await clock.advance(2 * minute);
  expect(await recordedIds(store)).toEqual([event.id]);
});
