import { describe, expect, test } from 'vitest';
import { type AllowEntry, allowsAddress, allowsName, parseAllowEntry } from '../../src/domain/allow-entry.ts';
import { parseIpAddress } from '../../src/domain/ip-address.ts';

function entry(text: string): AllowEntry {
  const parsed = parseAllowEntry(text);
  if (parsed.kind === 'problem') throw new Error(parsed.message);
  return parsed;
}

describe('an entry for names', () => {
  for (const { text, host, port, isAllowed, because } of [
    {
      text: 'ehr.internal',
      host: 'ehr.internal',
      port: 1,
      isAllowed: true,
      because: 'no port is every port',
    },
    { text: 'ehr.internal:3000', host: 'ehr.internal', port: 3000, isAllowed: true, because: 'both fit' },
    {
      text: 'ehr.internal:3000',
      host: 'ehr.internal',
      port: 3001,
      isAllowed: false,
      because: 'another port',
    },
    { text: 'EHR.Internal.', host: 'ehr.internal', port: 1, isAllowed: true, because: 'names have no case' },
    {
      text: 'ehr.internal',
      host: 'x.ehr.internal',
      port: 1,
      isAllowed: false,
      because: 'a name is not a suffix',
    },
    { text: '*.ehr.internal', host: 'x.ehr.internal', port: 1, isAllowed: true, because: 'the suffix fits' },
    { text: '*.ehr.internal', host: 'a.b.ehr.internal', port: 1, isAllowed: true, because: 'at any depth' },
    {
      text: '*.ehr.internal',
      host: 'ehr.internal',
      port: 1,
      isAllowed: false,
      because: 'the star stands for a label',
    },
    {
      text: '*.ehr.internal',
      host: 'evilehr.internal',
      port: 1,
      isAllowed: false,
      because: 'the dot belongs to it',
    },
    {
      text: '*.internal:80',
      host: 'x.internal',
      port: 80,
      isAllowed: true,
      because: 'nobody can register .internal',
    },
    {
      text: 'localhost:3000',
      host: 'localhost',
      port: 3000,
      isAllowed: true,
      because: 'one label is a name',
    },
    {
      text: 'bücher.example',
      host: 'xn--bcher-kva.example',
      port: 1,
      isAllowed: true,
      because: 'the DNS form counts',
    },
  ]) {
    test(`${text} ${isAllowed ? 'allows' : 'does not allow'} ${host}:${port}: ${because}`, () => {
      expect(allowsName(entry(text), host, port)).toBe(isAllowed);
    });
  }
});

describe('an entry for addresses', () => {
  for (const { text, address, port, isAllowed } of [
    { text: '10.0.3.0/24', address: '10.0.3.9', port: 1, isAllowed: true },
    { text: '10.0.3.0/24', address: '10.0.2.9', port: 1, isAllowed: false },
    { text: '10.0.3.0/24:3000', address: '10.0.3.9', port: 3000, isAllowed: true },
    { text: '10.0.3.0/24:3000', address: '10.0.3.9', port: 22, isAllowed: false },
    { text: '127.0.0.1', address: '127.0.0.1', port: 1, isAllowed: true },
    { text: 'fd00::1', address: 'fd00::1', port: 1, isAllowed: true },
    { text: '[fd00::1]', address: 'fd00::1', port: 1, isAllowed: true },
    { text: '[fd00::1]:3000', address: 'fd00::1', port: 3000, isAllowed: true },
    { text: '[fd00::1]:3000', address: 'fd00::1', port: 3001, isAllowed: false },
    { text: '[fd00::/64]:3000', address: 'fd00::2', port: 3000, isAllowed: true },
    { text: 'fc00::/7', address: 'fdff::2', port: 1, isAllowed: true },
    { text: 'ehr.internal', address: '10.0.3.9', port: 1, isAllowed: false },
  ]) {
    test(`${text} ${isAllowed ? 'allows' : 'does not allow'} ${address} on port ${port}`, () => {
      const parsed = parseIpAddress(address);
      expect(parsed && allowsAddress(entry(text), parsed, port)).toBe(isAllowed);
    });
  }
});

describe('an entry that cannot be meant is a problem that says why', () => {
  for (const { text, says } of [
    { text: '', says: 'neither a host' },
    { text: ' ', says: 'neither a host' },
    { text: '*', says: 'neither a host' },
    { text: '*.', says: 'neither a host' },
    { text: 'http://ehr.internal', says: 'port' },
    { text: 'ehr.internal/hook', says: 'neither a host' },
    { text: 'user@ehr.internal', says: 'neither a host' },
    { text: 'ehr..internal', says: 'neither a host' },
    { text: '-ehr.internal', says: 'neither a host' },
    { text: '10.1', says: 'neither a host' },
    { text: '0x7f.1', says: 'neither a host' },
    { text: '10.0.0.0/33', says: 'neither a host' },
    { text: '[::1', says: 'neither a host' },
    { text: 'a:1:2', says: 'neither a host' },
    { text: 'ehr.internal:', says: 'port' },
    { text: 'ehr.internal:0', says: 'port' },
    { text: 'ehr.internal:65536', says: 'port' },
    { text: 'ehr.internal:0443', says: 'port' },
    { text: '0.0.0.0/0', says: 'too wide' },
    { text: '10.0.0.0/7', says: 'too wide' },
    { text: '::/0', says: 'too wide' },
    { text: '2000::/3', says: 'too wide' },
    { text: '*.com', says: 'strangers' },
    { text: '169.254.169.254', says: 'never' },
    { text: '169.254.0.0/16', says: 'never' },
    { text: '169.254.169.0/24:80', says: 'never' },
    { text: '0.0.0.0', says: 'never' },
    { text: '168.63.129.16', says: 'never' },
    { text: '224.0.0.1', says: 'never' },
    { text: 'fe80::/10', says: 'never' },
    { text: '::ffff:10.0.0.1', says: 'never' },
    { text: 'fd00:ec2::254', says: 'never' },
    { text: 'metadata.google.internal', says: 'never' },
  ]) {
    test(`${JSON.stringify(text)}: ${says}`, () => {
      const parsed = parseAllowEntry(text);
      expect(parsed.kind === 'problem' ? parsed.message : parsed).toContain(says);
    });
  }
});
