import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';

/** A key of 32 random bytes and the name under which the key file holds it. */
export interface DataKey {
  readonly id: string;
  readonly bytes: Buffer;
}

/** What a sealed value is, and which record it belongs to: a value moved to another record does not open. */
export interface SealedFor {
  readonly kind: 'body' | 'excerpt' | 'subscriber' | 'connection' | 'revocation' | 'tokenKey' | 'key';
  readonly record: string;
}

const version = 1;
const ivBytes = 12;
const tagBytes = 16;

/**
 * Encrypts with AES-256-GCM: `version, length of key id, key id, iv, tag, ciphertext`.
 * Kind, record and key id are authenticated with it.
 */
export function seal(plain: Buffer, key: DataKey, sealedFor: SealedFor): Buffer {
  const keyId = Buffer.from(key.id, 'ascii');
  const head = Buffer.concat([Buffer.from([version, keyId.length]), keyId]);
  const iv = randomBytes(ivBytes);
  const cipher = createCipheriv('aes-256-gcm', key.bytes, iv, { authTagLength: tagBytes });
  cipher.setAAD(Buffer.concat([head, additionalData(sealedFor)]));
  const ciphertext = Buffer.concat([cipher.update(plain), cipher.final()]);
  return Buffer.concat([head, iv, cipher.getAuthTag(), ciphertext]);
}

/** The id of the key that a value was sealed with. @throws RangeError when it is no sealed value. */
export function keyIdOf(sealed: Buffer): string {
  const length = sealed[1];
  if (sealed[0] !== version || length === undefined || sealed.length < 2 + length + ivBytes + tagBytes) {
    throw new RangeError('not a sealed value');
  }
  return sealed.toString('ascii', 2, 2 + length);
}

/** @throws Error when the value, its kind or its record is not what was sealed. */
export function unseal(sealed: Buffer, key: DataKey, sealedFor: SealedFor): Buffer {
  const headEnd = 2 + keyIdOf(sealed).length;
  const iv = sealed.subarray(headEnd, headEnd + ivBytes);
  const tag = sealed.subarray(headEnd + ivBytes, headEnd + ivBytes + tagBytes);
  const decipher = createDecipheriv('aes-256-gcm', key.bytes, iv, { authTagLength: tagBytes });
  decipher.setAAD(Buffer.concat([sealed.subarray(0, headEnd), additionalData(sealedFor)]));
  decipher.setAuthTag(tag);
  return Buffer.concat([decipher.update(sealed.subarray(headEnd + ivBytes + tagBytes)), decipher.final()]);
}

function additionalData({ kind, record }: SealedFor): Buffer {
  return Buffer.from(JSON.stringify([kind, record]));
}

/** Authenticates `parts` under a key, as 128 bits in base64url. */
export function authenticate(key: DataKey, ...parts: readonly (string | Buffer)[]): string {
  const mac = createHmac('sha256', key.bytes);
  for (const part of parts) mac.update(part);
  return mac.digest().subarray(0, 16).toString('base64url');
}
