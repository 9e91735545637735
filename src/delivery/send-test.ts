import { randomUUID } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { type Outcome, outcomeLabel } from '../domain/attempt.ts';
import type { Subscriber } from '../domain/subscriber.ts';
import type { Logger } from '../logger.ts';
import { wireFormatOf } from '../wire/compose.ts';
import type { Post } from './post.ts';

/**
 * Sends a made-up event, so that an endpoint can be tried before there is a real one. It
 * is no delivery: nothing is recorded, nothing is repeated, and no `relay-` header is
 * carried.
 *
 * @param eventType `null` for `relay.test`.
 * @throws RelayError `signing_secret_unusable`
 */
export type SendTest = (subscriber: Subscriber, eventType: string | null) => Promise<Outcome>;

export interface SendTestDependencies {
  readonly post: Post;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly userAgent: string;
  readonly timeoutMs: number;
}

export function createSendTest(dependencies: SendTestDependencies): SendTest {
  const { post, clock, logger, userAgent, timeoutMs } = dependencies;
  return async (subscriber, eventType) => {
    const format = wireFormatOf(subscriber);
    const moment = { now: clock.now(), wall: clock.wall() };
    const id = `tst_${randomUUID().replaceAll('-', '')}`;
    const body = Buffer.from(
      format.wrap(sampleEvent(id, eventType ?? 'relay.test', moment.wall), subscriber),
    );
    const result = await post({
      url: subscriber.url,
      headers: {
        'content-type': 'application/json',
        'user-agent': userAgent,
        ...format.sign({ id, body }, subscriber, moment),
      },
      body,
      timeoutMs,
      needsAnswerBody: format.needsAnswerBody(subscriber),
    });
    const outcome = result.kind === 'answered' ? judged(result, subscriber) : result;
    logger.info('test', { subscriberId: subscriber.id, outcome: outcomeLabel(outcome) });
    return outcome;
  };
}

function judged({ status, answer }: { status: number; answer: Buffer }, subscriber: Subscriber): Outcome {
  const verdict = wireFormatOf(subscriber).acknowledges(subscriber, status, answer);
  return verdict === 'accepted'
    ? { kind: 'accepted', status }
    : { kind: 'rejected', status, retryAfterMs: null, because: verdict };
}

function sampleEvent(id: string, type: string, at: number): string {
  return JSON.stringify({
    id,
    type,
    created_at: new Date(at).toISOString(),
    clinic_id: 'relay-test',
    data: { note: 'A test of the relay: nothing happened at Fullscript.' },
  });
}
