import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { Webhook } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import { makePrivateKeyText, publicTextOf } from '../../src/domain/ed25519-key.ts';
import { type VerifyOptions, verify } from '../../src/receiver/verify.ts';
import { recipient } from '../world/recipient.ts';
import {
  eventText,
  fullscriptSecret,
  now,
  secretOf,
  signed,
  signedTest,
  speakers,
  standardSecret,
} from './signed.ts';

const other = 'whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
const profiles = ['fullscript', 'standard'] as const;

function options(changes: Partial<VerifyOptions> = {}): VerifyOptions {
  return { secrets: [fullscriptSecret, standardSecret], now: () => now, ...changes };
}

function reasonOf(
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
  changes?: Partial<VerifyOptions>,
) {
  const verdict = verify({ headers, body }, options(changes));
  return verdict.kind === 'refused' ? verdict.reason : verdict.kind;
}

for (const profile of profiles) {
  describe(`what the relay sends in profile ${profile}`, () => {
    const to = speakers[profile];

    test('is verified, with what its headers tell', () => {
      expect(verify(signed({ to, attempt: 3, round: 2 }), options())).toEqual({
        kind: 'verified',
        profile,
        event: JSON.parse(eventText()),
        signedAt: now,
        deliveryId: 'dlv_1',
        attempt: 3,
        round: 2,
        sequence: 7,
        isTest: false,
      });
    });

    test('is verified when it is a test, which is no delivery', () => {
      const verdict = verify(signedTest(to), options());
      expect(verdict).toMatchObject({
        kind: 'verified',
        isTest: true,
        deliveryId: null,
        sequence: null,
        round: 1,
      });
    });

    for (const { by, is } of [
      { by: 300_000, is: 'verified' },
      { by: 301_000, is: 'expired' },
      { by: -300_000, is: 'verified' },
      { by: -301_000, is: 'fromFuture' },
    ]) {
      test(`signed ${by / 1000} s ago is ${is}`, () => {
        const { headers, body } = signed({ to, at: now - by });
        expect(reasonOf(headers, body)).toBe(is);
      });
    }

    test('is a mismatch under another secret, and verified again when its own stands beside it', () => {
      const { headers, body } = signed({ to });
      expect(reasonOf(headers, body, { secrets: [other] })).toBe('mismatch');
      expect(reasonOf(headers, body, { secrets: [other, secretOf[profile]] })).toBe('verified');
    });

    test('is unsigned where only the other profile counts', () => {
      const { headers, body } = signed({ to });
      const wanted = profile === 'standard' ? 'fullscript' : 'standard';
      expect(reasonOf(headers, body, { profile: wanted })).toBe('unsigned');
    });

    test('is read from headers of any spelling, and from those of fetch', () => {
      const { headers, body } = signed({ to });
      const spelt = Object.fromEntries(
        Object.entries(headers).map(([name, value]) => [name.toUpperCase(), value]),
      );
      expect(reasonOf(spelt, body)).toBe('verified');
      expect(verify({ headers: new Headers(headers), body }, options()).kind).toBe('verified');
      expect(verify({ headers, body: body.toString() }, options()).kind).toBe('verified');
    });

    test('is refused when a header came twice: two readers could believe different ones', () => {
      const { headers, body } = signed({ to });
      for (const name of Object.keys(headers).filter((name) => /signature|^webhook-/.test(name))) {
        const value = headers[name] ?? '';
        const twice = { ...headers, [name]: [value, value] };
        expect(verify({ headers: twice, body }, options())).toMatchObject({ reason: 'malformed' });
        const spelt = { ...headers, [name.toUpperCase()]: value };
        expect(verify({ headers: spelt, body }, options())).toMatchObject({ reason: 'malformed' });
      }
    });

    test('never counts with one changed byte, in the body or in what is signed', () => {
      const { headers, body } = signed({ to });
      const names = Object.keys(headers).filter((name) => /signature|^webhook-/.test(name));
      fc.assert(
        fc.property(fc.nat(), fc.integer({ min: 1, max: 255 }), (at, by) => {
          const bytes = Buffer.from(body);
          const index = at % bytes.length;
          bytes[index] = (bytes[index] ?? 0) ^ by;
          expect(reasonOf(headers, bytes)).toBe('mismatch');
        }),
      );
      fc.assert(
        fc.property(
          fc.constantFrom(...names),
          fc.nat(),
          fc.integer({ min: 33, max: 126 }),
          (name, at, code) => {
            const value = headers[name] ?? '';
            const index = at % value.length;
            const changed = value.slice(0, index) + String.fromCharCode(code) + value.slice(index + 1);
            fc.pre(changed !== value);
            expect(reasonOf({ ...headers, [name]: changed }, body)).not.toBe('verified');
          },
        ),
        { numRuns: 1_000 },
      );
    });
  });
}

for (const envelope of ['event', 'event_payload', 'both'] as const) {
  test(`the event is found in the envelope ${envelope}`, () => {
    const { headers, body } = signed({ to: { ...speakers.fullscript, envelope } });
    expect(verify({ headers, body }, options())).toMatchObject({
      event: { id: 'evt_1', type: 'order.placed' },
    });
  });
}

describe('as other hands sign', () => {
  test('the reference library of Standard Webhooks is understood', () => {
    const body = eventText();
    const signature = new Webhook(standardSecret).sign('msg_1', new Date(now), body);
    const headers = {
      'webhook-id': 'msg_1',
      'webhook-timestamp': String(now / 1000),
      'webhook-signature': `v1a,something v1,${'A'.repeat(43)}= ${signature}`,
    };
    expect(verify({ headers, body }, options())).toMatchObject({ kind: 'verified', profile: 'standard' });
  });

  test('an HMAC made by hand over the vendor’s rule is understood, with spaces and a second v1', () => {
    const body = `{"event":${eventText()}}`;
    const v1 = createHmac('sha256', fullscriptSecret)
      .update(`${now / 1000}.${body}`)
      .digest('hex');
    const headers = { 'Fullscript-Signature': `t=${now / 1000}, v1=${'0'.repeat(64)}, v1=${v1}` };
    expect(verify({ headers, body }, options())).toMatchObject({
      kind: 'verified',
      profile: 'fullscript',
      deliveryId: null,
      attempt: null,
      sequence: null,
    });
  });
});

describe('a signature header that nobody sends is refused as malformed', () => {
  const t = now / 1000;
  const hex = 'a'.repeat(64);
  for (const { header, because } of [
    { header: '', because: 'it is empty' },
    { header: `v1=${hex}`, because: 'it has no time' },
    { header: `t=${t}`, because: 'it has no signature' },
    { header: `t=0${t},v1=${hex}`, because: 'a leading zero makes two texts of one time' },
    { header: `t=${t},t=${t + 1},v1=${hex}`, because: 'it has two times' },
    { header: `t=NaN,v1=${hex}`, because: 'its time is no number' },
    { header: `t=${'9'.repeat(400)},v1=${hex}`, because: 'its time is no date' },
  ]) {
    test(because, () => {
      expect(reasonOf({ 'fullscript-signature': header }, Buffer.from('{}'))).toBe('malformed');
    });
  }

  test('an id with a dot could move the border between id, time and body', () => {
    const { headers, body } = signed({ to: speakers.standard });
    expect(reasonOf({ ...headers, 'webhook-id': 'dlv.1' }, body)).toBe('malformed');
  });
});

test('a header full of signatures is not tried: each one costs a pass over the body', () => {
  const { headers, body } = signed({ to: speakers.standard });
  const crowded = (count: number) => ({
    ...headers,
    'webhook-signature': `${'v1a,AAAA '.repeat(count)}${headers['webhook-signature']}`,
  });
  expect(reasonOf(crowded(9), body)).toBe('verified');
  expect(reasonOf(crowded(10), body)).toBe('malformed');
});

test('what is signed and holds no event is told apart', () => {
  for (const event of ['null', '[]', '{"type":"order.placed"}', '{"id":7}', '{"id":""}']) {
    const { headers, body } = signed({ event });
    expect(reasonOf(headers, body)).toBe('notAnEvent');
  }
});

test('a body that was parsed before is a verdict that says so', () => {
  const { headers, body } = signed();
  const parsed = JSON.parse(body.toString()) as never;
  expect(verify({ headers, body: parsed }, options())).toMatchObject({ reason: 'bodyNotRaw' });
});

test('a secret of the wrong profile is told apart from a wrong signature', () => {
  const { headers, body } = signed({ to: speakers.standard });
  expect(reasonOf(headers, body, { secrets: ['correct horse battery staple!'] })).toBe('secretUnusable');
});

test('whatever the request is, the answer is a verdict that does not repeat it', () => {
  const name = fc.constantFrom(
    'fullscript-signature',
    'webhook-id',
    'webhook-timestamp',
    'webhook-signature',
  );
  const value = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('t=1800000000,v1=', 'v1,', 'msg_1', '1800000000'),
    fc.anything(),
  );
  fc.assert(
    fc.property(
      fc.oneof(fc.dictionary(name, value), fc.anything()),
      fc.oneof(fc.uint8Array(), fc.string({ unit: 'binary' }), fc.anything()),
      (headers, body) => {
        const verdict = verify({ headers, body } as never, options());
        expect(verdict.kind).toBe('refused');
      },
    ),
    { numRuns: 2_000 },
  );
});

describe('options that cannot be meant throw, and never repeat a secret', () => {
  for (const { changes, says } of [
    { changes: { secrets: [] }, says: 'secrets is no list of one secret or more' },
    { changes: { secrets: fullscriptSecret as never }, says: 'secrets is no list' },
    { changes: { secrets: [undefined] }, says: 'secrets[0] is not set' },
    { changes: { secrets: [fullscriptSecret, ''] }, says: 'secrets[1] is not set' },
    { changes: { secrets: [`${fullscriptSecret}\n`] }, says: 'secrets[0] begins or ends with white space' },
    { changes: { secrets: [`v1,${standardSecret}`] }, says: 'secrets[0] is not whsec_ and base64' },
    { changes: { toleranceSeconds: Number.NaN }, says: 'toleranceSeconds' },
    { changes: { toleranceSeconds: -1 }, says: 'toleranceSeconds' },
    { changes: { toleranceSeconds: Number.POSITIVE_INFINITY }, says: 'toleranceSeconds' },
  ]) {
    test(says, () => {
      const attempt = () => verify(signed(), options(changes));
      expect(attempt).toThrow(
        expect.objectContaining({
          code: 'receiver_options_invalid',
          message: expect.stringContaining(says),
        }),
      );
      expect(attempt).toThrow(
        expect.objectContaining({ message: expect.not.stringContaining(fullscriptSecret.slice(0, 20)) }),
      );
    });
  }
});

describe('a receiver that knows a public key', () => {
  const pair = { value: makePrivateKeyText(), expiresAt: null };
  const publicKey = publicTextOf(pair.value) ?? '';
  const to = { ...speakers.standard, secrets: [pair] };

  test('verifies what the relay signed with the private one', () => {
    const { headers, body } = signed({ to });
    expect(headers['webhook-signature']).toMatch(/^v1a,/);
    expect(reasonOf(headers, body, { secrets: [publicKey] })).toBe('verified');
    expect(reasonOf(headers, body, { secrets: [standardSecret, publicKey] })).toBe('verified');
    const stranger = publicTextOf(makePrivateKeyText()) ?? '';
    expect(reasonOf(headers, body, { secrets: [stranger] })).toBe('mismatch');
    expect(reasonOf(headers, Buffer.concat([body, Buffer.from(' ')]), { secrets: [publicKey] })).toBe(
      'mismatch',
    );
    expect(reasonOf({ ...headers, 'webhook-id': 'dlv_2' }, body, { secrets: [publicKey] })).toBe('mismatch');
    expect(reasonOf(headers, body, { secrets: [standardSecret] })).toBe('mismatch');
  });

  test('takes no HMAC that was keyed with it, in whichever profile: everybody knows it', () => {
    const forged = [
      recipient({ secrets: [{ value: publicKey, expiresAt: null }] }),
      recipient({
        profile: 'standard',
        secrets: [{ value: `whsec_${publicKey.slice('whpk_'.length)}`, expiresAt: null }],
      }),
    ].map((subscriber) => signed({ to: subscriber }));
    for (const { headers, body } of forged) {
      expect(['mismatch', 'secretUnusable']).toContain(reasonOf(headers, body, { secrets: [publicKey] }));
    }
  });

  for (const { secret, says } of [
    { secret: pair.value, says: 'secrets[0] is a private key: a receiver needs the public one, whpk_.' },
    { secret: `${publicKey.slice(0, -5)}=`, says: 'secrets[0] is not whpk_ and base64 of 32 bytes.' },
  ]) {
    test(`is told of its mistake: ${says}`, () => {
      const { headers, body } = signed({ to });
      expect(() => verify({ headers, body }, options({ secrets: [secret] }))).toThrow(says);
    });
  }
});
