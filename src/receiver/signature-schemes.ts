import { timingSafeEqual, verify } from 'node:crypto';
import { isPublicKeyText, publicKeyOf } from '../domain/ed25519-key.ts';
import { fullscriptSignature } from '../wire/fullscript.ts';
import { signedContent, standardKey, standardSignature } from '../wire/standard-webhooks.ts';
import { countIn, type HeaderFields } from './header-fields.ts';

export type SchemeName = 'fullscript' | 'standard';

/** One way in which requests are signed. Another one is added to `schemes`, and nothing else changes. */
export interface SignatureScheme {
  readonly name: SchemeName;
  /** Its requests carry this header. */
  readonly header: string;
  /** What is signed beside the body; as a text, what is wrong with the headers. */
  read(headers: HeaderFields): SignedParts | string;
  /** Whether one of the signatures was made with this secret; `null` when it cannot be a secret of this scheme. */
  isSignedBy(secret: string, parts: SignedParts, body: Buffer): boolean | null;
  /** Where in the body the event stands: the first place that holds one. */
  readonly eventPaths: readonly (readonly string[])[];
}

export interface SignedParts {
  /** Unix seconds. */
  readonly timestamp: number;
  /** The id that the signature covers; `null` in a scheme that signs none. */
  readonly id: string | null;
  /** As they stand in the header, version included; one that fits is enough. */
  readonly signatures: readonly string[];
}

/**
 * A sender has as many as it has live secrets. Each is tried over the whole body, so that a
 * header full of them would keep this process busy for seconds.
 */
const signaturesMax = 10;

/** `Fullscript-Signature: t=…,v1=…`, the relay's default and the vendor's own. */
const fullscript: SignatureScheme = {
  name: 'fullscript',
  header: 'fullscript-signature',
  read(headers) {
    const parts = (headers.one('fullscript-signature') ?? '').split(',').map((part) => part.trim());
    const timestamps = parts.filter((part) => part.startsWith('t=')).map((part) => countIn(part.slice(2)));
    const [timestamp] = timestamps;
    const signatures = parts.filter((part) => part.startsWith('v1='));
    if (typeof timestamp !== 'number' || timestamps.length > 1 || signatures.length === 0) {
      return 'Fullscript-Signature is not of the form t=<seconds>,v1=<hex>.';
    }
    return { timestamp, id: null, signatures };
  },
  isSignedBy(secret, { timestamp, signatures }, body) {
    // Everybody has a public key: taken for a shared secret, it would let everybody sign.
    if (isPublicKeyText(secret)) return null;
    const expected = fullscriptSignature(secret, timestamp, body).replace(/^t=\d+,/, '');
    return signatures.some((given) => isSame(given, expected));
  },
  eventPaths: [['event'], ['event_payload', 'event']],
};

/** A dot would let the border between id, timestamp and body be moved. */
const idShape = /^[\x21-\x2d\x2f-\x7e]{1,256}$/;

/** Standard Webhooks 1.0.0. Versions other than `v1` and `v1a` may stand beside them and are passed over. */
const standard: SignatureScheme = {
  name: 'standard',
  header: 'webhook-signature',
  read(headers) {
    const id = headers.one('webhook-id') ?? '';
    const timestamp = countIn(headers.one('webhook-timestamp'));
    const signatures = (headers.one('webhook-signature') ?? '')
      .split(' ')
      .filter((signature) => signature.startsWith('v1,') || signature.startsWith('v1a,'));
    if (!idShape.test(id)) return 'webhook-id is missing or is no id.';
    if (timestamp === null) return 'webhook-timestamp is missing or is not in whole seconds.';
    if (signatures.length === 0) return 'webhook-signature holds no v1 or v1a signature.';
    if (signatures.length > signaturesMax) {
      return `webhook-signature holds more than ${signaturesMax} signatures.`;
    }
    return { timestamp, id, signatures };
  },
  isSignedBy(secret, { timestamp, id, signatures }, body) {
    if (id === null) return null;
    if (isPublicKeyText(secret)) {
      const publicKey = publicKeyOf(secret);
      if (publicKey === null) return null;
      const content = signedContent(id, timestamp, body);
      return signatures
        .filter((signature) => signature.startsWith('v1a,'))
        .some((signature) => verify(null, content, publicKey, Buffer.from(signature.slice(4), 'base64')));
    }
    const key = standardKey(secret);
    if (key === null) return null;
    const expected = standardSignature(key, id, timestamp, body);
    return signatures.some((given) => isSame(given, expected));
  },
  eventPaths: [[]],
};

/** In constant time for texts of one length; how long the right one is, is no secret. */
function isSame(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

export const schemes: readonly SignatureScheme[] = [fullscript, standard];
