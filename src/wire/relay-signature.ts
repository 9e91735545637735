import { createHash, createPrivateKey, type KeyObject } from 'node:crypto';
import jwt from 'jsonwebtoken';
import type { TokenKey } from '../domain/token-key.ts';
import { unixSeconds } from './wire-format.ts';

/** What a token vouches for. */
export interface Vouched {
  /** The subscriber's URL: a token for one endpoint is worth nothing at another. */
  readonly audience: string;
  /** Of the delivery, the test or the handshake; the same over all attempts. */
  readonly id: string;
  readonly body: Buffer;
}

const lifeSeconds = 300;

/** Read once: keys are replaced and never changed. */
const opened = new WeakMap<TokenKey, KeyObject>();

/**
 * The value of `relay-signature`: a JWT (ES256) over the SHA-256 of the body, in
 * hexadecimal digits.
 *
 * @param wall epoch milliseconds, as other machines believe; it is valid for five minutes.
 */
export function relaySignature(key: TokenKey, { audience, id, body }: Vouched, wall: number): string {
  const privateKey = opened.get(key) ?? createPrivateKey(key.privateKey);
  opened.set(key, privateKey);
  const iat = unixSeconds(wall);
  const claims = {
    iss: 'fullscript-relay',
    aud: audience,
    iat,
    exp: iat + lifeSeconds,
    jti: id,
    bodySha256: createHash('sha256').update(body).digest('hex'),
  };
  // The type keeps it from being taken for a token of another kind, and other tokens for it.
  const header = { alg: 'ES256', typ: 'relay-signature+jwt', kid: key.id };
  return jwt.sign(claims, privateKey, { algorithm: 'ES256', header });
}
