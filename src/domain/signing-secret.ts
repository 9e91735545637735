import { randomBytes } from 'node:crypto';
import {
  isPrivateKeyText,
  isPublicKeyText,
  makePrivateKeyText,
  privateKeyOf,
  publicTextOf,
} from './ed25519-key.ts';
import type { Profile, SigningSecret } from './subscriber.ts';

/** How a secret signs: `v1` is an HMAC, which both sides know; of `v1a` (Ed25519) the receiver knows the public key alone. */
export type SignatureKind = 'v1' | 'v1a';

/** The secret says it by its form. */
export function signatureKindOf(secret: string): SignatureKind {
  return isPrivateKeyText(secret) ? 'v1a' : 'v1';
}

const printable = /^[\x21-\x7e]+$/;
const secretBytesMin = 24;
const secretBytesMax = 64;

/** What is wrong with a signing secret, as the rest of a sentence that never quotes it; `null` when it is good. */
export function secretProblem(profile: Profile, secret: string): string | null {
  if (isPublicKeyText(secret)) return 'must be secret: whpk_ begins a public key';
  if (profile === 'fullscript') {
    if (isPrivateKeyText(secret))
      return 'must not be an Ed25519 key (whsk_): only the profile standard has those';
    if (secret.length < 32) return 'must be 32 characters at least';
    if (secret.length > 512) return 'must be 512 characters at most';
    if (!printable.test(secret)) return 'must be printable ASCII without spaces';
    return isGuessable(Buffer.from(secret)) ? guessable : null;
  }
  if (isPrivateKeyText(secret)) {
    const isKey = privateKeyOf(secret) !== null;
    return isKey
      ? null
      : 'must be whsk_ and base64 of an Ed25519 key of 32 bytes, or of 64 with its public half';
  }
  const base64 = secret.replace(/^whsec_/, '');
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.toString('base64').replace(/=+$/, '') !== base64.replace(/=+$/, '')) {
    return 'must be whsec_ and base64, as Standard Webhooks writes it';
  }
  if (bytes.length < secretBytesMin || bytes.length > secretBytesMax) {
    return `must be base64 of ${secretBytesMin} to ${secretBytesMax} bytes; it has ${bytes.length}`;
  }
  return isGuessable(bytes) ? guessable : null;
}

const guessable = 'must be random: it repeats itself or counts up; `openssl rand -hex 32` makes one';
const differentMin = 8;

/** Few different bytes, or few different steps between them: a word said twice, an alphabet, zeros. Never random bytes. */
function isGuessable(bytes: Buffer): boolean {
  const steps = new Set<number>();
  for (let at = 1; at < bytes.length; at++) steps.add((bytes[at] ?? 0) - (bytes[at - 1] ?? 0));
  return new Set(bytes).size < differentMin || steps.size < differentMin;
}

/** What is wrong with the kind of signature that was asked for; `null` when nothing is. */
export function signatureProblem(
  profile: Profile,
  kind: SignatureKind,
  secret: string | undefined,
): string | null {
  if (kind === 'v1a' && profile !== 'standard') return 'is v1a, which only the profile standard has';
  if (secret === undefined || signatureKindOf(secret) === kind) return null;
  return kind === 'v1a'
    ? 'is v1a, and the secret given is no Ed25519 key (whsk_)'
    : 'is v1, and the secret given is an Ed25519 key (whsk_)';
}

/** A fresh secret in the form that the profile's receivers take. */
export function makeSecret(profile: Profile, kind: SignatureKind = 'v1'): string {
  if (kind === 'v1a') return makePrivateKeyText();
  return profile === 'standard'
    ? `whsec_${randomBytes(32).toString('base64')}`
    : randomBytes(32).toString('hex');
}

/** Those that sign at that moment. */
export function liveSecrets(secrets: readonly SigningSecret[], now: number): readonly SigningSecret[] {
  return secrets.filter(({ expiresAt }) => expiresAt === null || expiresAt > now);
}

/** The public keys of those that sign with one, newest first. */
export function publicKeysOf(secrets: readonly SigningSecret[], now: number): readonly string[] {
  return liveSecrets(secrets, now).flatMap(({ value }) => {
    const key = isPrivateKeyText(value) ? publicTextOf(value) : null;
    return key === null ? [] : [key];
  });
}
