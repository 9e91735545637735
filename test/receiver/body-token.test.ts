import jwt from 'jsonwebtoken';
import { describe, expect, test } from 'vitest';
import { makeTokenKey, publicJwkOf } from '../../src/domain/token-key.ts';
import { type VerifyOptions, verify } from '../../src/receiver/verify.ts';
import { composeAttempt } from '../../src/wire/compose.ts';
import { recipient } from '../world/recipient.ts';
import { eventText, fullscriptSecret, now, standardSecret } from './signed.ts';

const url = 'https://ehr.example/hook';
const key = makeTokenKey(0, 0);
const jwks = { keys: [publicJwkOf(makeTokenKey(0, 0)), publicJwkOf(key)] };

function sent(profile: 'fullscript' | 'standard' = 'fullscript', at = now, by = key) {
  const value = profile === 'standard' ? standardSecret : fullscriptSecret;
  return composeAttempt(
    {
      delivery: { id: 'dlv_1', round: 1, sequence: 7 },
      attempt: 1,
      event: { body: eventText() },
      subscriber: recipient({ url, jwt: true, profile, secrets: [{ value, expiresAt: null }] }),
    },
    { now: at, wall: at },
    'relay/1',
    by,
  );
}

function reasonOf(request: ReturnType<typeof sent>, changes: Partial<VerifyOptions> = {}) {
  const verdict = verify(request, { jwks, url, now: () => now, ...changes });
  return verdict.kind === 'refused' ? verdict.reason : verdict.kind;
}

/** The genuine request with another token. */
function withToken(token: string, request = sent()) {
  return { ...request, headers: { ...request.headers, 'relay-signature': token } };
}

for (const profile of ['fullscript', 'standard'] as const) {
  test(`the token alone is enough, and signs the delivery’s id: profile ${profile}`, () => {
    expect(verify(sent(profile), { jwks: () => jwks, url, now: () => now })).toMatchObject({
      kind: 'verified',
      profile: 'token',
      deliveryId: 'dlv_1',
      event: { id: 'evt_1', type: 'order.placed' },
      signedAt: now,
      sequence: 7,
    });
  });

  test(`with secrets both have to be right: profile ${profile}`, () => {
    const secrets = [fullscriptSecret, standardSecret];
    expect(reasonOf(sent(profile), { secrets })).toBe('verified');
    expect(reasonOf(sent(profile), { secrets: ['another-secret-of-over-32-characters', 'whsec_AAAA'] })).toBe(
      'mismatch',
    );
    const { 'relay-signature': _token, ...headers } = sent(profile).headers;
    expect(reasonOf({ ...sent(profile), headers }, { secrets })).toBe('unsigned');
  });
}

describe('a request is refused', () => {
  const { body, headers } = sent();
  const token = headers['relay-signature'] ?? '';
  const [head = '', claims = '', signature = ''] = token.split('.');
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const said = jwt.decode(token) as Record<string, unknown>;
  const signedAs = (header: object, algorithm: 'ES256' = 'ES256') =>
    jwt.sign(said, key.privateKey, { algorithm, header: { alg: algorithm, kid: key.id, ...header } });

  for (const { request, changes = {}, reason, because } of [
    {
      request: { headers, body: Buffer.concat([body, Buffer.from(' ')]) },
      reason: 'mismatch',
      because: 'its bytes were changed',
    },
    {
      request: sent(),
      changes: { url: `${url}2` },
      reason: 'mismatch',
      because: 'the token is for another endpoint',
    },
    {
      request: sent('fullscript', now, { ...makeTokenKey(0, 0), id: key.id }),
      reason: 'mismatch',
      because: 'somebody else’s key signed under the id of a known one',
    },
    {
      request: sent('fullscript', now, makeTokenKey(0, 0)),
      reason: 'mismatch',
      because: 'the key is not in the set',
    },
    { request: sent('fullscript', now - 301_000), reason: 'expired', because: 'it is old' },
    { request: sent('fullscript', now + 301_000), reason: 'fromFuture', because: 'it is from the future' },
    {
      request: withToken(`${part({ alg: 'none', typ: 'relay-signature+jwt', kid: key.id })}.${claims}.`),
      reason: 'malformed',
      because: 'the token asks for no signature',
    },
    {
      request: withToken(
        jwt.sign(said, JSON.stringify(publicJwkOf(key)), {
          algorithm: 'HS256',
          header: { alg: 'HS256', typ: 'relay-signature+jwt', kid: key.id },
        }),
      ),
      reason: 'malformed',
      because: 'the token is an HMAC keyed with the public key',
    },
    {
      request: withToken(signedAs({ typ: 'JWT' })),
      reason: 'malformed',
      because: 'the token is of another kind',
    },
    {
      request: withToken(signedAs({ typ: 'relay-signature+jwt', crit: ['b64'] })),
      reason: 'malformed',
      because: 'the token has a critical extension',
    },
    { request: withToken(`${head}.${claims}`), reason: 'mismatch', because: 'the signature is missing' },
    { request: withToken(`${token}.x`), reason: 'malformed', because: 'there is a part too many' },
    { request: withToken('x'.repeat(5000)), reason: 'malformed', because: 'it is too long' },
    {
      request: withToken(`${head}.${part({ ...said, aud: `${url}2` })}.${signature}`),
      changes: { url: `${url}2` },
      reason: 'mismatch',
      because: 'its claims were changed',
    },
  ]) {
    test(`when ${because}`, () => {
      expect(reasonOf(request, changes)).toBe(reason);
    });
  }
});

test('a key set that is none, or one without the endpoint’s URL, is told at once', () => {
  expect(() => verify(sent(), { jwks, now: () => now })).toThrow('url and jwks go together');
  expect(() => verify(sent(), { jwks: {} as never, url })).toThrow('jwks is no key set');
  expect(() => verify(sent(), {})).toThrow('secrets is no list');
});
