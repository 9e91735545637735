import type { Clock } from '../clock.ts';
import { parseAllowEntry } from '../domain/allow-entry.ts';
import type { Outcome } from '../domain/attempt.ts';
import { readRetryAfterMs } from '../domain/backoff.ts';
import { deliveryIdOf } from '../domain/delivery.ts';
import { InvalidInput } from '../domain/errors.ts';
import type { Subscriber } from '../domain/subscriber.ts';
import { composeAttempt, wireFormatOf } from '../wire/compose.ts';
import { createAddressGuard } from './address-guard.ts';
import { createWebhookSender } from './webhook-sender.ts';

export interface ForwardedEvent {
  readonly id: string;
  /** The exact text. */
  readonly body: string;
  /** Counts the events of this run from 1. */
  readonly sequence: number;
}

/** Sends events that were heard of to a developer's own receiver, as a subscriber gets them. No delivery is recorded. */
export interface Forwarding {
  /** Signed for this moment. @throws RelayError `signing_secret_unusable` */
  send(event: ForwardedEvent, signal: AbortSignal): Promise<Outcome>;
  close(): void;
}

/** A developer's own machine and network. Beyond it, what is sent of patients is encrypted. */
const ownRanges = [
  '127.0.0.0/8',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  '::1',
  'fc00::/7',
];

/** @throws InvalidInput `url_refused` as far as the URL alone tells that nothing may be sent there */
export function startForwarding(
  subscriber: Subscriber,
  {
    clock,
    userAgent,
    timeoutMs,
  }: { readonly clock: Clock; readonly userAgent: string; readonly timeoutMs: number },
): Forwarding {
  const allow = ownRanges.map(parseAllowEntry).filter((entry) => entry.kind !== 'problem');
  const guard = createAddressGuard({ allow, allowPrivateAddresses: true, allowHttp: false });
  const vetted = guard.vetUrl(subscriber.url);
  if (vetted.kind === 'refused') {
    throw new InvalidInput('url_refused', `Events cannot be forwarded there: ${vetted.reason}.`, {
      hint: 'Write something like http://localhost:3000/hook; beyond your own network it takes https.',
    });
  }
  const sender = createWebhookSender({ guard, clock });
  const format = wireFormatOf(subscriber);
  return {
    async send({ id, body, sequence }, signal) {
      const delivery = { id: deliveryIdOf(id, subscriber.id), round: 1, sequence };
      const attempt = { delivery, attempt: 1, event: { body }, subscriber };
      const result = await sender.post({
        url: subscriber.url,
        ...composeAttempt(attempt, { now: clock.now(), wall: clock.wall() }, userAgent),
        timeoutMs,
        needsAnswerBody: format.needsAnswerBody(subscriber),
        signal,
      });
      if (result.kind !== 'answered') return result;
      const { status, answer, retryAfter } = result;
      const because = format.acknowledges(subscriber, status, answer);
      if (because === 'accepted') return { kind: 'accepted', status };
      return { kind: 'rejected', status, retryAfterMs: readRetryAfterMs(retryAfter, clock.wall()), because };
    },
    close: () => sender.close(),
  };
}
