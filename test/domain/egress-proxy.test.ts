import { describe, expect, test } from 'vitest';
import { parseEgressProxy } from '../../src/domain/egress-proxy.ts';

describe('the egress proxy', () => {
  for (const [text, host, port, authorization] of [
    ['http://proxy.internal:3128', 'proxy.internal', 3128, null],
    ['http://proxy.internal', 'proxy.internal', 80, null],
    ['http://10.0.0.7:3128/', '10.0.0.7', 3128, null],
    ['http://[fd00::7]:3128', 'fd00::7', 3128, null],
    ['http://a:b%3Ac@proxy:3128', 'proxy', 3128, `Basic ${Buffer.from('a:b:c').toString('base64')}`],
    ['http://a@proxy:3128', 'proxy', 3128, `Basic ${Buffer.from('a:').toString('base64')}`],
  ] as const) {
    test(`${text} is read`, () =>
      expect(parseEgressProxy(text)).toEqual({ kind: 'http', host, port, authorization }));
  }

  for (const [text, host, port, user] of [
    ['socks5://Proxy.internal:9050', 'proxy.internal', 9050, null],
    ['socks5://10.0.0.7', '10.0.0.7', 1080, null],
    ['socks5://[fd00::7]:1080/', 'fd00::7', 1080, null],
    ['socks5://a:b%3Ac@proxy', 'proxy', 1080, { name: 'a', password: 'b:c' }],
  ] as const) {
    test(`${text} is read`, () =>
      expect(parseEgressProxy(text)).toEqual({ kind: 'socks5', host, port, user }));
  }

  for (const [text, says] of [
    ['', 'must be a URL'],
    ['proxy.internal', 'must be a URL'],
    ['proxy.internal:3128', 'must begin with http:// or socks5://'],
    ['https://proxy.internal', 'must begin with http://'],
    ['socks4://proxy.internal:1080', 'must begin with http:// or socks5://'],
    ['socks5h://proxy.internal:1080', 'names are resolved and vetted here'],
    ['socks5://', 'must be a'],
    ['socks5:proxy', 'without a path'],
    ['socks5://proxy:1080/x', 'without a path'],
    ['socks5://s3cret@proxy', '1 to 255 bytes'],
    [`socks5://a:${'s3cret'.repeat(50)}@proxy`, '1 to 255 bytes'],
    ['socks5://s3cret%zz:a@proxy:3128', 'cannot be read'],
    ['http://proxy:3128/pac', 'without a path'],
    ['http://proxy:3128/?a', 'without a path'],
    ['http://proxy:0', 'port from 1'],
    ['http://proxy:70000', 'must be a URL'],
    ['http://s3cret%zz@proxy:3128', 'cannot be read'],
  ] as const) {
    test(`${JSON.stringify(text)} is refused without being repeated: ${says}`, () => {
      const parsed = parseEgressProxy(text);
      expect(parsed).toMatchObject({ kind: 'problem', message: expect.stringContaining(says) });
      expect(JSON.stringify(parsed)).not.toContain('s3cret');
    });
  }
});
