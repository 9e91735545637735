import { afterEach, describe, expect, test } from 'vitest';
import { listDeliveries } from '../../src/client/deliveries.ts';
import { RelayRefused, RelayUnreachable } from '../../src/client/errors.ts';
import { connectApi, pathOf } from '../../src/client/relay-api.ts';
import { listSubscribers } from '../../src/client/subscribers.ts';
import { InvalidInput, RelayError } from '../../src/domain/errors.ts';
import { type Answer, type StandIn, standIn } from './stand-in.ts';

let relay: StandIn | null = null;
afterEach(async () => {
  await relay?.close();
  relay = null;
});

async function answering(answer: Answer): Promise<ReturnType<typeof connectApi>> {
  relay = await standIn(() => answer);
  return connectApi({ url: `${relay.url}/`, token: () => 'a-token' });
}

async function failureOf(answer: Answer): Promise<RelayError> {
  const call = await answering(answer);
  const thrown = await call({ method: 'GET', path: '/v1/status' }).catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(RelayError);
  return thrown as RelayError;
}

test('a call carries the token, the query that was given, and a JSON body', async () => {
  const call = await answering({ status: 200, json: { data: [], nextCursor: null } });
  await listDeliveries(call, { state: 'failed', subscriberId: undefined, limit: 5 });
  await call({ method: 'POST', path: '/v1/replays', body: { state: 'failed' } });
  expect(relay?.seen).toEqual([
    {
      method: 'GET',
      path: '/v1/deliveries?state=failed&limit=5',
      authorization: 'Bearer a-token',
      body: undefined,
    },
    { method: 'POST', path: '/v1/replays', authorization: 'Bearer a-token', body: { state: 'failed' } },
  ]);
});

test('a list is read to its last page', async () => {
  relay = await standIn(({ path }) =>
    path.includes('cursor=2')
      ? { status: 200, json: { data: [{ id: 'b' }], nextCursor: null } }
      : { status: 200, json: { data: [{ id: 'a' }], nextCursor: '2' } },
  );
  const call = connectApi({ url: relay.url, token: () => 't' });
  expect(await listSubscribers(call)).toEqual([{ id: 'a' }, { id: 'b' }]);
});

test('the token is asked for before each call, so that a short one can be renewed', async () => {
  relay = await standIn(() => ({ status: 204, text: '' }));
  let made = 0;
  const call = connectApi({ url: relay.url, token: () => `t${++made}` });
  await call({ method: 'DELETE', path: '/v1/subscribers/a' });
  await call({ method: 'DELETE', path: '/v1/subscribers/b' });
  expect(relay.seen.map(({ authorization }) => authorization)).toEqual(['Bearer t1', 'Bearer t2']);
});

describe('what cannot have come from a relay is said to be so', () => {
  for (const { answer, code, because } of [
    {
      answer: { status: 200, text: '<html>', headers: { 'content-type': 'text/html' } },
      code: 'not_a_relay',
      because: 'it is HTML',
    },
    {
      answer: { status: 200, text: '{', headers: { 'content-type': 'application/json' } },
      code: 'not_a_relay',
      because: 'it is no JSON',
    },
    {
      answer: { status: 404, json: { error: 'nope' } },
      code: 'not_a_relay',
      because: 'its problem has no code',
    },
    {
      answer: { status: 302, text: '', headers: { location: 'https://elsewhere.example/x?secret' } },
      code: 'not_a_relay',
      because: 'it points elsewhere',
    },
    { answer: { destroy: true }, code: 'relay_unreachable', because: 'it hangs up' },
  ] as { answer: Answer; code: string; because: string }[]) {
    test(because, async () => {
      const failure = await failureOf(answer);
      expect(failure).toBeInstanceOf(RelayUnreachable);
      expect(failure.code).toBe(code);
      expect(failure.message).toContain(relay?.url);
      expect(failure.message).not.toContain('secret');
    });
  }
});

describe('somebody else who answers in JSON is not taken for a relay', () => {
  for (const answer of [
    { status: 200, json: {} },
    { status: 200, json: { data: [], nextCursor: null } },
    { status: 204, text: '' },
    { status: 404, json: { code: 'not_found', detail: 'There is no such thing.' } },
  ] as Answer[]) {
    test(JSON.stringify(answer), async () => {
      relay = await standIn(() => answer, { isRelay: false });
      const call = connectApi({ url: relay.url, token: () => 't' });
      await expect(call({ method: 'GET', path: '/v1/status' })).rejects.toMatchObject({
        code: 'not_a_relay',
        message: expect.stringContaining('is not a relay'),
        hint: expect.stringContaining('RELAY_URL'),
      });
    });
  }
});

for (const json of [null, [], 'yes', 7]) {
  test(`an answer of ${JSON.stringify(json)} is none of a relay, whatever its headers say`, async () => {
    expect((await failureOf({ status: 200, json })).code).toBe('not_a_relay');
  });
}

test('a redirect is not followed: the token goes to nobody else', async () => {
  const other = await standIn(() => ({ status: 200, json: {} }));
  await failureOf({ status: 307, text: '', headers: { location: other.url } });
  expect(other.seen).toEqual([]);
  await other.close();
});

test('where nothing listens, the address and the remedy are named', async () => {
  const gone = await standIn(() => ({ status: 200, json: {} }));
  await gone.close();
  const call = connectApi({ url: gone.url, token: () => 't' });
  await expect(call({ method: 'GET', path: '/v1/status' })).rejects.toMatchObject({
    code: 'relay_unreachable',
    message: `No relay answers at ${gone.url} (ECONNREFUSED).`,
    hint: expect.stringContaining('relay serve'),
  });
});

test('a relay that does not answer in time is given up on', async () => {
  relay = await standIn(() => ({ status: 200, json: {} }));
  const never = connectApi({ url: relay.url, token: () => 't', timeoutMs: 0 });
  await expect(never({ method: 'GET', path: '/v1/status' })).rejects.toMatchObject({ code: 'relay_timeout' });
});

describe('a refusal keeps the relay’s own words', () => {
  test('with every problem that it named', async () => {
    const refused = await failureOf({
      status: 422,
      json: {
        code: 'invalid',
        detail: 'The subscriber cannot be taken.',
        hint: 'Repair it.',
        problems: [{ path: 'url', message: 'is no URL' }],
      },
    });
    expect(refused).toBeInstanceOf(RelayRefused);
    expect(refused).toMatchObject({
      code: 'invalid',
      status: 422,
      message: 'The subscriber cannot be taken.',
      hint: 'Repair it.',
      problems: [{ path: 'url', message: 'is no URL' }],
    });
  });

  for (const { status, says } of [
    { status: 401, says: 'RELAY_TOKEN' },
    { status: 403, says: '--scope' },
    { status: 429, says: 'Try again in 7 s.' },
  ]) {
    test(`${status} says what the caller can do about it`, async () => {
      const refused = await failureOf({
        status,
        json: { code: 'x', detail: 'No.' },
        headers: { 'retry-after': '7' },
      });
      expect(refused.hint).toContain(says);
    });
  }
});

describe('an id leads to its own route or to none', () => {
  for (const { id, path } of [
    { id: 'dlv_1', path: '/v1/deliveries/dlv_1' },
    { id: '../subscribers', path: '/v1/deliveries/..%2Fsubscribers' },
    { id: 'a/b?c#d', path: '/v1/deliveries/a%2Fb%3Fc%23d' },
    { id: 'é\u0000', path: '/v1/deliveries/%C3%A9%00' },
  ]) {
    test(JSON.stringify(id), () => {
      expect(pathOf('v1', 'deliveries', id)).toBe(path);
      expect(new URL(`http://relay${path}`).pathname).toBe(path);
    });
  }

  for (const id of ['', '.', '..', '...']) {
    test(`${JSON.stringify(id)} is refused`, () => {
      expect(() => pathOf('v1', 'deliveries', id)).toThrow(InvalidInput);
    });
  }
});
