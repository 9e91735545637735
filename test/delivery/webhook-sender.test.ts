import { getEventListeners } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Clock, systemClock } from '../../src/clock.ts';
import { createWebhookSender } from '../../src/delivery/webhook-sender.ts';
import { simulatedClock } from '../world/clock.ts';
import { http } from './peer.ts';
import { hostile, openGuard, request, sender, told } from './sending.ts';
import { tlsFiles } from './tls-files.ts';

/** An ordinary server; it answers 200 and tells what it saw. */
async function receiver() {
  const seen: { headers: IncomingHttpHeaders; rawHeaders: string[]; url: string; body: string }[] = [];
  const server = createServer((incoming, answer) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const { headers, rawHeaders, url = '' } = incoming;
      seen.push({ headers, rawHeaders, url, body: Buffer.concat(chunks).toString() });
      answer.end('thanks');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { seen, port: (server.address() as AddressInfo).port };
}

describe('an ordinary POST', () => {
  test('arrives byte for byte, with its headers, its path and its query', async () => {
    const { seen, port } = await receiver();
    const body = Buffer.from('{"event":{"name":"Zoë","n":1.0}}');
    const headers = { 'Content-Type': 'application/json', 'relay-delivery-id': 'dlv_1' };
    const result = await sender().post(
      request(`http://127.0.0.1:${port}/a%20b?c=d&e=%2F`, { body, headers }),
    );
    expect(result).toMatchObject({
      kind: 'answered',
      status: 200,
      isTruncated: false,
      reusedConnection: false,
    });
    expect(result.kind === 'answered' && result.answer.toString()).toBe('thanks');
    expect(seen).toHaveLength(1);
    expect(seen[0]).toMatchObject({ url: '/a%20b?c=d&e=%2F', body: body.toString() });
    expect(seen[0]?.headers).toMatchObject({
      host: `127.0.0.1:${port}`,
      'content-type': 'application/json',
      'content-length': String(body.length),
      'accept-encoding': 'identity',
      'relay-delivery-id': 'dlv_1',
    });
  });

  test('without a body says so', async () => {
    const { seen, port } = await receiver();
    await sender().post(request(`http://127.0.0.1:${port}/`, { body: Buffer.alloc(0) }));
    expect(seen[0]?.headers['content-length']).toBe('0');
    expect(seen[0]?.headers['transfer-encoding']).toBeUndefined();
  });

  test('keeps its connection for the next one', async () => {
    const peer = await hostile({ onRequest: (socket) => socket.write(http(200, 'ok')) });
    const { post, connectionUse } = sender();
    const reused = [];
    for (let n = 0; n < 3; n += 1) {
      const result = await post(request(peer));
      reused.push(result.kind === 'answered' && result.reusedConnection);
    }
    expect(reused).toEqual([false, true, true]);
    expect(connectionUse()).toEqual({ answered: 3, reused: 2 });
    expect(peer.connections()).toBe(1);
  });

  test('over TLS checks the certificate, and keeps its connection too', async () => {
    const peer = await hostile({
      tls: { key: tlsFiles.key, cert: tlsFiles.localhost },
      onRequest: (socket) => socket.write(http(200, 'ok')),
    });
    const { post } = sender(openGuard(), [tlsFiles.localhost]);
    const url = `https://hooks.example:${peer.port}/hook`;
    expect(told(await post(request(url)))).toBe('200');
    expect(await post(request(url))).toMatchObject({ status: 200, reusedConnection: true });
    expect(peer.connections()).toBe(1);
  });

  test('leaves the headers of the connection to the sender', async () => {
    const { seen, port } = await receiver();
    const headers = {
      Host: 'internal.example',
      'Content-Length': '3',
      'Transfer-Encoding': 'chunked',
      Connection: 'upgrade, x-kept',
      Upgrade: 'websocket',
      TE: 'trailers',
      Expect: '100-continue',
      'Proxy-Authorization': 'Basic x',
      'Accept-Encoding': 'br',
      'x-kept': 'yes',
    };
    expect(told(await sender().post(request(`http://127.0.0.1:${port}/`, { headers })))).toBe('200');
    expect(seen[0]?.headers).toEqual({
      host: `127.0.0.1:${port}`,
      connection: 'keep-alive',
      'content-length': '12',
      'accept-encoding': 'identity',
      'x-kept': 'yes',
    });
  });

  test('that cannot be written down is a fault of this machine, not the subscriber’s', async () => {
    const { post } = sender();
    for (const headers of [{ 'x-a': 'b\r\nx-c: d' }, { 'x a': 'b' }, { '': 'b' }, { 'x-a': 'π' }]) {
      expect(told(await post(request('http://127.0.0.1:9999/', { headers })))).toMatch(/^local ERR_/);
    }
  });

  test('tells Retry-After and Location, and neither when it came twice', async () => {
    const answers = [
      http(503, '', { 'Retry-After': '120' }),
      'HTTP/1.1 503 Busy\r\nretry-after: 1\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n',
      http(302, '', { location: `https://elsewhere.example/${'x'.repeat(2000)}` }),
    ];
    const peer = await hostile({ onRequest: (socket, number) => socket.write(answers[number - 1] ?? '') });
    const { post } = sender();
    expect(await post(request(peer))).toMatchObject({ status: 503, retryAfter: '120', location: undefined });
    expect(await post(request(peer))).toMatchObject({ status: 503, retryAfter: undefined });
    const redirect = await post(request(peer));
    expect(redirect.kind === 'answered' && redirect.location?.length).toBe(512);
  });
});

describe('an exchange that is ended from here', () => {
  test('before it began sends nothing', async () => {
    const peer = await hostile({});
    expect(await sender().post(request(peer, { signal: AbortSignal.abort() }))).toEqual({
      kind: 'interrupted',
    });
    expect(peer.connections()).toBe(0);
  });

  test('while it waits is interrupted at once, and its connection is gone', async () => {
    const stop = new AbortController();
    const peer = await hostile({ onRequest: () => stop.abort() });
    expect(await sender().post(request(peer, { signal: stop.signal }))).toEqual({ kind: 'interrupted' });
    await peer.until(() => peer.open() === 0);
  });

  test('many exchanges may share a signal, and put one listener on it', async () => {
    const warnings: Error[] = [];
    const note = (warning: Error) => warnings.push(warning);
    process.on('warning', note);
    onTestFinished(() => void process.off('warning', note));
    const peer = await hostile({ onRequest: (socket) => socket.write(http(204)) });
    const { signal } = new AbortController();
    const { post } = sender();
    const results = await Promise.all(Array.from({ length: 40 }, () => post(request(peer, { signal }))));
    await new Promise((resolve) => setImmediate(resolve));
    expect(results.map(told)).toEqual(Array(40).fill('204'));
    expect(warnings).toEqual([]);
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  });
});

describe('one deadline covers the whole exchange, and its phase is told', () => {
  test('case 78: dns, when the name servers never answer; a late answer dials nothing', async () => {
    const peer = await hostile({});
    let answer = (_addresses: readonly string[]): void => {};
    const { post } = sender(openGuard(() => new Promise((resolve) => (answer = resolve))));
    const result = await post(request(`http://slow.example:${peer.port}/`, { timeoutMs: 60 }));
    expect(result).toEqual({ kind: 'timedOut', phase: 'dns', timeoutMs: 60 });
    answer(['127.0.0.1']);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(peer.connections()).toBe(0);
  });

  test('case 89: tls, when the handshake never ends', async () => {
    const peer = await hostile({});
    const result = await sender().post(request(`https://localhost:${peer.port}/`, { timeoutMs: 120 }));
    expect(told(result)).toBe('timedOut tls');
    await peer.until(() => peer.open() === 0);
  });

  test('case 95: send, when nobody reads our body', async () => {
    const peer = await hostile({ onConnection: (socket) => socket.pause() });
    const result = await sender().post(request(peer, { body: Buffer.alloc(32 << 20), timeoutMs: 300 }));
    expect(told(result)).toBe('timedOut send');
    await peer.close();
  });

  test('headers, when nobody answers; on a kept connection as well', async () => {
    const peer = await hostile({ onRequest: (socket, number) => number === 1 && socket.write(http(200)) });
    const { post } = sender();
    expect(told(await post(request(peer)))).toBe('200');
    expect(told(await post(request(peer, { timeoutMs: 80 })))).toBe('timedOut headers');
    await peer.until(() => peer.open() === 0);
    expect(peer.connections()).toBe(1);
  });

  test('body, when it is awaited and does not end', async () => {
    const peer = await hostile({
      onRequest: (socket) => socket.write(http(200, 'x', { 'content-length': '9' })),
    });
    const result = await sender().post(request(peer, { timeoutMs: 80, needsAnswerBody: true }));
    expect(told(result)).toBe('timedOut body');
    await peer.until(() => peer.open() === 0);
  });

  test('a body that decides nothing is cut off by it, and the status stands', async () => {
    const peer = await hostile({
      onRequest: (socket) => socket.write(http(200, 'x', { 'content-length': '9' })),
    });
    expect(told(await sender().post(request(peer, { timeoutMs: 80 })))).toBe('200 truncated');
    await peer.until(() => peer.open() === 0);
  });

  test('an answer that came while the process was held up still counts', async () => {
    const clock = simulatedClock(0);
    const peer = await hostile({
      onRequest(socket) {
        socket.write(http(200));
        void clock.advance(2_000);
      },
    });
    const { post, close } = createWebhookSender({ guard: openGuard(), clock });
    onTestFinished(close);
    expect(told(await post(request(peer)))).toBe('200');
    expect(told(await post(request(peer)))).toBe('200');
    expect(peer.connections()).toBe(1);
  });
});

test('no timer outlives its exchange', async () => {
  const clock = systemClock();
  let running = 0;
  const counting: Clock = {
    ...clock,
    after(delayMs, then) {
      running += 1;
      const cancel = clock.after(delayMs, then);
      return () => {
        running -= 1;
        cancel();
      };
    },
  };
  const peer = await hostile({
    onRequest: (socket, number) => (number < 3 ? socket.write(http(200)) : socket.end('no HTTP')),
  });
  const { post, close } = createWebhookSender({ guard: openGuard(), clock: counting });
  const results = [];
  for (const needsAnswerBody of [true, false, false])
    results.push(await post(request(peer, { needsAnswerBody })));
  expect(results.map(told)).toEqual(['200', '200', 'badResponse HPE_INVALID_CONSTANT']);
  expect(running).toBe(0);
  close();
});

describe('a kept connection that the other side closed', () => {
  test('case 97: in the moment of reuse, the POST is sent once more on a fresh one', async () => {
    const peer = await hostile({
      onRequest: (socket, number) => (number === 1 ? socket.write(http(200)) : socket.resetAndDestroy()),
    });
    const { post } = sender();
    await post(request(peer));
    expect(await post(request(peer))).toMatchObject({ status: 200, reusedConnection: false });
    expect(peer.connections()).toBe(2);
  });

  test('case 97: with a FIN, over TLS, likewise', async () => {
    const peer = await hostile({
      tls: { key: tlsFiles.key, cert: tlsFiles.localhost },
      onRequest: (socket, number) => (number === 1 ? socket.write(http(200)) : socket.end()),
    });
    const { post } = sender(openGuard(), [tlsFiles.localhost]);
    const url = `https://localhost:${peer.port}/`;
    await post(request(url));
    expect(told(await post(request(url)))).toBe('200');
    expect(peer.connections()).toBe(2);
  });

  test('case 97: when all kept ones are stale, one is tried, then a fresh one', async () => {
    let requests = 0;
    const peer = await hostile({
      onRequest: (socket, number) => {
        requests += 1;
        if (number === 1) socket.write(http(200));
        else socket.resetAndDestroy();
      },
    });
    const { post } = sender();
    await Promise.all([post(request(peer)), post(request(peer)), post(request(peer))]);
    expect(told(await post(request(peer)))).toBe('200');
    expect(requests).toBe(5);
    expect(peer.connections()).toBe(4);
  });

  test('but not if anything was answered', async () => {
    const peer = await hostile({
      onRequest: (socket, number) => (number === 1 ? socket.write(http(200)) : socket.end('HTTP/1.1 20')),
    });
    const { post } = sender();
    await post(request(peer));
    expect(told(await post(request(peer)))).toMatch(/^reset |^badResponse /);
    expect(peer.connections()).toBe(1);
  });

  test('and only once: the fresh connection’s end is the result', async () => {
    let requests = 0;
    const peer = await hostile({
      onRequest: (socket) => {
        requests += 1;
        if (requests === 1) socket.write(http(200));
        else socket.resetAndDestroy();
      },
    });
    const { post } = sender();
    await post(request(peer));
    expect(told(await post(request(peer)))).toBe('reset ECONNRESET');
    expect(peer.connections()).toBe(2);
    expect(requests).toBe(3);
  });

  test('one that speaks while it is idle is closed and not used again', async () => {
    const peer = await hostile({
      onRequest: (socket) => {
        socket.write(http(200));
        setTimeout(() => socket.write(http(200, 'planted')), 20);
      },
    });
    const { post } = sender();
    await post(request(peer));
    await peer.until(() => peer.open() === 0);
    expect(await post(request(peer))).toMatchObject({ status: 200, reusedConnection: false });
  });
});
