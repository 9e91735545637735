import { expect, test } from 'vitest';
import { StoreUnavailable } from '../../src/domain/errors.ts';
import { type Callback, Connecting } from '../../src/source/connect.ts';
import { createOAuth } from '../../src/source/oauth.ts';
import { Revocations } from '../../src/source/revocations.ts';
import { keptLog } from '../world/log.ts';
import { type Changes, httpOf, pollingRelay } from './clinic.ts';

const app = {
  apiUrl: 'http://vendor/api',
  clientId: 'sandbox-client',
  clientSecret: 'sandbox-secret',
  redirectUri: 'http://127.0.0.1:8080/oauth/callback',
};

async function connectingRelay(changes: Changes = {}) {
  const relay = await pollingRelay(changes);
  const { clock, fullscript, store } = relay;
  const wire = httpOf(fullscript);
  const http = changes.http?.(wire) ?? wire;
  const { logger, lines } = keptLog();
  const oauth = createOAuth(http, app, clock, http);
  const make = () =>
    new Connecting({
      store,
      oauth,
      revocations: new Revocations({
        store,
        oauth,
        clock,
        logger,
        onFatal: (error) => relay.fatal.push(error),
      }),
      app,
      masterKey: Buffer.alloc(32, 7),
      clock,
      logger,
      connectionChanged: (id) => relay.poller.forget(id),
      wakePoller: () => relay.poller.wake(),
    });
  await clock.advance(1_000);
  return {
    ...relay,
    make,
    connecting: make(),
    lines,
    /** What the browser brings back after somebody pressed a button at the vendor. */
    decide(url: string, decision: 'allow' | 'deny', clinic = 'Washington'): Callback {
      const form = new URL(url).searchParams;
      form.set('decision', decision);
      form.set('clinic', clinic);
      const { pathname } = new URL(url);
      const contentType = 'application/x-www-form-urlencoded';
      const reply = fullscript.answer({ method: 'POST', path: pathname, contentType, body: String(form) });
      const back = new URL(String(reply.headers.location)).searchParams;
      return { state: back.get('state'), code: back.get('code'), error: back.get('error') };
    },
    async complete(connecting: Connecting, callback: Callback) {
      const done = connecting.complete(callback);
      await clock.advance(15_000);
      return (await done).kind;
    },
  };
}

test('a user who allows adds a connection to the clinic; loading the page again, a restart later too, shows the same', async () => {
  const relay = await connectingRelay();
  const { url, connectionId } = relay.connecting.link('Washington', 'con_new');
  const callback = relay.decide(url, 'allow');
  expect(await relay.complete(relay.connecting, callback)).toBe('connected');
  expect(await relay.complete(relay.connecting, callback)).toBe('connected');
  expect(await relay.complete(relay.make(), callback)).toBe('connected');
  const connections = await relay.store.connections();
  expect(connections).toHaveLength(2);
  const [first, second] = connections;
  expect(connections.find(({ id }) => id === connectionId)?.state).toBe('working');
  expect(first?.clinicId).toBe(second?.clinicId);
});

test('a name never becomes another clinic: what was given is revoked and not kept', async () => {
  const relay = await connectingRelay();
  const { url } = relay.connecting.link('Oregon', 'con_new');
  expect(await relay.complete(relay.connecting, relay.decide(url, 'allow'))).toBe('otherClinic');
  expect((await relay.store.connections()).map(({ name }) => name)).toEqual(['Washington']);
});

test('a denied link is used up, also after a restart', async () => {
  const relay = await connectingRelay();
  const { url } = relay.connecting.link('Washington', 'con_new');
  const callback = relay.decide(url, 'deny');
  expect(await relay.complete(relay.connecting, callback)).toBe('denied');
  const allowed = { ...relay.decide(url, 'allow'), error: null };
  expect(await relay.complete(relay.make(), allowed)).toBe('denied');
  expect(await relay.store.connections()).toHaveLength(1);
});

test('a link is good for ten minutes', async () => {
  const relay = await connectingRelay();
  const callback = relay.decide(relay.connecting.link('Washington', 'con_new').url, 'allow');
  await relay.clock.advance(10 * 60_000);
  expect(await relay.complete(relay.connecting, callback)).toBe('linkExpired');
});

test('a state that the relay has not made, or that was changed, is not taken; a code that the vendor refuses connects nobody', async () => {
  const relay = await connectingRelay();
  const { state } = relay.decide(relay.connecting.link('Washington', 'con_new').url, 'deny');
  const changed = `${state?.startsWith('A') ? 'B' : 'A'}${state?.slice(1)}`;
  for (const wrong of [null, 'x', changed, `${state}=`, 'A'.repeat(4_000)]) {
    expect(await relay.complete(relay.connecting, { state: wrong, code: 'c', error: null })).toBe(
      'linkUnknown',
    );
  }
  const answer = await relay.complete(relay.connecting, { state, code: 'no-such-code', error: null });
  expect(answer).toBe('codeRefused');
  expect(await relay.store.connections()).toHaveLength(1);
});

test('without a name it is called as the vendor calls its clinic: a spare of one that is known, or a new one', async () => {
  const relay = await connectingRelay();
  const { url } = relay.connecting.link(null, 'con_new');
  expect(await relay.complete(relay.connecting, relay.decide(url, 'allow'))).toBe('connected');
  expect(await relay.connecting.outcomeOf('con_new')).toMatchObject({
    kind: 'connected',
    name: 'Washington',
  });
  const spare = (await relay.store.connections()).find(({ id }) => id === 'con_new');
  expect(spare).toMatchObject({ name: 'Washington' });
  expect(spare).not.toHaveProperty('isUnnamed');
  expect(await relay.store.clinics()).toHaveLength(1);
});

for (const { called, becomes, because } of [
  { called: 'Ohio', becomes: /^Ohio$/, because: 'that is its name' },
  { called: 'Washington', becomes: /^Washington [0-9a-f]{8}$/, because: 'another clinic is called so' },
  { called: ' \u001b[31mOh\nio ', becomes: /^\[31mOhio$/, because: 'a name can be shown' },
  { called: '', becomes: /^[0-9a-f-]{36}$/, because: 'there is none, so its id stands for it' },
  { called: 'x'.repeat(5_000), becomes: /^x{180}$/, because: 'a name is short' },
]) {
  test(`a new clinic that the vendor calls ${JSON.stringify(called.slice(0, 20))}: ${because}`, async () => {
    const relay = await connectingRelay({
      clinics: ['Washington', 'New York'],
      declared: ['Washington'],
      http: (http) => async (asked) => {
        const answer = await http(asked);
        if (answer.kind !== 'answered' || !asked.url.endsWith('/clinic')) return answer;
        const text = answer.body.toString().replace('"New York"', JSON.stringify(called));
        return { ...answer, body: Buffer.from(text) };
      },
    });
    const { url } = relay.connecting.link(null, 'con_new');
    expect(await relay.complete(relay.connecting, relay.decide(url, 'allow', 'New York'))).toBe('connected');
    const [, clinic] = await relay.store.clinics();
    expect(clinic?.name).toMatch(becomes);
    expect((await relay.store.connections()).map(({ name }) => name)).toEqual(['Washington', clinic?.name]);
  });
}

test('what came of a link is told by its connection', async () => {
  const relay = await connectingRelay();
  const { url, connectionId } = relay.connecting.link('Washington', 'con_new');
  expect(await relay.connecting.outcomeOf(connectionId)).toBeNull();
  await relay.complete(relay.connecting, relay.decide(url, 'deny'));
  expect(await relay.connecting.outcomeOf(connectionId)).toEqual({ kind: 'denied' });
  const wrong = relay.connecting.link('Oregon', 'con_other');
  await relay.complete(relay.connecting, relay.decide(wrong.url, 'allow'));
  expect(await relay.connecting.outcomeOf('con_other')).toEqual({
    kind: 'otherClinic',
    reason: 'its token belongs to the clinic Washington, not to Oregon',
  });
  const restarted = relay.make();
  expect(await restarted.outcomeOf(connectionId)).toEqual({ kind: 'denied' });
  expect(await restarted.outcomeOf('con_other')).toMatchObject({
    kind: 'otherClinic',
    reason: expect.any(String),
  });
});

test('a link that was used as the process died is told to be used up', async () => {
  const relay = await connectingRelay({
    http: (http) => (asked) =>
      asked.json?.grant_type === 'authorization_code' ? new Promise<never>(() => {}) : http(asked),
  });
  const { url, connectionId } = relay.connecting.link('Washington', 'con_new');
  const callback = relay.decide(url, 'allow');
  void relay.connecting.complete(callback);
  await relay.clock.advance(1_000);
  expect(await relay.connecting.outcomeOf(connectionId)).toEqual({ kind: 'underWay' });
  const restarted = relay.make();
  expect(await restarted.outcomeOf(connectionId)).toEqual({ kind: 'linkUsed' });
  expect(await relay.complete(restarted, callback)).toBe('linkUsed');
});

test('a page is not waited for as long as the vendor hangs: it goes on, and loaded again shows what came of it', async () => {
  let letGo = (): void => {};
  const isLetGo = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const relay = await connectingRelay({
    http: (http) => async (asked) => {
      if (asked.json?.grant_type === 'authorization_code') await isLetGo;
      return http(asked);
    },
  });
  const callback = relay.decide(relay.connecting.link('Washington', 'con_new').url, 'allow');
  const shown = relay.connecting.complete(callback);
  await relay.clock.advance(20_000);
  expect(await shown).toEqual({ kind: 'underWay' });
  expect(await relay.connecting.outcomeOf('con_new')).toEqual({ kind: 'underWay' });
  letGo();
  expect(await relay.complete(relay.connecting, callback)).toBe('connected');
});

test('a code is not spent when its turn comes after the link has expired', async () => {
  const { clock, fullscript } = await connectingRelay();
  const http = httpOf(fullscript);
  const asked = fullscript.requests().byOperation.token;
  const answer = await createOAuth(http, app, clock, http).exchange('c', clock.monotonic() - 1);
  expect(answer.kind).toBe('unavailable');
  expect(fullscript.requests().byOperation.token).toBe(asked);
});

test('two browsers that come back at once get one connection, and both see it', async () => {
  const relay = await connectingRelay();
  const callback = relay.decide(relay.connecting.link('Washington', 'con_new').url, 'allow');
  const both = [relay.connecting.complete(callback), relay.connecting.complete(callback)];
  await relay.clock.advance(15_000);
  expect((await Promise.all(both)).map(({ kind }) => kind)).toEqual(['connected', 'connected']);
  expect(relay.fullscript.requests().byOperation.token).toBe(1);
  expect(await relay.store.connections()).toHaveLength(2);
});

test('a callback without a code uses up nothing', async () => {
  const relay = await connectingRelay();
  const callback = relay.decide(relay.connecting.link('Washington', 'con_new').url, 'allow');
  expect(await relay.complete(relay.connecting, { ...callback, code: null })).toBe('codeRefused');
  expect(await relay.complete(relay.connecting, callback)).toBe('connected');
});

test('tokens that cannot be saved are revoked, and the page says so', async () => {
  let isFull = false;
  const relay = await connectingRelay({
    store: (store) => ({
      ...store,
      saveConnection: (connection) =>
        isFull
          ? Promise.reject(new StoreUnavailable('disk_full', 'The disk is full.', { hint: 'Make room.' }))
          : store.saveConnection(connection),
    }),
  });
  isFull = true;
  const callback = relay.decide(relay.connecting.link('Washington', 'con_new').url, 'allow');
  expect(await relay.complete(relay.connecting, callback)).toBe('storeAway');
  expect(relay.fullscript.requests().byOperation.revoke).toBe(2);
  expect(await relay.store.connections()).toHaveLength(1);
});

for (const { answered, because } of [
  { answered: { status: 200, text: '<html>Maintenance</html>' }, because: 'HTML with 200' },
  { answered: { status: 502, text: '<html>Bad gateway</html>' }, because: 'HTML with 502' },
  { answered: { status: 200, text: '{"oauth":{"access_token":7}}' }, because: 'a token that is no text' },
  { answered: { status: 400, text: '{"error":"invalid_request"}' }, because: 'another error' },
  { answered: { status: 302, text: '' }, because: 'a redirect' },
]) {
  test(`a token endpoint that answers ${because} connects nobody, and nothing of it is in the log`, async () => {
    const relay = await connectingRelay({
      http: (http) => async (asked) => {
        if (asked.json?.grant_type !== 'authorization_code') return http(asked);
        const { status, text } = answered;
        return { kind: 'answered', status, body: Buffer.from(text), vendorNow: null, retryAfter: undefined };
      },
    });
    const callback = relay.decide(relay.connecting.link('Washington', 'con_new').url, 'allow');
    expect(await relay.complete(relay.connecting, callback)).toBe('vendorAway');
    expect(await relay.store.connections()).toHaveLength(1);
    expect(JSON.stringify(relay.lines)).not.toContain(callback.code);
  });
}
