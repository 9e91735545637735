import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';

/**
 * The asymmetric keys of Standard Webhooks, as text: `whsk_` and the private key,
 * `whpk_` and the public one, both in base64.
 */
const privatePrefix = 'whsk_';
const publicPrefix = 'whpk_';
const keyBytes = 32;

/** What comes before the 32 bytes of a private key in DER. Source: RFC 8410. */
const pkcs8Head = Buffer.from([
  0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
]);

export function isPrivateKeyText(text: string): boolean {
  return text.startsWith(privatePrefix);
}

export function isPublicKeyText(text: string): boolean {
  return text.startsWith(publicPrefix);
}

/**
 * Reads `whsk_` and the base64 of 32 bytes, or of 64 whose second half is the public key,
 * as libraries of the libsodium family keep it. `null` when it is neither.
 */
export function privateKeyOf(text: string): KeyObject | null {
  const bytes = bytesAfter(privatePrefix, text);
  if (bytes === null || (bytes.length !== keyBytes && bytes.length !== 2 * keyBytes)) return null;
  const der = Buffer.concat([pkcs8Head, bytes.subarray(0, keyBytes)]);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const isWhole = bytes.length === keyBytes || publicBytesOf(key).equals(bytes.subarray(keyBytes));
  return isWhole ? key : null;
}

/** Reads `whpk_` and the base64 of 32 bytes; `null` when it is not that. */
export function publicKeyOf(text: string): KeyObject | null {
  const bytes = bytesAfter(publicPrefix, text);
  if (bytes?.length !== keyBytes) return null;
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: bytes.toString('base64url') };
  return createPublicKey({ key: jwk, format: 'jwk' });
}

/** The public half as receivers are given it; `null` when the text is no private key. */
export function publicTextOf(privateText: string): string | null {
  const key = privateKeyOf(privateText);
  return key && `${publicPrefix}${publicBytesOf(key).toString('base64')}`;
}

/** A fresh private key, as text. */
export function makePrivateKeyText(): string {
  const { d = '' } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  return `${privatePrefix}${Buffer.from(d, 'base64url').toString('base64')}`;
}

function publicBytesOf(key: KeyObject): Buffer {
  return Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x ?? '', 'base64url');
}

function bytesAfter(prefix: string, text: string): Buffer | null {
  if (!text.startsWith(prefix)) return null;
  const base64 = text.slice(prefix.length);
  const bytes = Buffer.from(base64, 'base64');
  return bytes.toString('base64').replace(/=+$/, '') === base64.replace(/=+$/, '') ? bytes : null;
}
