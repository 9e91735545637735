import { isIPv4, isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isInRange, parseIpAddress, parseIpRange } from '../../src/domain/ip-address.ts';

const spelled = (text: string) => {
  const address = parseIpAddress(text);
  return address && `${address.family}/${address.bits.toString(16)}`;
};

describe('an address is read', () => {
  for (const { text, as } of [
    { text: '0.0.0.0', as: '4/0' },
    { text: '255.255.255.255', as: '4/ffffffff' },
    { text: '127.0.0.1', as: '4/7f000001' },
    { text: '::', as: '6/0' },
    { text: '::1', as: '6/1' },
    { text: '::ffff:127.0.0.1', as: '6/ffff7f000001' },
    { text: '2001:DB8::a', as: '6/20010db800000000000000000000000a' },
    { text: '1:2:3:4:5:6:7:8', as: '6/10002000300040005000600070008' },
    { text: '1:2:3:4:5:6:1.2.3.4', as: '6/10002000300040005000601020304' },
    { text: 'fe80::', as: '6/fe800000000000000000000000000000' },
  ]) {
    test(`${text} is ${as}`, () => expect(spelled(text)).toBe(as));
  }
});

describe('what is no address in its plain spelling is refused', () => {
  for (const text of [
    '',
    '1',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '0x7f.0.0.1',
    '256.1.1.1',
    '1.2.3.-4',
    ' 1.2.3.4',
    '1.2.3.4\n',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8:9',
    '12345::',
    'g::',
    '::1%lo',
    '[::1]',
    '1.2.3.4::',
    '::1.2.3.4:5',
    '::1.2.3',
  ]) {
    test(JSON.stringify(text), () => expect(parseIpAddress(text)).toBeNull());
  }
});

test('it agrees with Node about what an address is', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      expect(parseIpAddress(text)?.family ?? null).toBe(isIPv4(text) ? 4 : isIPv6(text) ? 6 : null);
    }),
    { seed: 1, numRuns: 2000 },
  );
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(...'0123456789abf:.%'.split('')), maxLength: 24 }),
      (text) => {
        const expected = isIPv4(text) || (isIPv6(text) && !text.includes('%'));
        expect(parseIpAddress(text) !== null).toBe(expected);
      },
    ),
    { seed: 1, numRuns: 5000 },
  );
});

describe('a range', () => {
  for (const { range, address, isIn } of [
    { range: '10.0.3.0/24', address: '10.0.3.255', isIn: true },
    { range: '10.0.3.0/24', address: '10.0.4.0', isIn: false },
    { range: '10.0.3.77/24', address: '10.0.3.1', isIn: true },
    { range: '0.0.0.0/0', address: '8.8.8.8', isIn: true },
    { range: '0.0.0.0/0', address: '::8', isIn: false },
    { range: 'fd00::/8', address: 'fdff::1', isIn: true },
    { range: 'fd00::/8', address: 'fc00::1', isIn: false },
    { range: '10.1.2.3', address: '10.1.2.3', isIn: true },
    { range: '10.1.2.3', address: '10.1.2.4', isIn: false },
  ]) {
    test(`${range} ${isIn ? 'holds' : 'does not hold'} ${address}`, () => {
      const [parsedRange, parsedAddress] = [parseIpRange(range), parseIpAddress(address)];
      expect(parsedRange && parsedAddress && isInRange(parsedAddress, parsedRange)).toBe(isIn);
    });
  }

  for (const text of [
    '',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '10.0.0.0/08',
    'x/8',
    'fd00::/129',
  ]) {
    test(`${JSON.stringify(text)} is none`, () => expect(parseIpRange(text)).toBeNull());
  }
});
