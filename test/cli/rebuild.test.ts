import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { run } from '../../src/cli/program.ts';
import { loadConfig } from '../../src/config.ts';
import { silentLogger } from '../../src/logger.ts';
import { startRelay } from '../../src/main.ts';
import { type RunningSandbox, startSandbox } from '../../src/sandbox/server.ts';
import { type StandIn, standIn } from '../client/stand-in.ts';
import { eventually } from '../world/eventually.ts';
import { type Outside, outside } from './outside.ts';

const env = {
  RELAY_MASTER_KEY: Buffer.alloc(32, 7).toString('base64'),
  RELAY_JWT_SECRET: 'kD93nfWm2-0sPz7vQx1LbTgYh4RcUeJa',
};
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

let around: Outside & { discard(): Promise<void> };
let sandbox: RunningSandbox;
let receiver: StandIn;

beforeEach(async () => {
  around = await outside();
  sandbox = await startSandbox({ seed: 5, clinics: ['Washington', 'New York'] });
  receiver = await standIn(() => ({ status: 200, json: {} }));
  configure();
});
afterEach(async () => {
  await sandbox.close();
  await receiver.close();
  await around.discard();
});

function configure(changes: { clinics?: readonly object[]; subscribers?: readonly object[] } = {}): void {
  const config = {
    source: {
      environment: 'us-sandbox',
      apiUrl: `${sandbox.url}/api`,
      clientId: 'sandbox-client',
      clientSecret: 'sandbox-secret',
      pollSecondsMin: 1,
      pollSecondsMax: 2,
    },
    clinics:
      changes.clinics ??
      sandbox.fullscript.clinics.map(({ name, slug }) => ({
        name,
        accessToken: `sandbox-access-${slug}`,
        refreshToken: `sandbox-refresh-${slug}`,
      })),
    subscribers: changes.subscribers ?? [
      {
        name: 'ehr',
        url: `${receiver.url}/hook`,
        secret: 'a-rebuild-secret-of-over-32-characters',
        eventTypes: ['order.*'],
      },
    ],
    delivery: { allow: ['127.0.0.1'] },
    store: { kind: 'file', path: join(around.folder, 'data') },
    server: { port: 0 },
  };
  writeFileSync(join(around.folder, 'relay.config.json'), JSON.stringify(config));
}

/** An event of the vendor's, so long ago. */
function listed(type: string, agoMs: number, clinic = 'Washington'): string {
  return sandbox.fullscript.addEvent({ clinic, type, createdAt: Date.now() - agoMs }).id;
}

async function told(argv: readonly string[]) {
  const fresh = await outside({ folder: around.folder, env });
  const exit = await run(argv, fresh);
  return { exit, out: fresh.out(), err: fresh.err() };
}

/** Ids that the receiver gets from a relay that is started on the rebuilt log. */
async function sentBy(count: number): Promise<readonly string[]> {
  const path = join(around.folder, 'relay.config.json');
  const readFile = (name: string) => readFileSync(name, 'utf8');
  const relay = await startRelay({ config: loadConfig({ path, env, readFile }), logger: silentLogger });
  await eventually(() => receiver.seen.length >= count);
  await relay.stop();
  return receiver.seen.map(({ body }) => (body as { event: { id: string } }).event.id);
}

describe('relay rebuild', () => {
  test('records all that is listed, enqueues what is not assumed delivered, and sends nothing itself', async () => {
    listed('order.placed', 20 * dayMs);
    listed('order.placed', 3 * dayMs);
    const wanted = [listed('order.placed', 2 * hourMs), listed('order.placed', hourMs, 'New York')];
    listed('patient.created', hourMs);
    const argv = ['rebuild', '--since', '10d', '--assume-delivered-before', '1d'];

    const dry = await told([...argv, '--dry-run', '--json']);
    expect(dry.exit).toBe(0);
    expect(JSON.parse(dry.out)).toMatchObject({
      dryRun: true,
      listed: 5,
      past: 2,
      enqueued: 3,
      deliveries: 2,
      unlisted: [],
    });

    const made = await told(argv);
    expect(made).toMatchObject({ exit: 0 });
    expect(made.out).toContain('12 of 12 streams are read.\n2 events are known and never sent');
    expect(made.out).toContain('3 events are enqueued, as 2 deliveries');
    expect(receiver.seen).toEqual([]);
    expect((await told(['check', '--log'])).exit).toBe(0);

    expect([...(await sentBy(2))].sort()).toEqual([...wanted].sort());
  });

  test('without an assumption enqueues what was created since the moment that is named, and no more', async () => {
    listed('order.placed', 20 * dayMs);
    listed('order.placed', 3 * dayMs);
    const { exit, out } = await told(['rebuild', '--since', '10d', '--json']);
    expect(exit).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      past: 1,
      enqueued: 1,
      deliveries: 1,
      unconnected: [],
      setAside: 0,
    });
  });

  test('is for a log that was lost: one that knows events is left alone', async () => {
    listed('order.placed', hourMs);
    expect((await told(['rebuild', '--since', '10d'])).exit).toBe(0);
    for (const more of [[], ['--dry-run']]) {
      const again = await told(['rebuild', '--since', '10d', ...more]);
      expect(again.exit).toBe(1);
      expect(again.err).toContain('relay serve');
    }
  });

  test('says which clinic could not be read, with 1, and has the others read', async () => {
    const [first] = sandbox.fullscript.clinics;
    configure({
      clinics: [
        {
          name: 'Washington',
          accessToken: `sandbox-access-${first?.slug}`,
          refreshToken: `sandbox-refresh-${first?.slug}`,
        },
        { name: 'Gone', accessToken: 'spent', refreshToken: 'spent' },
      ],
    });
    listed('order.placed', hourMs);
    const { exit, out, err } = await told(['rebuild', '--since', '10d']);
    expect(exit).toBe(1);
    expect(out).toContain('6 of 6 streams are read.');
    expect(err).toMatch(/Gone: .*invalid_grant/);
  });

  test('refuses what cannot be meant, with 2, before it touches anything', async () => {
    for (const { argv, says } of [
      { argv: ['rebuild'], says: '--since' },
      { argv: ['rebuild', '--since', 'yesterday'], says: '2026-11-22T08:00:00Z' },
      { argv: ['rebuild', '--since', '30d', '--assume-delivered-before', '2199-01-01'], says: 'future' },
    ]) {
      const { exit, err } = await told(argv);
      expect(exit, argv.join(' ')).toBe(2);
      expect(err).toContain(says);
    }
    configure({ subscribers: [] });
    expect((await told(['rebuild', '--since', '30d'])).err).toContain('No subscriber is declared');
    configure({ clinics: [] });
    expect(await told(['rebuild', '--since', '30d'])).toMatchObject({ exit: 2 });
    expect(existsSync(join(around.folder, 'data'))).toBe(false);
  });
});
