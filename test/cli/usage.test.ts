import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { run } from '../../src/cli/program.ts';
import { type Outside, outside } from './outside.ts';

let around: Outside & { discard(): Promise<void> };
beforeEach(async () => {
  around = await outside({
    env: {
      RELAY_URL: 'http://127.0.0.1:1',
      RELAY_TOKEN: 't',
      SHORT: 'short',
      GOOD: 'a-good-secret-of-32-characters!!',
    },
  });
});
afterEach(() => around.discard());

describe('bad usage ends with 2, says what is wrong and what to do, and shows no stack', () => {
  for (const { argv, says } of [
    { argv: ['subscriber'], says: /unknown command 'subscriber'/i },
    {
      argv: ['subscribers'],
      says: /verb is missing\.\n {2}Write one of list, add, show, .*rotate-secret; `relay subscribers --help`/,
    },
    { argv: ['help', 'nope'], says: /unknown command 'nope'/i },
    { argv: ['subscribers', 'help', 'nope'], says: /unknown command 'nope'/i },
    { argv: ['seen', 'compare', 'nowhere.txt'], says: /no file .*\n {2}Name a file/ },
    { argv: ['token', 'revoke', 'aa.bb.cc'], says: /no token of a relay/ },
    { argv: ['subscribers', 'lst'], says: /unknown command 'lst'/i },
    { argv: ['status', '--jsn'], says: /unknown option '--jsn'/i },
    { argv: ['status', 'now'], says: /too many arguments/i },
    { argv: ['subscribers', 'show'], says: /missing required argument/i },
    { argv: ['subscribers', 'show', '--', '--json', 'x'], says: /too many arguments/i },
    { argv: ['subscribers', 'add', '--name', 'a'], says: /--url <url>' not specified/ },
    { argv: ['subscribers', 'add', '--name', '--url', 'http://a'], says: /--name has no value/ },
    { argv: ['subscribers', 'add', '--url'], says: /argument missing/ },
    {
      argv: ['subscribers', 'add', '--name', 'a', '--name', 'b', '--url', 'u'],
      says: /--name is given twice/,
    },
    { argv: ['subscribers', 'update', 'a'], says: /Nothing to change/ },
    {
      argv: ['subscribers', 'add', '--name', 'a', '--url', 'u', '--retry-seconds', '5,x'],
      says: /whole number/,
    },
    { argv: ['subscribers', 'add', '--name', 'a', '--url', 'u', '--concurrency', '0'], says: /from 1 to/ },
    {
      argv: ['subscribers', 'add', '--name', 'a', '--url', 'u', '--event-types', 'a,,b'],
      says: /empty word/,
    },
    { argv: ['subscribers', 'add', '--name', 'a', '--url', 'u', '--secret-env', 'NOT_SET'], says: /NOT_SET/ },
    {
      argv: ['subscribers', 'add', '--name', 'a', '--url', 'u', '--secret-stdin', '--secret', 'x'],
      says: /more than one way/,
    },
    { argv: ['subscribers', 'doctor'], says: /missing required argument/i },
    ...[
      { rest: ['--secret-env', 'NOT_SET'], says: /NOT_SET/ },
      { rest: ['--secret-env', 'SHORT'], says: /must be 32 characters/ },
      { rest: ['--secret-env', 'GOOD', '--profile', 'slack'], says: /no profile slack/ },
      { rest: ['--secret-env', 'GOOD', '--profile', 'standard'], says: /whsec_/ },
      { rest: ['--secret-env', 'GOOD', '--challenge-token-env', 'NOT_SET'], says: /NOT_SET/ },
      { rest: ['--profile', 'standard'], says: /beside a secret only/ },
      { rest: ['--challenge-token-env', 'A'], says: /beside a secret only/ },
    ].map(({ rest, says }) => ({ argv: ['subscribers', 'doctor', 'http://127.0.0.1:9/', ...rest], says })),
    ...['https://ehr.example/', 'http://127.0.0.1.ehr.example/', 'ehr', 'http://10.0.0.1/'].map((named) => ({
      argv: ['subscribers', 'doctor', named, '--secret-env', 'GOOD'],
      says: /only a URL on this machine/,
    })),
    { argv: ['deliveries', 'list', '--limit=abc'], says: /whole number from 1 to 1000/ },
    { argv: ['deliveries', 'list', '--limit=-1'], says: /whole number/ },
    { argv: ['deliveries', 'list', '--limit=1e99'], says: /whole number/ },
    { argv: ['deliveries', 'list', '--limit=0x10'], says: /whole number/ },
    { argv: ['deliveries', 'list', '--limit=٣'], says: /whole number/ },
    { argv: ['deliveries', 'list', '--since', '2026-02-30'], says: /an instant such as/ },
    { argv: ['deliveries', 'list', '--since', '1h', '--until', '2h'], says: /later than --until/ },
    { argv: ['deliveries', 'list', '--state', 'lost'], says: /Allowed choices/ },
    { argv: ['deliveries', 'explain'], says: /not clear what to explain/ },
    { argv: ['deliveries', 'explain', '--event', 'e'], says: /not clear what to explain/ },
    {
      argv: ['deliveries', 'explain', 'd', '--event', 'e', '--subscriber', 's'],
      says: /not clear what to explain/,
    },
    { argv: ['deliveries', 'show', '..'], says: /is no id/ },
    { argv: ['replay'], says: /not clear what to replay/ },
    { argv: ['replay', 'dlv_1', '--failed'], says: /id says it all/ },
    { argv: ['replay', '--failed', '--delivered'], says: /not clear what to replay/ },
    { argv: ['replay', '--since', '1d'], says: /not clear what to replay/ },
    { argv: ['token', 'create', '--subject', 's', '--scope', 'root'], says: /no scope "root"/ },
    {
      argv: ['token', 'create', '--subject', 's', '--scope', 'read', '--expires', '91d'],
      says: /90 days at most/,
    },
    {
      argv: ['token', 'create', '--subject', 's', '--scope', 'read', '--expires', 'never'],
      says: /30d, 12h/,
    },
    { argv: ['clinics', 'add', '--name', 'a', '--access-token-env', 'A'], says: /pair of tokens or a URL/ },
    { argv: ['sandbox', '--port', '99999'], says: /from 0 to 65535/ },
    { argv: ['serve', '--config', 'missing.json'], says: /no file .*missing.json/ },
  ]) {
    test(argv.join(' '), async () => {
      expect(await run(argv, around)).toBe(2);
      expect(around.out()).toBe('');
      expect(around.err()).toMatch(says);
      expect(around.err()).toMatch(/^relay: .+\n( {2}.+\n)+$/);
      expect(around.err()).not.toMatch(/ at .*\.ts/);
    });
  }
});

test('a word that is nearly a verb is answered with the verb', async () => {
  await run(['subscribrs', 'list'], around);
  expect(around.err()).toContain('Did you mean subscribers?');
});

test('without arguments the verbs are listed, and that is bad usage', async () => {
  expect(await run([], around)).toBe(2);
  expect(around.err()).toContain('Usage: relay');
  expect(around.out()).toBe('');
});

for (const argv of [
  ['--help'],
  ['subscribers', '--help'],
  ['deliveries', 'list', '--help'],
  ['help', 'replay'],
]) {
  test(`${argv.join(' ')} prints help and ends well`, async () => {
    expect(await run(argv, around)).toBe(0);
    expect(around.out()).toContain('Usage: relay');
    expect(around.err()).toBe('');
  });
}

test('the help begins with what somebody new needs, and says where the relay is looked for', async () => {
  await run(['--help'], around);
  const order = [
    '\nBegin:',
    '\n  demo ',
    '\n  serve ',
    '\nSee and repair:',
    '\n  status ',
    '\nCommands:',
    'RELAY_URL says',
  ];
  const places = order.map((text) => around.out().indexOf(text));
  expect(places).toEqual([...places].sort((a, b) => a - b));
  expect(places).not.toContain(-1);
  expect(around.out()).toMatch(/\nCommands:\n {2}help .+\n\n/);
});

test('in the help of a verb its own options come before those that every verb has', async () => {
  await run(['replay', '--help'], around);
  expect(around.out().indexOf('--dry-run')).toBeLessThan(around.out().indexOf('--json'));
});

test('an error is JSON where JSON was asked for', async () => {
  expect(await run(['replay', '--json'], around)).toBe(2);
  expect(JSON.parse(around.err())).toMatchObject({ error: { code: 'usage' } });
});
