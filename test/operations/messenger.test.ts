import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import type { OperationalEvent } from '../../src/domain/operational-event.ts';
import { Messenger } from '../../src/operations/messenger.ts';
import type { SignedRequest } from '../../src/wire/compose.ts';
import { simulatedClock } from '../world/clock.ts';
import { keptLog } from '../world/log.ts';

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const recovered = (subscriberId: string): OperationalEvent => ({
  type: 'relay.subscriber.recovered',
  data: { subscriberId, name: `<${subscriberId}> & co` },
});

function messengerTo(answers: (number | string)[], format: 'standard' | 'slack' = 'standard') {
  const clock = simulatedClock(Date.UTC(2026, 10, 20, 9));
  const { logger, lines } = keptLog();
  const sent: { request: SignedRequest; at: number }[] = [];
  const messenger = new Messenger({
    async post(request) {
      sent.push({ request, at: clock.now() });
      return answers.length > 1 ? (answers.shift() as number) : (answers[0] ?? 200);
    },
    recipient: { format, secret: format === 'standard' ? secret : null },
    clock,
    logger,
    userAgent: 'relay/1',
  });
  const ids = () => sent.map(({ request }) => request.headers['webhook-id']);
  const bodies = () => sent.map(({ request }) => JSON.parse(String(request.body)));
  return { clock, lines, sent, ids, bodies, messenger };
}

test('an operational event is a signed Standard Webhook with a type, a time and data', async () => {
  const { clock, sent, bodies, messenger } = messengerTo([204]);
  messenger.tell(recovered('sub_1'));
  await clock.advance(0);
  expect(bodies()).toEqual([
    {
      type: 'relay.subscriber.recovered',
      timestamp: '2026-11-20T09:00:00.000Z',
      data: { subscriberId: 'sub_1', name: '<sub_1> & co' },
    },
  ]);
  const request = sent[0]?.request as SignedRequest;
  const signed = `${request.headers['webhook-id']}.${clock.wall() / 1000}.${request.body}`;
  const digest = createHmac('sha256', Buffer.from(secret.slice(6), 'base64'))
    .update(signed)
    .digest('base64');
  expect(request.headers).toMatchObject({
    'webhook-id': expect.stringMatching(/^op_[0-9a-f-]{36}$/),
    'webhook-timestamp': String(clock.wall() / 1000),
    'webhook-signature': `v1,${digest}`,
  });
});

test('in the form of Slack it is one line of text in which a name cannot give orders', async () => {
  const { clock, bodies, messenger } = messengerTo([200], 'slack');
  messenger.tell(recovered('sub_1'));
  await clock.advance(0);
  expect(bodies()).toEqual([
    { text: '&lt;sub_1&gt; &amp; co has recovered: what was held is sent. (sub_1)' },
  ]);
});

test('what is not taken is sent again under the same id, ever less often, and logged once', async () => {
  const { clock, sent, ids, lines, messenger } = messengerTo([503, 'timed out', 500, 200]);
  messenger.tell(recovered('sub_1'));
  await clock.advance(3_600_000);
  expect(sent.map(({ at }, index) => at - (sent[index - 1]?.at ?? at))).toEqual([0, 5_000, 30_000, 120_000]);
  expect(new Set(ids()).size).toBe(1);
  expect(lines.map(({ level }) => level)).toEqual(['warn']);
});

test('after a day it is given up, and the next one is sent', async () => {
  const { clock, sent, ids, lines, messenger } = messengerTo([500]);
  messenger.tell(recovered('sub_1'));
  await clock.advance(23 * 3_600_000);
  messenger.tell(recovered('sub_2'));
  expect(new Set(ids()).size).toBe(1);
  await clock.advance(3 * 3_600_000);
  expect(new Set(ids()).size).toBe(2);
  expect(sent.length).toBeLessThan(45);
  expect(lines.filter(({ level }) => level === 'error')).toHaveLength(1);
});

test('a storm is sent one a second, in order, and the oldest of more than a thousand give way', async () => {
  const { clock, bodies, lines, messenger } = messengerTo([200]);
  for (let n = 0; n < 1_200; n++) messenger.tell(recovered(`sub_${n}`));
  await clock.advance(10_000);
  expect(bodies().length).toBeLessThanOrEqual(11);
  await clock.advance(1_200_000);
  const told = bodies().map(({ data }) => data.subscriberId);
  expect(told).toHaveLength(1_001);
  expect(told.slice(-2)).toEqual(['sub_1198', 'sub_1199']);
  expect(lines).toMatchObject([{ level: 'error', facts: { dropped: 200 } }]);
});

test('stopping ends the waiting, and nothing is sent after it', async () => {
  const { clock, sent, messenger } = messengerTo([500]);
  messenger.tell(recovered('sub_1'));
  await clock.advance(0);
  await messenger.stop();
  messenger.tell(recovered('sub_2'));
  await clock.advance(3_600_000);
  expect(sent).toHaveLength(1);
});

test('a try is sent at once, beside what waits', async () => {
  const { clock, messenger } = messengerTo([500]);
  messenger.tell(recovered('sub_1'));
  await clock.advance(0);
  expect(await messenger.try({ type: 'relay.test', data: { askedBy: 'operator' } })).toEqual({
    taken: false,
    answer: 500,
  });
});
