import type { RequestListener } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { type RunningServer, type ServerOptions, startServer } from '../../src/api/server.ts';
import { simulatedClock } from '../world/clock.ts';
import { eventually, quiet } from '../world/eventually.ts';

const running: RunningServer[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) await server.close();
});

async function started(app: RequestListener, options: Partial<ServerOptions> = {}): Promise<RunningServer> {
  const server = await startServer(app, { host: '127.0.0.1', port: 0, ...options });
  running.push(server);
  return server;
}

const greets: RequestListener = (request, response) => {
  request.resume();
  request.once('end', () => response.end('hello'));
};

/** Everything that comes back on one connection until the server ends it. */
function exchange({ url }: RunningServer, ...pieces: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => {
      for (const piece of pieces) socket.write(piece);
    });
    socket.on('data', (data) => {
      answer += data;
    });
    socket.on('error', () => {});
    socket.once('close', () => resolve(answer));
  });
}

const quick = { headersTimeoutMs: 50, requestTimeoutMs: 100, keepAliveTimeoutMs: 50, checkEveryMs: 10 };
const statusLine = (answer: string) => answer.split('\r\n')[0];

describe('a client that is slow is let go', () => {
  for (const { pieces, because } of [
    { pieces: [], because: 'it sends nothing at all' },
    { pieces: ['GET / HTTP/1.1\r\nHost: x\r\nX-Drip: '], because: 'its head does not end' },
    {
      pieces: ['POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n1'],
      because: 'its body does not end',
    },
    {
      pieces: ['POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n'],
      because: 'its chunks do not end',
    },
  ]) {
    test(because, async () => {
      const server = await started(greets, { limits: quick });
      expect(statusLine(await exchange(server, ...pieces))).toBe('HTTP/1.1 408 Request Timeout');
    });
  }

  test('it asks once and stays', async () => {
    const server = await started(greets, { limits: quick });
    expect(statusLine(await exchange(server, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'))).toBe('HTTP/1.1 200 OK');
  });
});

describe('a request that could be read in two ways is refused and its connection closed', () => {
  for (const { request, because } of [
    { request: 'GET / HTTP/1.1\r\n\r\n', because: 'no Host' },
    { request: 'GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n', because: 'two Hosts' },
    { request: 'GET / HTTP/1.1\r\nHost: a\r\n folded\r\nBad\r\n\r\n', because: 'a header without a colon' },
    {
      request:
        'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      because: 'two ways of telling its length',
    },
    {
      request: 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n',
      because: 'a transfer coding after chunked',
    },
    {
      request: 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n1',
      because: 'two lengths',
    },
    { request: 'GET / HTTP/1.1\nHost: x\n\n', because: 'bare line feeds' },
    { request: 'FOO\r\n\r\n', because: 'no HTTP at all' },
    { request: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', because: 'the preface of HTTP/2' },
    { request: '\u0016\u0003\u0001\u0002', because: 'TLS on the plain port' },
  ]) {
    test(because, async () => {
      const seen: string[] = [];
      const server = await started((incoming, outgoing) => {
        seen.push(incoming.url ?? '');
        greets(incoming, outgoing);
      });
      expect(statusLine(await exchange(server, request))).toBe('HTTP/1.1 400 Bad Request');
      expect(seen.length).toBeLessThanOrEqual(1);
    });
  }

  test('a head of more than 8 KiB', async () => {
    const server = await started(greets);
    const answer = await exchange(server, `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(8_300)}\r\n\r\n`);
    expect(statusLine(answer)).toBe('HTTP/1.1 431 Request Header Fields Too Large');
  });

  test('CONNECT opens no tunnel', async () => {
    const server = await started(greets);
    expect(await exchange(server, 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n')).toBe('');
  });
});

test('more connections than there is room for are turned away, and those inside are answered', async () => {
  const server = await started(greets, { limits: { connectionsMax: 1 } });
  const inside = connect(Number(new URL(server.url).port), '127.0.0.1');
  await new Promise((resolve) => inside.once('connect', resolve));
  await quiet(20);
  expect(await exchange(server, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')).toBe('');
  inside.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  const answer = await new Promise<string>((resolve) =>
    inside.once('data', (data) => resolve(data.toString())),
  );
  expect(statusLine(answer)).toBe('HTTP/1.1 200 OK');
  inside.destroy();
});

describe('it closes tidily', () => {
  test('a request under way is answered first, and nobody new is let in', async () => {
    let finish: (() => void) | null = null;
    const server = await started((_request, response) => {
      finish = () => response.end('done');
    });
    const asked = fetch(server.url);
    await eventually(() => finish !== null);
    const closed = server.close();
    await expect(fetch(server.url)).rejects.toThrow();
    (finish as (() => void) | null)?.();
    expect(await (await asked).text()).toBe('done');
    await closed;
  });

  test('after ten seconds what is still under way is cut off', async () => {
    const clock = simulatedClock(0);
    let isAsked = false;
    const server = await started(
      () => {
        isAsked = true;
      },
      { clock },
    );
    const asked = fetch(server.url).then(
      () => 'answered',
      () => 'cut off',
    );
    await eventually(() => isAsked);
    const closed = server.close();
    await clock.advance(10_000);
    expect(await asked).toBe('cut off');
    await closed;
    expect(server.close()).toBe(closed);
  });
});

describe('an address that cannot be had is an error that names the setting', () => {
  test('the port is taken', async () => {
    const { url } = await started(greets);
    await expect(started(greets, { port: Number(new URL(url).port) })).rejects.toMatchObject({
      code: 'cannot_listen',
      hint: expect.stringContaining('server.port'),
    });
  });

  test('the address is none of this machine', async () => {
    await expect(started(greets, { host: '192.0.2.1' })).rejects.toMatchObject({ code: 'cannot_listen' });
  });
});

test('its URL can be asked, also over IPv6', async () => {
  const server = await started(greets, { host: '::1' });
  expect(server.url).toMatch(/^http:\/\/\[::1\]:\d+$/);
  expect(await (await fetch(server.url)).text()).toBe('hello');
});
