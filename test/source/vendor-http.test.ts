import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { startSandbox } from '../../src/sandbox/server.ts';
import { createEventsApi } from '../../src/source/events-api.ts';
import { createVendorHttp, type VendorAnswer } from '../../src/source/vendor-http.ts';
import { tlsFiles } from '../delivery/tls-files.ts';

let server: Server | null = null;
const sockets = new Set<Socket>();

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
  server = null;
});

/** A vendor that answers every connection with these bytes, and goes on as told. */
async function answering(bytes: Buffer | string, isEnded = true): Promise<string> {
  server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write(bytes);
      if (isEnded) socket.end();
    });
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/clinic`;
}

const http = createVendorHttp({ userAgent: 'test', clock: systemClock(), timeoutMs: 500 });
const ask = (url: string): Promise<VendorAnswer> => http({ method: 'GET', url, accessToken: 'the-token' });

test('an answer comes back with its status, its bytes and the vendor’s moment', async () => {
  const url = await answering(
    'HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Length: 2\r\n\r\n{}',
  );
  expect(await ask(url)).toEqual({
    kind: 'answered',
    status: 200,
    body: Buffer.from('{}'),
    vendorNow: Date.parse('2026-11-22T12:00:00Z'),
    retryAfter: undefined,
  });
});

test('101 Switching Protocols ends at once', async () => {
  const url = await answering(
    'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
    false,
  );
  expect((await ask(url)).kind).toBe('unreachable');
});

for (const { bytes, because } of [
  { bytes: '', because: 'nothing is answered' },
  { bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfew', because: 'the body never ends' },
]) {
  test(`the deadline ends it when ${because}`, async () => {
    expect(await ask(await answering(bytes, false))).toEqual({ kind: 'unreachable', detail: 'timed out' });
  });
}

test('case 169: a gzip bomb is cut off at the cap', async () => {
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
  const head = `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${bomb.length}\r\n\r\n`;
  const url = await answering(Buffer.concat([Buffer.from(head), bomb]));
  expect((await ask(url)).kind).toBe('tooLarge');
});

test('case 173: a redirect is not followed, and the token goes nowhere', async () => {
  const url = await answering(
    'HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n',
  );
  expect(await ask(url)).toMatchObject({ kind: 'answered', status: 302 });
});

for (const { cert, code, because } of [
  { cert: tlsFiles.expired, code: 'CERT_HAS_EXPIRED', because: 'it has ended' },
  { cert: tlsFiles.localhost, code: 'DEPTH_ZERO_SELF_SIGNED_CERT', because: 'nobody vouches for it' },
]) {
  test(`case 174: a vendor whose certificate cannot be trusted is sent nothing: ${because}`, async () => {
    const requests: string[] = [];
    server = createHttpsServer({ key: tlsFiles.key, cert }, (request, response) => {
      requests.push(request.url ?? '');
      response.end('{}');
    });
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const answer = await ask(`https://127.0.0.1:${port}/api/clinic`);
    expect(answer).toEqual({ kind: 'unreachable', detail: code });
    expect(requests).toEqual([]);
  });
}

test('an error holds neither the token nor the address', async () => {
  const answer = await ask('http://127.0.0.1:1/api/clinic?secret=x');
  expect(answer).toEqual({ kind: 'unreachable', detail: 'ECONNREFUSED' });
});

test('the real API, over a real socket: the clinic, a list, an event', async () => {
  const sandbox = await startSandbox({ seed: 3 });
  try {
    const api = createEventsApi(http, `${sandbox.url}/api`, systemClock());
    const token = 'sandbox-access-washington';
    const event = sandbox.fullscript.addEvent({ clinic: 'Washington', type: 'order.placed' });
    expect(await api.clinic(token)).toMatchObject({ kind: 'clinic', name: 'Washington' });
    const page = await api.list(token, { category: 'orders', afterDay: '2020-01-01', page: 1 });
    expect(page).toMatchObject({ kind: 'page', items: [{ id: event.id }], nextPage: null });
    expect(await api.retrieve(token, event.id)).toMatchObject({ kind: 'event', body: event.text });
    expect(await api.clinic('nobody')).toEqual({ kind: 'unauthorized' });
  } finally {
    await sandbox.close();
  }
});

function listing(document: string) {
  const body = Buffer.from(document);
  const answer = { kind: 'answered', status: 200, body, vendorNow: null, retryAfter: undefined } as const;
  const api = createEventsApi(async () => answer, 'http://vendor/api', systemClock());
  return api.list('token', { category: 'orders', afterDay: '2026-01-01', page: 1 });
}

const full = JSON.stringify(Array.from({ length: 100 }, (_, index) => ({ id: `e${index}` })));

for (const { meta, nextPage, because } of [
  { meta: '{"next_page":2}', nextPage: 2, because: 'it is a number' },
  { meta: '{"next_page":"2"}', nextPage: 2, because: 'it is a number in quotes' },
  { meta: '{"next_page":null}', nextPage: null, because: 'null is the end' },
  { meta: '{}', nextPage: 2, because: 'a full page may have a successor' },
  { meta: '{"next_page":{}}', nextPage: 2, because: 'what cannot be read is no word about the end' },
]) {
  test(`after a full page with meta ${meta} page ${nextPage} is next: ${because}`, async () => {
    expect(await listing(`{"events":${full},"meta":${meta}}`)).toMatchObject({ nextPage });
  });
}

test('case 171: a list item 100,000 levels deep, or with half a surrogate for an id, stops nothing', async () => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  const page = await listing(
    `{"events":[{"id":"\\ud800"},{"x":${deep}},{"id":"good"}],"meta":{"next_page":null}}`,
  );
  expect(page).toMatchObject({ kind: 'page', items: [{ id: null }, { id: null }, { id: 'good' }] });
});
