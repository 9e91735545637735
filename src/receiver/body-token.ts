import { createHash, createPublicKey, timingSafeEqual, verify } from 'node:crypto';

/** A JSON Web Key Set, as `GET /.well-known/jwks.json` of the relay answers. */
export interface JwkSet {
  readonly keys: readonly JsonWebKeyLike[];
}

export interface JsonWebKeyLike {
  readonly kid?: string | undefined;
  readonly kty?: string | undefined;
  readonly crv?: string | undefined;
  readonly x?: string | undefined;
  readonly y?: string | undefined;
}

/** What a token says that was signed with one of the keys, over this very body, for this endpoint. */
export interface BodyToken {
  /** Unix seconds. */
  readonly timestamp: number;
  /** Of the delivery. */
  readonly id: string;
}

const lengthMax = 4096;

/**
 * Reads a `relay-signature`: ES256 and nothing else, whatever the token asks for.
 *
 * @param audience the endpoint's URL as it is registered.
 * @returns a text that says what is wrong: `malformed`, or `mismatch` when no key made it
 *   for this body and endpoint.
 */
export function readBodyToken(
  token: string,
  { keys }: JwkSet,
  { audience, body }: { readonly audience: string; readonly body: Buffer },
): BodyToken | 'malformed' | 'mismatch' {
  const [head = '', claims = '', signature = '', ...more] = token.split('.');
  if (token.length > lengthMax || more.length > 0) return 'malformed';
  const header = partOf(head);
  const { iss, aud, iat, jti, bodySha256 } = partOf(claims) ?? {};
  if (header?.alg !== 'ES256' || header.typ !== 'relay-signature+jwt' || 'crit' in header) return 'malformed';
  if (typeof iat !== 'number' || typeof jti !== 'string' || typeof bodySha256 !== 'string')
    return 'malformed';
  const key = keys.find(({ kid, kty, crv }) => kid === header.kid && kty === 'EC' && crv === 'P-256');
  if (key === undefined || !isSignedBy(key, `${head}.${claims}`, signature)) return 'mismatch';
  const isMeant = iss === 'fullscript-relay' && aud === audience;
  return isMeant && isDigestOf(bodySha256, body) ? { timestamp: iat, id: jti } : 'mismatch';
}

function isSignedBy({ kty, crv, x, y }: JsonWebKeyLike, content: string, signature: string): boolean {
  try {
    const key = createPublicKey({ key: { kty, crv, x, y } as Record<string, string>, format: 'jwk' });
    const bytes = Buffer.from(signature, 'base64url');
    return verify('sha256', Buffer.from(content), { key, dsaEncoding: 'ieee-p1363' }, bytes);
  } catch {
    // A key that is none signed nothing.
    return false;
  }
}

function isDigestOf(text: string, body: Buffer): boolean {
  const expected = createHash('sha256').update(body).digest();
  const given = Buffer.from(text, 'hex');
  return given.length === expected.length && timingSafeEqual(given, expected);
}

function partOf(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const part: unknown = JSON.parse(Buffer.from(text, 'base64url').toString());
    return typeof part === 'object' && part !== null ? (part as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
