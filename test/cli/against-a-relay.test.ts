import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../../src/cli/program.ts';
import { loadConfig } from '../../src/config.ts';
import { silentLogger } from '../../src/logger.ts';
import { type RunningRelay, startRelay } from '../../src/main.ts';
import { type StandIn, standIn } from '../client/stand-in.ts';
import { outside } from './outside.ts';

const env = {
  RELAY_MASTER_KEY: Buffer.alloc(32, 7).toString('base64'),
  RELAY_JWT_SECRET: 'kD93nfWm2-0sPz7vQx1LbTgYh4RcUeJa',
};

let folder: string;
let relay: RunningRelay;
let receiver: StandIn;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'relay-cli-'));
  receiver = await standIn(() => ({ status: 200, json: {} }));
  const written = {
    source: { environment: 'us-sandbox', apiUrl: 'http://127.0.0.1:9/api', clientId: 'a', clientSecret: 'b' },
    delivery: { allow: ['127.0.0.1'] },
    store: { kind: 'file', path: join(folder, 'data') },
    server: { port: 0 },
  };
  const config = loadConfig({ path: 'relay.config.json', env, readFile: () => JSON.stringify(written) });
  relay = await startRelay({ config, logger: silentLogger });
});

afterAll(async () => {
  await relay.stop();
  await receiver.close();
  await rm(folder, { recursive: true });
});

async function told(argv: readonly string[], token?: string) {
  const around = await outside({
    folder,
    env: { ...env, RELAY_URL: relay.url, ...(token !== undefined && { RELAY_TOKEN: token }) },
  });
  const exit = await run(argv, around);
  return { exit, out: around.out(), err: around.err() };
}

async function asked<T>(argv: readonly string[], token?: string): Promise<T> {
  const { out, err } = await told([...argv, '--json'], token);
  expect(err).toBe('');
  return JSON.parse(out) as T;
}

test('a subscriber is registered, tried, changed, held, rotated and removed', async () => {
  const add = ['subscribers', 'add', '--name', 'ehr', '--url', `${receiver.url}/hook`];
  const added = await asked<{ id: string; secret: string }>([...add, '--event-types', 'order.*']);
  expect(added.secret).toHaveLength(64);
  expect((await told(add)).err).toContain('There is a subscriber named ehr already.');

  expect(await told(['subscribers', 'test', 'ehr'])).toMatchObject({
    exit: 0,
    out: 'ehr took it: accepted 200.\n',
  });
  expect(receiver.seen).toMatchObject([{ method: 'POST', path: '/hook' }]);

  const changed = await asked([
    'subscribers',
    'update',
    'ehr',
    '--name',
    'billing',
    '--retry-seconds',
    '1,2',
  ]);
  expect(changed).toMatchObject({ id: added.id, name: 'billing', retrySeconds: [1, 2] });
  expect(await told(['subscribers', 'pause', 'billing'])).toMatchObject({
    out: 'billing is paused (person).\n',
  });
  expect((await told(['status'])).out).toContain(
    'billing is paused (person); what it is owed is held: relay subscribers resume billing',
  );
  expect(await told(['subscribers', 'resume', added.id])).toMatchObject({ out: 'billing is active.\n' });

  const rotated = await asked<{ secret: string }>(['subscribers', 'rotate-secret', 'billing']);
  expect(rotated.secret).not.toBe(added.secret);
  const { out } = await told(['subscribers', 'show', 'billing']);
  expect(out).toContain('order.*');
  expect(out).not.toContain(rotated.secret);

  expect(await told(['subscribers', 'remove', 'billing'])).toMatchObject({
    exit: 0,
    out: 'Removed billing.\n',
  });
  expect(await asked(['subscribers', 'list'])).toEqual({ data: [] });
});

test('a subscriber whose token was made is told how to go on, and goes on', async () => {
  const { exit, out } = await told([
    'subscribers',
    'add',
    '--name',
    'asked',
    '--url',
    receiver.url,
    '--challenge',
  ]);
  expect(exit).toBe(0);
  expect(out).toMatch(/challengeToken {2}\S{20,}/);
  expect(out).toContain('relay subscribers test asked');
  const tested = await told(['subscribers', 'test', 'asked']);
  expect(tested.exit).toBe(1);
  expect(tested.err).toMatch(/^relay: asked did not take it: handshake: /);
  expect(await told(['subscribers', 'update', 'asked', '--remove-challenge-token'])).toMatchObject({
    exit: 0,
  });
  expect((await told(['subscribers', 'show', 'asked'])).out).toMatch(/state +active/);
  await told(['subscribers', 'remove', 'asked']);
});

test('what the relay refuses is told with each of its problems', async () => {
  const { exit, err } = await told([
    'subscribers',
    'add',
    '--name',
    'bad',
    '--url',
    'http://169.254.169.254/',
    '--event-types',
    '**',
    '--envelope',
    'x',
  ]);
  expect(exit).toBe(2);
  expect(err).toMatch(/\n {2}eventTypes\[0\]: .+\n {2}envelope: /);
  const { err: refused } = await told([
    'subscribers',
    'add',
    '--name',
    'bad',
    '--url',
    'http://169.254.169.254/',
  ]);
  expect(refused).toMatch(/^relay: The relay does not dial that address: .+never allowed/);
});

describe('a token', () => {
  test('lets its bearer in until it is revoked', async () => {
    const made = await asked<{ token: string; jti: string }>([
      'token',
      'create',
      '--subject',
      'partner',
      '--scope',
      'read',
      '--expires',
      '1h',
    ]);
    expect(await told(['subscribers', 'list'], made.token)).toMatchObject({ exit: 0 });
    expect(await told(['token', 'revoke', made.jti])).toMatchObject({ exit: 0 });
    const refused = await told(['subscribers', 'list'], made.token);
    expect(refused.exit).toBe(1);
    expect(refused.err).toContain('RELAY_TOKEN');
    expect(refused.err).not.toContain(made.token);
  });

  test('that may only read is told which scope is missing', async () => {
    const { token } = await asked<{ token: string }>([
      'token',
      'create',
      '--subject',
      'p',
      '--scope',
      'read',
    ]);
    const { exit, err } = await told(['replay', '--failed', '--dry-run'], token);
    expect(exit).toBe(1);
    expect(err).toContain('relay token create --scope');
  });

  test('is printed alone, so that it can be taken as it is', async () => {
    const { out, err } = await told(['token', 'create', '--subject', 'p', '--scope', 'read,write']);
    expect(out).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    expect(err).toContain('relay token revoke');
  });
});

test('replays and explanations of what is not there say so', async () => {
  for (const { argv, says, ends = 1 } of [
    { argv: ['replay', '0'], says: 'There is no delivery 0.' },
    { argv: ['replay', 'dlv_😀/../x'], says: 'There is no delivery dlv_😀/../x.' },
    { argv: ['deliveries', 'show', '__proto__'], says: 'There is no delivery __proto__.' },
    { argv: ['deliveries', 'list', '--cursor', 'forged'], says: 'cursor', ends: 2 },
  ]) {
    const { exit, err } = await told(argv);
    expect(exit, argv.join(' ')).toBe(ends);
    expect(err).toContain(says);
  }
  expect(await told(['replay', '--failed'])).toMatchObject({
    exit: 0,
    out: '0 of 0 deliveries went into the replay.\n',
  });
  expect(await told(['replay', '--failed', '--dry-run'])).toMatchObject({
    exit: 0,
    out: '0 deliveries would be sent again.\n',
  });
});

test('a clinic is connected by tokens that are never shown', async () => {
  const around = await outside({
    folder,
    env: { ...env, RELAY_URL: relay.url, A: 'access-canary', R: 'refresh-canary' },
  });
  const add = ['clinics', 'add', '--name', 'Boston', '--access-token-env', 'A', '--refresh-token-env', 'R'];
  expect(await run(add, around)).toBe(0);
  const { out } = await told(['clinics', 'list']);
  expect(out).toMatch(/Boston +connecting/);
  expect(`${around.out()}${around.err()}${out}`).not.toContain('canary');
});
