import { mkdtempSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { signToken } from '../src/api/auth.ts';
import { loadConfig } from '../src/config.ts';
import { createAddressGuard } from '../src/delivery/address-guard.ts';
import { InvalidInput } from '../src/domain/errors.ts';
import { silentLogger } from '../src/logger.ts';
import { type RunningRelay, startRelay } from '../src/main.ts';
import { type RunningSandbox, startSandbox } from '../src/sandbox/server.ts';
import { hostileHosts } from './delivery/hostile-hosts.ts';
import { http, type Peer, peer } from './delivery/peer.ts';
import { request, sender, told } from './delivery/sending.ts';
import { aSubscriber } from './store/fixtures.ts';

/**
 * A whole relay, and every way in which somebody can name an address to it. Listeners on
 * this machine's loopback stand where most of the hostile addresses lead; whatever is
 * dialled beside what the test itself runs is noted, and not dialled.
 */
let folder: string;
let sandbox: RunningSandbox;
let relay: RunningRelay;
let canaries: readonly Peer[];
let strays: string[];

const env = {
  RELAY_MASTER_KEY: Buffer.alloc(32, 7).toString('base64'),
  RELAY_JWT_SECRET: 'a-secret-of-the-tests-that-is-long-enough',
};

function configOf(changes: object = {}) {
  const file = {
    source: {
      environment: 'us-sandbox',
      apiUrl: `${sandbox.url}/api`,
      clientId: 'sandbox-client',
      clientSecret: 'sandbox-secret',
      pollSecondsMin: 1,
      pollSecondsMax: 1,
      startFrom: '1h',
    },
    clinics: sandbox.fullscript.clinics.slice(0, 1).map(({ name, slug }) => ({
      name,
      accessToken: `sandbox-access-${slug}`,
      refreshToken: `sandbox-refresh-${slug}`,
    })),
    server: { port: 0 },
    store: { kind: 'file', path: join(folder, 'data') },
    ...changes,
  };
  return loadConfig({ path: 'relay.config.json', env, readFile: () => JSON.stringify(file) });
}

/** Each host on the usual port, and on a canary's, so that what is dialled by mistake is heard. */
const targets = () =>
  hostileHosts.flatMap(([host], n) => {
    const { port } = canaries[n % canaries.length] as Peer;
    return [`https://${host}/hook`, `${n % 2 === 0 ? 'http' : 'https'}://${host}:${port}/hook`];
  });

let tokens = 0;

/** Each call by somebody else: what makes the relay dial is limited for each. */
async function ask(method: string, path: string, body: object = {}) {
  tokens += 1;
  const who = { subject: `somebody-${tokens}`, scopes: ['admin'] as const, expiresInSeconds: 60 };
  const { token } = signToken({ kind: 'secret', secret: env.RELAY_JWT_SECRET }, who, Date.now());
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const answer = await fetch(`${relay.url}${path}`, { method, headers, body: JSON.stringify(body) });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'relay-doors-'));
  sandbox = await startSandbox({ seed: 5 });
  const started = await Promise.allSettled([peer({}), peer({ host: '::1' })]);
  canaries = started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  relay = await startRelay({ config: configOf(), logger: silentLogger });
  strays = [];
  const known = new Set([relay.url, sandbox.url].map((url) => Number(new URL(url).port)));
  const connect = Socket.prototype.connect;
  vi.spyOn(Socket.prototype, 'connect').mockImplementation(function (this: Socket, ...args: unknown[]) {
    const [options] = [args[0]].flat() as { host?: string; port?: number }[];
    if (known.has(Number(options?.port))) return Reflect.apply(connect, this, args);
    strays.push(`${options?.host}:${options?.port}`);
    return this.destroy(new Error('not dialled'));
  });
});

afterAll(async () => {
  vi.restoreAllMocks();
  await relay.stop();
  await sandbox.close();
  for (const each of canaries) await each.close();
  rmSync(folder, { recursive: true });
});

const nobodyWasReached = () => {
  expect(strays).toEqual([]);
  expect(canaries.map((each) => each.connections())).toEqual(canaries.map(() => 0));
};

test('there are more than sixty hostile hosts, and canaries to hear them', () => {
  expect(hostileHosts.length).toBeGreaterThan(60);
  expect(canaries.length).toBeGreaterThan(0);
});

describe('case 137: a hostile address is refused at every door, and nothing is dialled', () => {
  test('in a registration, whose handshake would dial it', async () => {
    for (const url of targets()) {
      const challengeToken = 'a-challenge-token';
      const { status, body } = await ask('POST', '/v1/subscribers', { name: 'ehr', url, challengeToken });
      expect({ url, status, code: body.code }).toEqual({ url, status: 400, code: 'url_refused' });
    }
    expect((await relay.store.subscribers()).subscribers).toEqual([]);
    nobodyWasReached();
  });

  test('in a change of a subscriber', async () => {
    await relay.store.addSubscriber(aSubscriber('sub_changed', { url: 'https://ehr.example/hook' }));
    for (const url of targets()) {
      const { status, body } = await ask('PATCH', '/v1/subscribers/sub_changed', { url });
      expect({ url, status, code: body.code }).toEqual({ url, status: 400, code: 'url_refused' });
    }
    const { subscribers } = await relay.store.subscribers();
    expect(subscribers.map(({ url }) => url)).toEqual(['https://ehr.example/hook']);
    await relay.store.deleteSubscriber('sub_changed');
    nobodyWasReached();
  });

  test('as the token URL of a clinic', async () => {
    for (const tokenUrl of targets()) {
      const { status, body } = await ask('POST', '/v1/clinics', { name: 'Boston', tokenUrl });
      expect({ tokenUrl, status, code: body.code }).toEqual({ tokenUrl, status: 400, code: 'url_refused' });
    }
    nobodyWasReached();
  });

  test('in the configuration file, all of them at once', async () => {
    const secret = 'a-signing-secret-of-more-than-32-characters';
    const subscribers = targets().map((url, n) => ({ name: `ehr-${n}`, url, secret }));
    const refused = await startRelay({ config: configOf({ subscribers }), logger: silentLogger }).catch(
      (error: unknown) => error,
    );
    if (!(refused instanceof InvalidInput)) throw new Error('it was not refused as input');
    expect(refused.problems.map(({ path }) => path)).toEqual(
      subscribers.map((_, n) => `subscribers[${n}].url`),
    );
    nobodyWasReached();
  });

  test('in a test and in an examination of a subscriber that was allowed once', async () => {
    for (const [n, url] of targets().entries()) {
      const id = `sub_${n}`;
      await relay.store.addSubscriber(aSubscriber(id, { url }));
      const tested = await ask('POST', `/v1/subscribers/${id}/test`);
      expect({ url, body: tested.body }).toMatchObject({ url, body: { passed: false, outcome: 'blocked' } });
      if (n % 10 === 0) {
        const examined = await ask('POST', `/v1/subscribers/${id}/doctor`);
        expect({ url, body: examined.body }).toMatchObject({ url, body: { passed: false } });
      }
    }
    nobodyWasReached();
  });

  test('in a delivery: its subscriber is paused', async () => {
    sandbox.fullscript.addEvent({
      clinic: sandbox.fullscript.clinics[0]?.name ?? '',
      type: 'order.placed',
    });
    await expect
      .poll(
        async () => {
          const { subscribers } = await relay.store.subscribers();
          return subscribers.filter(
            ({ deletedAt, pauseReasons }) => deletedAt === null && !pauseReasons.includes('address'),
          ).length;
        },
        { timeout: 30_000, interval: 100 },
      )
      .toBe(0);
    const { subscribers } = await relay.store.subscribers();
    expect(subscribers.filter(({ pauseReasons }) => pauseReasons.includes('address'))).toHaveLength(
      targets().length,
    );
    nobodyWasReached();
  }, 40_000);
});

test('case 141: a redirect to any of them is told and not followed', async () => {
  vi.restoreAllMocks();
  const places = targets();
  const redirecting = await peer({
    onRequest: (socket, number) => socket.write(http(307, '', { location: places[number - 1] ?? '' })),
  });
  onTestFinished(() => redirecting.close());
  const guard = createAddressGuard({
    allow: [],
    allowPrivateAddresses: true,
    allowHttp: true,
    resolve: async () => ['127.0.0.1'],
  });
  const { post } = sender(guard);
  for (const _ of places) expect(told(await post(request(redirecting)))).toBe('307');
  expect(redirecting.connections()).toBe(1);
  nobodyWasReached();
});
