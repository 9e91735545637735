import { createPrivateKey, createPublicKey, createSecretKey, type KeyObject, randomUUID } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { z } from 'zod';
import { InvalidInput } from '../domain/errors.ts';

/** What a token may do. `write` includes `read`, `admin` includes both. */
export type Scope = 'read' | 'write' | 'admin';

/** Who calls, by a token that was believed. */
export interface Caller {
  /** Owns the subscribers that it creates. */
  readonly subject: string;
  readonly scopes: readonly Scope[];
  /** Of the token. */
  readonly jti: string;
}

/** What tokens are signed and checked with: one secret, or the PEM texts of an ES256 pair. */
export type SigningKeys =
  | { readonly kind: 'secret'; readonly secret: string }
  | { readonly kind: 'keyPair'; readonly privateKey: string; readonly publicKey: string };

export interface TokenAsk {
  readonly subject: string;
  readonly scopes: readonly Scope[];
  /** 90 days at most. */
  readonly expiresInSeconds: number;
}

export interface SignedToken {
  readonly token: string;
  readonly jti: string;
  /** Epoch milliseconds. */
  readonly expiresAt: number;
}

export const tokenLifeMaxMs = 90 * 86_400_000;

const issuer = 'fullscript-relay';
const audience = 'relay-api';
const secretBytesMin = 32;
const tokenBytesMax = 4096;
/** How far the signer's clock may be ahead of ours. */
const aheadSecondsMax = 60;

const includes: Readonly<Record<Scope, readonly Scope[]>> = {
  read: ['read'],
  write: ['read', 'write'],
  admin: ['read', 'write', 'admin'],
};

export function mayDo(caller: Pick<Caller, 'scopes'>, scope: Scope): boolean {
  return caller.scopes.some((given) => includes[given].includes(scope));
}

/**
 * Signs a token with a fresh id.
 *
 * @param now wall-clock epoch milliseconds.
 * @throws InvalidInput `jwt_key_unusable`, `token_ask_invalid`
 */
export function signToken(keys: SigningKeys, ask: TokenAsk, now: number): SignedToken {
  const { subject, scopes, expiresInSeconds } = ask;
  const lifeSecondsMax = tokenLifeMaxMs / 1000;
  const isLifeGood =
    Number.isInteger(expiresInSeconds) && expiresInSeconds >= 1 && expiresInSeconds <= lifeSecondsMax;
  if (!isLifeGood || scopes.length === 0 || !subjectShape.safeParse(subject).success) {
    throw new InvalidInput('token_ask_invalid', 'A token cannot be made like this.', {
      hint: `It needs a subject of 1 to 200 characters, one scope at least, and ends within 90 days.`,
    });
  }
  const { signWith, algorithm } = materialOf(keys);
  const iat = Math.floor(now / 1000);
  const exp = iat + expiresInSeconds;
  const jti = randomUUID();
  const claims = { iss: issuer, aud: audience, sub: subject, scope: scopes.join(' '), jti, iat, exp };
  return { token: jwt.sign(claims, signWith, { algorithm }), jti, expiresAt: exp * 1000 };
}

/** Believes a token or does not; the reason is for the log, never for the caller. */
export type CheckToken = (token: string) => Promise<TokenVerdict>;

export type TokenVerdict =
  | { readonly kind: 'believed'; readonly caller: Caller }
  | { readonly kind: 'refused'; readonly reason: string };

/**
 * @param now wall-clock epoch milliseconds.
 * @throws InvalidInput `jwt_key_unusable`, at once and not at the first token.
 */
export function createTokenCheck(
  keys: SigningKeys,
  { now, isRevoked }: { now: () => number; isRevoked: (jti: string) => Promise<boolean> },
): CheckToken {
  const { checkWith, algorithm } = materialOf(keys);
  return async (token) => {
    const claims = claimsOf(token, checkWith, algorithm, Math.floor(now() / 1000));
    if (typeof claims === 'string') return { kind: 'refused', reason: claims };
    if (await isRevoked(claims.jti)) return { kind: 'refused', reason: 'it was revoked' };
    const { sub: subject, scope: scopes, jti } = claims;
    return { kind: 'believed', caller: { subject, scopes, jti } };
  };
}

const subjectShape = z.string().min(1).max(200);
const scopeShape = z.enum(['read', 'write', 'admin']);
const seconds = z.int().min(0);

/** Nothing that would choose the key or change what the rest means: no `kid`, `jwk`, `x5u`, `crit`. */
const headerShape = z.strictObject({ alg: z.string(), typ: z.literal('JWT') });

const claimsShape = z.object({
  sub: subjectShape,
  jti: z.string().min(1).max(200),
  iat: seconds,
  exp: seconds,
  aud: z.literal(audience),
  scope: z
    .string()
    .max(200)
    .transform((text) => text.split(' '))
    .pipe(z.array(scopeShape).min(1)),
});

/** The claims, or why the token is not believed. */
function claimsOf(
  token: string,
  key: KeyObject,
  algorithm: Algorithm,
  nowSeconds: number,
): z.infer<typeof claimsShape> | string {
  if (Buffer.byteLength(token) > tokenBytesMax) return 'it is too long';
  let decoded: jwt.Jwt;
  try {
    decoded = jwt.verify(token, key, {
      algorithms: [algorithm],
      issuer,
      audience,
      clockTimestamp: nowSeconds,
      complete: true,
    });
  } catch (error) {
    return error instanceof jwt.JsonWebTokenError ? error.message : 'it cannot be read';
  }
  if (!headerShape.safeParse(decoded.header).success) return 'its header asks for more than it may';
  const claims = claimsShape.safeParse(decoded.payload);
  if (!claims.success) return 'its claims are not those of a token of the relay';
  const { iat, exp } = claims.data;
  if (iat > nowSeconds + aheadSecondsMax) return 'it was issued in the future';
  if (exp - iat > tokenLifeMaxMs / 1000) return 'it lives too long';
  return claims.data;
}

type Algorithm = 'HS256' | 'ES256';

interface Material {
  readonly signWith: KeyObject;
  readonly checkWith: KeyObject;
  readonly algorithm: Algorithm;
}

function materialOf(keys: SigningKeys): Material {
  if (keys.kind === 'secret') {
    const secret = Buffer.from(keys.secret);
    if (secret.length < secretBytesMin) {
      throw unusable(`The secret that signs tokens is shorter than ${secretBytesMin} bytes.`);
    }
    const key = createSecretKey(secret);
    return { signWith: key, checkWith: key, algorithm: 'HS256' };
  }
  const [signWith, checkWith] = keyPairOf(keys);
  for (const key of [signWith, checkWith]) {
    if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
      throw unusable('The key pair that signs tokens is not on the curve P-256, as ES256 needs it.');
    }
  }
  if (!createPublicKey(signWith).equals(checkWith)) {
    throw unusable('The public key that checks tokens does not belong to the private one.');
  }
  return { signWith, checkWith, algorithm: 'ES256' };
}

function keyPairOf(keys: {
  readonly privateKey: string;
  readonly publicKey: string;
}): [KeyObject, KeyObject] {
  try {
    return [createPrivateKey(keys.privateKey), createPublicKey(keys.publicKey)];
  } catch {
    // The cause would carry the key's text.
    throw unusable('The key pair that signs tokens cannot be read.');
  }
}

function unusable(message: string): InvalidInput {
  return new InvalidInput('jwt_key_unusable', message, {
    hint: '`relay init` writes a .env with a fresh RELAY_JWT_SECRET; a key pair is two PEM texts for ES256.',
  });
}
