import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createSendTest } from '../../src/delivery/send-test.ts';
import type { Subscriber } from '../../src/domain/subscriber.ts';
import { verify } from '../../src/receiver/verify.ts';
import { recipient } from '../world/recipient.ts';
import { loopbackSender } from '../world/sender.ts';
import { receivingSubscriber } from '../world/subscriber.ts';

const clock = systemClock();
const standard = recipient({
  profile: 'standard',
  secrets: [{ value: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', expiresAt: null }],
});

async function tested(subscriber: Subscriber, eventType: string | null, answer = { status: 200, body: '' }) {
  const endpoint = await receivingSubscriber();
  const { post, close } = loopbackSender(clock);
  onTestFinished(async () => {
    close();
    await endpoint.close();
  });
  endpoint.answer(() => answer);
  const sendTest = createSendTest({
    post,
    clock,
    userAgent: 'relay/1',
    timeoutMs: 2_000,
    sampleEvent: (type) => `{"id":"evt_sample","type":"${type ?? 'order.placed'}"}`,
  });
  const outcome = await sendTest({ ...subscriber, url: endpoint.url }, eventType);
  return { outcome, request: endpoint.requests[0] ?? { headers: {}, body: Buffer.alloc(0) } };
}

for (const subscriber of [recipient(), standard]) {
  test(`a test in profile ${subscriber.profile} is a signed sample of the chosen type, and no delivery`, async () => {
    const { outcome, request } = await tested(subscriber, 'treatment_plan.recommendation.updated');
    expect(outcome).toEqual({ kind: 'accepted', status: 200 });
    const secrets = subscriber.secrets.map(({ value }) => value);
    expect(verify(request, { secrets })).toMatchObject({
      kind: 'verified',
      event: { id: 'evt_sample', type: 'treatment_plan.recommendation.updated' },
      isTest: true,
      deliveryId: null,
      attempt: null,
      sequence: null,
    });
  });
}

test('without a type it is of any', async () => {
  const { request } = await tested(recipient(), null);
  expect(String(request.body)).toContain('order.placed');
});

for (const { answer, because } of [
  { answer: { status: 200, body: '{}' }, because: 'challenge' },
  { answer: { status: 401, body: '' }, because: 'status' },
  { answer: { status: 302, body: '' }, because: 'redirect' },
]) {
  test(`an answer ${answer.status} ${answer.body} counts as for a delivery: ${because}`, async () => {
    const { outcome } = await tested(recipient({ challengeToken: 'the-challenge-token' }), null, answer);
    expect(outcome).toMatchObject({ kind: 'rejected', because });
  });
}
