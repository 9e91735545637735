import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createGuardedAgents } from '../../src/delivery/guarded-agents.ts';
import { createGuards, refusedOf } from '../../src/delivery/guards.ts';
import { parseAllowEntry } from '../../src/domain/allow-entry.ts';
import { createOAuth } from '../../src/source/oauth.ts';
import { createVendorHttp } from '../../src/source/vendor-http.ts';
import { standIn } from '../client/stand-in.ts';

const declared = (...tokenUrls: readonly string[]) => ({
  subscribers: [],
  clinics: tokenUrls.map((tokenUrl) => ({ tokenUrl })),
});

function guards(
  file: ReturnType<typeof declared>,
  { allowed = [], to = '127.0.0.1' }: { allowed?: readonly string[]; to?: string } = {},
) {
  const allow = allowed.map(parseAllowEntry).filter((entry) => entry.kind !== 'problem');
  const options = { allow, allowPrivateAddresses: false, allowHttp: false, resolve: async () => [to] };
  return createGuards({ ...options, listening: () => [{ host: '127.0.0.1', port: 8080 }] }, file);
}

test('the URL for operational events may be private, for them alone, and never metadata', () => {
  const url = 'http://chat.internal:9000/hook';
  const file = { ...declared(), operationalEvents: { url } };
  const found = guards(file);
  expect(found.operationalEvents.vetUrl(url).kind).toBe('ok');
  expect(found.subscribers.vetUrl(url).kind).toBe('refused');
  expect(found.tokenUrls.vetUrl(url).kind).toBe('refused');
  expect(refusedOf(file, found)).toEqual([]);
  const metadata = { ...declared(), operationalEvents: { url: 'http://169.254.169.254/hook' } };
  expect(refusedOf(metadata, guards(metadata)).map(({ path }) => path)).toEqual(['operationalEvents.url']);
});

describe('a token URL that the file names', () => {
  for (const { url, allowed, is, because } of [
    { url: 'https://app.example/token', is: 'ok', because: 'it is public' },
    { url: 'https://my-app.internal/token', is: 'ok', because: 'naming it in the file allows it' },
    { url: 'https://app.example:4444/token', is: 'ok', because: 'an unusual port, too' },
    { url: 'http://127.0.0.1:3000/token', is: 'ok', because: 'plain http stays on this machine' },
    { url: 'http://my-app.internal:3000/token', is: 'ok', because: 'plain http stays in a private network' },
    { url: 'http://app.example/token', is: 'refused', because: 'a token would cross the internet in clear' },
    {
      url: 'http://app.example/token',
      allowed: ['app.example'],
      is: 'ok',
      because: 'it is allowed outright',
    },
    { url: 'http://169.254.169.254/latest', is: 'refused', because: 'no cloud’s metadata' },
    { url: 'http://169.254.169.254/', allowed: ['169.254.169.254'], is: 'refused', because: 'never' },
    { url: 'http://[fd00:ec2::254]/latest', is: 'refused', because: 'nor by IPv6' },
    { url: 'http://metadata.google.internal/', is: 'refused', because: 'nor by name' },
    { url: 'https://[fe80::1]/token', is: 'refused', because: 'no link-local address' },
    { url: 'https://localhost:8080/token', is: 'refused', because: 'it is where the relay listens' },
  ]) {
    test(`${url} is ${is}: ${because}`, () => {
      const file = declared(url);
      const found = guards(file, { allowed: allowed ?? [] });
      expect(found.tokenUrls.vetUrl(url).kind).toBe(is);
      const paths = refusedOf(file, found).map(({ path }) => path);
      expect(paths).toEqual(is === 'ok' ? [] : ['clinics[0].tokenUrl']);
    });
  }

  test('is allowed for tokens only: no subscriber may be registered there', () => {
    const url = 'https://my-app.internal/token';
    expect(guards(declared(url)).subscribers.vetUrl(url).kind).toBe('refused');
  });

  test('vouches for its own port and nothing else of that host', () => {
    const { tokenUrls } = guards(declared('https://my-app.internal/token'));
    expect(tokenUrls.vetUrl('https://my-app.internal:9200/').kind).toBe('refused');
    expect(tokenUrls.vetUrl('https://other.internal/token').kind).toBe('refused');
  });

  test('is not dialled when its name resolves to a metadata address', async () => {
    const url = 'https://my-app.internal/token';
    const { tokenUrls } = guards(declared(url), { to: '169.254.169.254' });
    const vetted = tokenUrls.vetUrl(url);
    expect(vetted.kind === 'ok' && (await tokenUrls.addressesOf(vetted.target))).toMatchObject({
      kind: 'refused',
      allowWith: null,
    });
  });
});

describe('the socket on which tokens are asked for is guarded', () => {
  const app = { apiUrl: 'http://127.0.0.1:1', clientId: 'a', clientSecret: 'b', redirectUri: 'http://a' };
  const clock = systemClock();
  const vendor = createVendorHttp({ userAgent: 'test', clock });

  async function asked(url: string, file: readonly string[], to: string) {
    const agents = createGuardedAgents({
      guard: guards(declared(...file), { to }).tokenUrls,
      clock,
      keepAlive: false,
    });
    const http = createVendorHttp({ userAgent: 'test', clock, agents });
    return createOAuth(vendor, app, clock, http).askTokenUrl(url, 'app-secret');
  }

  test('the operator’s own app is asked, with its secret', async () => {
    const json = { accessToken: 'fresh', expiresAt: Date.now() + 3_600_000 };
    const ownApp = await standIn(() => ({ status: 200, json }));
    const url = `${ownApp.url}/token`.replace('127.0.0.1', 'my-app.internal');
    const answer = await asked(url, [url], '127.0.0.1');
    await ownApp.close();
    expect(answer).toMatchObject({ kind: 'tokens', tokens: { accessToken: 'fresh' } });
    expect(ownApp.seen).toMatchObject([{ path: '/token', authorization: 'Bearer app-secret' }]);
  });

  for (const { name, to, isNamed, because } of [
    { name: 'my-app.internal', to: '169.254.169.254', isNamed: true, because: 'it resolves to metadata' },
    { name: 'my-app.internal', to: '127.0.0.1', isNamed: false, because: 'the file no longer names it' },
    { name: '169.254.169.254', to: '127.0.0.1', isNamed: true, because: 'it is a metadata address' },
  ]) {
    test(`nothing is dialled when ${because}`, async () => {
      const canary = await standIn(() => ({ status: 200, json: { accessToken: 'x' } }));
      const url = `${canary.url}/token`.replace('127.0.0.1', name);
      const answer = await asked(url, isNamed ? [url] : [], to);
      await canary.close();
      expect(answer).toEqual({ kind: 'unavailable', detail: 'ADDRESS_REFUSED' });
      expect(canary.seen).toEqual([]);
    });
  }
});
