import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createHandshake, handshakeTimeoutMs } from '../../src/delivery/handshake.ts';
import type { Post } from '../../src/delivery/post.ts';
import type { WebhookSender } from '../../src/delivery/webhook-sender.ts';
import { silentLogger } from '../../src/logger.ts';
import { keptLog } from '../world/log.ts';
import { recipient } from '../world/recipient.ts';
import { loopbackSender } from '../world/sender.ts';
import { type ReceivingSubscriber, receivingSubscriber } from '../world/subscriber.ts';

const clock = systemClock();
const userAgent = 'fullscript-relay/0.1.0';
const token = 'the-challenge-token';

let sender: WebhookSender;
let endpoint: ReceivingSubscriber;

beforeAll(() => {
  sender = loopbackSender(clock);
});
afterAll(() => sender.close());
beforeEach(async () => {
  endpoint = await receivingSubscriber();
});
afterEach(() => endpoint.close());

function shake(
  changes: Parameters<typeof recipient>[0] = {},
  post: Post = sender.post,
  logger = silentLogger,
) {
  const handshake = createHandshake({ post, clock, logger, userAgent });
  return handshake(recipient({ url: endpoint.url, challengeToken: token, ...changes }));
}

test('the request is a POST without a body, signed, and no delivery', async () => {
  endpoint.answer(() => ({ status: 200, body: JSON.stringify({ challenge: token }) }));
  expect(await shake()).toEqual({ kind: 'passed', status: 200 });
  const [request] = endpoint.requests;
  expect(request).toMatchObject({ method: 'POST', path: '/hook' });
  expect(request?.body.length).toBe(0);
  expect(request?.headers['fullscript-signature']).toMatch(/^t=\d{10},v1=[0-9a-f]{64}$/);
  expect(request?.headers['user-agent']).toBe(userAgent);
  expect(Object.keys(request?.headers ?? {}).filter((name) => name.startsWith('relay-'))).toEqual([]);
});

for (const { status, body, because, says } of [
  { status: 401, body: '{"error":"no body"}', because: 'status', says: /401.*neither 200 nor 201/ },
  { status: 204, body: '', because: 'status', says: /204.*neither 200 nor 201/ },
  { status: 500, body: JSON.stringify({ challenge: token }), because: 'status', says: /500/ },
  { status: 308, body: '', because: 'redirect', says: /redirect/ },
  { status: 200, body: '', because: 'notJson', says: /without JSON/ },
  { status: 200, body: `{"challenge":"${'x'.repeat(20_000)}"}`, because: 'notJson', says: /broke off/ },
  { status: 200, body: '{"ok":true}', because: 'noChallenge', says: /no "challenge"/ },
  { status: 201, body: '{"challenge":"another"}', because: 'otherToken', says: /another challenge token/ },
]) {
  test(`an answer ${status} ${body.slice(0, 30)} fails and says which half: ${because}`, async () => {
    endpoint.answer(() => ({ status, body }));
    const result = await shake();
    expect(result).toMatchObject({ kind: 'failed', because, message: expect.stringMatching(says) });
    expect(JSON.stringify(result)).not.toContain(token);
  });
}

describe('without a challenge token', () => {
  for (const { status, passes } of [
    { status: 204, passes: true },
    { status: 404, passes: false },
    { status: 302, passes: false },
  ]) {
    test(`${status} ${passes ? 'passes' : 'fails'}`, async () => {
      endpoint.answer(() => ({ status }));
      expect((await shake({ challengeToken: null })).kind).toBe(passes ? 'passed' : 'failed');
    });
  }
});

test('a challenge token is asked for in profile standard too', async () => {
  const secrets = [{ value: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', expiresAt: null }];
  endpoint.answer(() => ({ status: 200, body: '{}' }));
  expect(await shake({ profile: 'standard', secrets })).toMatchObject({
    kind: 'failed',
    because: 'noChallenge',
  });
  expect(endpoint.requests[0]?.headers['webhook-id']).toMatch(/^hsk_/);
});

describe('when no answer comes', () => {
  test('it is given two seconds, and the phase that took them is named', async () => {
    const asked: unknown[] = [];
    const result = await shake({}, async ({ timeoutMs, needsAnswerBody }) => {
      asked.push({ timeoutMs, needsAnswerBody });
      return { kind: 'timedOut', phase: 'headers', timeoutMs };
    });
    expect(asked).toEqual([{ timeoutMs: handshakeTimeoutMs, needsAnswerBody: true }]);
    expect(handshakeTimeoutMs).toBe(2_000);
    expect(result).toMatchObject({ because: 'timedOut', message: expect.stringMatching(/2000 ms.*headers/) });
  });

  test('a refused connection is named with Node’s own word', async () => {
    const { url } = endpoint;
    await endpoint.close();
    expect(await shake({ url })).toMatchObject({
      because: 'unreachable',
      message: expect.stringContaining('ECONNREFUSED'),
    });
    endpoint = await receivingSubscriber();
  });

  test('a refused address comes with the line that would allow it', async () => {
    const allowWith = '"delivery": { "allow": ["ehr.internal:3000"] }';
    const result = await shake({}, async () => ({ kind: 'blocked', reason: 'it is private', allowWith }));
    expect(result).toMatchObject({ because: 'blocked', hint: expect.stringContaining(allowWith) });
  });
});

test('the log line holds neither token nor answer', async () => {
  const { logger, lines } = keptLog();
  endpoint.answer(() => ({ status: 200, body: '{"challenge":"a secret of theirs"}' }));
  await shake({}, sender.post, logger);
  expect(lines).toEqual([
    {
      level: 'info',
      message: 'handshake',
      facts: { subscriberId: 'sub_1', result: 'otherToken', outcome: 'challenge 200' },
    },
  ]);
});
