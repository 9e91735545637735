import { readdirSync } from 'node:fs';
import type { Socket } from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { http, type PeerOptions } from './peer.ts';
import { hostile, openGuard, request, sender, told } from './sending.ts';
import { tlsFiles } from './tls-files.ts';

const head = (status: string, ...lines: string[]) =>
  `HTTP/1.1 ${status}\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`;

/** How many this process has open; 0 where that is not told. */
const descriptors = () => (process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0);

/** Writes what `next` gives, as fast as the other side reads it, until the connection is gone. */
function flood(socket: Socket, next: () => string | Buffer): void {
  const more = () => {
    while (!socket.destroyed && socket.write(next()));
  };
  socket.on('drain', more);
  more();
}

/** Writes one piece each `everyMs`, until the connection is gone. */
function drip(socket: Socket, everyMs: number, piece: string): void {
  const timer = setInterval(() => socket.write(piece), everyMs);
  socket.once('close', () => clearInterval(timer));
}

/** Every peer below, for the test that lets them all loose at once. */
const allHostile: { about: string; peer: PeerOptions }[] = [];

describe('an answer that the status line decides', () => {
  const cases: {
    number: number;
    about: string;
    says: (socket: Socket) => void;
    is: string;
    keepsConnection?: boolean;
  }[] = [
    {
      number: 93,
      about: 'reset in the body',
      says: (socket) =>
        socket.write(head('200 OK', 'content-length: 99'), () =>
          setTimeout(() => socket.resetAndDestroy(), 20),
        ),
      is: '200 truncated',
    },
    {
      number: 93,
      about: 'FIN in the body',
      says: (socket) => socket.end(`${head('200 OK', 'content-length: 99')}x`),
      is: '200 truncated',
    },
    {
      number: 104,
      about: 'an endless chunked body with 500',
      says: (socket) => {
        socket.write(head('500 No', 'transfer-encoding: chunked'));
        flood(socket, () => `1000\r\n${'x'.repeat(4096)}\r\n`);
      },
      is: '500 truncated',
    },
    {
      number: 107,
      about: 'garbage that claims to be gzip',
      says: (socket) => socket.write(http(200, 'not gzip', { 'content-encoding': 'gzip' })),
      is: '200',
      keepsConnection: true,
    },
    {
      number: 114,
      about: 'a flood of chunk extensions',
      says: (socket) => {
        socket.write(head('200 OK', 'transfer-encoding: chunked'));
        socket.write('1');
        flood(socket, () => `;${'x'.repeat(4096)}`);
      },
      is: '200 truncated',
    },
    {
      number: 115,
      about: 'endless trailers',
      says: (socket) => {
        socket.write(`${head('200 OK', 'transfer-encoding: chunked')}2\r\nok\r\n0\r\n`);
        flood(socket, () => `x-trailer: ${'x'.repeat(1000)}\r\n`);
      },
      is: '200 truncated',
    },
    {
      number: 119,
      about: 'status 599',
      says: (socket) => socket.write(http(599)),
      is: '599',
      keepsConnection: true,
    },
    {
      number: 120,
      about: '204 with a body',
      says: (socket) => socket.write(`${head('204 Nothing')}surprise`),
      is: '204 truncated',
    },
    {
      number: 120,
      about: 'a second answer behind the first',
      says: (socket) => socket.write(http(200, 'ok') + http(500, 'no')),
      is: '200',
    },
    {
      number: 131,
      about: '200 with an error inside',
      says: (socket) => socket.write(http(200, '{"error":1}')),
      is: '200',
      keepsConnection: true,
    },
    {
      number: 118,
      about: 'HTTP/1.0, whose body ends with the connection',
      says: (socket) => socket.end('HTTP/1.0 200 OK\r\n\r\nok'),
      is: '200',
    },
    {
      number: 118,
      about: 'HTTP/1.0 that keeps the connection',
      says: (socket) =>
        socket.write('HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok'),
      is: '200',
      keepsConnection: true,
    },
    {
      number: 112,
      about: '100, 102 and 103 before the answer',
      says: (socket) =>
        socket.write(
          head('100 Continue') + head('102 Wait') + head('103 Hints', 'link: </a>') + http(200, 'ok'),
        ),
      is: '200',
      keepsConnection: true,
    },
    {
      number: 120,
      about: '204',
      says: (socket) => socket.write(head('204 Nothing')),
      is: '204',
      keepsConnection: true,
    },
    {
      number: 120,
      about: '304',
      says: (socket) => socket.write(head('304 Same')),
      is: '304',
      keepsConnection: true,
    },
    {
      number: 131,
      about: 'an empty body, in one chunk of nothing',
      says: (socket) => socket.write(`${head('200 OK', 'transfer-encoding: chunked')}0\r\n\r\n`),
      is: '200',
      keepsConnection: true,
    },
    {
      number: 93,
      about: 'half a close behind the answer',
      says: (socket) => socket.end(head('200 OK', 'content-length: 0', 'connection: close')),
      is: '200',
    },
    {
      number: 111,
      about: '400 headers',
      says: (socket) =>
        socket.write(
          head('200 OK', 'content-length: 0', ...Array.from({ length: 400 }, (_, n) => `x-${n}: y`)),
        ),
      is: '200',
      keepsConnection: true,
    },
  ];
  for (const { number, about, says, is, keepsConnection } of cases) {
    allHostile.push({ about, peer: { onRequest: (socket) => says(socket) } });
    test(`case ${number}: ${about}: ${is}`, async () => {
      const peer = await hostile({ onRequest: (socket) => says(socket) });
      expect(told(await sender().post(request(peer)))).toBe(is);
      if (!keepsConnection) await peer.until(() => peer.open() === 0);
    });
  }

  test('case 108: one body byte now and then for ever: a second is given to it', async () => {
    const peer = await hostile({
      onRequest: (socket) => {
        socket.write(head('200 OK', 'content-length: 100000'));
        drip(socket, 100, 'x');
      },
    });
    const result = await sender().post(request(peer, { timeoutMs: 10_000 }));
    expect(told(result)).toBe('200 truncated');
    expect(result.kind === 'answered' && result.durationMs).toBeLessThan(2000);
    await peer.until(() => peer.open() === 0);
  });

  for (const status of [301, 302, 303, 307, 308]) {
    test(`case 121: a ${status} is told and not followed`, async () => {
      const target = await hostile({ onRequest: (socket) => socket.write(http(200)) });
      const location = `http://127.0.0.1:${target.port}/elsewhere`;
      const peer = await hostile({ onRequest: (socket) => socket.write(http(status, '', { location })) });
      expect(await sender().post(request(peer))).toMatchObject({ kind: 'answered', status, location });
      expect(target.connections()).toBe(0);
    });
  }

  test('case 122: a redirect to itself is one request', async () => {
    let requests = 0;
    const peer = await hostile({
      onRequest: (socket) => {
        requests += 1;
        socket.write(http(307, '', { location: '/hook' }));
      },
    });
    await sender().post(request(peer));
    expect(requests).toBe(1);
  });

  test('case 96: an early 413 while a megabyte is under way is a 413', async () => {
    const peer = await hostile({
      onConnection: (socket) =>
        socket.once('data', () =>
          socket.end(head('413 Too Large', 'content-length: 0', 'connection: close')),
        ),
    });
    const { post } = sender();
    for (let n = 0; n < 10; n += 1) {
      expect(told(await post(request(peer, { body: Buffer.alloc(1 << 20) })))).toBe('413');
    }
    await peer.until(() => peer.open() === 0);
  });

  test('case 133: an answer before our body is whole counts, and the rest is not sent', async () => {
    const length = 16 << 20;
    const accepted: Socket[] = [];
    const peer = await hostile({
      onConnection: (socket) => {
        accepted.push(socket);
        socket.once('data', () => socket.pause().write(http(202, 'ok')));
      },
    });
    expect(told(await sender().post(request(peer, { body: Buffer.alloc(length) })))).toBe('202');
    for (const socket of accepted) socket.resume();
    await peer.until(() => peer.open() === 0);
    expect(peer.received().length).toBeLessThan(length);
  });
});

describe('an answer’s body', () => {
  test('case 103: a gigabyte is cut at 16 KiB, the connection destroyed, memory flat', async () => {
    let written = 0;
    const piece = Buffer.alloc(64 * 1024, 'x');
    const peer = await hostile({
      onRequest: (socket) => {
        socket.write(head('200 OK', `content-length: ${2 ** 30}`));
        flood(socket, () => {
          written += piece.length;
          return piece;
        });
      },
    });
    const before = process.memoryUsage().rss;
    const result = await sender().post(request(peer, { needsAnswerBody: true }));
    expect(result).toMatchObject({ kind: 'answered', status: 200, isTruncated: true });
    expect(result.kind === 'answered' && result.answer.length).toBe(16 * 1024);
    await peer.until(() => peer.open() === 0);
    expect(written).toBeLessThan(64 << 20);
    expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20);
  });

  for (const [length, isTruncated] of [
    [16 * 1024, false],
    [16 * 1024 + 1, true],
  ] as const) {
    test(`of ${length} bytes is ${isTruncated ? 'cut' : 'whole'}`, async () => {
      const peer = await hostile({ onRequest: (socket) => socket.write(http(200, 'x'.repeat(length))) });
      const result = await sender().post(request(peer));
      expect(result).toMatchObject({ isTruncated });
      expect(result.kind === 'answered' && result.answer.length).toBe(16 * 1024);
    });
  }

  for (const { number, encoding, bomb } of [
    { number: 105, encoding: 'gzip', bomb: gzipSync(Buffer.alloc(8 << 20)) },
    { number: 106, encoding: 'br', bomb: brotliCompressSync(Buffer.alloc(8 << 20)) },
    { number: 106, encoding: 'deflate', bomb: deflateSync(Buffer.alloc(8 << 20)) },
    // No Node 20 writes zstd: the frame is garbage, which must not matter either.
    { number: 106, encoding: 'zstd', bomb: Buffer.from('28b52ffd04580102030405', 'hex') },
  ]) {
    test(`case ${number}: a ${encoding} bomb stays as it came`, async () => {
      const peer = await hostile({
        onRequest: (socket) => {
          socket.write(head('200 OK', `content-encoding: ${encoding}`, `content-length: ${bomb.length}`));
          socket.write(bomb);
        },
      });
      const result = await sender().post(request(peer));
      expect(result.kind === 'answered' && result.answer).toEqual(bomb.subarray(0, 16 * 1024));
      expect(peer.received().toLowerCase()).toContain('accept-encoding: identity\r\n');
    });
  }

  test('case 129: control characters and broken UTF-8 come through as bytes', async () => {
    const body = Buffer.from([0, 0x1b, 0x5b, 0x41, 0xff, 0xfe, 0xe2, 0x80, 0xae]);
    const peer = await hostile({
      onRequest: (socket) =>
        socket.write(Buffer.concat([Buffer.from(head('400 No', `content-length: ${body.length}`)), body])),
    });
    const result = await sender().post(request(peer));
    expect(result.kind === 'answered' && result.answer).toEqual(body);
  });

  for (const { about, says, is } of [
    {
      about: 'reset',
      says: (socket: Socket) =>
        socket.write(`${head('200 OK', 'content-length: 9')}x`, () =>
          setTimeout(() => socket.resetAndDestroy(), 20),
        ),
      is: 'reset ECONNRESET',
    },
    {
      about: 'FIN',
      says: (socket: Socket) => socket.end(`${head('200 OK', 'content-length: 9')}x`),
      is: 'reset ECONNRESET',
    },
    {
      about: 'no chunk at all',
      says: (socket: Socket) => socket.write(`${head('200 OK', 'transfer-encoding: chunked')}zz\r\n`),
      is: 'badResponse HPE_INVALID_CHUNK_SIZE',
    },
    {
      about: 'reset, with a 500 that decides',
      says: (socket: Socket) => socket.end(`${head('500 No', 'content-length: 9')}x`),
      is: '500 truncated',
    },
  ]) {
    test(`that is awaited and breaks off (${about}) is ${is}`, async () => {
      const peer = await hostile({ onRequest: (socket) => says(socket) });
      expect(told(await sender().post(request(peer, { needsAnswerBody: true })))).toBe(is);
    });
  }
});

describe('what is no answer', () => {
  const onRequest = (says: (socket: Socket) => unknown): PeerOptions => ({
    onRequest: (socket) => void says(socket),
  });
  const bytes = (text: string) => onRequest((socket) => socket.write(text));
  const cases: { number: number; about: string; peer: PeerOptions; is: RegExp }[] = [
    {
      number: 91,
      about: 'reset before any byte',
      peer: onRequest((socket) => socket.resetAndDestroy()),
      is: /^reset ECONNRESET$/,
    },
    {
      number: 92,
      about: 'FIN in the headers',
      peer: onRequest((socket) => socket.end('HTTP/1.1 200 OK\r\nx-a:')),
      is: /^(reset ECONNRESET|badResponse HPE_\w+)$/,
    },
    {
      number: 91,
      about: 'half closed without an answer',
      peer: { onConnection: (socket) => void socket.once('data', () => socket.end()) },
      is: /^reset ECONNRESET$/,
    },
    {
      number: 94,
      about: 'closed at accept',
      peer: { onConnection: (socket) => socket.resetAndDestroy() },
      is: /^reset (ECONNRESET|EPIPE)$/,
    },
    {
      number: 109,
      about: 'header lines for ever',
      peer: onRequest((socket) => {
        socket.write('HTTP/1.1 200 OK\r\n');
        drip(socket, 20, 'x-a: b\r\n');
      }),
      is: /^timedOut headers$/,
    },
    {
      number: 110,
      about: 'a header over 16 KiB',
      peer: bytes(head('200 OK', `x-a: ${'b'.repeat(17_000)}`)),
      is: /^badResponse HPE_HEADER_OVERFLOW$/,
    },
    {
      number: 111,
      about: '9,000 small headers',
      peer: bytes(head('200 OK', ...Array.from({ length: 9000 }, (_, n) => `x-${n}: y`))),
      is: /^badResponse HPE_HEADER_OVERFLOW$/,
    },
    {
      number: 112,
      about: 'a flood of early hints',
      peer: onRequest((socket) => flood(socket, () => head('103 Early Hints', 'link: </a>'))),
      is: /^timedOut headers$/,
    },
    {
      number: 113,
      about: '101 with an upgrade',
      peer: bytes(head('101 Switching Protocols', 'upgrade: websocket', 'connection: upgrade')),
      is: /^badResponse STATUS_101$/,
    },
    {
      number: 113,
      about: '101 alone',
      peer: bytes(head('101 Switching Protocols')),
      is: /^badResponse STATUS_101$/,
    },
    {
      number: 116,
      about: 'two lengths',
      peer: bytes(`${head('200 OK', 'content-length: 1', 'content-length: 2')}xx`),
      is: /^badResponse HPE_UNEXPECTED_CONTENT_LENGTH$/,
    },
    {
      number: 117,
      about: 'a length and chunks',
      peer: bytes(`${head('200 OK', 'content-length: 1', 'transfer-encoding: chunked')}1\r\nx\r\n0\r\n\r\n`),
      is: /^badResponse HPE_\w+$/,
    },
    {
      number: 118,
      about: 'an SSH banner',
      peer: { onConnection: (socket) => socket.write('SSH-2.0-OpenSSH_9.2\r\n') },
      is: /^badResponse HPE_INVALID_CONSTANT$/,
    },
    {
      number: 118,
      about: 'HTTP/0.9',
      peer: onRequest((socket) => socket.end('<html>ok</html>')),
      is: /^badResponse HPE_INVALID_CONSTANT$/,
    },
    {
      number: 118,
      about: 'an HTTP/2 preface',
      peer: { onConnection: (socket) => socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n') },
      is: /^badResponse HPE_\w+$/,
    },
    { number: 119, about: 'status 999', peer: bytes(http(999)), is: /^badResponse STATUS_999$/ },
    { number: 119, about: 'status 600', peer: bytes(http(600)), is: /^badResponse STATUS_600$/ },
    {
      number: 119,
      about: 'status 099',
      peer: bytes('HTTP/1.1 099 Low\r\ncontent-length: 0\r\n\r\n'),
      is: /^badResponse (STATUS_99|HPE_\w+)$/,
    },
    {
      number: 119,
      about: 'status 2000',
      peer: bytes('HTTP/1.1 2000 High\r\ncontent-length: 0\r\n\r\n'),
      is: /^badResponse HPE_\w+$/,
    },
    {
      number: 119,
      about: 'a bare CR in a header',
      peer: bytes('HTTP/1.1 200 OK\r\nx-a: b\rx-c: d\r\n\r\n'),
      is: /^badResponse HPE_\w+$/,
    },
  ];
  for (const { number, about, peer: options, is } of cases) {
    allHostile.push({ about, peer: options });
    test(`case ${number}: ${about}: ${is.source}`, async () => {
      const peer = await hostile(options);
      expect(told(await sender().post(request(peer, { timeoutMs: 300 })))).toMatch(is);
      await peer.until(() => peer.open() === 0);
      expect(peer.connections()).toBe(1);
    });
  }

  test('case 113: a thousand 101s leave no descriptor behind', async () => {
    const peer = await hostile(
      bytes(head('101 Switching Protocols', 'upgrade: websocket', 'connection: upgrade')),
    );
    const { post } = sender();
    const before = descriptors();
    for (let n = 0; n < 20; n += 1) await Promise.all(Array.from({ length: 50 }, () => post(request(peer))));
    await peer.until(() => peer.open() === 0);
    expect(peer.connections()).toBe(1000);
    expect(descriptors() - before).toBeLessThanOrEqual(5);
  });
});

test('all of them at once, twenty requests each: memory and descriptors stay bounded', async () => {
  expect(allHostile.length).toBeGreaterThan(35);
  const peers = await Promise.all(allHostile.map(({ peer }) => hostile(peer)));
  const { post, close } = sender();
  const before = { open: descriptors(), rss: process.memoryUsage().rss };
  let rssMost = 0;
  const watch = setInterval(() => {
    rssMost = Math.max(rssMost, process.memoryUsage().rss);
  }, 10);
  const rounds = peers.map(async (peer) => {
    const posts = Array.from({ length: 20 }, () => post(request(peer, { timeoutMs: 1_000 })));
    return (await Promise.all(posts)).map(told);
  });
  const results = await Promise.all(rounds);
  close();
  await Promise.all(peers.map((peer) => peer.until(() => peer.open() === 0)));
  clearInterval(watch);
  expect(results.flat()).toHaveLength(peers.length * 20);
  expect(rssMost - before.rss).toBeLessThan(256 << 20);
  await expect.poll(() => descriptors() - before.open).toBeLessThanOrEqual(5);
}, 30_000);

test('case 128: cookies are neither kept nor sent back', async () => {
  const peer = await hostile({
    onRequest: (socket) => socket.write(http(200, 'ok', { 'set-cookie': 'session=planted' })),
  });
  const { post } = sender();
  expect(JSON.stringify(await post(request(peer)))).not.toContain('planted');
  await post(request(peer));
  expect(peer.received()).not.toMatch(/cookie/i);
});

test('case 132: a hundred that answer in the last moment are all taken, and somebody else’s at once', async () => {
  const late: Socket[] = [];
  const slow = await hostile({ onRequest: (socket) => void late.push(socket) });
  const quick = await hostile({ onRequest: (socket) => socket.write(http(200)) });
  const { post } = sender();
  const waiting = Array.from({ length: 100 }, () => post(request(slow, { timeoutMs: 20_000 })));
  await slow.until(() => late.length === 100);
  expect(told(await post(request(quick, { timeoutMs: 5_000 })))).toBe('200');
  for (const socket of late) socket.write(http(200));
  expect((await Promise.all(waiting)).map(told)).toEqual(Array(100).fill('200'));
}, 30_000);

describe('a host that cannot be reached', () => {
  const failing = (code: string) => async () => {
    throw Object.assign(new Error(`query ${code}`), { code });
  };
  for (const code of ['ENOTFOUND', 'ENODATA', 'ESERVFAIL', 'ETIMEOUT', 'ECONNREFUSED', 'EAI_AGAIN']) {
    test(`case 77: the name servers say ${code}`, async () => {
      const { post } = sender(openGuard(failing(code)));
      expect(told(await post(request('https://gone.example/hook')))).toBe(`dns ${code}`);
    });
  }

  test('case 79: a name with no address', async () => {
    const { post } = sender(openGuard(async () => []));
    expect(told(await post(request('https://empty.example/hook')))).toBe('dns ENODATA');
  });

  test('case 80: nobody listens, under one address or two', async () => {
    const peer = await hostile({});
    await peer.close();
    expect(told(await sender().post(request(peer)))).toBe('refused ECONNREFUSED');
    const { post } = sender(openGuard(async () => ['127.0.0.1', '127.0.0.2']));
    expect(told(await post(request(`http://two.example:${peer.port}/`)))).toBe('refused ECONNREFUSED');
  });

  test('case 83: a dead first address gives way to a good second one', async () => {
    const peer = await hostile({ onRequest: (socket) => socket.write(http(200)) });
    const { post } = sender(openGuard(async () => ['::1', '127.0.0.2', '127.0.0.1']));
    expect(told(await post(request(`http://many.example:${peer.port}/`)))).toBe('200');
  });

  test('case 98: every new connection looks the name up again', async () => {
    const answers = [['127.0.0.1'], ['127.0.0.2']];
    let lookups = 0;
    const peer = await hostile({ onRequest: (socket) => socket.end(http(200, '', { connection: 'close' })) });
    const { post } = sender(openGuard(async () => answers[lookups++] ?? []));
    expect(told(await post(request(`http://moves.example:${peer.port}/`)))).toBe('200');
    expect(told(await post(request(`http://moves.example:${peer.port}/`)))).toBe('refused ECONNREFUSED');
    expect(lookups).toBe(2);
  });
});

describe('TLS that is not as it should be: nothing is sent', () => {
  const { key, localhost, otherHost, expired } = tlsFiles;
  const cases: { number: number; about: string; peer: PeerOptions; trusts: string[]; is: RegExp }[] = [
    {
      number: 84,
      about: 'expired',
      peer: { tls: { key, cert: expired } },
      trusts: [expired],
      is: /^tls CERT_HAS_EXPIRED$/,
    },
    {
      number: 85,
      about: 'signed by itself',
      peer: { tls: { key, cert: localhost } },
      trusts: [],
      is: /^tls DEPTH_ZERO_SELF_SIGNED_CERT$/,
    },
    {
      number: 86,
      about: 'for another host',
      peer: { tls: { key, cert: otherHost } },
      trusts: [otherHost],
      is: /^tls ERR_TLS_CERT_ALTNAME_INVALID$/,
    },
    {
      number: 87,
      about: 'TLS 1.1 only',
      peer: {
        tls: {
          key,
          cert: localhost,
          minVersion: 'TLSv1',
          maxVersion: 'TLSv1.1',
          ciphers: 'DEFAULT@SECLEVEL=0',
        },
      },
      trusts: [localhost],
      is: /^tls (EPROTO|ERR_SSL_\w+)$/,
    },
    {
      number: 90,
      about: 'plain HTTP on the TLS port',
      peer: { onConnection: (socket) => socket.write(http(200)) },
      trusts: [],
      is: /^tls (EPROTO|ERR_SSL_\w+)$/,
    },
    {
      number: 94,
      about: 'closed in the handshake',
      peer: { onConnection: (socket) => socket.once('data', () => socket.destroy()) },
      trusts: [],
      is: /^reset ECONNRESET$/,
    },
  ];
  for (const { number, about, peer: options, trusts, is } of cases) {
    test(`case ${number}: ${about}: ${is.source}`, async () => {
      const peer = await hostile(options);
      const { post } = sender(openGuard(), trusts);
      expect(told(await post(request(`https://localhost:${peer.port}/`)))).toMatch(is);
      expect(peer.received()).not.toContain('POST');
      await peer.until(() => peer.open() === 0);
    });
  }

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`case 88: a client certificate is demanded (${maxVersion})`, async () => {
      const peer = await hostile({
        tls: { key, cert: localhost, maxVersion, requestCert: true, rejectUnauthorized: true },
      });
      const { post } = sender(openGuard(), [localhost]);
      expect(told(await post(request(`https://localhost:${peer.port}/`)))).toMatch(
        /^tls (EPROTO|ERR_SSL_\w+)$/,
      );
      expect(peer.received()).not.toContain('POST');
    });
  }

  test('an environment variable that turns the check off is not heard', async () => {
    const peer = await hostile({
      tls: { key, cert: localhost },
      onRequest: (socket) => socket.write(http(200)),
    });
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    try {
      expect(told(await sender().post(request(`https://localhost:${peer.port}/`)))).toMatch(/^tls /);
    } finally {
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    }
  });
});

test('case 145: proxies of the environment are not used', async () => {
  const proxy = await hostile({ onRequest: (socket) => socket.write(http(502)) });
  const peer = await hostile({ onRequest: (socket) => socket.write(http(200)) });
  const names = ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'NODE_USE_ENV_PROXY'];
  for (const name of names)
    process.env[name] = name === 'NODE_USE_ENV_PROXY' ? '1' : `http://127.0.0.1:${proxy.port}`;
  try {
    expect(told(await sender().post(request(peer)))).toBe('200');
  } finally {
    for (const name of names) delete process.env[name];
  }
  expect(proxy.connections()).toBe(0);
});
