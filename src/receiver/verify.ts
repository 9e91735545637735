import { isPrivateKeyText, isPublicKeyText, publicKeyOf } from '../domain/ed25519-key.ts';
import { InvalidInput } from '../domain/errors.ts';
import { standardKey } from '../wire/standard-webhooks.ts';
import { type JwkSet, readBodyToken } from './body-token.ts';
import { countIn, type HeaderFields, headerFields, type RequestHeaders } from './header-fields.ts';
import { type ReceivedEvent, readEvent } from './received-event.ts';
import { type SchemeName, type SignatureScheme, type SignedParts, schemes } from './signature-schemes.ts';

export interface SignedRequest {
  readonly headers: RequestHeaders;
  /** As received, before any parser; a string stands for its UTF-8 bytes. */
  readonly body: Uint8Array | string;
}

export interface VerifyOptions {
  /**
   * Those that may have signed, public keys (`whpk_…`) among them: one of them is enough,
   * so that a secret can be rotated. One that is not set is an error.
   */
  readonly secrets?: readonly (string | undefined)[];
  /**
   * The keys of the relay's tokens, its `/.well-known/jwks.json` as you fetched it last:
   * the token has to be right as well. Without `secrets`, the token alone decides.
   */
  readonly jwks?: JwkSet | (() => JwkSet);
  /** The URL that is registered, exactly: tokens for another endpoint count for nothing. Goes with `jwks`. */
  readonly url?: string;
  /** How far the signature's time may be off, into the past and into the future. Default: 300. */
  readonly toleranceSeconds?: number;
  /** Only this scheme counts. Default: the one whose header the request carries. Without `secrets` it matters not. */
  readonly profile?: SchemeName;
  /** Epoch milliseconds. */
  readonly now?: () => number;
}

export type Verdict = Verified | Refused;

/** The signature is right and fresh. Whatever is not said to be signed is a hint: anybody on the way could change it. */
export interface Verified {
  readonly kind: 'verified';
  readonly profile: SchemeName | 'token';
  /** Signed. */
  readonly event: ReceivedEvent;
  /** When this attempt was signed, epoch milliseconds. Signed. */
  readonly signedAt: number;
  /** The same over all attempts and replays; `null` from Fullscript itself and in tests. Signed in profile `standard` and by tokens. */
  readonly deliveryId: string | null;
  /** Counted from 1 over all rounds; `null` when the request says none. */
  readonly attempt: number | null;
  /** 1, and 2 or more in a replay. */
  readonly round: number;
  /** Counts this subscriber's deliveries without a gap; `null` when the request says none. */
  readonly sequence: number | null;
  /** A sample that `relay subscribers test` or `doctor` sent: no patient stands behind it. */
  readonly isTest: boolean;
}

export interface Refused {
  readonly kind: 'refused';
  readonly reason: RefusalReason;
  /** What is wrong, in a sentence that holds nothing of the request. */
  readonly message: string;
}

export type RefusalReason =
  /** There is no signature header. */
  | 'unsigned'
  /** The signature's headers cannot be read. */
  | 'malformed'
  /** None of the secrets can be one of this scheme. */
  | 'secretUnusable'
  /** No signature was made with any of the secrets over these bytes. */
  | 'mismatch'
  /** The signature is genuine and too old. */
  | 'expired'
  /** The signature is genuine and lies too far in the future. */
  | 'fromFuture'
  /** What was handed in is no longer the body's bytes. */
  | 'bodyNotRaw'
  /** The signature is genuine, and the body holds no event. */
  | 'notAnEvent';

const toleranceSecondsDefault = 300;

/**
 * Checks a request's signature and reads its event. Whatever the request is, the answer
 * is a verdict; only options that cannot be meant throw.
 *
 * Source: Fullscript, "Webhook security"; Standard Webhooks 1.0.0.
 *
 * @throws InvalidInput `receiver_options_invalid`
 */
export function verify(request: SignedRequest, options: VerifyOptions): Verdict {
  checkVerifyOptions(options);
  const headers = headerFields(request.headers);
  const body = bytesOf(request.body);
  const bySecret = options.secrets === undefined ? null : signedBySecret(headers, body, options);
  if (bySecret?.kind === 'refused') return bySecret;
  const byToken = options.jwks === undefined ? null : signedByToken(headers, body, options);
  if (byToken?.kind === 'refused') return byToken;
  for (const signed of [bySecret, byToken]) {
    const stale = signed && staleness(signed.timestamp, options);
    if (stale) return stale;
  }
  const signed = bySecret ?? byToken;
  const event = body && signed && readEvent(body, signed.eventPaths);
  if (!signed || !event) return refused('notAnEvent', 'The body holds no event with an id.');
  const parts = { timestamp: signed.timestamp, id: byToken?.id ?? signed.id };
  return { kind: 'verified', profile: signed.profile, event, ...hintsOf(headers, parts) };
}

/** What is known to be genuine. */
interface Signed extends Pick<SignedParts, 'timestamp' | 'id'>, Pick<SignatureScheme, 'eventPaths'> {
  readonly kind: 'signed';
  readonly profile: Verified['profile'];
}

function signedBySecret(
  headers: HeaderFields,
  body: Buffer | null,
  { secrets = [], profile }: VerifyOptions,
): Signed | Refused {
  const known = schemes.filter(({ name }) => profile === undefined || name === profile);
  const scheme = known.find(({ header }) => headers.isPresent(header));
  if (scheme === undefined) {
    return refused('unsigned', `There is no ${known.map(({ header }) => header).join(' or ')} header.`);
  }
  const parts = scheme.read(headers);
  if (typeof parts === 'string') return refused('malformed', parts);
  if (body === null) return notRaw();
  const fits = secrets
    .map((secret = '') => scheme.isSignedBy(secret, parts, body))
    .filter((isSigned) => isSigned !== null);
  if (fits.length === 0) return refused('secretUnusable', `No secret is one of the profile ${scheme.name}.`);
  if (!fits.includes(true)) {
    return refused('mismatch', 'No signature fits: another secret signed it, or the bytes were changed.');
  }
  return { kind: 'signed', profile: scheme.name, eventPaths: scheme.eventPaths, ...parts };
}

const tokenHeader = 'relay-signature';

function signedByToken(
  headers: HeaderFields,
  body: Buffer | null,
  { jwks = { keys: [] }, url = '' }: VerifyOptions,
): Signed | Refused {
  if (!headers.isPresent(tokenHeader)) return refused('unsigned', `There is no ${tokenHeader} header.`);
  if (body === null) return notRaw();
  const keySet = typeof jwks === 'function' ? jwks() : jwks;
  const token = readBodyToken(headers.one(tokenHeader) ?? '', keySet, { audience: url, body });
  if (token === 'malformed') return refused(token, `${tokenHeader} is no token of a relay's.`);
  if (token === 'mismatch') {
    return refused(token, 'The token does not fit: unknown key, another endpoint, or other bytes.');
  }
  const eventPaths = schemes.flatMap((scheme) => scheme.eventPaths);
  return { kind: 'signed', profile: 'token', eventPaths, ...token };
}

function notRaw(): Refused {
  return refused('bodyNotRaw', 'The body was parsed already; the signature covers its bytes as they came.');
}

function staleness(
  timestamp: number,
  { toleranceSeconds = toleranceSecondsDefault, now = Date.now }: VerifyOptions,
): Refused | null {
  const ageSeconds = now() / 1000 - timestamp;
  if (ageSeconds > toleranceSeconds) {
    return refused('expired', `The signature is older than ${toleranceSeconds} s; compare the clocks.`);
  }
  if (ageSeconds < -toleranceSeconds) {
    return refused('fromFuture', `The signature is over ${toleranceSeconds} s ahead; compare the clocks.`);
  }
  return null;
}

/** @throws InvalidInput `receiver_options_invalid` */
export function checkVerifyOptions({
  secrets,
  jwks,
  url,
  toleranceSeconds = toleranceSecondsDefault,
}: VerifyOptions): void {
  const given: readonly unknown[] = Array.isArray(secrets) ? secrets : [];
  const isAsked = secrets !== undefined || jwks === undefined;
  if (isAsked && given.length === 0) throw invalid('secrets', 'is no list of one secret or more');
  if (jwks !== undefined && typeof jwks !== 'function' && !Array.isArray(jwks?.keys)) {
    throw invalid('jwks', 'is no key set, as /.well-known/jwks.json answers');
  }
  if ((jwks === undefined) !== (url === undefined)) throw invalid('url', 'and jwks go together');
  for (const [index, secret] of given.entries()) {
    const problem = problemOf(secret);
    if (problem !== null) throw invalid(`secrets[${index}]`, problem);
  }
  if (!(toleranceSeconds >= 0 && toleranceSeconds < Number.POSITIVE_INFINITY)) {
    throw invalid('toleranceSeconds', 'is no number of seconds');
  }
}

function problemOf(secret: unknown): string | null {
  if (typeof secret !== 'string' || secret === '') return 'is not set';
  if (secret.trim() !== secret) return 'begins or ends with white space';
  if (isPrivateKeyText(secret)) return 'is a private key: a receiver needs the public one, whpk_';
  if (isPublicKeyText(secret) && publicKeyOf(secret) === null) return 'is not whpk_ and base64 of 32 bytes';
  if (secret.includes('whsec_') && standardKey(secret) === null) return 'is not whsec_ and base64';
  return null;
}

function invalid(path: string, problem: string): InvalidInput {
  return new InvalidInput('receiver_options_invalid', `${path} ${problem}.`, {
    hint: 'Give the secret that the registration showed, out of an environment variable that is set.',
    problems: [{ path, message: problem }],
  });
}

function hintsOf(headers: HeaderFields, { id, timestamp }: Pick<SignedParts, 'id' | 'timestamp'>) {
  return {
    signedAt: timestamp * 1000,
    deliveryId: headers.one('relay-delivery-id') === null ? null : (id ?? headers.one('relay-delivery-id')),
    attempt: countIn(headers.one('relay-attempt')),
    round: countIn(headers.one('relay-replay')) ?? 1,
    sequence: countIn(headers.one('relay-sequence')),
    isTest: headers.isPresent('relay-test'),
  };
}

function bytesOf(body: unknown): Buffer | null {
  if (typeof body === 'string') return Buffer.from(body);
  if (body instanceof Uint8Array) return Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  return null;
}

function refused(reason: RefusalReason, message: string): Refused {
  return { kind: 'refused', reason, message };
}
