import { Webhook } from 'standardwebhooks';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { SigningSecret } from '../../src/domain/subscriber.ts';
import { standardKey, standardSignature, standardWebhooks } from '../../src/wire/standard-webhooks.ts';
import { recipient } from '../world/recipient.ts';

const published = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const older = `whsec_${Buffer.alloc(64, 7).toString('base64')}`;
const moment = { now: 1_700_000_000_000, wall: 1_700_000_000_999 };
const body = Buffer.from('{"id":"e1","type":"order.placed","data":{"first_name":"Zoë"}}');

function standard(...secrets: SigningSecret[]) {
  return recipient({ profile: 'standard', secrets });
}

function verifies(secret: string, headers: Readonly<Record<string, string>>): boolean {
  try {
    new Webhook(secret).verify(body, headers);
    return true;
  } catch {
    return false;
  }
}

describe('the signature', () => {
  test('is the published one for the published secret, id, time and body', () => {
    const key = standardKey(published) as Buffer;
    expect(key.length).toBe(24);
    const vector = Buffer.from('{"test": 2432232314}');
    expect(standardSignature(key, 'msg_p5jXN8AQM9LWM0D4loKWxJek', 1_614_265_330, vector)).toBe(
      'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    );
  });

  describe('case 239: seen by the reference library', () => {
    beforeEach(() => {
      vi.useFakeTimers({ now: moment.wall });
    });
    afterEach(() => {
      vi.useRealTimers();
    });

    for (const secret of [published, older, published.slice('whsec_'.length)]) {
      test(`is valid for a secret of ${secret.length} characters`, () => {
        const headers = standardWebhooks.sign(
          { id: 'dlv_1', body },
          standard({ value: secret, expiresAt: null }),
          moment,
        );
        expect(verifies(secret, headers)).toBe(true);
        expect(verifies(`whsec_${Buffer.alloc(24, 1).toString('base64')}`, headers)).toBe(false);
      });
    }

    test('case 119: while secrets rotate, a receiver with either of them accepts, the newest stands first', () => {
      const both = standard(
        { value: published, expiresAt: null },
        { value: older, expiresAt: moment.now + 1 },
      );
      const headers = standardWebhooks.sign({ id: 'dlv_1', body }, both, moment);
      expect(verifies(published, headers)).toBe(true);
      expect(verifies(older, headers)).toBe(true);
      const [first, second, third] = (headers['webhook-signature'] as string).split(' ');
      expect(first).toBe(standardSignature(standardKey(published) as Buffer, 'dlv_1', 1_700_000_000, body));
      expect(second).toBe(standardSignature(standardKey(older) as Buffer, 'dlv_1', 1_700_000_000, body));
      expect(third).toBeUndefined();
    });

    test('an expired secret no longer signs', () => {
      const both = standard({ value: published, expiresAt: null }, { value: older, expiresAt: moment.now });
      const headers = standardWebhooks.sign({ id: 'dlv_1', body }, both, moment);
      expect(verifies(published, headers)).toBe(true);
      expect(verifies(older, headers)).toBe(false);
    });
  });

  test('stands beside the delivery’s id and whole seconds of the wall clock', () => {
    const headers = standardWebhooks.sign(
      { id: 'dlv_1', body },
      standard({ value: published, expiresAt: null }),
      {
        now: 1,
        wall: moment.wall,
      },
    );
    expect(headers).toMatchObject({ 'webhook-id': 'dlv_1', 'webhook-timestamp': '1700000000' });
  });

  for (const { secrets, because } of [
    { secrets: [], because: 'there is none' },
    { secrets: [{ value: older, expiresAt: 1 }], because: 'the only one has expired' },
    { secrets: [{ value: 'whsec_', expiresAt: null }], because: 'it is empty' },
    {
      secrets: [{ value: 'v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', expiresAt: null }],
      because: 'it was pasted with a signature’s prefix',
    },
    { secrets: [{ value: 'correct horse battery staple', expiresAt: null }], because: 'it is not base64' },
  ]) {
    test(`a secret is refused and not repeated in the error when ${because}`, () => {
      const sign = () => standardWebhooks.sign({ id: 'dlv_1', body }, standard(...secrets), moment);
      expect(sign).toThrow(expect.objectContaining({ code: 'signing_secret_unusable' }));
      const value = secrets[0]?.value.slice(7) || 'whsec_M';
      expect(sign).toThrow(expect.objectContaining({ message: expect.not.stringContaining(value) }));
    });
  }
});

test('the body is the event’s own text, and a missing clinic_id stays missing', () => {
  const event = '{"id":"e1","type":"product.created","n":10.0}';
  expect(standardWebhooks.wrap(event, standard())).toBe(event);
});

for (const { status, verdict } of [
  { status: 200, verdict: 'accepted' },
  { status: 204, verdict: 'accepted' },
  { status: 304, verdict: 'redirect' },
  { status: 410, verdict: 'status' },
]) {
  test(`${status} is ${verdict}, also with a challenge token, and its body does not matter`, () => {
    const subscriber = recipient({ profile: 'standard', challengeToken: 'token' });
    expect(standardWebhooks.acknowledges(subscriber, status, Buffer.alloc(0))).toBe(verdict);
    expect(standardWebhooks.needsAnswerBody(subscriber)).toBe(false);
  });
}
