import { connect, createServer, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { simulatedClock } from '../world/clock.ts';
import { http } from './peer.ts';
import { hostile, publicAddress, request, senderBy, told } from './sending.ts';
import { tlsFiles } from './tls-files.ts';

interface Says {
  /** Instead of choosing a method. */
  readonly toGreeting?: string;
  readonly toUser?: string;
  /** Instead of the connection that is asked for, in hex. */
  readonly toConnect?: string | ((asked: string) => string | undefined);
  /** One byte at a time. */
  readonly drips?: boolean;
}

const made = '05000001000000000000';

/** A SOCKS5 proxy that makes every connection to the same port of this machine, and remembers all that it was told, in hex. */
async function socksTo(port: number, says: Says = {}) {
  const heard: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).once('close', () => sockets.delete(socket));
    const say = (hex: string) => {
      const bytes = Buffer.from(hex, 'hex');
      for (const piece of says.drips ? [...bytes].map((byte) => Buffer.from([byte])) : [bytes]) {
        socket.write(piece);
      }
    };
    const next = (then: (hex: string) => void) =>
      socket.once('data', (bytes) => {
        heard.push(bytes.toString('hex'));
        then(bytes.toString('hex'));
      });
    const toConnect = () =>
      next((asked) => {
        const instead = typeof says.toConnect === 'function' ? says.toConnect(asked) : says.toConnect;
        if (instead !== undefined) return say(instead);
        const beyond = connect(port, '127.0.0.1', () => {
          say(made);
          socket.pipe(beyond).pipe(socket);
        });
        beyond.on('error', () => socket.destroy());
      });
    next((greeting) => {
      if (says.toGreeting !== undefined) return say(says.toGreeting);
      if (!greeting.endsWith('02')) {
        say('0500');
        return toConnect();
      }
      say('0502');
      next(() => {
        say(says.toUser ?? '0100');
        toConnect();
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  return { heard, url: `socks5://127.0.0.1:${address.port}`, open: () => sockets.size };
}

const answers = { onRequest: (socket: Socket) => void socket.write(http(200, 'ok')) };
/** 93.184.216.34 */
const publicInHex = '5db8d822';

describe('with a SOCKS5 proxy', () => {
  for (const drips of [false, true]) {
    test(`a public name is resolved and vetted here, and the proxy${drips ? ', which drips,' : ''} is given the address`, async () => {
      const peer = await hostile(answers);
      const proxy = await socksTo(peer.port, { drips });
      const { post } = senderBy(proxy.url);
      const url = 'http://hooks.example/hook';
      expect(told(await post(request(url)))).toBe('200');
      expect(await post(request(url))).toMatchObject({ status: 200, reusedConnection: true });
      expect(proxy.heard.slice(0, 2)).toEqual(['050100', `05010001${publicInHex}0050`]);
      expect(peer.connections()).toBe(1);
      expect(peer.received()).toMatch(/^POST \/hook HTTP\/1.1\r\n/);
    });
  }

  test('TLS is made with the subscriber itself, and its certificate checked for the name', async () => {
    const peer = await hostile({ ...answers, tls: { key: tlsFiles.key, cert: tlsFiles.localhost } });
    const proxy = await socksTo(peer.port);
    const { post } = senderBy(proxy.url);
    expect(told(await post(request('https://hooks.example/')))).toBe('200');
    expect(await post(request('https://hooks.example/'))).toMatchObject({ reusedConnection: true });
    expect(told(await post(request('https://other.example/')))).toBe('tls ERR_TLS_CERT_ALTNAME_INVALID');
  });

  test('a large body and its answer pass whole', async () => {
    const body = Buffer.alloc(3_000_000, 'x');
    const answer = 'y'.repeat(16_000);
    const peer = await hostile({ onRequest: (socket) => void socket.write(http(200, answer)) });
    const { post } = senderBy((await socksTo(peer.port)).url);
    const result = await post(request('http://hooks.example/', { body, needsAnswerBody: true }));
    expect(result).toMatchObject({ status: 200, isTruncated: false, answer: Buffer.from(answer) });
    expect(peer.received()).toContain(body.toString());
  });

  test('its user and password go to it, and nowhere else', async () => {
    const peer = await hostile(answers);
    const proxy = await socksTo(peer.port);
    const { post } = senderBy(proxy.url.replace('//', '//relay:p%40ss@'));
    expect(told(await post(request('http://hooks.example/')))).toBe('200');
    expect(proxy.heard.slice(0, 2)).toEqual([
      '05020002',
      `0105${Buffer.from('relay').toString('hex')}04${Buffer.from('p@ss').toString('hex')}`,
    ]);
    expect(peer.received()).not.toContain('p@ss');
  });

  for (const { url, addresses, because } of [
    { url: 'https://hooks.example/', addresses: ['10.0.0.1'], because: 'the name leads inwards' },
    { url: 'https://hooks.example/', addresses: [publicAddress, '::1'], because: 'one address does' },
    { url: 'https://127.0.0.1/', addresses: [], because: 'it is loopback, the proxy’s or ours' },
    { url: 'https://hooks.example:22/', addresses: [publicAddress], because: 'of the port' },
  ]) {
    test(`${url} (${addresses}) is refused, and the proxy not asked: ${because}`, async () => {
      const proxy = await socksTo(1);
      const { post } = senderBy(proxy.url, { resolve: async () => addresses });
      expect(told(await post(request(url)))).toMatch(/^blocked/);
      expect(proxy.heard).toEqual([]);
    });
  }

  test('the addresses of a name are tried in turn, IPv4 first', async () => {
    const peer = await hostile(answers);
    const proxy = await socksTo(peer.port, {
      toConnect: (asked) => (asked.startsWith('05010001') ? '05040001000000000000' : undefined),
    });
    const { post } = senderBy(proxy.url, { resolve: async () => ['2606:4700::1111', publicAddress] });
    expect(told(await post(request('http://hooks.example/')))).toBe('200');
    expect(proxy.heard.filter((hex) => hex.startsWith('050100') && hex.length > 6)).toEqual([
      `05010001${publicInHex}0050`,
      '050100042606470000000000000000000000' + '11110050',
    ]);
  });

  const refusing = (reply: string) => ({ toConnect: `05${reply}0001000000000000` });
  for (const { says, is, because } of [
    { says: refusing('01'), is: 'local PROXY_SOCKS_1', because: 'it failed, and does not say at what' },
    { says: refusing('02'), is: 'local PROXY_SOCKS_2', because: 'its own rules forbid it' },
    { says: refusing('03'), is: 'unreachable PROXY_SOCKS_3', because: 'there is no way to its network' },
    { says: refusing('04'), is: 'unreachable PROXY_SOCKS_4', because: 'nor to the host' },
    { says: refusing('05'), is: 'unreachable PROXY_SOCKS_5', because: 'the subscriber refused it' },
    { says: refusing('06'), is: 'unreachable PROXY_SOCKS_6', because: 'or did not answer in time' },
    { says: refusing('08'), is: 'local PROXY_SOCKS_8', because: 'it knows no such addresses' },
    { says: { toGreeting: '05ff' }, is: 'local PROXY_SOCKS_USER_REFUSED', because: 'it wants a user' },
    {
      says: { toGreeting: '0502' },
      is: 'local PROXY_SOCKS_USER_REFUSED',
      because: 'it wants one that was not offered',
    },
    {
      says: { toGreeting: Buffer.from('HTTP/1.1 400 No\r\n\r\n').toString('hex') },
      is: 'local PROXY_SOCKS_OTHER_VERSION',
      because: 'it is another kind of proxy',
    },
    {
      says: { toConnect: '05000009000000000000' },
      is: 'local PROXY_SOCKS_UNREADABLE',
      because: 'its answer cannot be read',
    },
    {
      says: { toConnect: `${made}${Buffer.from('HTTP/1.1 200 Planted').toString('hex')}` },
      is: 'local PROXY_SPOKE_FIRST',
      because: 'an answer before the request is nobody’s',
    },
  ]) {
    test(`case 99: the proxy says ${JSON.stringify(says)}: ${is}, because ${because}`, async () => {
      const proxy = await socksTo(1, says);
      const { post } = senderBy(proxy.url);
      expect(told(await post(request('https://hooks.example/')))).toBe(is);
      await expect.poll(proxy.open).toBe(0);
    });
  }

  test('case 99: another password is a fault of our own', async () => {
    const proxy = await socksTo(1, { toUser: '0101' });
    const { post } = senderBy(proxy.url.replace('//', '//relay:wrong@'));
    expect(told(await post(request('https://hooks.example/')))).toBe('local PROXY_SOCKS_USER_REFUSED');
  });

  test('case 99: a proxy that hangs up in the middle is a fault of our own', async () => {
    const peer = await hostile({ onConnection: (socket) => void socket.end(Buffer.from([5])) });
    const { post } = senderBy(`socks5://127.0.0.1:${peer.port}`);
    expect(told(await post(request('https://hooks.example/')))).toBe('local PROXY_CLOSED');
  });

  test('case 99: nobody listens there: a fault of our own', async () => {
    const gone = await hostile({});
    await gone.close();
    const { post } = senderBy(`socks5://127.0.0.1:${gone.port}`);
    expect(told(await post(request('https://hooks.example/')))).toBe('local PROXY_ECONNREFUSED');
  });

  test('one that never answers is given up after five seconds, and its connection closed', async () => {
    const clock = simulatedClock(0);
    const proxy = await socksTo(1, { toConnect: '' });
    const { post } = senderBy(proxy.url, { clock });
    const posted = post(request('https://hooks.example/', { timeoutMs: 60_000 }));
    await expect.poll(() => proxy.heard.length).toBe(2);
    await clock.advance(5_000);
    expect(await posted).toEqual({ kind: 'timedOut', phase: 'connect', timeoutMs: 5_000 });
    await expect.poll(proxy.open).toBe(0);
    expect(clock.waiting).toBe(0);
  });
});
