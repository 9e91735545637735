import { describe, expect, test } from 'vitest';
import { createEventsApi } from '../../src/source/events-api.ts';
import type { VendorAnswer, VendorRequest } from '../../src/source/vendor-http.ts';
import { simulatedClock } from '../world/clock.ts';

const vendorNow = Date.parse('2026-11-22T12:00:00Z');

function answered(text: string | Buffer, changes: object = {}): VendorAnswer {
  const body = Buffer.from(text);
  return { kind: 'answered', status: 200, body, vendorNow, retryAfter: undefined, ...changes };
}

/** The API over a vendor that gives one answer to everything. */
function apiThatGets(answer: VendorAnswer) {
  const asked: VendorRequest[] = [];
  const http = async (request: VendorRequest) => {
    asked.push(request);
    return answer;
  };
  return { api: createEventsApi(http, 'https://vendor.test/api', simulatedClock(vendorNow)), asked };
}

const list = { category: 'orders', afterDay: '2026-11-19', page: 3 };
const aHundred = Array.from({ length: 100 }, (_, index) => ({ id: `e-${index}` }));

test('a list is asked for oldest first, after a day, a hundred at a time', async () => {
  const { api, asked } = apiThatGets(answered('{"events":[]}'));
  await api.list('at-1', list);
  const [request] = asked;
  expect(request).toMatchObject({ method: 'GET', accessToken: 'at-1' });
  expect(request?.url).toContain('created_at=%3E2026-11-19&');
  expect(Object.fromEntries(new URL(request?.url ?? '').searchParams)).toEqual({
    created_at: '>2026-11-19',
    sort_by: 'created_at',
    order_by: 'ASC',
    'page[number]': '3',
    'page[size]': '100',
  });
});

test('a category that the configuration places elsewhere is asked for there, with its words beside the relay’s own', async () => {
  const asked: string[] = [];
  const http = async ({ url }: VendorRequest) => {
    asked.push(url);
    return answered('{"events":[]}');
  };
  const lists = {
    shipments: { path: '/v2/fulfillments', query: { event_type: 'shipped', order_by: 'DESC' } },
    orders: { query: { event_type: 'order.placed' } },
  };
  const api = createEventsApi(http, 'https://vendor.test/api', simulatedClock(vendorNow), lists);
  for (const category of ['shipments', 'orders', 'constructor'])
    await api.list('at-1', { ...list, category });
  expect(asked.map((url) => new URL(url).pathname)).toEqual([
    '/api/v2/fulfillments',
    '/api/events/orders',
    '/api/events/constructor',
  ]);
  const said = new URL(asked[0] ?? '').searchParams;
  expect([said.get('event_type'), said.get('order_by')]).toEqual(['shipped', 'ASC']);
});

describe('the page that follows', () => {
  for (const { meta, items, nextPage, because } of [
    { meta: { next_page: 4 }, items: 1, nextPage: 4, because: 'the vendor names it' },
    { meta: { next_page: null }, items: 100, nextPage: null, because: 'the vendor says that it is the last' },
    { meta: { next_page: '4' }, items: 1, nextPage: 4, because: 'a number in quotes is a number' },
    { meta: {}, items: 100, nextPage: 4, because: 'nothing is said, and any page may have a successor' },
    { meta: undefined, items: 100, nextPage: 4, because: 'there is no meta, and the page is full' },
    {
      meta: undefined,
      items: 1,
      nextPage: 4,
      because: 'there is no meta, and pages may be smaller than asked',
    },
    { meta: undefined, items: 0, nextPage: null, because: 'there is no meta, and nothing on the page' },
    { meta: { next_page: 4.5 }, items: 100, nextPage: 4, because: 'no page has that number' },
  ]) {
    test(`after page 3 is ${nextPage}: ${because}`, async () => {
      const text = JSON.stringify({ events: aHundred.slice(0, items), meta });
      const page = await apiThatGets(answered(text)).api.list('at-1', list);
      expect(page).toMatchObject({ kind: 'page', nextPage, vendorNow });
    });
  }
});

describe('an item', () => {
  for (const { item, id, because } of [
    { item: '"e-1"', id: 'e-1', because: 'a bare string is an id' },
    { item: '{"id":"e-1"}', id: 'e-1', because: 'the id is all that is promised' },
    {
      item: '{"id":12}',
      id: null,
      because: 'a number might lose digits, and names nothing that can be asked for',
    },
    { item: '{"id":""}', id: null, because: 'it is empty' },
    { item: '{"id":null}', id: null, because: 'it is null' },
    { item: '{"name":"e-1"}', id: null, because: 'it is missing' },
    { item: '7', id: null, because: 'the item is no object' },
    { item: 'null', id: null, because: 'there is no item' },
    { item: '{"__proto__":{"id":"e-1"}}', id: null, because: 'an own key only counts' },
    { item: '{"id":".."}', id: null, because: 'in a URL it would lead to another page' },
    { item: '{"id":"\\ud800"}', id: null, because: 'half a surrogate pair has no form in a URL' },
    { item: '{"id":"a/../b\\n"}', id: 'a/../b\n', because: 'odd as it is, it can be escaped' },
    {
      item: `{"x":${'['.repeat(20_000)}${']'.repeat(20_000)}}`,
      id: null,
      because: 'it is deep, and has none',
    },
  ]) {
    test(`${item.slice(0, 30)} has the id ${JSON.stringify(id)}: ${because}`, async () => {
      const page = await apiThatGets(answered(`{"events":[${item},"e-2"]}`)).api.list('at-1', list);
      expect(page).toMatchObject({ kind: 'page', items: [{ id }, { id: 'e-2' }] });
      if (page.kind === 'page' && id === null) expect(page.items[0]?.digest).toMatch(/^[0-9a-f]{64}$/);
    });
  }

  test('tells its type, date and clinic when it can, and no more than that', async () => {
    const items = [
      { id: 'a', type: 'order.placed', created_at: '2026-11-22T10:00:00.000Z', clinic_id: 'c-1' },
      { id: 'b', type: 5, created_at: 'yesterday', clinic_id: null },
    ];
    const page = await apiThatGets(answered(JSON.stringify({ events: items }))).api.list('at-1', list);
    expect(page).toMatchObject({
      items: [
        { id: 'a', type: 'order.placed', createdAt: vendorNow - 2 * 3_600_000, clinicId: 'c-1' },
        { id: 'b', type: null, createdAt: null, clinicId: null },
      ],
    });
  });

  for (const createdAt of ['2026-12-31T23:59:60Z', '2026-12-31T23:59:60.999+00:00']) {
    test(`case 198: ${createdAt}, a leap second, is read as no date, and the item and its event are kept`, async () => {
      const event = `{"id":"e-1","type":"order.placed","created_at":"${createdAt}"}`;
      const page = await apiThatGets(answered(`{"events":[${event}]}`)).api.list('at-1', list);
      expect(page).toMatchObject({ items: [{ id: 'e-1', type: 'order.placed', createdAt: null }] });
      const retrieved = await apiThatGets(answered(`{"event":${event}}`)).api.retrieve('at-1', 'e-1');
      expect(retrieved).toMatchObject({ kind: 'event', body: event, createdAt: null });
    });
  }
});

describe('a retrieval', () => {
  test('an id stays one segment of the path, whatever is in it', async () => {
    const { api, asked } = apiThatGets(answered('{}'));
    await api.retrieve('at-1', 'a/../b?c#d%2e\n é');
    const url = new URL(asked[0]?.url ?? '');
    expect(url.pathname.split('/')).toHaveLength(4);
    expect(url.search + url.hash).toBe('');
    expect(decodeURIComponent(url.pathname.split('/')[3] ?? '')).toBe('a/../b?c#d%2e\n é');
  });

  const body = '{ "id":"e-1", "n":12345678901234567890, "x":10.0,"s":"\\u00e9\\/", "type":"order.placed" }';
  for (const text of [`{"event":${body}}`, `{"event_payload":{"event":${body}},"v":1}`, `  ${body}\n`]) {
    test(`the event is cut out of ${text.slice(0, 18)}… byte for byte`, async () => {
      const event = await apiThatGets(answered(text)).api.retrieve('at-1', 'e-1');
      expect(event).toMatchObject({
        kind: 'event',
        body,
        type: 'order.placed',
        createdAt: null,
        clinicId: null,
      });
    });
  }

  for (const { text, because } of [
    { text: '{"event":{"id":"e-2","type":"order.placed"}}', because: 'it is another event' },
    { text: '{"event":null}', because: 'there is none' },
    { text: '[]', because: 'it is a list' },
    { text: '<!doctype html>', because: 'it is a page for people' },
    { text: '{"event":{"id":"e-1"', because: 'it ends too early' },
    { text: Buffer.from([0x22, 0xff, 0x22]), because: 'its bytes are no UTF-8' },
  ]) {
    test(`is unreadable when ${because}`, async () => {
      expect(await apiThatGets(answered(text)).api.retrieve('at-1', 'e-1')).toMatchObject({
        kind: 'unreadable',
      });
    });
  }

  for (const { status, kind } of [
    { status: 400, kind: 'rejected' },
    { status: 401, kind: 'unauthorized' },
    { status: 403, kind: 'forbidden' },
    { status: 404, kind: 'notFound' },
    { status: 410, kind: 'rejected' },
    { status: 429, kind: 'limited' },
    { status: 503, kind: 'limited' },
    { status: 204, kind: 'unavailable' },
    { status: 302, kind: 'unavailable' },
    { status: 500, kind: 'unavailable' },
    { status: 502, kind: 'unavailable' },
  ]) {
    test(`status ${status} is ${kind}, whatever the body says`, async () => {
      const answer = answered('{"event":{"id":"e-1"}}', { status });
      expect(await apiThatGets(answer).api.retrieve('at-1', 'e-1')).toMatchObject({ kind });
    });
  }

  test('of more bytes than the relay takes is told apart from one that may pass', async () => {
    const { api } = apiThatGets({ kind: 'tooLarge', bytesMax: 10 });
    expect(await api.retrieve('at-1', 'e-1')).toMatchObject({ kind: 'tooLarge' });
    expect(await api.list('at-1', list)).toMatchObject({ kind: 'unavailable' });
  });
});

test('Retry-After is read as seconds or as a date', async () => {
  for (const [retryAfter, retryAfterMs] of [
    ['30', 30_000],
    ['Sun, 22 Nov 2026 12:01:00 GMT', 60_000],
    ['soon', null],
    [undefined, null],
  ] as const) {
    const answer = answered('', { status: 429, retryAfter });
    expect(await apiThatGets(answer).api.list('at-1', list)).toEqual({
      kind: 'limited',
      status: 429,
      retryAfterMs,
    });
  }
});

test('the clinic of a token is taken with or without its wrapper, and only with an id', async () => {
  for (const [text, expected] of [
    ['{"clinic":{"id":"c-1","name":"Elm"}}', { kind: 'clinic', id: 'c-1', name: 'Elm', vendorNow }],
    ['{"id":"c-1"}', { kind: 'clinic', id: 'c-1', name: 'c-1', vendorNow }],
    ['{"clinic":{"name":"Elm"}}', { kind: 'unavailable' }],
    ['<html>', { kind: 'unavailable' }],
  ] as const) {
    expect(await apiThatGets(answered(text)).api.clinic('at-1')).toMatchObject(expected);
  }
});
