import { describe, expect, test } from 'vitest';
import { categories } from '../../src/sandbox/event-log.ts';
import { newYork, startAt, vendor } from './vendor.ts';

const dayMs = 86_400_000;

describe('every category', () => {
  for (const category of categories) {
    test(`${category} lists the clinic’s own events and retrieves them byte for byte`, () => {
      const v = vendor();
      const type = {
        patients: 'patient.created',
        orders: 'order.placed',
        treatment_plans: 'treatment_plan.created',
        lab_orders: 'lab_order.updated',
        products: 'product.updated',
        clinic_keys: 'clinic_key.revoked',
      }[category];
      const event = v.fullscript.addEvent({ clinic: 'Washington', type });
      v.fullscript.addEvent({ clinic: 'New York', type });
      expect(v.list(category)).toEqual({
        events: [{ id: event.id, type, clinic_id: event.clinicId, created_at: '2026-11-20T12:00:00.000Z' }],
        meta: { current_page: 1, next_page: null, prev_page: null, total_pages: 1, total_count: 1 },
      });
      expect(v.get(`/api/events/${event.id}`).body).toBe(`{"event":${event.text}}`);
      expect(v.get(`/api/events/${event.id}`, newYork).status).toBe(404);
    });
  }

  test('an unknown category looks like an unknown event', () => {
    expect(vendor().get('/api/events/practitioners').status).toBe(404);
  });
});

describe('a list', () => {
  test('comes in pages of twenty, and of a hundred at most', () => {
    const v = vendor();
    for (let i = 0; i < 205; i += 1) v.fullscript.addEvent({ clinic: 'Washington', type: 'order.placed' });
    expect(v.list('orders').events).toHaveLength(20);
    const pages = [1, 2, 3, 4].map((n) =>
      v.list('orders', { 'page[size]': '500', 'page[number]': String(n) }),
    );
    expect(pages.map((page) => page.events.length)).toEqual([100, 100, 5, 0]);
    expect(pages.map((page) => page.meta.next_page)).toEqual([2, 3, null, null]);
    expect(pages[1]?.meta).toEqual({
      current_page: 2,
      next_page: 3,
      prev_page: 1,
      total_pages: 3,
      total_count: 205,
    });
    expect(new Set(pages.flatMap((page) => page.events.map((event) => event.id))).size).toBe(205);
  });

  test('comes oldest first, or newest first when asked, whenever events were made', () => {
    const v = vendor();
    const at = (id: string, hoursAgo: number) =>
      v.fullscript.addEvent({
        clinic: 'Washington',
        type: 'order.placed',
        id,
        createdAt: startAt - hoursAgo * 3_600_000,
      });
    at('b', 2);
    at('c', 1);
    at('a', 3);
    const ids = (query: Record<string, string>) => v.list('orders', query).events.map((event) => event.id);
    expect(ids({ sort_by: 'created_at', order_by: 'ASC' })).toEqual(['a', 'b', 'c']);
    expect(ids({ order_by: 'DESC' })).toEqual(['c', 'b', 'a']);
  });

  test('can be sorted by type and limited to one', () => {
    const v = vendor();
    for (const type of ['patient.updated', 'patient.created', 'patient.updated']) {
      v.fullscript.addEvent({ clinic: 'Washington', type });
    }
    const types = (query: Record<string, string>) =>
      v.list('patients', query).events.map((event) => event.type);
    expect(types({ sort_by: 'event_type' })).toEqual([
      'patient.created',
      'patient.updated',
      'patient.updated',
    ]);
    expect(types({ event_type: 'patient.created' })).toEqual(['patient.created']);
  });

  for (const { filter, faults, days, because } of [
    { filter: '2026-11-18', faults: [], days: ['18'], because: 'a day is that day' },
    { filter: '<2026-11-18', faults: [], days: ['17'], because: '< leaves the named day out' },
    { filter: '>2026-11-18', faults: [], days: ['19', '20'], because: '> leaves the named day out' },
    { filter: '2026-11-18..2026-11-19', faults: [], days: ['18', '19'], because: 'a span has both its ends' },
    {
      filter: '<2026-11-18',
      faults: ['named-day-included'],
      days: ['17', '18'],
      because: 'the switch takes the day in',
    },
    {
      filter: '>2026-11-18',
      faults: ['named-day-included'],
      days: ['18', '19', '20'],
      because: 'the switch takes the day in',
    },
    {
      filter: '2026-11-18',
      faults: ['day-zone'],
      days: ['19'],
      because: 'five in the morning UTC is the evening before in Los Angeles',
    },
  ] as const) {
    test(`created_at=${filter} with ${faults.join() || 'no fault'}: ${because}`, () => {
      const v = vendor();
      for (const name of faults) v.fullscript.faults.switchOn({ name });
      for (const day of ['17', '18', '19', '20']) {
        const createdAt = Date.parse(`2026-11-${day}T05:00:00.000Z`);
        v.fullscript.addEvent({ clinic: 'Washington', type: 'order.placed', id: day, createdAt });
      }
      expect(v.list('orders', { created_at: filter }).events.map((event) => event.id)).toEqual(days);
    });
  }

  for (const query of [
    { created_at: 'yesterday' },
    { created_at: '2026-02-30' },
    { created_at: '>2026-11-01..2026-11-02' },
    { created_at: '2026-13-01' },
    { sort_by: '__proto__' },
    { order_by: 'asc' },
    { 'page[number]': '0' },
    { 'page[size]': '-1' },
    { 'page[size]': '1e3' },
  ] as Record<string, string>[]) {
    test(`answers 400 to ${new URLSearchParams(query)}`, () => {
      expect(vendor().get(`/api/events/orders?${new URLSearchParams(query)}`).status).toBe(400);
    });
  }
});

describe('history', () => {
  test('is thirty days long, for lists and retrievals', async () => {
    const v = vendor();
    const { id } = v.fullscript.addEvent({
      clinic: 'Washington',
      type: 'order.placed',
      createdAt: startAt - 30 * dayMs,
    });
    expect(v.list('orders').events).toHaveLength(1);
    expect(v.get(`/api/events/${id}`).status).toBe(200);
    await v.clock.advance(1);
    expect(v.list('orders').events).toHaveLength(0);
    expect(v.get(`/api/events/${id}`).status).toBe(404);
  });

  test('an event of the future shows itself when its time has come', async () => {
    const v = vendor();
    const { id } = v.fullscript.addEvent({
      clinic: 'Washington',
      type: 'order.placed',
      createdAt: startAt + 1000,
      listedLateMs: 500,
    });
    await v.clock.advance(1499);
    expect(v.list('orders').events).toHaveLength(0);
    expect(v.get(`/api/events/${id}`).status).toBe(404);
    await v.clock.advance(1);
    expect(v.list('orders').events).toHaveLength(1);
    expect(v.get(`/api/events/${id}`).status).toBe(200);
  });
});

describe('the ledger', () => {
  test('says when an event was first listed and retrieved, and how often', async () => {
    const v = vendor();
    const { id } = v.fullscript.addEvent({ clinic: 'Washington', type: 'order.placed' });
    expect(v.fullscript.ledger()).toMatchObject([{ id, firstListedAt: null, firstRetrievedAt: null }]);
    await v.clock.advance(5);
    v.list('orders');
    await v.clock.advance(5);
    v.list('orders');
    v.get(`/api/events/${id}`);
    expect(v.fullscript.ledger('Washington')).toMatchObject([
      { id, firstListedAt: startAt + 5, timesListed: 2, firstRetrievedAt: startAt + 10, timesRetrieved: 1 },
    ]);
    expect(v.fullscript.ledger('New York')).toEqual([]);
  });

  for (const name of ['connection-dropped', 'truncated-json', 'html-error', 'item-without-id'] as const) {
    test(`does not count what ${name} kept from the reader`, () => {
      const v = vendor();
      v.fullscript.addEvent({ clinic: 'Washington', type: 'order.placed' });
      v.fullscript.faults.switchOn({
        name,
        times: 1,
        ...(name === 'connection-dropped' ? { point: 'during' } : {}),
      });
      v.get('/api/events/orders');
      expect(v.fullscript.ledger()[0]?.firstListedAt).toBeNull();
      v.get('/api/events/orders');
      expect(v.fullscript.ledger()[0]?.firstListedAt).toBe(startAt);
    });
  }
});

describe('the limit', () => {
  test('is 5,000 requests in any five minutes, over all endpoints; the next ones get 429', async () => {
    const v = vendor();
    for (let i = 0; i < 4_999; i += 1) v.get('/api/clinic', i % 2 === 0 ? newYork : undefined);
    await v.clock.advance(60_000);
    expect(v.refresh('sandbox-refresh-washington').status).toBe(200);
    const refused = v.get('/api/events/orders');
    expect([refused.status, refused.headers['retry-after']]).toEqual([429, undefined]);
    expect(v.fullscript.requests()).toMatchObject({ inWindow: 5_000, violations: 1, all: 5_001 });
    await v.clock.advance(240_000 - 1);
    expect(v.get('/api/clinic').status).toBe(429);
    await v.clock.advance(1);
    expect(v.get('/api/clinic').status).toBe(200);
    expect(v.fullscript.requests().inWindow).toBe(2);
  });

  test('spends no token and no fault on what it refuses', () => {
    const v = vendor({ limit: { requests: 1, windowMs: 1000 } });
    v.fullscript.faults.switchOn({ name: 'error-status', times: 1 });
    expect([v.get('/api/clinic').status, v.get('/api/clinic').status]).toEqual([500, 429]);
  });
});

test('every answer carries a request id and the vendor’s date', () => {
  const { headers } = vendor().get('/api/nowhere');
  expect(headers.date).toBe('Fri, 20 Nov 2026 12:00:00 GMT');
  expect(headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
});
