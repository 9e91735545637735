import { describe, expect, test } from 'vitest';
import { composeAttempt, composeHandshake, composeTest } from '../../src/wire/compose.ts';
import { fullscriptSignature } from '../../src/wire/fullscript.ts';
import { recipient } from '../world/recipient.ts';

const moment = { now: 1_700_000_000_000, wall: 1_700_000_000_000 };
const userAgent = 'fullscript-relay/0.1.0';
const event = { body: '{"id":"e1","data":{"first_name":"Zoë"}}' };
const standardSecrets = [{ value: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', expiresAt: null }];

describe('an attempt', () => {
  for (const subscriber of [recipient(), recipient({ profile: 'standard', secrets: standardSecrets })]) {
    const claimed = { delivery: { id: 'dlv_1', round: 1, sequence: 7 }, attempt: 1, event, subscriber };

    test(`in profile ${subscriber.profile} says who sends which delivery for which time`, () => {
      const { headers } = composeAttempt(claimed, moment, userAgent);
      expect(headers).toMatchObject({
        'content-type': 'application/json',
        'user-agent': userAgent,
        'relay-delivery-id': 'dlv_1',
        'relay-attempt': '1',
        'relay-sequence': '7',
      });
      expect(headers).not.toHaveProperty('relay-replay');
    });

    test(`in profile ${subscriber.profile} says which replay it belongs to, and keeps id, sequence and body`, () => {
      const first = composeAttempt(claimed, moment, userAgent);
      const replayed = { ...claimed, delivery: { ...claimed.delivery, round: 3 }, attempt: 12 };
      const again = composeAttempt(replayed, { now: 0, wall: moment.wall + 5_000 }, userAgent);
      expect(again.headers).toMatchObject({
        'relay-delivery-id': 'dlv_1',
        'relay-attempt': '12',
        'relay-replay': '3',
        'relay-sequence': '7',
      });
      expect(again.body).toEqual(first.body);
      const signature = subscriber.profile === 'standard' ? 'webhook-signature' : 'fullscript-signature';
      expect(again.headers[signature]).not.toBe(first.headers[signature]);
    });
  }

  test('carries the subscriber’s own headers, which never replace the relay’s', () => {
    const headers = { authorization: 'Bearer gateway', 'user-agent': 'forged' };
    const subscriber = recipient({ headers });
    const claimed = {
      delivery: { id: 'dlv_1', round: 1, sequence: 7 },
      attempt: 1,
      event: { body: '{}' },
      subscriber,
    };
    for (const composed of [
      composeAttempt(claimed, moment, userAgent),
      composeTest(subscriber, { id: 'test_1', eventText: '{}' }, moment, userAgent),
      composeHandshake(subscriber, moment, userAgent),
    ]) {
      expect(composed.headers).toMatchObject({ authorization: 'Bearer gateway', 'user-agent': userAgent });
    }
  });

  test('of a thin subscriber has the ids only, each as the vendor wrote it', () => {
    const event =
      '{"id": "e1", "type":"order.placed","data":{"patient":"Zoë"},"created_at":"2026-11-22T10:00:00.10Z","clinic_id":12345678901234567890}';
    for (const { profile, body } of [
      {
        profile: 'standard' as const,
        body: '{"id":"e1","type":"order.placed","created_at":"2026-11-22T10:00:00.10Z","clinic_id":12345678901234567890}',
      },
      {
        profile: 'fullscript' as const,
        body: '{"event":{"id":"e1","type":"order.placed","created_at":"2026-11-22T10:00:00.10Z","clinic_id":12345678901234567890}}',
      },
    ]) {
      const secrets = [{ value: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', expiresAt: null }];
      const subscriber = recipient({ profile, thin: true, secrets });
      const delivery = { id: 'dlv_1', round: 1, sequence: 7 };
      const composed = composeAttempt(
        { delivery, attempt: 1, event: { body: event }, subscriber },
        moment,
        userAgent,
      );
      expect(composed.body.toString()).toBe(body);
    }
  });

  test('is signed over exactly the bytes that are sent', () => {
    const claimed = {
      delivery: { id: 'dlv_1', round: 1, sequence: 7 },
      attempt: 1,
      event,
      subscriber: recipient(),
    };
    const { headers, body } = composeAttempt(claimed, moment, userAgent);
    expect(body.toString()).toBe('{"event":{"id":"e1","data":{"first_name":"Zoë"}}}');
    expect(headers['fullscript-signature']).toBe(
      fullscriptSignature('relay-test-secret-0123456789abcdef', 1_700_000_000, body),
    );
  });
});

describe('a handshake', () => {
  test('is an empty, signed request that is no delivery', () => {
    const { headers, body } = composeHandshake(recipient({ challengeToken: 'token' }), moment, userAgent);
    expect(body.length).toBe(0);
    expect(headers).toEqual({
      'user-agent': userAgent,
      'fullscript-signature':
        't=1700000000,v1=004ff5c6e578c5f2c24807ead403159e1987cd28255cb1c2d52fd1c73b1790a3',
    });
  });

  test('has an id of its own in profile standard', () => {
    const subscriber = recipient({ profile: 'standard', secrets: standardSecrets });
    const { headers } = composeHandshake(subscriber, moment, userAgent);
    expect(headers['webhook-id']).toMatch(/^hsk_[^.]+$/);
    expect(headers).not.toHaveProperty('relay-delivery-id');
  });
});
