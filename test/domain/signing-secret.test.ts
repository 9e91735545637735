import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { makePrivateKeyText, publicTextOf } from '../../src/domain/ed25519-key.ts';
import { makeSecret, secretProblem, signatureKindOf } from '../../src/domain/signing-secret.ts';

const whsec = (bytes: Buffer) => `whsec_${bytes.toString('base64')}`;

describe('a secret is refused', () => {
  for (const { profile, secret, because } of [
    { profile: 'fullscript', secret: 'x7$kQ9-zR2!', because: 'it is short' },
    { profile: 'fullscript', secret: 'a'.repeat(40), because: 'it is one character' },
    { profile: 'fullscript', secret: 'changeme'.repeat(5), because: 'it is one word again and again' },
    { profile: 'fullscript', secret: 'abcdefghijkl'.repeat(4), because: 'it is an alphabet, repeated' },
    { profile: 'fullscript', secret: '12345678901234567890123456789012', because: 'it counts up' },
    { profile: 'fullscript', secret: `${'0123456789'.repeat(4)} 1`, because: 'it has a space' },
    { profile: 'fullscript', secret: makePrivateKeyText(), because: 'it is a key of the other profile' },
    {
      profile: 'fullscript',
      secret: 'é'.repeat(40),
      because: 'headers and files would spell it differently',
    },
    { profile: 'standard', secret: whsec(Buffer.alloc(32)), because: 'it is zeros' },
    { profile: 'standard', secret: whsec(Buffer.from('secretsecretsecretsecret')), because: 'it repeats' },
    {
      profile: 'standard',
      secret: whsec(Buffer.from(Array.from({ length: 32 }, (_, at) => at))),
      because: 'its bytes count up',
    },
    { profile: 'standard', secret: whsec(randomBytes(23)), because: 'it is a byte short' },
    { profile: 'standard', secret: whsec(randomBytes(65)), because: 'it is a byte long' },
    {
      profile: 'standard',
      secret: `whsk_${randomBytes(64).toString('base64')}`,
      because: 'its public half is another key’s',
    },
    {
      profile: 'standard',
      secret: publicTextOf(makePrivateKeyText()) ?? '',
      because: 'everybody may know a public key',
    },
  ] as const) {
    test(`in the profile ${profile} when ${because}, and is not repeated`, () => {
      const problem = secretProblem(profile, secret);
      expect(problem).toMatch(/^must /);
      expect(problem).not.toContain(secret.slice(6));
    });
  }
});

test('random bytes are never taken for guessable ones', () => {
  for (let made = 0; made < 2_000; made++) {
    expect(secretProblem('fullscript', makeSecret('fullscript'))).toBeNull();
    expect(secretProblem('fullscript', randomBytes(16).toString('hex'))).toBeNull();
    expect(secretProblem('standard', makeSecret('standard'))).toBeNull();
    expect(secretProblem('standard', whsec(randomBytes(24)))).toBeNull();
  }
});

test('a made secret signs as it was asked to', () => {
  expect(signatureKindOf(makeSecret('standard', 'v1a'))).toBe('v1a');
  expect(secretProblem('standard', makeSecret('standard', 'v1a'))).toBeNull();
  expect(signatureKindOf(makeSecret('standard'))).toBe('v1');
  expect(signatureKindOf(makeSecret('fullscript'))).toBe('v1');
});
