import { fullscriptSignature } from '../wire/fullscript.ts';
import { standardKey, standardSignature } from '../wire/standard-webhooks.ts';
import { countIn, type HeaderFields } from './header-fields.ts';

export type SchemeName = 'fullscript' | 'standard';

/** One way in which requests are signed. Another one is added to `schemes`, and nothing else changes. */
export interface SignatureScheme {
  readonly name: SchemeName;
  /** Its requests carry this header. */
  readonly header: string;
  /** What is signed beside the body; as a text, what is wrong with the headers. */
  read(headers: HeaderFields): SignedParts | string;
  /** The one text that is right for this secret; `null` when it cannot be a secret of this scheme. */
  expected(secret: string, parts: SignedParts, body: Buffer): string | null;
  /** Where in the body the event stands: the first place that holds one. */
  readonly eventPaths: readonly (readonly string[])[];
}

export interface SignedParts {
  /** Unix seconds. */
  readonly timestamp: number;
  /** The id that the signature covers; `null` in a scheme that signs none. */
  readonly id: string | null;
  /** In the form of `expected`; one that fits is enough. */
  readonly signatures: readonly string[];
}

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
  expected: (secret, { timestamp }, body) =>
    fullscriptSignature(secret, timestamp, body).replace(/^t=\d+,/, ''),
  eventPaths: [['event'], ['event_payload', 'event']],
};

/** A dot would let the border between id, timestamp and body be moved. */
const idShape = /^[\x21-\x2d\x2f-\x7e]{1,256}$/;

/** Standard Webhooks 1.0.0. Versions other than `v1` may stand beside it and are passed over. */
const standard: SignatureScheme = {
  name: 'standard',
  header: 'webhook-signature',
  read(headers) {
    const id = headers.one('webhook-id') ?? '';
    const timestamp = countIn(headers.one('webhook-timestamp'));
    const signatures = (headers.one('webhook-signature') ?? '')
      .split(' ')
      .filter((signature) => signature.startsWith('v1,'));
    if (!idShape.test(id)) return 'webhook-id is missing or is no id.';
    if (timestamp === null) return 'webhook-timestamp is missing or is not in whole seconds.';
    if (signatures.length === 0) return 'webhook-signature holds no v1 signature.';
    return { timestamp, id, signatures };
  },
  expected(secret, { timestamp, id }, body) {
    const key = standardKey(secret);
    return key === null || id === null ? null : standardSignature(key, id, timestamp, body);
  },
  eventPaths: [[]],
};

export const schemes: readonly SignatureScheme[] = [fullscript, standard];
