import { createHmac, type KeyObject, sign } from 'node:crypto';
import { isPrivateKeyText, privateKeyOf } from '../domain/ed25519-key.ts';
import { RelayError } from '../domain/errors.ts';
import { liveSecrets } from '../domain/signing-secret.ts';
import { acknowledgesByStatus, unixSeconds, type WireFormat } from './wire-format.ts';

const secretPrefix = 'whsec_';
const base64 = /^(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * The key that a secret stands for: base64, with or without its `whsec_`; `null` when it
 * is not that.
 */
export function standardKey(secret: string): Buffer | null {
  const encoded = secret.startsWith(secretPrefix) ? secret.slice(secretPrefix.length) : secret;
  return base64.test(encoded) ? Buffer.from(encoded, 'base64') : null;
}

/**
 * One signature of Standard Webhooks 1.0.0, `v1,` included.
 *
 * @param key what `standardKey` gives.
 * @param timestamp Unix seconds.
 */
export function standardSignature(key: Buffer, id: string, timestamp: number, body: Buffer): string {
  const digest = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64');
  return `v1,${digest}`;
}

/** What a signature of Standard Webhooks covers. @param timestamp Unix seconds. */
export function signedContent(id: string, timestamp: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
}

/**
 * One asymmetric signature of Standard Webhooks 1.0.0, `v1a,` included.
 *
 * @param key Ed25519.
 * @param timestamp Unix seconds.
 */
export function asymmetricSignature(key: KeyObject, id: string, timestamp: number, body: Buffer): string {
  return `v1a,${sign(null, signedContent(id, timestamp, body), key).toString('base64')}`;
}

/** Standard Webhooks 1.0.0: the event itself is the body, and any 2xx takes it. */
export const standardWebhooks: WireFormat = {
  wrap: (event) => event,

  sign({ id, body }, subscriber, { now, wall }) {
    const timestamp = unixSeconds(wall);
    const signatures = liveSecrets(subscriber.secrets, now).map(({ value }) => {
      if (isPrivateKeyText(value)) {
        const key = privateKeyOf(value);
        if (key === null) throw unusable(subscriber.id, 'is no Ed25519 key');
        return asymmetricSignature(key, id, timestamp, body);
      }
      const key = standardKey(value);
      if (key === null) throw unusable(subscriber.id, 'is not base64');
      return standardSignature(key, id, timestamp, body);
    });
    if (signatures.length === 0) throw unusable(subscriber.id, 'is missing or has expired');
    return {
      'webhook-id': id,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': signatures.join(' '),
    };
  },

  needsAnswerBody: () => false,

  acknowledges: (_subscriber, status) => acknowledgesByStatus(status),
};

function unusable(subscriberId: string, why: string): RelayError {
  return new RelayError(
    'signing_secret_unusable',
    `The signing secret of subscriber ${subscriberId} ${why}.`,
    {
      hint: `Rotate it; the form is ${secretPrefix} and 24 to 64 bytes in base64.`,
    },
  );
}
