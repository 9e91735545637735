import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { aClinic, anEvent, aSubscriber, furnished, record } from '../store/fixtures.ts';
import { type ApiUnderTest, admin, apiUnderTest, ehr, stranger, tokenFor } from './relay.ts';

let api: ApiUnderTest;
beforeEach(async () => {
  api = await apiUnderTest();
  await furnished(api.store, aSubscriber('sub_1', { owner: 'ehr', eventTypes: ['order.*'] }));
});

interface Listener {
  readonly status: number;
  readonly headers: Headers;
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
    headers: response.headers,
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

test('proxies on the way are asked to pass on each message as it comes, uncompressed', async () => {
  const { headers } = await listening();
  expect(headers.get('x-accel-buffering')).toBe('no');
  expect(headers.get('cache-control')).toBe('no-store, no-transform');
});

test('streams end when the relay stops', async () => {
  const listener = await listening();
  api.closing.abort();
  await listener.ended;
});

/** Begins to listen and does not read. */
async function opened(token: string): Promise<{ status: number; leave(): void }> {
  const connection = new AbortController();
  onTestFinished(() => connection.abort());
  const headers = { authorization: `Bearer ${token}` };
  const { status } = await fetch(`${api.url}/v1/listen`, { headers, signal: connection.signal });
  return { status, leave: () => connection.abort() };
}

test('only so many may listen at once, so many of one subject, and whoever leaves makes room', async () => {
  const first = await opened(ehr);
  for (let n = 1; n < 16; n++) expect((await opened(ehr)).status).toBe(200);
  expect((await opened(ehr)).status).toBe(429);
  for (let n = 0; n < 16; n++) {
    expect((await opened(tokenFor(`s${n % 4}`, 'read'))).status, `listener ${n}`).toBe(200);
  }
  expect((await opened(admin)).status).toBe(429);
  first.leave();
  let status = 429;
  for (let n = 0; n < 50 && status === 429; n++) {
    await api.clock.advance(500);
    status = (await opened(admin)).status;
  }
  expect(status).toBe(200);
});

test('HEAD shows what the answer would be and ends, so that the next request on its connection is answered', async () => {
  const { hostname, port } = new URL(api.url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  let heard = '';
  socket.setEncoding('utf8').on('data', (text) => {
    heard += text;
  });
  const headers = `host: ${hostname}\r\nauthorization: Bearer ${ehr}\r\n\r\n`;
  socket.write(`HEAD /v1/listen HTTP/1.1\r\n${headers}GET /healthz HTTP/1.1\r\n${headers}`);
  await expect.poll(() => heard).toContain('{"status":"ok"}');
  expect(heard).toContain('text/event-stream');
});

test('however many events come, a stream keeps no more timers than before the first', async () => {
  const listener = await listening();
  await listener.look();
  const { waiting } = api.clock;
  for (let n = 0; n < 5; n++) {
    await record(
      api.store,
      Array.from({ length: 100 }, (_, each) => anEvent(`e${n}-${each}`)),
    );
    await listener.look();
  }
  await expect.poll(() => listener.ids()).toHaveLength(500);
  expect(api.clock.waiting).toBe(waiting);
});

test('an event that two clinics list is heard in both by an admin, and by its subscriber where it is owed', async () => {
  await api.store.saveClinic(aClinic('clinic-2', 'New York'));
  await api.store.follow('clinic-2', [{ category: 'orders', startAt: 0 }]);
  const [own, all] = [await listening('', { token: ehr }), await listening()];
  await record(api.store, [anEvent('e1')]);
  await record(api.store, [anEvent('e1')], 'clinic-2');
  await own.look();
  expect([own.ids(), all.ids()]).toEqual([['e1'], ['e1', 'e1']]);
});

test('a listener who hears nothing of a long log lets others have their turn, and asks once for many events whose they are', async () => {
  for (let n = 0; n < 20; n++) {
    await record(
      api.store,
      Array.from({ length: 100 }, (_, each) => anEvent(`e${n}-${each}`)),
    );
  }
  const subscribers = vi.spyOn(api.store, 'subscribers');
  let turns = 0;
  let listener: Listener | undefined;
  const all = new Promise<void>((resolve) => {
    const turn = () => {
      turns += 1;
      if ((listener?.messages.length ?? 0) >= 20) resolve();
      else setImmediate(turn);
    };
    turn();
  });
  listener = await listening('?since=2026-11-22T00:00:00Z', { token: stranger });
  await all;
  expect(listener.ids()).toEqual([]);
  // One for each batch, beside what the request and its answer took.
  expect(turns).toBeGreaterThanOrEqual(20);
  expect(subscribers.mock.calls.length).toBeLessThanOrEqual(30);
});

test('whoever takes nothing for a minute is cut off, having been kept waiting and not been kept in memory', async () => {
  const body = JSON.stringify({ id: 'e', text: 'x'.repeat(900_000) });
  await record(
    api.store,
    Array.from({ length: 40 }, (_, n) => anEvent(`e${n}`, { body })),
  );
  const headers = { authorization: `Bearer ${admin}` };
  const asked = request(`${api.url}/v1/listen?since=2026-11-22T00:00:00Z`, { headers }).end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  answer.pause();
  const cut = once(answer, 'error');
  for (let n = 0; n < 100; n++) {
    await api.clock.advance(5_000);
    await api.ask('GET', '/healthz', { token: null });
  }
  let read = 0;
  answer.on('data', (bytes: Buffer) => {
    read += bytes.length;
  });
  answer.resume();
  await cut;
  // What lies in the sockets' buffers is all that was written.
  expect(read).toBeLessThan(20_000_000);
});

test('whoever reads slowly gets a large event whole: it is not cut off for as long as it takes some of it', async () => {
  const body = JSON.stringify({ id: 'e1', text: 'x'.repeat(8_000_000) });
  await record(api.store, [anEvent('e1', { body })]);
  const headers = { authorization: `Bearer ${admin}` };
  const asked = request(`${api.url}/v1/listen?since=2026-11-22T00:00:00Z`, { headers }).end();
  onTestFinished(() => void asked.destroy());
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  const startedAt = api.clock.now();
  let text = '';
  for await (const bytes of answer.setEncoding('latin1')) {
    text += bytes;
    if (text.includes('event: position')) break;
    await api.clock.advance(1_000);
  }
  expect(api.clock.now() - startedAt).toBeGreaterThan(90_000);
  const { bodyBase64 } = JSON.parse(/^data: (.+)$/m.exec(text)?.[1] ?? '');
  expect(Buffer.from(bodyBase64, 'base64').toString()).toBe(body);
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
