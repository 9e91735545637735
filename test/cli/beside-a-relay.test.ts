import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { run } from '../../src/cli/program.ts';
import { loadConfig } from '../../src/config.ts';
import { silentLogger } from '../../src/logger.ts';
import { type RunningRelay, startRelay } from '../../src/main.ts';
import { type Outside, outside } from './outside.ts';

const env = {
  RELAY_MASTER_KEY: Buffer.alloc(32, 9).toString('base64'),
  RELAY_JWT_SECRET: 'kD93nfWm2-0sPz7vQx1LbTgYh4RcUeJb',
};

let around: Outside & { discard(): Promise<void> };
let relay: RunningRelay;

beforeEach(async () => {
  around = await outside();
  const path = join(around.folder, 'relay.config.json');
  const written = {
    source: { environment: 'us-sandbox', apiUrl: 'http://127.0.0.1:9/api', clientId: 'a', clientSecret: 'b' },
    clinics: [{ name: 'Washington', accessToken: 'a-canary', refreshToken: 'r-canary' }],
    subscribers: [
      { name: 'ehr', url: 'http://127.0.0.1:9/hook', secret: 'a-secret-of-more-than-32-characters' },
    ],
    delivery: { allow: ['127.0.0.1'] },
    store: { kind: 'file', path: join(around.folder, 'data') },
    server: { port: 0 },
  };
  writeFileSync(path, JSON.stringify(written));
  // Clinics are left to the verbs: the relay itself has nothing to write.
  const readFile = () => JSON.stringify({ ...written, clinics: [] });
  relay = await startRelay({ config: loadConfig({ path, env, readFile }), logger: silentLogger });
});
afterEach(async () => {
  await relay.stop();
  await around.discard();
});

async function told(argv: readonly string[]) {
  const fresh = await outside({ folder: around.folder, env: { ...env, RELAY_URL: relay.url } });
  const exit = await run(argv, fresh);
  return { exit, out: fresh.out(), err: fresh.err() };
}

/** Every file below the data folder, and what is in it. */
function store(): readonly (readonly [string, string])[] {
  const folder = join(around.folder, 'data');
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .sort()
    .map((path) => [path, readFileSync(path, 'base64')]);
}

const verbs = [
  ['deliveries', 'list'],
  ['replay', '--failed'],
  ['replay', 'no-such-delivery'],
  ['subscribers', 'list'],
  ['status'],
];

test('case 74: beside a relay, verbs go through its API, and one that would write the log itself does not get its lock', async () => {
  expect((await told(['deliveries', 'list'])).exit).toBe(0);
  expect((await told(['replay', '--failed', '--dry-run'])).exit).toBe(0);
  const before = store();
  const { exit, err } = await told(['rebuild', '--since', '10d']);
  expect(exit).toBe(1);
  expect(err).toContain('in use');
  expect(store()).toEqual(before);
});

test('case 74: without a relay those verbs say so and touch no file', async () => {
  await relay.stop();
  const before = store();
  for (const verb of verbs) {
    const { exit, err } = await told(verb);
    expect(exit, verb.join(' ')).toBe(1);
    expect(err).toContain('relay serve');
  }
  expect(store()).toEqual(before);
});
