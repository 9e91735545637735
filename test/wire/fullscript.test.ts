import { describe, expect, test } from 'vitest';
import { fullscript, fullscriptSignature } from '../../src/wire/fullscript.ts';
import { rawJsonAt } from '../../src/wire/raw-json.ts';
import { recipient } from '../world/recipient.ts';

const secret = 'relay-test-secret-0123456789abcdef';
const body = Buffer.from(
  '{"event":{"id":"0b8f7c1e-5a52-4a35-9a53-2f5c5c0f9a11","type":"patient.created","created_at":"2026-11-01T12:00:00.000Z","clinic_id":"6c2a1f0e-1111-4222-8333-944455566677","data":{"patient":{"id":"9d3e2b60-7777-4888-8999-aaabbbcccddd","first_name":"Zoë"}}}}',
);
const moment = { now: 1_700_000_000_000, wall: 1_700_000_000_999 };

describe('the signature', () => {
  test('is the HMAC that OpenSSL computes over the timestamp, a dot and the bytes', () => {
    expect(body.length).toBe(256);
    expect(fullscriptSignature(secret, 1_700_000_000, body)).toBe(
      't=1700000000,v1=9d43dcca9b1b737838eb5fd06341bc645dbf6cc22b113020e5ae2d3011fb0224',
    );
  });

  test('of an empty body is the one over the timestamp and the dot', () => {
    expect(fullscriptSignature(secret, 1_700_000_000, Buffer.alloc(0))).toBe(
      't=1700000000,v1=004ff5c6e578c5f2c24807ead403159e1987cd28255cb1c2d52fd1c73b1790a3',
    );
  });

  test('passes the strictest pattern seen in receivers', () => {
    const headers = fullscript.sign({ id: 'dlv_1', body }, recipient(), moment);
    expect(Object.keys(headers)).toEqual(['fullscript-signature']);
    expect(headers['fullscript-signature']).toMatch(/^t=\d{10},v1=[0-9a-f]{64}$/);
  });

  test('carries whole seconds of the wall clock, not of the relay’s own time', () => {
    const later = { now: 1, wall: 1_700_000_001_999 };
    expect(fullscript.sign({ id: 'dlv_1', body }, recipient(), later)['fullscript-signature']).toMatch(
      /^t=1700000001,/,
    );
  });

  test('is always exactly one: the newest secret signs alone, whatever else has not expired', () => {
    const rotated = recipient({
      secrets: [
        { value: secret, expiresAt: null },
        { value: 'the-secret-of-last-week-9876543210', expiresAt: moment.now + 1 },
      ],
    });
    expect(fullscript.sign({ id: 'dlv_1', body }, rotated, moment)['fullscript-signature']).toBe(
      fullscriptSignature(secret, 1_700_000_000, body),
    );
  });

  test('is refused without a secret, naming the subscriber', () => {
    expect(() => fullscript.sign({ id: 'dlv_1', body }, recipient({ secrets: [] }), moment)).toThrow(
      expect.objectContaining({ code: 'signing_secret_unusable', message: expect.stringContaining('sub_1') }),
    );
  });
});

describe('the envelope', () => {
  const event = '{"id":"e1", "n":10.0,"big":12345678901234567890}';

  for (const { envelope, paths, text } of [
    { envelope: 'event', paths: [['event']], text: `{"event":${event}}` },
    {
      envelope: 'event_payload',
      paths: [['event_payload', 'event']],
      text: `{"event_payload":{"event":${event}}}`,
    },
    {
      envelope: 'both',
      paths: [['event'], ['event_payload', 'event']],
      text: `{"event":${event},"event_payload":{"event":${event}}}`,
    },
  ] as const) {
    test(`${envelope} is put round the vendor’s text, which stays byte for byte`, () => {
      const wrapped = fullscript.wrap(event, recipient({ envelope }));
      expect(wrapped).toBe(text);
      for (const path of paths) expect(rawJsonAt(wrapped, path)).toBe(event);
    });
  }
});

describe('an answer', () => {
  const token = 'a challenge token: "Zoë"';
  const right = JSON.stringify({ challenge: token });

  for (const { challengeToken, status, answer, verdict, because } of [
    {
      challengeToken: null,
      status: 204,
      answer: '',
      verdict: 'accepted',
      because: 'without a token any 2xx will do',
    },
    {
      challengeToken: null,
      status: 299,
      answer: 'hello',
      verdict: 'accepted',
      because: 'without a token the body says nothing',
    },
    {
      challengeToken: null,
      status: 302,
      answer: '',
      verdict: 'redirect',
      because: 'redirects are never followed',
    },
    { challengeToken: null, status: 199, answer: '', verdict: 'status', because: 'it is below 200' },
    { challengeToken: null, status: 500, answer: '', verdict: 'status', because: 'it is a failure' },
    { challengeToken: token, status: 200, answer: right, verdict: 'accepted', because: 'both halves hold' },
    {
      challengeToken: token,
      status: 201,
      answer: ` {"ok":true,"challenge":${JSON.stringify(token)}}\n`,
      verdict: 'accepted',
      because: 'other keys and spaces do not matter',
    },
    {
      challengeToken: token,
      status: 200,
      answer: `\ufeff${right}`,
      verdict: 'accepted',
      because: 'a byte order mark is no part of the text',
    },
    {
      challengeToken: token,
      status: 202,
      answer: right,
      verdict: 'status',
      because: 'the vendor names 200 and 201 only',
    },
    {
      challengeToken: token,
      status: 204,
      answer: '',
      verdict: 'status',
      because: 'the vendor names 200 and 201 only',
    },
    {
      challengeToken: token,
      status: 500,
      answer: right,
      verdict: 'status',
      because: 'the token does not make up for the status',
    },
    {
      challengeToken: token,
      status: 302,
      answer: right,
      verdict: 'redirect',
      because: 'the token does not make up for the status',
    },
    { challengeToken: token, status: 200, answer: '', verdict: 'challenge', because: 'there is no body' },
    {
      challengeToken: token,
      status: 200,
      answer: token,
      verdict: 'challenge',
      because: 'the token alone is not JSON',
    },
    {
      challengeToken: token,
      status: 200,
      answer: JSON.stringify(token),
      verdict: 'challenge',
      because: 'a string is not an object',
    },
    {
      challengeToken: token,
      status: 200,
      answer: 'null',
      verdict: 'challenge',
      because: 'null is not an object',
    },
    {
      challengeToken: token,
      status: 200,
      answer: '{"challenge":["x"]}',
      verdict: 'challenge',
      because: 'the token is a string',
    },
    {
      challengeToken: token,
      status: 200,
      answer: '{"challenge":""}',
      verdict: 'challenge',
      because: 'it is another token',
    },
    {
      challengeToken: token,
      status: 200,
      answer: JSON.stringify({ challenge: `${token} ` }),
      verdict: 'challenge',
      because: 'nothing is trimmed',
    },
    {
      challengeToken: token,
      status: 200,
      answer: right.slice(0, -1),
      verdict: 'challenge',
      because: 'it broke off',
    },
    {
      challengeToken: '',
      status: 200,
      answer: '{}',
      verdict: 'challenge',
      because: 'even an empty token has to be answered',
    },
    {
      challengeToken: 'x',
      status: 200,
      answer: '{"__proto__":{"challenge":"x"}}',
      verdict: 'challenge',
      because: 'a key named __proto__ lends nothing to the object',
    },
  ]) {
    const shown = answer.length > 40 ? `${answer.slice(0, 40)}…` : answer;
    test(`${status} ${JSON.stringify(shown)} is ${verdict}: ${because}`, () => {
      expect(fullscript.acknowledges(recipient({ challengeToken }), status, Buffer.from(answer))).toBe(
        verdict,
      );
    });
  }

  test('is awaited with its body only where a token is', () => {
    expect(fullscript.needsAnswerBody(recipient({ challengeToken: token }))).toBe(true);
    expect(fullscript.needsAnswerBody(recipient())).toBe(false);
  });
});
