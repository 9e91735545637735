import { createHmac, generateKeyPairSync } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { describe, expect, test } from 'vitest';
import { createTokenCheck, mayDo, type SigningKeys, signToken, tokenLifeMaxMs } from '../../src/api/auth.ts';

const now = Date.parse('2026-11-22T12:00:00Z');
const nowSeconds = now / 1000;
const secret = 'a secret of the tests that is long enough';
const keys: SigningKeys = { kind: 'secret', secret };
const pem = { type: 'pkcs8', format: 'pem' } as const;
const publicPem = { type: 'spki', format: 'pem' } as const;

const isNeverRevoked = async () => false;
const check = createTokenCheck(keys, { now: () => now, isRevoked: isNeverRevoked });

const good = {
  iss: 'fullscript-relay',
  aud: 'relay-api',
  sub: 'ehr',
  scope: 'read write',
  jti: 'token-1',
  iat: nowSeconds - 10,
  exp: nowSeconds + 600,
};

function signed(
  changes: Record<string, unknown>,
  options: jwt.SignOptions = {},
  key: string = secret,
): string {
  const claims = Object.fromEntries(
    Object.entries({ ...good, ...changes }).filter(([, value]) => value !== undefined),
  );
  return jwt.sign(claims, key, { algorithm: 'HS256', ...options });
}

/** Signed by hand, for what the library refuses to make. */
function forged(header: unknown, payload: unknown): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${part(header)}.${part(payload)}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

test('a token that the relay signed is believed, and says whose it is and what it may do', async () => {
  const made = signToken(keys, { subject: 'ehr', scopes: ['write'], expiresInSeconds: 60 }, now);
  expect(made.expiresAt).toBe(now + 60_000);
  expect(await check(made.token)).toEqual({
    kind: 'believed',
    caller: { subject: 'ehr', scopes: ['write'], jti: made.jti },
  });
});

test('an ES256 pair signs and checks as well, and a token of one key is nothing to the other', async () => {
  const pair = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: pem,
    publicKeyEncoding: publicPem,
  });
  const pairKeys: SigningKeys = { kind: 'keyPair', ...pair };
  const checkPair = createTokenCheck(pairKeys, { now: () => now, isRevoked: isNeverRevoked });
  const { token } = signToken(pairKeys, { subject: 'ehr', scopes: ['read'], expiresInSeconds: 60 }, now);
  expect((await checkPair(token)).kind).toBe('believed');
  expect((await check(token)).kind).toBe('refused');
  expect((await checkPair(signed({}))).kind).toBe('refused');
  // The public key is known to all, so it must never do as a secret.
  const confused = `${[{ alg: 'HS256', typ: 'JWT' }, good].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')}`;
  const mac = createHmac('sha256', pair.publicKey).update(confused).digest('base64url');
  expect((await checkPair(`${confused}.${mac}`)).kind).toBe('refused');
});

describe('refused', () => {
  const header = { alg: 'HS256', typ: 'JWT' };
  for (const { token, because } of [
    { token: '', because: 'it is empty' },
    { token: 'abc', because: 'it is no token' },
    { token: signed({}).replace(/\.[^.]+\./, '..'), because: 'its middle is empty' },
    { token: `${signed({}).split('.').slice(0, 2).join('.')}.`, because: 'its signature is empty' },
    { token: forged({ alg: 'none', typ: 'JWT' }, good), because: 'its algorithm is none' },
    { token: forged({ alg: 'nOnE', typ: 'JWT' }, good), because: 'its algorithm is nOnE' },
    { token: signed({}, { algorithm: 'HS384' }), because: 'HS384 is not the pinned algorithm' },
    { token: signed({}, { algorithm: 'HS512' }), because: 'HS512 is not the pinned algorithm' },
    { token: signed({}, {}, 'another secret that is also long enough'), because: 'the key is another' },
    { token: signed({ exp: undefined }), because: 'it never ends' },
    { token: signed({ exp: nowSeconds - 1 }), because: 'it ended a second ago' },
    { token: signed({ exp: nowSeconds }), because: 'it ends now' },
    { token: signed({ exp: good.iat + tokenLifeMaxMs / 1000 + 1 }), because: 'it lives longer than 90 days' },
    { token: signed({ exp: 1e300 }), because: 'it ends at no moment' },
    { token: forged(header, { ...good, iat: undefined }), because: 'it says no issue time' },
    { token: signed({ iat: nowSeconds + 61 }), because: 'it was issued more than a minute ahead' },
    { token: signed({ nbf: nowSeconds + 30 }), because: 'it is not valid yet' },
    { token: signed({ aud: 'another-api' }), because: 'it is for another audience' },
    { token: signed({ aud: undefined }), because: 'it names no audience' },
    { token: signed({ aud: ['relay-api', 'other'] }), because: 'it is for others too' },
    { token: signed({ iss: 'staging' }), because: 'it is from another issuer' },
    { token: signed({ iss: undefined }), because: 'it names no issuer' },
    { token: signed({ sub: undefined }), because: 'it names no subject' },
    { token: signed({ sub: '' }), because: 'its subject is empty' },
    { token: forged(header, { ...good, sub: { a: 1 } }), because: 'its subject is an object' },
    { token: signed({ jti: undefined }), because: 'it has no id' },
    { token: signed({ scope: undefined }), because: 'it has no scope' },
    { token: signed({ scope: '' }), because: 'its scope is empty' },
    { token: signed({ scope: 'read root' }), because: 'one of its scopes is unknown' },
    { token: forged(header, { ...good, scope: ['admin'] }), because: 'its scope is a list' },
    { token: forged(header, 'admin'), because: 'its payload is a text' },
    { token: forged(header, [good]), because: 'its payload is a list' },
    { token: forged(header, null), because: 'its payload is null' },
    {
      token: forged({ ...header, crit: ['x'], x: 1 }, good),
      because: 'it demands what the relay does not know',
    },
    { token: forged({ ...header, typ: 'at+jwt' }, good), because: 'it is a token of another kind' },
    { token: forged({ alg: 'HS256' }, good), because: 'it does not say its kind' },
    { token: forged({ ...header, kid: '../../etc/passwd' }, good), because: 'it chooses its key' },
    { token: forged({ ...header, jwk: { kty: 'oct', k: 'eA' } }, good), because: 'it brings its key' },
    { token: forged({ ...header, jku: 'https://evil.example' }, good), because: 'it names where its key is' },
    { token: 'a'.repeat(1_000_000), because: 'it is a megabyte' },
    { token: '.'.repeat(10_000), because: 'it is ten thousand dots' },
    {
      token: signed({ note: 'x'.repeat(4_200) }),
      because: 'it is longer than 4 KiB, good as it is otherwise',
    },
    { token: signed({}).replaceAll('.', '．'), because: 'its dots are not dots' },
  ]) {
    test(`${because}`, async () => {
      expect((await check(token)).kind).toBe('refused');
    });
  }

  test('a revoked token, at once', async () => {
    const revoked = new Set<string>();
    const checkRevoked = createTokenCheck(keys, {
      now: () => now,
      isRevoked: async (jti) => revoked.has(jti),
    });
    expect((await checkRevoked(signed({}))).kind).toBe('believed');
    revoked.add('token-1');
    expect((await checkRevoked(signed({}))).kind).toBe('refused');
  });
});

test('a token that ends in the next second is still believed, and so is a `__proto__` claim that changes nothing', async () => {
  expect((await check(signed({ exp: nowSeconds + 1 }))).kind).toBe('believed');
  const payload = JSON.parse(JSON.stringify(good).replace('{', '{"__proto__":{"scope":"admin"},'));
  expect(await check(forged({ alg: 'HS256', typ: 'JWT' }, payload))).toMatchObject({
    caller: { scopes: ['read', 'write'] },
  });
});

describe('keys that nobody should sign with', () => {
  const rsa = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: pem,
    publicKeyEncoding: publicPem,
  });
  const p384 = generateKeyPairSync('ec', {
    namedCurve: 'P-384',
    privateKeyEncoding: pem,
    publicKeyEncoding: publicPem,
  });
  const one = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: pem,
    publicKeyEncoding: publicPem,
  });
  const other = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: pem,
    publicKeyEncoding: publicPem,
  });
  for (const { bad, because } of [
    { bad: { kind: 'secret', secret: 'x' }, because: 'a secret of one character' },
    { bad: { kind: 'secret', secret: '' }, because: 'no secret' },
    { bad: { kind: 'keyPair', ...rsa }, because: 'an RSA pair' },
    { bad: { kind: 'keyPair', ...p384 }, because: 'another curve' },
    {
      bad: { kind: 'keyPair', privateKey: one.privateKey, publicKey: other.publicKey },
      because: 'two halves of two pairs',
    },
    { bad: { kind: 'keyPair', privateKey: 'PEM', publicKey: 'PEM' }, because: 'no PEM at all' },
  ] as const) {
    test(because, () => {
      expect(() => createTokenCheck(bad, { now: () => now, isRevoked: isNeverRevoked })).toThrow(
        expect.objectContaining({ code: 'jwt_key_unusable' }),
      );
    });
  }
});

for (const { scopes, may } of [
  { scopes: ['read'], may: ['read'] },
  { scopes: ['write'], may: ['read', 'write'] },
  { scopes: ['admin'], may: ['read', 'write', 'admin'] },
] as const) {
  test(`the scope ${scopes} allows ${may.join(', ')}`, () => {
    expect((['read', 'write', 'admin'] as const).filter((scope) => mayDo({ scopes }, scope))).toEqual(may);
  });
}

test('a token cannot be made for longer than 90 days, for nobody, or for nothing', () => {
  const ask = { subject: 'ehr', scopes: ['read'], expiresInSeconds: 60 } as const;
  for (const bad of [
    { expiresInSeconds: 90 * 86_400 + 1 },
    { expiresInSeconds: 0 },
    { subject: '' },
    { scopes: [] },
  ]) {
    expect(() => signToken(keys, { ...ask, ...bad }, now)).toThrow(
      expect.objectContaining({ code: 'token_ask_invalid' }),
    );
  }
});
