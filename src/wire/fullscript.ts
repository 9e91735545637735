import { createHmac } from 'node:crypto';
import { RelayError } from '../domain/errors.ts';
import { readChallenge } from './challenge.ts';
import { acknowledgesByStatus, unixSeconds, type WireFormat } from './wire-format.ts';

/**
 * The value of `Fullscript-Signature`, in the only form that the strictest receivers
 * take: no spaces, lower-case hexadecimal digits, exactly one `v1`.
 *
 * Source: Fullscript, "Webhook security".
 *
 * @param secret used as UTF-8 text, as it stands in the vendor's dashboard.
 * @param timestamp Unix seconds.
 */
export function fullscriptSignature(secret: string, timestamp: number, body: Buffer): string {
  const digest = createHmac('sha256', secret).update(`${timestamp}.`).update(body).digest('hex');
  return `t=${timestamp},v1=${digest}`;
}

/** As Fullscript's own webhooks. Where its pages leave a choice open, the subscriber's envelope and challenge token make it. */
export const fullscript: WireFormat = {
  wrap(event, { envelope }) {
    switch (envelope) {
      case 'event':
        return `{"event":${event}}`;
      case 'event_payload':
        return `{"event_payload":{"event":${event}}}`;
      case 'both':
        return `{"event":${event},"event_payload":{"event":${event}}}`;
    }
  },

  sign({ body }, { id, secrets }, { wall }) {
    // Strict receivers refuse two signatures, so a rotation switches: the newest secret alone signs.
    const secret = secrets[0]?.value;
    if (!secret) {
      throw new RelayError('signing_secret_unusable', `Subscriber ${id} has no signing secret.`, {
        hint: 'Rotate its secret.',
      });
    }
    return { 'fullscript-signature': fullscriptSignature(secret, unixSeconds(wall), body) };
  },

  needsAnswerBody: ({ challengeToken }) => challengeToken !== null,

  acknowledges({ challengeToken }, status, answer) {
    const byStatus = acknowledgesByStatus(status);
    if (challengeToken === null || byStatus !== 'accepted') return byStatus;
    // The vendor names these two and no others: 204 is a failure.
    if (status !== 200 && status !== 201) return 'status';
    return readChallenge(answer, challengeToken) === 'matches' ? 'accepted' : 'challenge';
  },
};
