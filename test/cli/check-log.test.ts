import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../../src/cli/program.ts';
import { loadConfig } from '../../src/config.ts';
import { silentLogger } from '../../src/logger.ts';
import { type RunningRelay, startRelay } from '../../src/main.ts';
import { anEvent, aSubscriber, furnished, record } from '../store/fixtures.ts';
import { outside } from './outside.ts';

const env = {
  RELAY_MASTER_KEY: Buffer.alloc(32, 7).toString('base64'),
  RELAY_JWT_SECRET: 'kD93nfWm2-0sPz7vQx1LbTgYh4RcUeJa',
};
const written = {
  source: { environment: 'us-sandbox', apiUrl: 'http://127.0.0.1:9/api', clientId: 'a', clientSecret: 'b' },
  delivery: { allow: ['127.0.0.1'] },
  store: { kind: 'file', path: './data' },
  server: { port: 0 },
};

let folder: string;
let relay: RunningRelay;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'relay-log-'));
  writeFileSync(join(folder, 'relay.config.json'), JSON.stringify(written));
  const store = { kind: 'file', path: join(folder, 'data') };
  const text = JSON.stringify({ ...written, store });
  const config = loadConfig({ path: 'relay.config.json', env, readFile: () => text });
  relay = await startRelay({ config, logger: silentLogger });
  await furnished(relay.store, aSubscriber('sub_1', { pauseReasons: ['person'] }));
  await record(relay.store, [anEvent('e1'), anEvent('e2')]);
});
afterAll(async () => {
  await relay.stop();
  rmSync(folder, { recursive: true });
});

async function told(argv: readonly string[], given: Readonly<Record<string, string>> = env) {
  const around = await outside({ folder, env: given });
  const exit = await run(argv, around);
  return { exit, out: around.out(), err: around.err() };
}

describe('relay check --log', () => {
  test('verifies the log of a relay that runs, and says how much it saw', async () => {
    const { exit, out, err } = await told(['check', '--log']);
    expect({ exit, err }).toEqual({ exit: 0, err: '' });
    expect(out).toMatch(/^ok {4}log: \d+ lines in \d+ commits, from \S+Z to \S+Z, fit together/m);
    expect(out).toMatch(/^ok {4}bodies: 2 are there/m);
  });

  test('prints the same as JSON', async () => {
    const { exit, out } = await told(['check', '--log', '--json']);
    expect(exit).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      ok: true,
      checks: [{ check: 'log' }, { check: 'bodies' }, { check: 'checkpoint' }],
      log: { bodies: 2, damagedBodies: { count: 0 }, unfinishedBytes: 0 },
    });
  });

  test('names the line that does not fit, with 1', async () => {
    const [part = ''] = readdirSync(join(folder, 'data', 'journal'));
    const path = join(folder, 'data', 'journal', part);
    const whole = readFileSync(path);
    const changed = whole.toString().replace('ehr.example', 'evil.example');
    writeFileSync(path, changed);
    const { exit, out, err } = await told(['check', '--log']);
    const { out: json } = await told(['check', '--log', '--json']);
    writeFileSync(path, whole);
    expect(exit).toBe(1);
    expect(out).toMatch(
      new RegExp(`^fail {2}log: ${part.replaceAll('.', '\\.')}, line \\d+ is damaged`, 'm'),
    );
    expect(err).toContain('1 of 1 checks failed.');
    expect(JSON.parse(json)).toMatchObject({ ok: false, log: null });
  });

  test('names a wrong master key, with 1, and a missing one, with 2', async () => {
    const wrong = await told(['check', '--log'], {
      ...env,
      RELAY_MASTER_KEY: Buffer.alloc(32, 9).toString('base64'),
    });
    expect(wrong.exit).toBe(1);
    expect(wrong.out).toContain('The master key does not open this store.');
    expect((await told(['check', '--log'], { RELAY_JWT_SECRET: env.RELAY_JWT_SECRET })).exit).toBe(2);
  });

  test('says that there is no log where none was written', async () => {
    const around = await outside({ env });
    writeFileSync(join(around.folder, 'relay.config.json'), JSON.stringify(written));
    expect(await run(['check', '--log'], around)).toBe(1);
    expect(around.out()).toContain('There is no delivery log in');
    expect(readdirSync(around.folder)).toEqual(['relay.config.json']);
    await around.discard();
  });
});
