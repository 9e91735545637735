import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { beforeEach, describe, expect, test } from 'vitest';
import { signingKeyAt } from '../../src/domain/token-key.ts';
import { composeAttempt } from '../../src/wire/compose.ts';
import { aSubscriber } from '../store/fixtures.ts';
import { recipient } from '../world/recipient.ts';
import { type ApiUnderTest, admin, apiUnderTest } from './relay.ts';

const url = 'https://ehr.example/hook';
const hourMs = 3_600_000;

let api: ApiUnderTest;
beforeEach(async () => {
  api = await apiUnderTest();
});

const served = async (): Promise<JSONWebKeySet> =>
  (await api.ask('GET', '/.well-known/jwks.json', { token: null })).body;

const kids = async () => (await served()).keys.map(({ kid }) => kid);

const rotate = (body: unknown) => api.ask('POST', '/v1/keys/rotate', { token: admin, body });

/** A request as the relay sends it at this moment, read by somebody who has the served keys and nothing else. */
async function verified(keys: JSONWebKeySet, audience = url) {
  const key = signingKeyAt(await api.store.tokenKeys(), api.clock.now());
  const delivery = { id: 'dlv_1', round: 1, sequence: 1 };
  const { headers, body } = composeAttempt(
    { delivery, attempt: 1, event: { body: '{"id":"e1"}' }, subscriber: recipient({ url, jwt: true }) },
    { now: api.clock.now(), wall: api.clock.wall() },
    'relay/1',
    key,
  );
  const { payload, protectedHeader } = await jwtVerify(
    headers['relay-signature'] ?? '',
    createLocalJWKSet(keys),
    {
      audience,
      issuer: 'fullscript-relay',
      typ: 'relay-signature+jwt',
      algorithms: ['ES256'],
      currentDate: new Date(api.clock.wall()),
    },
  );
  return { payload, kid: protectedHeader.kid, body };
}

async function registered(changes: Record<string, unknown> = {}): Promise<string> {
  const body = { name: 'ehr', url, jwt: true, ...changes };
  return (await api.ask('POST', '/v1/subscribers', { body })).body.id;
}

test('the first subscriber with jwt brings a key, which is served to everybody and may be kept for a while', async () => {
  expect((await served()).keys).toEqual([]);
  await registered({ jwt: false });
  expect((await served()).keys).toEqual([]);
  const id = await registered({ name: 'other' });
  expect((await api.ask('GET', `/v1/subscribers/${id}`)).body.jwt).toBe(true);
  const { headers, text, body } = await api.ask('GET', '/.well-known/jwks.json', { token: null });
  expect(headers.get('cache-control')).toBe('public, max-age=300');
  expect(body.keys).toEqual([
    {
      kid: expect.stringMatching(/^key_/),
      kty: 'EC',
      crv: 'P-256',
      x: expect.any(String),
      y: expect.any(String),
      alg: 'ES256',
      use: 'sig',
    },
  ]);
  expect(text).not.toContain('"d"');
});

test('a change to jwt brings a key, too, and a second subscriber none more', async () => {
  const id = await registered({ jwt: false });
  expect((await api.ask('PATCH', `/v1/subscribers/${id}`, { body: { jwt: true } })).status).toBe(200);
  expect(await kids()).toHaveLength(1);
  await api.store.addSubscriber(aSubscriber('sub_2', { jwt: true }));
  expect(await kids()).toHaveLength(1);
});

test('a token holds for this body, this endpoint and five minutes', async () => {
  await registered();
  const keys = await served();
  const { payload, body } = await verified(keys);
  const digest = await crypto.subtle.digest('SHA-256', body);
  expect(payload).toEqual({
    iss: 'fullscript-relay',
    aud: url,
    iat: Math.floor(api.clock.wall() / 1000),
    exp: Math.floor(api.clock.wall() / 1000) + 300,
    jti: 'dlv_1',
    bodySha256: Buffer.from(digest).toString('hex'),
  });
  await expect(verified(keys, 'https://other.example/hook')).rejects.toThrow('"aud"');
});

describe('a rollover', () => {
  test('lists the new key at once, signs with it a day later, and lists the old one an hour more', async () => {
    await registered();
    const [old] = await kids();
    const known = await served();
    const { status, body } = await rotate({});
    expect(status).toBe(200);
    expect(body.data.map(({ isSigning }: { isSigning: boolean }) => isSigning)).toEqual([true, false]);
    const both = await served();
    expect(both.keys).toHaveLength(2);
    expect((await verified(known)).kid, 'receivers that fetched before').toBe(old);
    await api.clock.advance(24 * hourMs);
    expect((await verified(both)).kid).not.toBe(old);
    expect(await kids()).toHaveLength(2);
    await api.clock.advance(hourMs);
    expect(await kids()).toEqual([both.keys[1]?.kid]);
    expect((await verified(await served())).kid).toBe(both.keys[1]?.kid);
  });

  test('without an overlap ends the old key at once', async () => {
    await registered();
    const [old] = await kids();
    await rotate({ overlapSeconds: 0 });
    expect(await kids()).toHaveLength(1);
    expect(await kids()).not.toContain(old);
    expect((await verified(await served())).kid).not.toBe(old);
  });

  test('twice in a row leaves a key that signs at every moment', async () => {
    await registered();
    await rotate({ overlapSeconds: 3600 });
    await rotate({ overlapSeconds: 60 });
    for (const aheadMs of [0, 61_000, hourMs, hourMs, 2 * hourMs, 24 * hourMs]) {
      await api.clock.advance(aheadMs);
      await verified(await served());
    }
    expect(await kids()).toHaveLength(1);
  });

  test('of none makes one that signs at once', async () => {
    const { body } = await rotate({});
    expect(body.data).toMatchObject([{ isSigning: true, listedUntil: null }]);
  });

  for (const overlapSeconds of [-1, 1.5, 7 * 86_400 + 1, '60']) {
    test(`with an overlap of ${JSON.stringify(overlapSeconds)} is refused`, async () => {
      expect((await rotate({ overlapSeconds })).status).toBe(400);
    });
  }

  test('is for the operator, who is shown no private key', async () => {
    expect((await api.ask('POST', '/v1/keys/rotate', { body: {} })).status).toBe(403);
    expect((await api.ask('GET', '/v1/keys')).status).toBe(403);
    const { text } = await rotate({});
    expect(text).not.toContain('PRIVATE');
  });
});

test('who asks for the keys without end is told to wait, and the API goes on', async () => {
  const answers = await Promise.all(
    Array.from({ length: 130 }, () => api.ask('GET', '/.well-known/jwks.json', { token: null })),
  );
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(120);
  expect(answers.find(({ status }) => status === 429)?.body.code).toBe('rate_limited');
  expect((await api.ask('GET', '/v1/subscribers')).status).toBe(200);
  expect((await api.ask('POST', '/.well-known/jwks.json', { token: null })).status).toBe(405);
});
