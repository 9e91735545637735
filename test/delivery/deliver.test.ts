import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createDeliver, type DeliverDependencies } from '../../src/delivery/deliver.ts';
import type { Post, PostRequest } from '../../src/delivery/post.ts';
import type { WebhookSender } from '../../src/delivery/webhook-sender.ts';
import type { Outcome } from '../../src/domain/attempt.ts';
import { ClaimLost, StoreBroken, StoreUnavailable } from '../../src/domain/errors.ts';
import type { Subscriber } from '../../src/domain/subscriber.ts';
import type { DeliveryClaim, Store } from '../../src/store/store.ts';
import { fullscriptSignature } from '../../src/wire/fullscript.ts';
import { anEvent, claim, furnished, record } from '../store/fixtures.ts';
import { type SimulatedClock, simulatedClock } from '../world/clock.ts';
import { keptLog } from '../world/log.ts';
import { recipient } from '../world/recipient.ts';
import { loopbackSender } from '../world/sender.ts';
import { storeInFolder } from '../world/store.ts';
import { type ReceivingSubscriber, receivingSubscriber } from '../world/subscriber.ts';

const startMs = Date.parse('2026-11-22T12:00:00Z');
const never = new AbortController().signal;

let sender: WebhookSender;
let endpoint: ReceivingSubscriber;
let clock: SimulatedClock;
let store: Store;
let discard: () => Promise<void>;
let log: ReturnType<typeof keptLog>;

beforeAll(() => {
  sender = loopbackSender(systemClock());
});
afterAll(() => sender.close());
beforeEach(async () => {
  endpoint = await receivingSubscriber();
  clock = simulatedClock(startMs);
  ({ store, discard } = await storeInFolder(clock));
  log = keptLog();
});
afterEach(async () => {
  await endpoint.close();
  await discard();
});

/** Makes an attempt and records it. */
function deliverWith(changes: Partial<DeliverDependencies> = {}) {
  const deliver = createDeliver({
    store,
    post: sender.post,
    clock,
    random: () => 0,
    logger: log.logger,
    userAgent: 'fullscript-relay/0.1.0',
    timeoutMs: 15_000,
    ...changes,
  });
  return async (...attempt: Parameters<typeof deliver>) => (await deliver(...attempt)).record();
}

async function claimOne(changes: Partial<Subscriber> = {}): Promise<DeliveryClaim> {
  await furnished(store, recipient({ url: endpoint.url, sequence: 0, retrySeconds: [10, 20], ...changes }));
  await record(store, [anEvent('event-1')]);
  return claimAgain();
}

async function claimAgain(): Promise<DeliveryClaim> {
  const [claimed] = await claim(store);
  if (!claimed) throw new Error('nothing is due');
  return claimed;
}

async function attemptsOf({ delivery }: DeliveryClaim) {
  return store.attempts(delivery.id);
}

test('an attempt is composed, posted, and recorded as delivered', async () => {
  const claimed = await claimOne();
  const delivered = await deliverWith()(claimed, never);
  expect(delivered).toMatchObject({
    kind: 'recorded',
    after: { delivery: { state: 'delivered' }, paused: null },
  });
  const [request] = endpoint.requests;
  expect(request?.body.toString()).toBe(`{"event":${claimed.event.body}}`);
  expect(request?.headers).toMatchObject({
    'content-type': 'application/json',
    'fullscript-signature': fullscriptSignature(
      'relay-test-secret-0123456789abcdef',
      startMs / 1000,
      request?.body as Buffer,
    ),
    'relay-delivery-id': claimed.delivery.id,
    'relay-attempt': '1',
    'relay-sequence': '1',
  });
  expect(await attemptsOf(claimed)).toMatchObject([
    { number: 1, outcome: { kind: 'accepted', status: 200 }, excerpt: null },
  ]);
});

test('case 200: a later attempt has a fresh timestamp and signature, the same ids and the same bytes', async () => {
  endpoint.answer(() => ({ status: 503 }));
  await deliverWith()(await claimOne(), never);
  await clock.advance(10_000);
  endpoint.answer(() => ({ status: 200 }));
  const again = await claimAgain();
  await deliverWith()(again, never);
  const [first, second] = endpoint.requests;
  expect(second?.body).toEqual(first?.body);
  expect(second?.headers['relay-delivery-id']).toBe(first?.headers['relay-delivery-id']);
  expect(second?.headers['relay-attempt']).toBe('2');
  expect(first?.headers['fullscript-signature']).toMatch(`t=${startMs / 1000},`);
  expect(second?.headers['fullscript-signature']).toMatch(`t=${startMs / 1000 + 10},`);
});

describe('an answer', () => {
  for (const { status, headers, outcome, dueInMs, because } of [
    {
      status: 500,
      headers: {},
      outcome: { because: 'status', retryAfterMs: null },
      dueInMs: 10_000,
      because: 'it follows the schedule',
    },
    {
      status: 503,
      headers: { 'retry-after': '60' },
      outcome: { because: 'status', retryAfterMs: 60_000 },
      dueInMs: 60_000,
      because: 'the subscriber asked for air',
    },
    {
      status: 429,
      headers: { 'retry-after': new Date(startMs + 30_000).toUTCString() },
      outcome: { because: 'status', retryAfterMs: 30_000 },
      dueInMs: 30_000,
      because: 'a date is as good as seconds',
    },
    {
      status: 400,
      headers: { 'retry-after': '5' },
      outcome: { because: 'status', retryAfterMs: 5_000 },
      dueInMs: 10_000,
      because: 'nobody is asked earlier than the schedule says',
    },
    {
      status: 307,
      headers: { location: 'http://169.254.169.254/' },
      outcome: { because: 'redirect' },
      dueInMs: 10_000,
      because: 'redirects are never followed',
    },
  ]) {
    test(`${status} ${JSON.stringify(headers)} is tried again in ${dueInMs} ms: ${because}`, async () => {
      endpoint.answer(() => ({ status, headers }));
      const delivered = await deliverWith()(await claimOne(), never);
      expect(delivered).toMatchObject({
        kind: 'recorded',
        after: {
          delivery: {
            state: 'pending',
            dueAt: startMs + dueInMs,
            lastOutcome: { kind: 'rejected', status, ...outcome },
          },
        },
      });
      expect(endpoint.requests.length).toBe(1);
    });
  }

  test('200 without the challenge token is a failure, with it a delivery', async () => {
    endpoint.answer(() => ({ status: 200, body: '{"ok":true}' }));
    await deliverWith()(await claimOne({ challengeToken: 'token' }), never);
    await clock.advance(10_000);
    endpoint.answer(() => ({ status: 200, body: '{"challenge":"token"}' }));
    const again = await claimAgain();
    await deliverWith()(again, never);
    expect(await attemptsOf(again)).toMatchObject([
      { outcome: { kind: 'rejected', status: 200, because: 'challenge' }, excerpt: '{"ok":true}' },
      { outcome: { kind: 'accepted', status: 200 }, excerpt: null },
    ]);
  });

  test('410 pauses the subscriber, loudly', async () => {
    endpoint.answer(() => ({ status: 410 }));
    const delivered = await deliverWith()(await claimOne(), never);
    expect(delivered).toMatchObject({ kind: 'recorded', after: { paused: 'gone' } });
    expect(log.lines).toContainEqual({
      level: 'warn',
      message: 'subscriber paused',
      facts: { subscriberId: 'sub_1', name: 'ehr', reason: 'gone', because: 'status 410' },
    });
  });
});

test('case 134: with answers that alternate the state follows the log, and the first success stays', async () => {
  const claimed = await claimOne();
  const { id } = claimed.delivery;
  const statuses = [500, 200, 500, 200];
  endpoint.answer(() => ({ status: statuses[endpoint.requests.length - 1] ?? 404 }));
  const states: unknown[] = [];
  let next: DeliveryClaim | undefined = claimed;
  for (const _ of statuses) {
    if (next === undefined) throw new Error('nothing is due');
    await deliverWith()(next, never);
    const { state, round, deliveredAt } = (await store.delivery(id)) ?? {};
    states.push([round, state, deliveredAt]);
    if (state === 'delivered' && round === 1) {
      await clock.advance(60_000);
      expect(await claim(store), 'what is delivered is not due').toEqual([]);
      await store.startRounds([id]);
    }
    await clock.advance(10_000);
    [next] = await claim(store);
  }
  expect(next).toBeUndefined();
  const firstSuccessAt = startMs + 10_000;
  expect(states).toEqual([
    [1, 'pending', null],
    [1, 'delivered', firstSuccessAt],
    [2, 'pending', firstSuccessAt],
    [2, 'delivered', firstSuccessAt],
  ]);
  expect((await store.attempts(id)).map(({ number, outcome }) => [number, outcome.kind])).toEqual([
    [1, 'rejected'],
    [2, 'accepted'],
    [3, 'rejected'],
    [4, 'accepted'],
  ]);
});

describe('the excerpt of a failing answer', () => {
  for (const { body, excerpt, because } of [
    { body: '', excerpt: null, because: 'there was none' },
    { body: 'not now, Zoë', excerpt: 'not now, Zoë', because: 'it is text' },
    {
      body: Buffer.from([0x6f, 0x6b, 0xff, 0xfe]),
      excerpt: 'ok\ufffd\ufffd',
      because: 'bytes that are not UTF-8 are replaced',
    },
    { body: 'x'.repeat(5_000), excerpt: 'x'.repeat(1024), because: '1 KiB is kept' },
    { body: `${'x'.repeat(1023)}ëë`, excerpt: 'x'.repeat(1023), because: 'no half character is kept' },
  ]) {
    test(`of ${body.length} bytes: ${because}`, async () => {
      endpoint.answer(() => ({ status: 500, body }));
      const claimed = await claimOne();
      await deliverWith()(claimed, never);
      expect((await attemptsOf(claimed))[0]?.excerpt).toBe(excerpt);
    });
  }
});

describe('when there is no answer', () => {
  for (const outcome of [
    { kind: 'timedOut', phase: 'headers', timeoutMs: 15_000 },
    { kind: 'unreachable', error: 'refused', code: 'ECONNREFUSED' },
    { kind: 'blocked', reason: 'it is private', allowWith: null },
  ] satisfies Outcome[]) {
    test(`${outcome.kind} is recorded as it is`, async () => {
      const claimed = await claimOne();
      await deliverWith({ post: async () => outcome })(claimed, never);
      expect(await attemptsOf(claimed)).toMatchObject([{ number: 1, outcome }]);
    });
  }
});

test('a secret that cannot sign is a recorded failure of its own subscriber, and nothing is sent', async () => {
  const secrets = [{ value: 'not base64!', expiresAt: null }];
  const claimed = await claimOne({ profile: 'standard', secrets });
  const delivered = await deliverWith()(claimed, never);
  expect(delivered).toMatchObject({ kind: 'recorded', after: { delivery: { state: 'pending' } } });
  expect(endpoint.requests).toEqual([]);
  expect(await attemptsOf(claimed)).toMatchObject([
    { outcome: { kind: 'unreachable', error: 'local', code: 'signing_secret_unusable' } },
  ]);
  expect(log.lines.map(({ level }) => level)).toContain('error');
  expect(JSON.stringify(log.lines)).not.toContain('not base64!');
});

describe('the result', () => {
  test('of a claim that was lost meanwhile is late, and that is no error', async () => {
    const claimed = await claimOne();
    const recordAttempt = () => Promise.reject(new ClaimLost('delivery 1'));
    expect(await deliverWith({ store: { recordAttempt } })(claimed, never)).toEqual({ kind: 'late' });
    expect(log.lines).toMatchObject([{ message: 'attempt', facts: { result: 'late' } }]);
  });

  test('waits for a store that takes no writes, and the subscriber is not asked again for it', async () => {
    const claimed = await claimOne();
    let refusals = 3;
    const recordAttempt: Store['recordAttempt'] = async (...recorded) => {
      refusals -= 1;
      if (refusals >= 0) throw new StoreUnavailable('disk_full', 'The disk is full.', { hint: 'Make room.' });
      return store.recordAttempt(...recorded);
    };
    const delivering = deliverWith({ store: { recordAttempt } })(claimed, never);
    await endpoint.received(1);
    while (refusals >= 0) await clock.advance(1_000);
    expect(await delivering).toMatchObject({ kind: 'recorded', after: { delivery: { state: 'delivered' } } });
    expect(endpoint.requests.length).toBe(1);
  });

  test('is given up when the relay stops while it waits', async () => {
    const claimed = await claimOne();
    const stopping = new AbortController();
    const recordAttempt = async () => {
      queueMicrotask(() => stopping.abort());
      throw new StoreUnavailable('disk_full', 'The disk is full.', { hint: 'Make room.' });
    };
    const delivered = await deliverWith({ store: { recordAttempt } })(claimed, stopping.signal);
    expect(delivered).toEqual({ kind: 'abandoned' });
  });

  test('of a store that is broken is thrown', async () => {
    const claimed = await claimOne();
    const broken = new StoreBroken('disk_failed', 'The disk failed.', { hint: 'Look at it.' });
    const recordAttempt = () => Promise.reject(broken);
    await expect(deliverWith({ store: { recordAttempt } })(claimed, never)).rejects.toBe(broken);
  });
});

test('case 29: a stop ends the request and records nothing: the next start counts it as interrupted', async () => {
  const claimed = await claimOne();
  endpoint.answer(() => new Promise(() => {}));
  const stopping = new AbortController();
  const delivering = deliverWith()(claimed, stopping.signal);
  await endpoint.received(1);
  stopping.abort();
  expect(await delivering).toEqual({ kind: 'abandoned' });
  expect(await attemptsOf(claimed)).toEqual([]);
});

test('a sender that throws is a fault of the relay and is not taken for an outcome', async () => {
  const post: Post = () => Promise.reject(new TypeError('a bug'));
  await expect(deliverWith({ post })(await claimOne(), never)).rejects.toThrow('a bug');
});

test('a claim that makes no sense is a fault of the relay too', async () => {
  const claimed = await claimOne();
  const nonsense = { ...claimed, subscriber: { ...claimed.subscriber, secrets: null as never } };
  await expect(deliverWith()(nonsense, never)).rejects.toThrow(TypeError);
});

for (const challengeToken of [null, 'token']) {
  test(`an answer's body is ${challengeToken ? 'awaited' : 'not awaited'} with challenge token ${challengeToken}`, async () => {
    const asked: PostRequest[] = [];
    const post: Post = async (request) => {
      asked.push(request);
      return { kind: 'timedOut', phase: 'body', timeoutMs: request.timeoutMs };
    };
    await deliverWith({ post })(await claimOne({ challengeToken }), never);
    expect(asked).toMatchObject([
      { needsAnswerBody: challengeToken !== null, timeoutMs: 15_000, url: endpoint.url },
    ]);
  });
}

test('each attempt leaves one line with ids, outcome and duration, and nothing of a patient or a secret', async () => {
  endpoint.answer(() => ({ status: 500, body: 'echo: Zoë' }));
  const claimed = await claimOne();
  const post: Post = async (request) => {
    const result = await sender.post(request);
    await clock.advance(250);
    return result;
  };
  await deliverWith({ post })(claimed, never);
  expect(log.lines).toEqual([
    {
      level: 'info',
      message: 'attempt',
      facts: {
        deliveryId: claimed.delivery.id,
        eventId: 'event-1',
        clinicId: 'clinic-1',
        subscriberId: 'sub_1',
        attempt: 1,
        outcome: 'status 500',
        durationMs: 250,
        result: 'pending',
      },
    },
  ]);
});

describe('a subscriber that is to be asked for its challenge before each event', () => {
  const challengeToken = 'the-challenge-token';
  const perEvent = { challengeToken, handshake: 'perEvent' } as const;
  const answered = { status: 200, body: JSON.stringify({ challenge: challengeToken }) };

  test('gets the empty request, then the event', async () => {
    endpoint.answer(() => answered);
    const delivered = await deliverWith()(await claimOne(perEvent), never);
    expect(delivered).toMatchObject({ after: { delivery: { state: 'delivered', attempts: 1 } } });
    expect(endpoint.requests.map(({ body }) => body.length > 0)).toEqual([false, true]);
    expect(endpoint.requests[0]?.headers['relay-delivery-id']).toBeUndefined();
  });

  for (const { answer, outcome, because } of [
    {
      answer: { status: 200, body: '{"ok":true}' },
      outcome: { kind: 'rejected', status: 200, because: 'challenge' },
      because: 'the answer holds no challenge',
    },
    {
      answer: { status: 503, headers: { 'retry-after': '120' } },
      outcome: { kind: 'rejected', status: 503, because: 'status', retryAfterMs: 120_000 },
      because: 'it asks for air',
    },
  ]) {
    test(`gets no event, and the attempt has failed, when ${because}`, async () => {
      endpoint.answer(() => answer);
      const claimed = await claimOne(perEvent);
      const delivered = await deliverWith()(claimed, never);
      expect(delivered).toMatchObject({ after: { delivery: { state: 'pending', failures: 1 } } });
      expect(await attemptsOf(claimed)).toMatchObject([{ number: 1, outcome }]);
      expect(endpoint.requests.map(({ body }) => body.length)).toEqual([0]);
    });
  }

  test('has two seconds for the empty request, and the whole time-out for the event', async () => {
    const asked: number[] = [];
    const post: Post = ({ timeoutMs, body }) => {
      asked.push(timeoutMs);
      return body.length === 0
        ? sender.post({ url: endpoint.url, headers: {}, body, timeoutMs, needsAnswerBody: true })
        : Promise.resolve({ kind: 'timedOut', phase: 'headers', timeoutMs });
    };
    endpoint.answer(() => answered);
    await deliverWith({ post })(await claimOne(perEvent), never);
    expect(asked).toEqual([2_000, 15_000]);
  });

  test('gets the event alone when there is no token to ask for', async () => {
    await deliverWith()(await claimOne({ handshake: 'perEvent' }), never);
    expect(endpoint.requests.map(({ body }) => body.length > 0)).toEqual([true]);
  });

  test('is interrupted in the empty request as in the event', async () => {
    const abort = new AbortController();
    endpoint.answer(() => new Promise(() => {}));
    const delivering = deliverWith()(await claimOne(perEvent), abort.signal);
    await endpoint.received(1);
    abort.abort();
    expect(await delivering).toEqual({ kind: 'abandoned' });
  });
});
