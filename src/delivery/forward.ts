import type { Clock } from '../clock.ts';
import type { Outcome } from '../domain/attempt.ts';
import { readRetryAfterMs } from '../domain/backoff.ts';
import { deliveryIdOf } from '../domain/delivery.ts';
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
  send(event: ForwardedEvent): Promise<Outcome>;
  close(): void;
}

export function startForwarding(
  subscriber: Subscriber,
  {
    clock,
    userAgent,
    timeoutMs,
  }: { readonly clock: Clock; readonly userAgent: string; readonly timeoutMs: number },
): Forwarding {
  const guard = createAddressGuard({ allow: [], allowPrivateAddresses: true, allowHttp: true });
  const sender = createWebhookSender({ guard, clock });
  const format = wireFormatOf(subscriber);
  return {
    async send({ id, body, sequence }) {
      const delivery = { id: deliveryIdOf(id, subscriber.id), round: 1, sequence };
      const attempt = { delivery, attempt: 1, event: { body }, subscriber };
      const result = await sender.post({
        url: subscriber.url,
        ...composeAttempt(attempt, { now: clock.now(), wall: clock.wall() }, userAgent),
        timeoutMs,
        needsAnswerBody: format.needsAnswerBody(subscriber),
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
