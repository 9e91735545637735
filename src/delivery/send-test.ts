import { randomUUID } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Outcome } from '../domain/attempt.ts';
import { readRetryAfterMs } from '../domain/backoff.ts';
import type { Subscriber } from '../domain/subscriber.ts';
import { composeTest, wireFormatOf } from '../wire/compose.ts';
import type { Post } from './post.ts';
import { noTokenKey, type TokenKeyOf } from './token-key-of.ts';

/** Sends a sample event once, whatever state the subscriber is in. It is no delivery, and nothing is recorded. */
export type SendTest = (subscriber: Subscriber, eventType: string | null) => Promise<Outcome>;

export interface SendTestDependencies {
  readonly post: Post;
  readonly clock: Clock;
  readonly userAgent: string;
  /** Default: `noTokenKey`. */
  readonly tokenKeyOf?: TokenKeyOf;
  readonly timeoutMs: number;
  /** The text of an invented event; `null` is any type. */
  readonly sampleEvent: (eventType: string | null) => string;
}

export function createSendTest(dependencies: SendTestDependencies): SendTest {
  const { post, clock, userAgent, timeoutMs, sampleEvent, tokenKeyOf = noTokenKey } = dependencies;
  return async (subscriber, eventType) => {
    const format = wireFormatOf(subscriber);
    const sample = { id: `test_${randomUUID()}`, eventText: sampleEvent(eventType) };
    const tokenKey = await tokenKeyOf(subscriber);
    const moment = { now: clock.now(), wall: clock.wall() };
    const result = await post({
      url: subscriber.url,
      ...composeTest(subscriber, sample, moment, userAgent, tokenKey),
      timeoutMs,
      needsAnswerBody: format.needsAnswerBody(subscriber),
    });
    if (result.kind !== 'answered') return result;
    const { status, answer, retryAfter } = result;
    const because = format.acknowledges(subscriber, status, answer);
    if (because === 'accepted') return { kind: 'accepted', status };
    return { kind: 'rejected', status, retryAfterMs: readRetryAfterMs(retryAfter, clock.wall()), because };
  };
}
