import { connect, createServer, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { simulatedClock } from '../world/clock.ts';
import { http } from './peer.ts';
import { hostile, publicAddress, request, senderBy, told } from './sending.ts';
import { tlsFiles } from './tls-files.ts';

/** A proxy that makes every connection to the same port of this machine, and remembers what it was asked. */
async function proxyTo(port: number, says: (authority: string) => string | null = () => null) {
  const asked: { authority: string; head: string }[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).once('close', () => sockets.delete(socket));
    socket.once('data', (bytes) => {
      const head = bytes.toString('latin1');
      const authority = /^CONNECT (\S+) HTTP\/1.1\r\n/.exec(head)?.[1] ?? `not a CONNECT: ${head}`;
      asked.push({ authority, head });
      const answer = says(authority);
      if (answer !== null) return void socket.write(answer);
      const beyond = connect(port, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Made\r\n\r\n');
        socket.pipe(beyond).pipe(socket);
      });
      beyond.on('error', () => socket.destroy());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  return { asked, port: address.port, open: () => sockets.size };
}

const answers = { onRequest: (socket: Socket) => void socket.write(http(200, 'ok')) };

describe('with an egress proxy', () => {
  test('a public name is resolved and vetted here, and the proxy is given the address', async () => {
    const peer = await hostile(answers);
    const proxy = await proxyTo(peer.port);
    const { post } = senderBy(`http://127.0.0.1:${proxy.port}`);
    const url = 'http://hooks.example/hook';
    expect(told(await post(request(url)))).toBe('200');
    expect(await post(request(url))).toMatchObject({ status: 200, reusedConnection: true });
    expect(proxy.asked.map(({ authority }) => authority)).toEqual([`${publicAddress}:80`]);
    expect(proxy.asked[0]?.head).not.toContain('hooks.example');
    expect(peer.received()).toMatch(/^POST \/hook HTTP\/1.1\r\n/);
    expect(peer.received().toLowerCase()).toContain('host: hooks.example\r\n');
  });

  test('TLS is made with the subscriber itself, and its certificate checked for the name', async () => {
    const tls = { key: tlsFiles.key, cert: tlsFiles.localhost };
    const peer = await hostile({ ...answers, tls });
    const proxy = await proxyTo(peer.port);
    const { post } = senderBy(`http://127.0.0.1:${proxy.port}`);
    expect(told(await post(request('https://hooks.example/')))).toBe('200');
    expect(await post(request('https://hooks.example/'))).toMatchObject({ reusedConnection: true });
    expect(told(await post(request('https://other.example/')))).toBe('tls ERR_TLS_CERT_ALTNAME_INVALID');
    expect(proxy.asked.map(({ authority }) => authority)).toEqual(Array(2).fill(`${publicAddress}:443`));
  });

  test('its user and password go to it and nowhere else', async () => {
    const peer = await hostile(answers);
    const proxy = await proxyTo(peer.port);
    const { post } = senderBy(`http://relay:p%40ss@127.0.0.1:${proxy.port}`);
    expect(told(await post(request('http://hooks.example/')))).toBe('200');
    const given = `proxy-authorization: Basic ${Buffer.from('relay:p@ss').toString('base64')}`;
    expect(proxy.asked[0]?.head.toLowerCase()).toContain(given.toLowerCase());
    expect(peer.received().toLowerCase()).not.toContain('proxy-');
  });

  for (const { url, addresses, because } of [
    { url: 'https://hooks.example/', addresses: ['10.0.0.1'], because: 'the name leads inwards' },
    {
      url: 'https://hooks.example/',
      addresses: [publicAddress, '::1'],
      because: 'one address leads inwards',
    },
    { url: 'https://hooks.example/', addresses: ['169.254.169.254'], because: 'it is metadata' },
    { url: 'https://127.0.0.1/', addresses: [], because: 'it is loopback, the proxy’s or ours' },
    { url: 'https://[::ffff:7f00:1]/', addresses: [], because: 'in IPv6 form, too' },
    { url: 'https://hooks.example:22/', addresses: [publicAddress], because: 'of the port' },
  ]) {
    test(`${url} (${addresses}) is refused, and the proxy not asked: ${because}`, async () => {
      const proxy = await proxyTo(1);
      const { post } = senderBy(`http://127.0.0.1:${proxy.port}`, { resolve: async () => addresses });
      expect(told(await post(request(url)))).toMatch(/^blocked/);
      expect(proxy.asked).toEqual([]);
    });
  }

  test('case 138: a name is looked up once for a connection: a second answer is never dialled', async () => {
    const peer = await hostile(answers);
    const proxy = await proxyTo(peer.port);
    const replies = [[publicAddress], ['127.0.0.1']];
    let lookups = 0;
    const resolve = async () => replies[lookups++] ?? [];
    const { post } = senderBy(`http://127.0.0.1:${proxy.port}`, { resolve });
    expect(told(await post(request('http://hooks.example/')))).toBe('200');
    expect(lookups).toBe(1);
    expect(proxy.asked.map(({ authority }) => authority)).toEqual([`${publicAddress}:80`]);
  });

  test('a private subscriber, which the operator allowed, is dialled directly', async () => {
    const peer = await hostile(answers);
    const proxy = await proxyTo(1);
    const { post } = senderBy(`http://127.0.0.1:${proxy.port}`, {
      allow: [{ kind: 'name', name: 'ehr.internal', port: peer.port }],
      resolve: async () => ['127.0.0.1'],
    });
    expect(told(await post(request(`http://ehr.internal:${peer.port}/`)))).toBe('200');
    expect(proxy.asked).toEqual([]);
  });

  test('the addresses of a name are tried in turn, IPv4 first', async () => {
    const peer = await hostile(answers);
    const bad = 'HTTP/1.1 502 No\r\ncontent-length: 0\r\n\r\n';
    const proxy = await proxyTo(peer.port, (authority) => (authority.startsWith('[') ? null : bad));
    const { post } = senderBy(`http://127.0.0.1:${proxy.port}`, {
      resolve: async () => ['2606:4700::1111', publicAddress],
    });
    expect(told(await post(request('http://hooks.example/')))).toBe('200');
    expect(proxy.asked.map(({ authority }) => authority)).toEqual([
      `${publicAddress}:80`,
      '[2606:4700::1111]:80',
    ]);
  });

  for (const { answer, is, because } of [
    { answer: 'HTTP/1.1 407 Who', is: 'local PROXY_407', because: 'it wants another password' },
    { answer: 'HTTP/1.1 403 No', is: 'local PROXY_403', because: 'its own rules forbid it' },
    { answer: 'HTTP/1.1 500 No', is: 'local PROXY_500', because: 'it is broken' },
    {
      answer: 'HTTP/1.1 302 Go\r\nlocation: http://127.0.0.1/',
      is: 'local PROXY_302',
      because: 'no proxy does',
    },
    { answer: 'HTTP/1.1 101 Switch\r\nupgrade: x', is: 'local PROXY_101', because: 'nor this' },
    { answer: 'SSH-2.0', is: 'local PROXY_HPE_INVALID_CONSTANT', because: 'it is no proxy' },
    { answer: 'HTTP/1.1 502 No', is: 'unreachable PROXY_502', because: 'it did not reach the subscriber' },
    { answer: 'HTTP/1.1 503 No', is: 'unreachable PROXY_503', because: 'likewise' },
    { answer: 'HTTP/1.1 504 No', is: 'unreachable PROXY_504', because: 'nor in time' },
    {
      answer: 'HTTP/1.1 200 Made\r\n\r\nHTTP/1.1 200 Planted',
      is: 'local PROXY_SPOKE_FIRST',
      because: 'an answer before the request is nobody’s',
    },
  ]) {
    test(`case 99: the proxy says ${answer.split('\r')[0]}: ${is}, because ${because}`, async () => {
      const proxy = await proxyTo(1, () => `${answer}\r\n\r\n`);
      const { post } = senderBy(`http://127.0.0.1:${proxy.port}`);
      expect(told(await post(request('https://hooks.example/')))).toBe(is);
      await expect.poll(proxy.open).toBe(0);
    });
  }

  test('case 99: nobody listens there: a fault of our own', async () => {
    const gone = await hostile({});
    await gone.close();
    const { post } = senderBy(`http://127.0.0.1:${gone.port}`);
    expect(told(await post(request('https://hooks.example/')))).toBe('local PROXY_ECONNREFUSED');
  });

  test('one that never answers is given up after five seconds, and its connection closed', async () => {
    const clock = simulatedClock(0);
    const proxy = await proxyTo(1, () => '');
    const { post } = senderBy(`http://127.0.0.1:${proxy.port}`, { clock });
    const posted = post(request('https://hooks.example/', { timeoutMs: 60_000 }));
    await expect.poll(() => proxy.asked.length).toBe(1);
    await clock.advance(5_000);
    expect(await posted).toEqual({ kind: 'timedOut', phase: 'connect', timeoutMs: 5_000 });
    await expect.poll(proxy.open).toBe(0);
    expect(clock.waiting).toBe(0);
  });
});
