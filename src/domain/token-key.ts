import { createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID } from 'node:crypto';

/** A key that signs `relay-signature` tokens (ES256). Instants are epoch milliseconds of the relay's own clock. */
export interface TokenKey {
  /** As tokens and the key set name it (`kid`). */
  readonly id: string;
  /** PEM, PKCS #8, on the curve P-256. */
  readonly privateKey: string;
  readonly createdAt: number;
  /** It is listed before it signs, so that receivers know it by then. */
  readonly signsFrom: number;
  /** `null` for the newest. */
  readonly listedUntil: number | null;
}

/** The public half as a key set lists it. Source: RFC 7517, RFC 7518. */
export interface PublicJwk {
  readonly kid: string;
  readonly kty: 'EC';
  readonly crv: 'P-256';
  readonly x: string;
  readonly y: string;
  readonly alg: 'ES256';
  readonly use: 'sig';
}

/** Longer than a token lives, so that none under way loses its key. */
const listedAfterMs = 3_600_000;

export function makeTokenKey(now: number, signsFrom: number): TokenKey {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    id: `key_${randomUUID().replaceAll('-', '').slice(0, 24)}`,
    privateKey: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    createdAt: now,
    signsFrom,
    listedUntil: null,
  };
}

/** The one that signs at that moment; `null` while there is none. */
export function signingKeyAt(keys: readonly TokenKey[], now: number): TokenKey | null {
  const signing = listedAt(keys, now).filter(({ signsFrom }) => signsFrom <= now);
  return signing.toSorted((a, b) => b.signsFrom - a.signsFrom || b.createdAt - a.createdAt)[0] ?? null;
}

/** Those that receivers are told of at that moment. */
export function listedAt(keys: readonly TokenKey[], now: number): readonly TokenKey[] {
  return keys.filter(({ listedUntil }) => listedUntil === null || listedUntil > now);
}

/**
 * The keys after a rollover: a new one is listed at once and signs when the overlap is
 * over; what signed before is listed for an hour more. Without an overlap the old ones end
 * at once, as they have to when one got out. Those that nobody is told of any more go.
 */
export function rolledOver(keys: readonly TokenKey[], overlapMs: number, now: number): readonly TokenKey[] {
  const signsFrom = now + overlapMs;
  const made = makeTokenKey(now, keys.length === 0 ? now : signsFrom);
  if (overlapMs === 0) return [made];
  const listedUntil = signsFrom + listedAfterMs;
  const older = listedAt(keys, now).map((key) => ({
    ...key,
    listedUntil: Math.min(key.listedUntil ?? listedUntil, listedUntil),
  }));
  return [...older, made];
}

export function publicJwkOf({ id, privateKey }: TokenKey): PublicJwk {
  const { x = '', y = '' } = createPublicKey(createPrivateKey(privateKey)).export({ format: 'jwk' });
  return { kid: id, kty: 'EC', crv: 'P-256', x, y, alg: 'ES256', use: 'sig' };
}
