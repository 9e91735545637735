import { type OperationalEvent, sentenceOf } from '../domain/operational-event.ts';
import type { SignedRequest } from './compose.ts';
import { standardKey, standardSignature } from './standard-webhooks.ts';
import { unixSeconds } from './wire-format.ts';

/** `standard`: Standard Webhooks 1.0; `slack`: what an incoming webhook of Slack takes. */
export type OperationalFormat = 'standard' | 'slack';

export interface OperationalMessage {
  /** The same in every try. */
  readonly id: string;
  /** When it came to be, epoch milliseconds. */
  readonly at: number;
  readonly event: OperationalEvent;
}

export interface OperationalRecipient {
  readonly format: OperationalFormat;
  /** In the form of Standard Webhooks; without one nothing is signed. */
  readonly secret: string | null;
}

/** @param wall epoch milliseconds, for the signature. */
export function composeOperational(
  { id, at, event }: OperationalMessage,
  { format, secret }: OperationalRecipient,
  wall: number,
  userAgent: string,
): SignedRequest {
  const document =
    format === 'slack'
      ? { text: escapedForSlack(sentenceOf(event)) }
      : { type: event.type, timestamp: new Date(at).toISOString(), data: event.data };
  const body = Buffer.from(JSON.stringify(document));
  const key = secret === null ? null : standardKey(secret);
  const timestamp = unixSeconds(wall);
  return {
    headers: {
      'content-type': 'application/json',
      'user-agent': userAgent,
      'webhook-id': id,
      'webhook-timestamp': String(timestamp),
      ...(key && { 'webhook-signature': standardSignature(key, id, timestamp, body) }),
    },
    body,
  };
}

/** Source: Slack, "Formatting text for app surfaces": three characters are control characters. */
function escapedForSlack(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
