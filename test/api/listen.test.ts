import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { anEvent, aSubscriber, furnished, record } from '../store/fixtures.ts';
import { type ApiUnderTest, admin, apiUnderTest, ehr, stranger, tokenFor } from './relay.ts';

let api: ApiUnderTest;
beforeEach(async () => {
  api = await apiUnderTest();
  await furnished(api.store, aSubscriber('sub_1', { owner: 'ehr', eventTypes: ['order.*'] }));
});

interface Listener {
  readonly status: number;
  readonly messages: EventSourceMessage[];
  readonly comments: string[];
  /** Ids of the events that came. */
  ids(): readonly string[];
  /** Lets the relay look `times` times, and what it wrote come in. */
  look(times?: number): Promise<void>;
  readonly ended: Promise<void>;
}

async function listening(
  query = '',
  { token = admin, headers = {} }: { token?: string; headers?: Record<string, string> } = {},
): Promise<Listener> {
  const connection = new AbortController();
  onTestFinished(() => connection.abort());
  const response = await fetch(`${api.url}/v1/listen${query}`, {
    headers: { authorization: `Bearer ${token}`, ...headers },
    signal: connection.signal,
  });
  const messages: EventSourceMessage[] = [];
  const comments: string[] = [];
  const parser = createParser({
    onEvent: (message) => messages.push(message),
    onComment: (comment) => comments.push(comment),
  });
  const read = async () => {
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? []) parser.feed(decoder.decode(bytes, { stream: true }));
  };
  const ended = response.ok ? read().catch(() => {}) : Promise.resolve();
  return {
    status: response.status,
    messages,
    comments,
    ids: () => messages.filter(({ event }) => event === 'event').map(({ data }) => JSON.parse(data).id),
    async look(times = 4) {
      for (let n = 0; n < times; n++) {
        await api.clock.advance(500);
        // The answer crosses a real socket.
        await api.ask('GET', '/healthz', { token: null });
      }
    },
    ended,
  };
}

test('what is recorded comes with its exact bytes, and what was recorded before does not', async () => {
  await record(api.store, [anEvent('e1')]);
  const listener = await listening();
  const body = '{"id":"e2", "type":"order.placed","n":12345678901234567890,"s":"\\u00e9é"}';
  await record(api.store, [anEvent('e2', { body })]);
  await listener.look();
  expect(listener.ids()).toEqual(['e2']);
  const message = listener.messages.find(({ event }) => event === 'event');
  const { bodyBase64, ...rest } = JSON.parse(message?.data ?? '');
  expect(Buffer.from(bodyBase64, 'base64').toString()).toBe(body);
  expect(rest).toMatchObject({ id: 'e2', type: 'order.placed', clinicId: 'clinic-1' });
});

test('whoever comes back goes on after what it had last, by the query or by the header', async () => {
  const first = await listening();
  await record(api.store, [anEvent('e1'), anEvent('e2'), anEvent('e3')]);
  await first.look();
  expect(first.ids()).toEqual(['e1', 'e2', 'e3']);
  const at = first.messages.find(({ data }) => data.includes('"e1"'))?.id ?? '';
  await record(api.store, [anEvent('e4')]);
  const byQuery = await listening(`?after=${at}`);
  const byHeader = await listening('', { headers: { 'last-event-id': at } });
  await byQuery.look();
  expect(byQuery.ids()).toEqual(['e2', 'e3', 'e4']);
  expect(byHeader.ids()).toEqual(['e2', 'e3', 'e4']);
});

test('filters keep a listener to types, to a clinic and to a time', async () => {
  await record(api.store, [anEvent('e1'), anEvent('e2', { type: 'patient.created' })]);
  const since = '?since=2026-11-22T00:00:00Z';
  const all = await listening(since);
  const orders = await listening(`${since}&eventTypes=order.*,lab_order.updated`);
  const elsewhere = await listening(`${since}&clinicId=clinic-2`);
  const later = await listening('?since=2026-11-23T00:00:00Z');
  await all.look();
  expect([all.ids(), orders.ids(), elsewhere.ids(), later.ids()]).toEqual([['e1', 'e2'], ['e1'], [], []]);
});

test('a listener hears what its own subscribers are owed, and an admin everything that has a text', async () => {
  const [own, other, all] = [
    await listening('', { token: ehr }),
    await listening('', { token: stranger }),
    await listening(),
  ];
  await record(api.store, [
    anEvent('e1'),
    anEvent('e2', { subscriberIds: [] }),
    anEvent('e3', { isPast: true, body: null, subscriberIds: [] }),
  ]);
  await own.look();
  expect([own.ids(), other.ids(), all.ids()]).toEqual([['e1'], [], ['e1', 'e2']]);
});

for (const { query, status, code } of [
  { query: '?after=nonsense', status: 400, code: 'bad_position' },
  { query: '?after=7-00000000', status: 410, code: 'position_gone' },
  { query: '?eventTypes=Order', status: 400, code: 'invalid_query' },
  { query: '?since=yesterday', status: 400, code: 'invalid_query' },
  { query: '?limit=3', status: 400, code: 'invalid_query' },
]) {
  test(`${query} is refused before anything streams`, async () => {
    const answer = await api.ask('GET', `/v1/listen${query}`, { token: admin });
    expect(answer.status).toBe(status);
    expect(answer.body.code).toBe(code);
  });
}

test('a quiet stream shows that it stands, and ends when its token was revoked', async () => {
  const token = tokenFor('operator', 'admin');
  const listener = await listening('', { token });
  let isOver = false;
  listener.ended.then(() => {
    isOver = true;
  });
  await listener.look(40);
  expect(isOver).toBe(false);
  expect(listener.comments).toEqual(['still there']);
  const { jti, exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
  await api.store.revokeToken(jti, exp * 1_000);
  await listener.look(40);
  await listener.ended;
});

test('streams end when the relay stops', async () => {
  const listener = await listening();
  api.closing.abort();
  await listener.ended;
});

test('only so many may listen at once, and whoever leaves makes room', async () => {
  const connections: AbortController[] = [];
  onTestFinished(() => {
    for (const connection of connections) connection.abort();
  });
  const open = async () => {
    const connection = new AbortController();
    connections.push(connection);
    const headers = { authorization: `Bearer ${admin}` };
    return (await fetch(`${api.url}/v1/listen`, { headers, signal: connection.signal })).status;
  };
  for (let n = 0; n < 32; n++) expect(await open()).toBe(200);
  expect(await open()).toBe(429);
  connections[0]?.abort();
  let status = 429;
  for (let n = 0; n < 50 && status === 429; n++) {
    await api.clock.advance(500);
    status = await open();
  }
  expect(status).toBe(200);
});

test('whoever goes in the middle of what it was sent takes up no place', async () => {
  const body = JSON.stringify({ id: 'e', text: 'x'.repeat(900_000) });
  await record(
    api.store,
    Array.from({ length: 3 }, (_, n) => anEvent(`e${n}`, { body })),
  );
  for (let n = 0; n < 34; n++) {
    const connection = new AbortController();
    const headers = { authorization: `Bearer ${admin}` };
    const url = `${api.url}/v1/listen?since=2026-11-22T00:00:00Z`;
    const { status } = await fetch(url, { headers, signal: connection.signal });
    expect(status, `listener ${n}`).toBe(200);
    connection.abort();
    await new Promise((resolve) => setImmediate(resolve));
    await api.ask('GET', '/healthz', { token: null });
  }
});
