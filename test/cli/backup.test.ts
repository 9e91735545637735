import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { run } from '../../src/cli/program.ts';
import { loadConfig } from '../../src/config.ts';
import { jsonLogger } from '../../src/logger.ts';
import { type RunningRelay, startRelay } from '../../src/main.ts';
import { type StandIn, standIn } from '../client/stand-in.ts';
import { anEvent, aSubscriber, furnished, record } from '../store/fixtures.ts';
import { eventually } from '../world/eventually.ts';
import { type Outside, outside } from './outside.ts';

const keys = {
  RELAY_MASTER_KEY: Buffer.alloc(32, 7).toString('base64'),
  RELAY_JWT_SECRET: 'kD93nfWm2-0sPz7vQx1LbTgYh4RcUeJa',
};
const newKeys = { ...keys, RELAY_MASTER_KEY: Buffer.alloc(32, 8).toString('base64') };

let around: Outside & { discard(): Promise<void> };
let receiver: StandIn;
let running: RunningRelay | null = null;
let logged: string[] = [];

beforeEach(async () => {
  around = await outside();
  receiver = await standIn(() => ({ status: 200, json: {} }));
  logged = [];
  const written = {
    source: { environment: 'us-sandbox', apiUrl: 'http://127.0.0.1:9/api', clientId: 'a', clientSecret: 'b' },
    delivery: { allow: ['127.0.0.1'] },
    server: { port: 0 },
  };
  writeFileSync(join(around.folder, 'relay.config.json'), JSON.stringify(written));
});
afterEach(async () => {
  await stop();
  await receiver.close();
  await around.discard();
});

async function start(env: Readonly<Record<string, string>> = keys): Promise<RunningRelay> {
  const config = loadConfig({
    path: join(around.folder, 'relay.config.json'),
    env,
    readFile: (path) => readFileSync(path, 'utf8'),
  });
  const store = { ...config.store, path: join(around.folder, 'data') };
  const logger = jsonLogger('info', { write: (line) => logged.push(line) });
  running = await startRelay({ config: { ...config, store }, logger });
  return running;
}

async function stop(): Promise<void> {
  await running?.stop();
  running = null;
}

async function told(argv: readonly string[], env: Readonly<Record<string, string>> = keys) {
  const given = running ? { ...env, RELAY_URL: running.url } : env;
  const fresh = await outside({ folder: around.folder, env: given });
  const exit = await run(argv, fresh);
  return { exit, out: fresh.out(), err: fresh.err() };
}

/** A log with one event owed to a subscriber that somebody paused, and a connection. */
async function filled(): Promise<void> {
  const { store } = await start();
  const url = `${receiver.url}/hook`;
  await furnished(store, aSubscriber('sub_1', { name: 'ehr', url, pauseReasons: ['person'] }));
  await record(store, [anEvent('e1')]);
  await store.saveConnection({
    id: 'con_1',
    clinicId: 'clinic-1',
    name: 'Washington',
    origin: { kind: 'refreshToken' },
    tokens: { accessToken: 'canary-a', refreshToken: 'canary-r', expiresAt: 0 },
    spareTokens: null,
    declaredDigest: null,
    state: 'needsReconnect',
    stateReason: 'refused',
    refreshedAt: null,
    createdAt: 0,
  });
}

describe('relay backup and relay restore', () => {
  test('bring a log back that is held, says why, and sends what was open when it is resumed', async () => {
    await filled();
    await running?.store.resumeSubscriber('sub_1', { lift: [], backlog: 'deliver' });
    const made = await told(['backup', 'log.backup']);
    expect(made).toMatchObject({
      exit: 0,
      out: expect.stringMatching(/^Backed up 4 files, \d+ bytes: log.backup\n$/),
    });
    expect(made.err).toContain('master key');
    await stop();
    rmSync(join(around.folder, 'data'), { recursive: true });

    const restored = await told(['restore', 'log.backup', '--to', 'data']);
    expect(restored).toMatchObject({ exit: 0, out: expect.stringContaining('Restored 4 files into data') });
    expect((await told(['check', '--log'])).exit).toBe(0);
    expect((await told(['check'])).out).toMatch(/^warn {2}restored: .* the first start pauses/m);

    await start();
    const warning = logged.find((line) => line.includes('came out of a backup'));
    expect(JSON.parse(warning ?? '{}')).toMatchObject({ level: 40, subscribers: 1, openDeliveries: 1 });
    const { out } = await told(['status']);
    expect(out).toMatch(/^This log was restored at \S+Z from a backup of \S+Z\.$/m);
    expect(out).toContain(
      'ehr is paused (person, restored); what it is owed is held: relay subscribers resume ehr',
    );
    const { store } = JSON.parse((await told(['status', '--json'])).out);
    expect(store.restored).toMatchObject({ subscribers: 1, connections: 0, openDeliveries: 1 });
    expect(receiver.seen).toEqual([]);

    expect(await told(['subscribers', 'resume', '--restored'])).toMatchObject({
      exit: 0,
      out: 'ehr is active.\n',
    });
    await eventually(() => receiver.seen.length === 1);
    expect((await told(['status'])).out).not.toContain('This log was restored');
    expect((await told(['subscribers', 'resume', '--restored'])).err).toContain('No subscriber is held');
  });

  test('hold a connection, whose clinic is read again when it is resumed', async () => {
    await filled();
    await running?.store.saveConnection({
      ...((await running?.store.connections()) ?? [])[0],
      state: 'working',
      stateReason: null,
    } as never);
    await told(['backup', 'log.backup']);
    await stop();
    rmSync(join(around.folder, 'data'), { recursive: true });
    await told(['restore', 'log.backup', '--to', 'data']);
    const { store } = await start();
    expect(JSON.parse((await told(['clinics', 'list', '--json'])).out).data).toMatchObject([
      { name: 'Washington', state: 'paused', stateReason: 'it came out of a backup and was not resumed yet' },
    ]);
    expect(await told(['clinics', 'resume', '--restored'])).toMatchObject({
      exit: 0,
      out: 'Washington is read again.\n',
    });
    expect((await store.connections())[0]?.tokens).toMatchObject({ refreshToken: 'canary-r' });
    expect((await told(['clinics', 'resume', '--restored'])).err).toContain('No clinic is held');
    await eventually(async () => (await store.connections())[0]?.state !== 'restored');
  });

  test('work without configuration and keys, which only the use of the log needs', async () => {
    await filled();
    await stop();
    rmSync(join(around.folder, 'relay.config.json'));
    expect((await told(['backup', 'log.backup', '--from', 'data', '--keys', 'log.keys'], {})).exit).toBe(0);
    expect((await told(['restore', 'log.backup', '--to', 'again', '--keys', 'log.keys'], {})).exit).toBe(0);
    expect(readdirSync(join(around.folder, 'again')).sort()).toEqual([
      'bodies',
      'checkpoint.json',
      'journal',
      'keys.json',
      'restored.json',
    ]);
    expect((await told(['restore', 'log.backup', '--to', 'without'], {})).err).toContain('--keys FILE');
  });

  test('refuse what cannot be meant, with 2, and what is not to be had, with 1', async () => {
    await filled();
    await stop();
    await told(['backup', 'log.backup']);
    writeFileSync(
      join(around.folder, 'cut'),
      readFileSync(join(around.folder, 'log.backup')).subarray(0, 5_000),
    );
    for (const { argv, exit, says } of [
      { argv: ['backup'], exit: 2, says: 'file' },
      { argv: ['backup', 'log.backup'], exit: 2, says: 'already' },
      { argv: ['backup', 'data/inside'], exit: 2, says: 'data folder itself' },
      { argv: ['backup', 'no/such/folder'], exit: 1, says: 'Make the folder' },
      { argv: ['backup', 'x', '--from', 'nowhere'], exit: 1, says: 'There is no delivery log' },
      { argv: ['restore', 'log.backup'], exit: 2, says: '--to' },
      { argv: ['restore', 'log.backup', '--to', 'data'], exit: 2, says: 'is not empty' },
      { argv: ['restore', 'nowhere', '--to', 'x'], exit: 1, says: 'cannot be read' },
      { argv: ['restore', 'cut', '--to', 'x'], exit: 1, says: 'is no whole backup' },
      { argv: ['restore', 'relay.config.json', '--to', 'x'], exit: 1, says: 'is no whole backup' },
      { argv: ['restore', 'data', '--to', 'x'], exit: 1, says: 'Name a file' },
      { argv: ['clinics', 'resume'], exit: 2, says: '--restored' },
      { argv: ['subscribers', 'resume', 'ehr', '--restored'], exit: 2, says: 'Give one of the two' },
    ]) {
      const answer = await told(argv);
      expect(answer.exit, argv.join(' ')).toBe(exit);
      expect(answer.err, argv.join(' ')).toContain(says);
      expect(answer.err).not.toMatch(/\n {4}at /);
    }
    expect(existsSync(join(around.folder, 'x'))).toBe(false);
  });
});

describe('a changed master key', () => {
  const both = { ...newKeys, RELAY_MASTER_KEY_PREVIOUS: keys.RELAY_MASTER_KEY };

  test('is taken by one start with the old one beside it, said, and then the old one can go', async () => {
    await filled();
    await stop();
    await expect(start(newKeys)).rejects.toMatchObject({ code: 'wrong_master_key' });
    expect((await told(['check'], both)).out).toMatch(/^ok {4}RELAY_MASTER_KEY_PREVIOUS: the next start/m);
    await start(both);
    expect(logged.join('')).toContain('RELAY_MASTER_KEY_PREVIOUS is not needed any more');
    await stop();
    expect((await told(['check'], both)).out).toMatch(
      /^warn {2}RELAY_MASTER_KEY_PREVIOUS: it is not needed/m,
    );
    logged = [];
    const { store } = await start(newKeys);
    expect(await store.eventBody('clinic-1', 'e1')).not.toBeNull();
    expect(logged.join('')).not.toContain('RELAY_MASTER_KEY');
    await stop();
    const wrong = await told(['check', '--log'], keys);
    expect(wrong.exit).toBe(1);
    expect(wrong.out).toContain('The master key does not open this store.');
    expect((await told(['check', '--log'], newKeys)).exit).toBe(0);
  });
});
