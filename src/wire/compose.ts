import type { Delivery } from '../domain/delivery.ts';
import { RelayError } from '../domain/errors.ts';
import type { EventWithBody } from '../domain/event.ts';
import type { Profile } from '../domain/subscriber.ts';
import type { TokenKey } from '../domain/token-key.ts';
import { fullscript } from './fullscript.ts';
import { relaySignature } from './relay-signature.ts';
import { standardWebhooks } from './standard-webhooks.ts';
import { thinned } from './thin.ts';
import type { HeaderFields, Message, Moment, Recipient, WireFormat } from './wire-format.ts';

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
 * @param tokenKey signs the token, for a subscriber that is sent any.
 * @throws RelayError `signing_secret_unusable`
 */
export function composeAttempt(
  claimed: ClaimedAttempt,
  moment: Moment,
  userAgent: string,
  tokenKey: TokenKey | null = null,
): SignedRequest {
  const { delivery, attempt, event, subscriber } = claimed;
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
      ...signed({ id: delivery.id, body }, subscriber, moment, tokenKey),
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
  tokenKey: TokenKey | null = null,
): SignedRequest {
  const body = bodyOf(eventText, subscriber);
  return {
    headers: {
      ...subscriber.headers,
      'content-type': 'application/json',
      'user-agent': userAgent,
      'relay-test': 'true',
      ...signed({ id, body }, subscriber, moment, tokenKey),
    },
    body,
  };
}

/**
 * The empty request of a handshake. It is no delivery and carries no `relay-` header but a token's. It
 * names no content type: some frameworks refuse an empty body that claims to be JSON.
 *
 * @throws RelayError `signing_secret_unusable`
 */
export function composeHandshake(
  subscriber: Recipient,
  moment: Moment,
  userAgent: string,
  tokenKey: TokenKey | null = null,
): SignedRequest {
  const body = Buffer.alloc(0);
  const id = `hsk_${moment.wall}`;
  return {
    headers: {
      ...subscriber.headers,
      'user-agent': userAgent,
      ...signed({ id, body }, subscriber, moment, tokenKey),
    },
    body,
  };
}

/** By the profile's own signature, and by a token where the subscriber is sent one. */
function signed(
  message: Message,
  subscriber: Recipient,
  moment: Moment,
  tokenKey: TokenKey | null,
): HeaderFields {
  const headers = wireFormatOf(subscriber).sign(message, subscriber, moment);
  if (!subscriber.jwt) return headers;
  if (tokenKey === null) {
    throw new RelayError('signing_secret_unusable', `There is no key for the tokens of ${subscriber.id}.`, {
      hint: 'Make one: `relay keys rotate`.',
    });
  }
  const token = relaySignature(tokenKey, { ...message, audience: subscriber.url }, moment.wall);
  return { ...headers, 'relay-signature': token };
}

function bodyOf(event: string, subscriber: Recipient): Buffer {
  return Buffer.from(wireFormatOf(subscriber).wrap(subscriber.thin ? thinned(event) : event, subscriber));
}
