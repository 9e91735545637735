import { createPublicKey, verify } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { makePrivateKeyText, privateKeyOf, publicKeyOf, publicTextOf } from '../../src/domain/ed25519-key.ts';
import type { SigningSecret } from '../../src/domain/subscriber.ts';
import { asymmetricSignature, standardWebhooks } from '../../src/wire/standard-webhooks.ts';
import { recipient } from '../world/recipient.ts';

/** The key that Svix's server publishes in its tests, with the public half that belongs to it. */
const published =
  'whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==';
const shared = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const moment = { now: 1_700_000_000_000, wall: 1_700_000_000_999 };
const body = Buffer.from('{"id":"e1","type":"order.placed","data":{"first_name":"Zoë"}}');

beforeEach(() => {
  vi.useFakeTimers({ now: moment.wall });
});
afterEach(() => {
  vi.useRealTimers();
});

function headersBy(...values: readonly (string | SigningSecret)[]) {
  const secrets = values.map((value) =>
    typeof value === 'string' ? { value, expiresAt: moment.now + 1 } : value,
  );
  return standardWebhooks.sign({ id: 'dlv_1', body }, recipient({ profile: 'standard', secrets }), moment);
}

/** By hand from the specification, with nothing of the relay's. */
function holds(publicText: string, headers: Readonly<Record<string, string>>, bytes = body): boolean {
  const raw = Buffer.from(publicText.slice('whpk_'.length), 'base64');
  const head = Buffer.from('302a300506032b6570032100', 'hex');
  const key = createPublicKey({ key: Buffer.concat([head, raw]), format: 'der', type: 'spki' });
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': given = '' } = headers;
  return given
    .split(' ')
    .filter((signature) => signature.startsWith('v1a,'))
    .some((signature) =>
      verify(
        null,
        Buffer.concat([Buffer.from(`${id}.${timestamp}.`), bytes]),
        key,
        Buffer.from(signature.slice('v1a,'.length), 'base64'),
      ),
    );
}

test('the signature is the published one for the published key, id, time and body', () => {
  const key = privateKeyOf(published);
  if (!key) throw new Error('the key was not read');
  const vector = Buffer.from('{"test": 2432232314}');
  expect(asymmetricSignature(key, 'msg_p5jXN8AQM9LWM0D4loKWxJek', 1_614_265_330, vector)).toBe(
    'v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==',
  );
});

for (const { text, because } of [
  { text: makePrivateKeyText(), because: 'the relay made it' },
  { text: published, because: 'it holds its public half' },
]) {
  test(`a receiver that knows the public key alone can verify: ${because}`, () => {
    const headers = headersBy(text);
    const publicText = publicTextOf(text) ?? '';
    expect(publicText).toMatch(/^whpk_[A-Za-z0-9+/]{43}=$/);
    expect(publicKeyOf(publicText)).not.toBeNull();
    expect(holds(publicText, headers)).toBe(true);
    expect(holds(publicText, headers, Buffer.from('{}'))).toBe(false);
    expect(holds(publicTextOf(makePrivateKeyText()) ?? '', headers)).toBe(false);
    expect(JSON.stringify(headers)).not.toContain(text.slice(5, 40));
  });
}

test('while a shared secret gives way to a key pair, receivers of either accept', () => {
  const headers = headersBy({ value: published, expiresAt: null }, shared);
  const kinds = (headers['webhook-signature'] ?? '').split(' ').map((each) => each.split(',')[0]);
  expect(kinds).toEqual(['v1a', 'v1']);
  expect(holds(publicTextOf(published) ?? '', headers)).toBe(true);
  expect(() => new Webhook(shared).verify(body, headers)).not.toThrow();
});

test('while key pairs rotate, receivers of either accept, and an expired one signs no more', () => {
  const [older, ended] = [makePrivateKeyText(), makePrivateKeyText()];
  const headers = headersBy(published, older, { value: ended, expiresAt: moment.now });
  expect(holds(publicTextOf(older) ?? '', headers)).toBe(true);
  expect(holds(publicTextOf(published) ?? '', headers)).toBe(true);
  expect(holds(publicTextOf(ended) ?? '', headers)).toBe(false);
});

for (const { text, because } of [
  { text: 'whsk_', because: 'it is empty' },
  { text: `whsk_${Buffer.alloc(31, 1).toString('base64')}`, because: 'it is a byte short' },
  { text: `whsk_${Buffer.alloc(64, 1).toString('base64')}`, because: 'its halves do not belong together' },
  { text: 'whsk_!!!!', because: 'it is not base64' },
]) {
  test(`a key is refused and not repeated in the error when ${because}`, () => {
    expect(() => headersBy(text)).toThrow(expect.objectContaining({ code: 'signing_secret_unusable' }));
    if (text.length > 10) {
      const quotes = expect.objectContaining({ message: expect.stringContaining(text.slice(5)) });
      expect(() => headersBy(text)).not.toThrow(quotes);
    }
  });
}
