import { describe, expect, test } from 'vitest';
import { createAddressGuard, type GuardOptions } from '../../src/delivery/address-guard.ts';
import { type AllowEntry, parseAllowEntry } from '../../src/domain/allow-entry.ts';
import { hostileHosts } from './hostile-hosts.ts';
import { http, type Peer } from './peer.ts';
import { hostile, request, sender, told } from './sending.ts';

function allow(...texts: string[]): AllowEntry[] {
  return texts.map((text) => {
    const entry = parseAllowEntry(text);
    if (entry.kind === 'problem') throw new Error(entry.message);
    return entry;
  });
}

/** Listeners that nobody may reach, on each loopback address that this machine has. */
async function canaries(): Promise<Peer[]> {
  const started = await Promise.allSettled([hostile({}), hostile({ host: '::1' })]);
  return started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
}

const hits = (listeners: readonly Peer[]) => listeners.reduce((sum, each) => sum + each.connections(), 0);

function guard(options: Partial<GuardOptions> = {}) {
  return createAddressGuard({
    allow: [],
    allowPrivateAddresses: false,
    allowHttp: false,
    resolve: async () => {
      throw new Error('nothing is looked up here');
    },
    ...options,
  });
}

/** Addresses that no configuration may open. */
const neverAddresses = [
  '0.0.0.0',
  '169.254.169.254',
  '168.63.129.16',
  '100.100.100.200',
  '192.0.0.192',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::ffff:127.0.0.1',
  '64:ff9b::a9fe:a9fe',
  'fe80::1',
  'ff02::1',
  'fd00:ec2::254',
  '2002:a9fe:a9fe::',
];

describe('case 136: a hostile host is refused as text, and never dialled', () => {
  for (const [host, says] of hostileHosts) {
    test(`https://${host} is ${says}`, async () => {
      const refused = guard().vetUrl(`https://${host}/hook`);
      expect(refused).toMatchObject({ kind: 'refused', reason: expect.stringContaining(says) });

      const listeners = await canaries();
      for (const { port } of listeners) {
        const { post } = sender(
          guard({ publicPorts: [port], allowHttp: true, resolve: async () => ['127.0.0.1', '::1'] }),
        );
        for (const scheme of ['http', 'https']) {
          expect(told(await post(request(`${scheme}://${host}:${port}/`)))).toMatch(/^blocked/);
        }
      }
      expect(hits(listeners)).toBe(0);
    });
  }
});

describe('a URL that is no plain https address is refused as text', () => {
  for (const [text, says, number] of [
    ['', 'does not start with https'],
    ['hooks.example', 'does not start with https'],
    ['//hooks.example', 'does not start with https'],
    ['https:hooks.example', 'does not start with https'],
    ['https:/hooks.example', 'does not start with https'],
    ['https:///hooks.example', 'does not start with https'],
    ['https://', 'does not start with https'],
    ['ftp://hooks.example', 'does not start with https'],
    ['ws://hooks.example', 'does not start with https'],
    ['gopher://127.0.0.1', 'does not start with https'],
    ['file:///etc/passwd', 'does not start with https'],
    ['unix:/var/run/docker.sock:/info', 'does not start with https'],
    ['http+unix://%2Fvar%2Frun%2Fdocker.sock/info', 'does not start with https'],
    ['javascript:alert(1)', 'does not start with https'],
    ['data:text/plain,x', 'does not start with https'],
    [' https://hooks.example', 'space'],
    ['https://hooks.example ', 'space'],
    ['https://hooks .example', 'space'],
    ['https://hooks\t.example', 'space'],
    ['https://hooks.example/\r\nx-a: b', 'space'],
    ['https://hooks.example/\0', 'control character'],
    ['https://hooks\u200b.example', 'control character'],
    ['https://hooks.example\\@127.0.0.1', 'backslash'],
    ['https:\\\\hooks.example', 'backslash'],
    ['https://user:password@hooks.example', 'user name'],
    ['https://hooks.example@127.0.0.1', 'user name'],
    ['https://127.0.0.1#@hooks.example', 'fragment'],
    ['https://hooks.example/#part', 'fragment'],
    ['https://127%2e0%2e0%2e1', 'escape'],
    ['https://exa%6dple.com', 'escape'],
    ['https://%00', 'escape'],
    ['https://[::1%25eth0]', 'escape'],
    ['https://[fe80::1%lo]', 'escape'],
    ['https://[::1', 'cannot be read'],
    ['https://::1', 'cannot be read'],
    ['https://xn--', 'cannot be read'],
    ['https://256.256.256.256', 'cannot be read'],
    ['https://hooks.example:65536', 'cannot be read'],
    ['https://hooks.example:-1', 'cannot be read'],
    ['https://hooks.example:0', 'port 0'],
    ['https://hooks..example', 'no valid DNS name'],
    ['https://hooks.example..', 'no valid DNS name'],
    ['https://.hooks.example', 'no valid DNS name'],
    ['https://-a.example', 'no valid DNS name'],
    [`https://${'a'.repeat(64)}.example`, 'no valid DNS name'],
    [`https://${'a.'.repeat(126)}example`, 'no valid DNS name'],
    [`https://hooks.example/${'a'.repeat(2048)}`, 'longer than 2048'],
    [`https://${'a'.repeat(1_000_000)}`, 'longer than 2048'],
    ['http://hooks.example', 'plain http', 146],
    ['https://hooks.example:22', 'port 22', 144],
    ['https://hooks.example:25', 'port 25', 144],
    ['https://hooks.example:5432', 'port 5432', 144],
    ['https://hooks.example:6379', 'port 6379', 144],
  ] satisfies [string, string, number?][]) {
    test(`${JSON.stringify(text.slice(0, 60))}: ${says}${number ? ` (case ${number})` : ''}`, () => {
      expect(guard().vetUrl(text)).toMatchObject({ kind: 'refused', reason: expect.stringContaining(says) });
    });
  }
});

describe('a URL that may be sent to is kept in one form', () => {
  for (const [text, url] of [
    ['https://hooks.example', 'https://hooks.example/'],
    ['HTTPS://Hooks.Example:443/A?b=C', 'https://hooks.example/A?b=C'],
    ['https://hooks.example.:8443/a', 'https://hooks.example:8443/a'],
    ['https://hooks.example:0443/', 'https://hooks.example/'],
    ['https://bücher.example/ü', 'https://xn--bcher-kva.example/%C3%BC'],
    ['https://8.8.8.8/a', 'https://8.8.8.8/a'],
    ['https://[2606:4700::1111]/a', 'https://[2606:4700::1111]/a'],
    ['https://127.0.0.1.nip.io/a', 'https://127.0.0.1.nip.io/a'],
  ] as const) {
    test(`${text} is ${url}`, () => expect(guard().vetUrl(text)).toMatchObject({ kind: 'ok', url }));
  }
});

describe('what a name resolves to is vetted whole', () => {
  const target = { host: 'hooks.example', port: 443, isTls: true };
  for (const { number, addresses, because } of [
    { number: 138, addresses: ['127.0.0.1'], because: 'public when registered, loopback when sent to' },
    { number: 138, addresses: ['169.254.169.254'], because: 'metadata' },
    { number: 138, addresses: ['0.0.0.0'], because: 'the unspecified address is this machine' },
    { number: 138, addresses: ['::1'], because: 'loopback' },
    { number: 138, addresses: ['::ffff:10.0.0.1'], because: 'a mapped address' },
    { number: 138, addresses: ['64:ff9b::a00:1'], because: 'a translated address' },
    { number: 139, addresses: ['93.184.216.34', '10.0.0.1'], because: 'one of two is private' },
    { number: 139, addresses: ['10.0.0.1', '93.184.216.34'], because: 'in either order' },
    { number: 140, addresses: ['93.184.216.34', 'fd00::8'], because: 'the other family is private' },
    {
      number: 79,
      addresses: [...Array<string>(499).fill('93.184.216.34'), '10.0.0.1'],
      because: 'the last of 500',
    },
    {
      number: 139,
      addresses: ['93.184.216.34', 'not an address'],
      because: 'what cannot be read is not dialled',
    },
  ]) {
    test(`case ${number}: ${because}`, async () => {
      const refused = await guard({ resolve: async () => addresses }).addressesOf(target);
      expect(refused).toMatchObject({
        kind: 'refused',
        reason: expect.stringContaining('hooks.example resolves to'),
      });
      expect(JSON.stringify(refused)).not.toContain(addresses.at(-1));
    });
  }

  test('case 79: of 500 public addresses eight are dialled', async () => {
    const resolve = async () => Array<string>(500).fill('93.184.216.34');
    expect(await guard({ resolve }).addressesOf(target)).toEqual(Array(8).fill('93.184.216.34'));
  });

  for (const scheme of ['http', 'https']) {
    for (const addresses of [['127.0.0.1'], ['::1'], ['127.0.0.1', '::1']]) {
      test(`case 138: ${scheme} to a name that now means ${addresses} reaches nobody`, async () => {
        const listeners = await canaries();
        for (const { port } of listeners) {
          const guarded = guard({ publicPorts: [port], allowHttp: true, resolve: async () => addresses });
          const url = `${scheme}://hooks.example:${port}/`;
          expect(guarded.vetUrl(url).kind).toBe('ok');
          expect(await sender(guarded).post(request(url))).toEqual({
            kind: 'blocked',
            reason: 'hooks.example resolves to a loopback address',
            allowWith: `"delivery": { "allow": ["hooks.example:${port}"] }`,
          });
        }
        expect(hits(listeners)).toBe(0);
      });
    }
  }

  for (const scheme of ['http', 'https']) {
    test(`${scheme}: should an unvetted address be dialled after all, not a byte is written`, async () => {
      const canary = await hostile({});
      const strict = guard({ publicPorts: [canary.port], allowHttp: true });
      const careless = { ...strict, addressesOf: async () => ['127.0.0.1'] };
      const result = await sender(careless).post(request(`${scheme}://hooks.example:${canary.port}/`));
      expect(told(result)).toBe('blocked: hooks.example resolves to a loopback address');
      await canary.until(() => canary.connections() === 1 && canary.open() === 0);
      expect(canary.received()).toBe('');
    });
  }

  test('an address that slipped past the URL is refused where the connection is made', async () => {
    const canary = await hostile({});
    const strict = guard({ publicPorts: [canary.port], allowHttp: true });
    const target = { host: '127.0.0.1', port: canary.port, isTls: false };
    const careless = {
      ...strict,
      vetUrl: (url: string) => ({ kind: 'ok' as const, url, target, path: '/' }),
    };
    expect(told(await sender(careless).post(request('http://anything/')))).toMatch(/^blocked: 127.0.0.1 is/);
    expect(canary.connections()).toBe(0);
  });
});

describe('case 147: delivery.allow opens what it names and no more', () => {
  const private10 = async () => ['10.0.3.7'];
  for (const { entries, url, resolve = private10, is, because } of [
    {
      entries: ['ehr.internal:3000'],
      url: 'http://ehr.internal:3000/hook',
      is: 'ok',
      because: 'plain http, private, own port',
    },
    {
      entries: ['ehr.internal'],
      url: 'http://ehr.internal:22/hook',
      is: 'ok',
      because: 'no port is every port',
    },
    {
      entries: ['ehr.internal:3000'],
      url: 'http://ehr.internal:3001/hook',
      is: 'refused',
      because: 'another port',
    },
    {
      entries: ['ehr.internal:3000'],
      url: 'http://ehr2.internal:3000/hook',
      is: 'refused',
      because: 'another name',
    },
    { entries: ['*.ehr.internal'], url: 'http://a.ehr.internal:3000/hook', is: 'ok', because: 'its suffix' },
    {
      entries: ['10.0.3.0/24'],
      url: 'http://10.0.3.7:3000/hook',
      is: 'ok',
      because: 'an address of the range',
    },
    {
      entries: ['10.0.3.0/24'],
      url: 'http://10.0.4.7:3000/hook',
      is: 'refused',
      because: 'an address outside it',
    },
    {
      entries: ['10.0.3.0/24:3000'],
      url: 'http://10.0.3.7:22/hook',
      is: 'refused',
      because: 'another port of the range',
    },
    {
      entries: ['10.0.3.0/24'],
      url: 'http://ehr.internal:3000/hook',
      is: 'ok',
      because: 'a name that resolves into the range',
    },
    {
      entries: ['10.0.4.0/24'],
      url: 'http://ehr.internal:3000/hook',
      is: 'refused',
      because: 'a name that resolves elsewhere',
    },
    {
      entries: ['10.0.3.0/24'],
      url: 'http://hooks.example/',
      resolve: async () => ['93.184.216.34'],
      is: 'refused',
      because: 'plain http to a public address',
    },
    {
      entries: ['10.0.3.0/24'],
      url: 'https://hooks.example/',
      resolve: async () => ['93.184.216.34'],
      is: 'ok',
      because: 'the public stays open',
    },
    {
      entries: ['hooks.example:9443'],
      url: 'https://hooks.example:9443/',
      resolve: async () => ['93.184.216.34'],
      is: 'ok',
      because: 'an unusual port of a public host',
    },
    { entries: ['[fd00::7]:3000'], url: 'http://[fd00::7]:3000/', is: 'ok', because: 'an IPv6 address' },
    {
      entries: ['192.0.2.0/24'],
      url: 'https://192.0.2.7/',
      is: 'ok',
      because: 'a reserved range that somebody uses after all',
    },
    {
      entries: ['localhost:3000'],
      url: 'http://localhost:3000/',
      resolve: async () => ['::1', '127.0.0.1'],
      is: 'ok',
      because: 'this machine, by name',
    },
    {
      entries: ['*.google.internal'],
      url: 'http://metadata.google.internal/',
      is: 'refused',
      because: 'a metadata name under an allowed suffix',
    },
  ]) {
    test(`${entries} and ${url}: ${is}: ${because}`, async () => {
      const guarded = guard({ allow: allow(...entries), resolve });
      const vetted = guarded.vetUrl(url);
      const isLiteral = vetted.kind === 'ok' && /^[\d.:a-f]*[\d:][\d.:a-f]*$/.test(vetted.target.host);
      const found = vetted.kind === 'ok' && !isLiteral ? await guarded.addressesOf(vetted.target) : vetted;
      expect('kind' in found ? found.kind : 'ok').toBe(is);
    });
  }

  for (const address of neverAddresses) {
    test(`${address} stays shut, whatever is allowed`, async () => {
      const guarded = createAddressGuard({
        allow: allow('hooks.example', '169.0.0.0/8', '168.0.0.0/8', '100.0.0.0/8', '192.0.0.0/8', 'fc00::/7'),
        allowPrivateAddresses: true,
        allowHttp: true,
        resolve: async () => [address],
      });
      const host = address.includes(':') ? `[${address}]` : address;
      for (const url of [`http://${host}/`, `https://${host}/`]) {
        expect(guarded.vetUrl(url)).toMatchObject({ kind: 'refused', allowWith: null });
      }
      const byName = await guarded.addressesOf({ host: 'hooks.example', port: 80, isTls: false });
      expect(byName).toMatchObject({ kind: 'refused', allowWith: null });
    });
  }

  test('an allowed private subscriber is delivered to', async () => {
    const peer = await hostile({ onRequest: (socket) => socket.write(http(200)) });
    const guarded = guard({ allow: allow(`ehr.internal:${peer.port}`), resolve: async () => ['127.0.0.1'] });
    expect(told(await sender(guarded).post(request(`http://ehr.internal:${peer.port}/`)))).toBe('200');
  });

  test('a refusal prints the line that would allow it', () => {
    expect(guard().vetUrl('http://ehr.internal:3000/hook')).toEqual({
      kind: 'refused',
      reason: 'plain http is not allowed',
      allowWith: '"delivery": { "allow": ["ehr.internal:3000"] }',
    });
    expect(guard().vetUrl('https://[fd00::1]/hook')).toMatchObject({
      allowWith: '"delivery": { "allow": ["[fd00::1]:443"] }',
    });
  });
});

describe('the switches for development', () => {
  const open = { allowPrivateAddresses: true, allowHttp: true };
  for (const { options, url, is } of [
    { options: { allowHttp: true }, url: 'http://hooks.example/', is: 'ok' },
    { options: { allowHttp: true }, url: 'http://hooks.example:8080/', is: 'ok' },
    { options: { allowHttp: true }, url: 'http://hooks.example:6379/', is: 'refused' },
    { options: { allowHttp: true }, url: 'http://127.0.0.1:8080/', is: 'refused' },
    { options: { allowPrivateAddresses: true }, url: 'http://127.0.0.1:8080/', is: 'refused' },
    { options: { allowPrivateAddresses: true }, url: 'https://127.0.0.1:8443/', is: 'ok' },
    { options: open, url: 'http://127.0.0.1:5000/', is: 'ok' },
    { options: open, url: 'http://localhost:5000/', is: 'ok' },
    { options: open, url: 'http://app:3000/', is: 'ok' },
    { options: open, url: 'http://192.168.1.7:5000/', is: 'ok' },
    { options: open, url: 'http://127.0.0.1:22/', is: 'refused' },
    { options: open, url: 'http://169.254.169.254/', is: 'refused' },
    { options: open, url: 'http://192.0.2.1:5000/', is: 'refused' },
  ]) {
    test(`${JSON.stringify(options)} and ${url}: ${is}`, () => {
      expect(guard(options).vetUrl(url).kind).toBe(is);
    });
  }
});

describe('case 148: the relay does not deliver to itself', () => {
  const options = { allowPrivateAddresses: true, allowHttp: true, resolve: async () => ['127.0.0.1'] };
  const machine = { name: 'box', addresses: () => ['127.0.0.1', '10.0.0.5', 'fd00::5'] };
  const everything = allow('localhost', 'box', 'app', '127.0.0.0/8', '10.0.0.0/8', '::1', 'fd00::/64');
  const refusal = { kind: 'refused', reason: 'it is where the relay itself listens', allowWith: null };

  for (const { host, port = 8080, url } of [
    { host: '127.0.0.1', url: 'http://127.0.0.1:8080/' },
    { host: '127.0.0.1', url: 'http://localhost:8080/' },
    { host: '127.0.0.1', url: 'http://LOCALHOST.:8080/' },
    { host: '127.0.0.1', url: 'http://api.localhost:8080/' },
    { host: '127.0.0.1', url: 'http://0.0.0.0:8080/' },
    { host: '::1', url: 'http://localhost:8080/' },
    { host: '::1', url: 'http://[::1]:8080/' },
    { host: '::1', url: 'http://[::]:8080/' },
    { host: 'localhost', url: 'http://127.0.0.1:8080/' },
    { host: 'localhost', url: 'http://[::1]:8080/' },
    { host: '0.0.0.0', url: 'http://127.0.0.1:8080/' },
    { host: '0.0.0.0', url: 'http://127.0.0.2:8080/' },
    { host: '0.0.0.0', url: 'http://localhost:8080/' },
    { host: '0.0.0.0', url: 'http://10.0.0.5:8080/' },
    { host: '0.0.0.0', url: 'http://box:8080/' },
    { host: '::', url: 'http://localhost:8080/' },
    { host: '::', url: 'http://[fd00::5]:8080/' },
    { host: 'Relay.example', port: 443, url: 'https://relay.example/' },
  ]) {
    test(`listening on ${host}:${port}, ${url} is refused by its text, even if allowed`, () => {
      const guarded = guard({ ...options, allow: everything, machine, listening: () => [{ host, port }] });
      expect(guarded.vetUrl(url)).toMatchObject(refusal);
    });
  }

  for (const { host, url, to } of [
    { host: '127.0.0.1', url: 'http://app:8080/', to: '127.0.0.1' },
    { host: '0.0.0.0', url: 'http://app:8080/', to: '10.0.0.5' },
    { host: '10.0.0.5', url: 'http://box:8080/', to: '10.0.0.5' },
  ]) {
    test(`listening on ${host}:8080, ${url} is not dialled when it resolves to ${to}`, async () => {
      const listening = () => [{ host, port: 8080 }];
      const guarded = guard({ ...options, allow: everything, machine, listening, resolve: async () => [to] });
      const vetted = guarded.vetUrl(url);
      expect(vetted.kind).toBe('ok');
      if (vetted.kind === 'ok') expect(await guarded.addressesOf(vetted.target)).toMatchObject(refusal);
    });
  }

  for (const { host, url, because } of [
    { host: '0.0.0.0', url: 'http://127.0.0.1:8081/', because: 'another port' },
    { host: '0.0.0.0', url: 'http://10.0.0.6:8080/', because: 'another machine' },
    { host: '127.0.0.1', url: 'http://[::1]:8080/', because: 'another address of this machine' },
    { host: '10.0.0.5', url: 'http://localhost:8080/', because: 'the relay does not listen on loopback' },
    { host: '127.0.0.1', url: 'http://box:8080/', because: 'the machine’s name may mean another address' },
  ]) {
    test(`listening on ${host}:8080, ${url} is somebody else: ${because}`, () => {
      const listening = () => [{ host, port: 8080 }];
      expect(guard({ ...options, allow: everything, machine, listening }).vetUrl(url).kind).toBe('ok');
    });
  }

  test('the port that was found counts when any was asked for', () => {
    const listening: { host: string; port: number }[] = [{ host: '127.0.0.1', port: 0 }];
    const guarded = guard({ ...options, allow: everything, machine, listening: () => listening });
    expect(guarded.vetUrl('http://localhost:4321/').kind).toBe('ok');
    listening.push({ host: '127.0.0.1', port: 4321 });
    expect(guarded.vetUrl('http://localhost:4321/')).toMatchObject(refusal);
  });
});
