import type { Delivery } from '../domain/delivery.ts';
import type { EventWithBody } from '../domain/event.ts';
import type { Profile } from '../domain/subscriber.ts';
import { fullscript } from './fullscript.ts';
import { standardWebhooks } from './standard-webhooks.ts';
import { thinned } from './thin.ts';
import type { HeaderFields, Moment, Recipient, WireFormat } from './wire-format.ts';

const formats: Readonly<Record<Profile, WireFormat>> = { fullscript, standard: standardWebhooks };

export function wireFormatOf({ profile }: { readonly profile: Profile }): WireFormat {
  return formats[profile];
}

/** A request that is ready to be sent, byte for byte; its signature holds for minutes only. */
export interface SignedRequest {
  readonly headers: HeaderFields;
  readonly body: Buffer;
}

/** One attempt that somebody has claimed. */
export interface ClaimedAttempt {
  readonly delivery: Pick<Delivery, 'id' | 'round' | 'sequence'>;
  /** Counted from 1 over all rounds. */
  readonly attempt: number;
  readonly event: Pick<EventWithBody, 'body'>;
  readonly subscriber: Recipient;
}

/**
 * The request of one attempt. The body and the ids are the same in every attempt of a
 * delivery; the timestamp and the signature are this moment's.
 *
 * @param userAgent `fullscript-relay/` and the version.
 * @throws RelayError `signing_secret_unusable`
 */
export function composeAttempt(claimed: ClaimedAttempt, moment: Moment, userAgent: string): SignedRequest {
  const { delivery, attempt, event, subscriber } = claimed;
  const format = wireFormatOf(subscriber);
  const body = bodyOf(event.body, subscriber);
  return {
    headers: {
      ...subscriber.headers,
      'content-type': 'application/json',
      'user-agent': userAgent,
      'relay-delivery-id': delivery.id,
      'relay-attempt': String(attempt),
      ...(delivery.round > 1 && { 'relay-replay': String(delivery.round) }),
      'relay-sequence': String(delivery.sequence),
      ...format.sign({ id: delivery.id, body }, subscriber, moment),
    },
    body,
  };
}

/**
 * A sample event, signed as any other. It is no delivery: it carries `relay-test` instead
 * of a delivery's headers, and no sequence.
 *
 * @throws RelayError `signing_secret_unusable`
 */
export function composeTest(
  subscriber: Recipient,
  { id, eventText }: { readonly id: string; readonly eventText: string },
  moment: Moment,
  userAgent: string,
): SignedRequest {
  const format = wireFormatOf(subscriber);
  const body = bodyOf(eventText, subscriber);
  return {
    headers: {
      ...subscriber.headers,
      'content-type': 'application/json',
      'user-agent': userAgent,
      'relay-test': 'true',
      ...format.sign({ id, body }, subscriber, moment),
    },
    body,
  };
}

/**
 * The empty request of a handshake. It is no delivery and carries no `relay-` header. It
 * names no content type: some frameworks refuse an empty body that claims to be JSON.
 *
 * @throws RelayError `signing_secret_unusable`
 */
export function composeHandshake(subscriber: Recipient, moment: Moment, userAgent: string): SignedRequest {
  const body = Buffer.alloc(0);
  const id = `hsk_${moment.wall}`;
  return {
    headers: {
      ...subscriber.headers,
      'user-agent': userAgent,
      ...wireFormatOf(subscriber).sign({ id, body }, subscriber, moment),
    },
    body,
  };
}

function bodyOf(event: string, subscriber: Recipient): Buffer {
  return Buffer.from(wireFormatOf(subscriber).wrap(subscriber.thin ? thinned(event) : event, subscriber));
}
