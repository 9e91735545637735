import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkStore } from '../../src/cli/check-store.ts';
import { run } from '../../src/cli/program.ts';
import { type StandIn, standIn } from '../client/stand-in.ts';
import { type Outside, outside } from './outside.ts';

let around: Outside & { discard(): Promise<void> };
let vendor: StandIn;
beforeEach(async () => {
  around = await outside();
  vendor = await standIn(() => ({ status: 404, text: '' }));
  await run(['init'], around);
});
afterEach(async () => {
  await vendor.close();
  await around.discard();
});

interface Written {
  source: { apiUrl: string };
  subscribers: unknown[];
  [key: string]: unknown;
}

function change(how: (config: Written) => void): void {
  const path = join(around.folder, 'relay.config.json');
  const config = JSON.parse(readFileSync(path, 'utf8')) as Written;
  config.source.apiUrl = `${vendor.url}/api`;
  how(config);
  writeFileSync(path, JSON.stringify(config));
}

async function checked(argv: readonly string[] = ['check', '--json']) {
  const fresh = await outside({ folder: around.folder });
  const exit = await run(argv, fresh);
  return { exit, out: fresh.out(), err: fresh.err() };
}

const verdictsOf = (out: string) =>
  Object.fromEntries(
    (JSON.parse(out) as { checks: { check: string; verdict: string }[] }).checks.map(({ check, verdict }) => [
      check,
      verdict,
    ]),
  );

describe('relay check', () => {
  test('passes what `relay init` wrote, and starts and writes nothing', async () => {
    change(() => {});
    const { exit, out, err } = await checked();
    expect({ exit, err }).toEqual({ exit: 0, err: '' });
    expect(verdictsOf(out)).toEqual({ config: 'ok', clinics: 'ok', store: 'ok', Fullscript: 'ok' });
    expect(() => readFileSync(join(around.folder, 'data'))).toThrow('ENOENT');
  });

  test('sends the vendor no token', async () => {
    change(() => {});
    await checked();
    expect(vendor.seen).toMatchObject([{ method: 'GET', path: '/api', authorization: undefined }]);
  });

  test('says that nobody answers where the vendor should, and what to start', async () => {
    change(() => {});
    await vendor.close();
    const { exit, out, err } = await checked(['check']);
    expect(exit).toBe(1);
    expect(out).toMatch(
      /fail {2}Fullscript: 127\.0\.0\.1:\d+ does not answer \(ECONNREFUSED\)\.\n.*relay sandbox/,
    );
    expect(err).toContain('1 of 4 checks failed.');
  });

  test('tells which subscriber would not be sent to, and the line that allows it', async () => {
    const secret = 'a-secret-of-thirty-two-characters';
    change((config) => {
      config.subscribers = [
        { name: 'near', url: 'http://127.0.0.1:3000/hook', secret },
        { name: 'inside', url: 'http://10.0.0.7/hook', secret },
      ];
    });
    const { exit, out } = await checked();
    expect(exit).toBe(1);
    expect(verdictsOf(out)).toMatchObject({ 'subscriber near': 'ok', 'subscriber inside': 'fail' });
    expect(out).toContain('10.0.0.7');
    expect(out).not.toContain(secret);
  });

  test('tells which token URL would not be asked, and `serve` refuses it before anything is dialled', async () => {
    change((config) => {
      config.clinics = [
        { name: 'Washington', tokenUrl: 'http://127.0.0.1:3000/token' },
        { name: 'New York', tokenUrl: 'http://169.254.169.254/latest/meta-data' },
      ];
    });
    const { exit, out } = await checked();
    expect(exit).toBe(1);
    expect(verdictsOf(out)).toMatchObject({
      'token URL of Washington': 'ok',
      'token URL of New York': 'fail',
    });
    const served = await checked(['serve']);
    expect(served.exit).toBe(2);
    expect(served.err).toMatch(/clinics\[1\]\.tokenUrl: is refused: .*never allowed/);
    expect(vendor.seen.map(({ path }) => path)).toEqual(['/api']);
  });

  test('names every mistake of the configuration at once, with 2', async () => {
    change((config) => {
      config.sorce = {};
      config.server = { port: 99_999 };
    });
    const { exit, err } = await checked(['check']);
    expect(exit).toBe(2);
    expect(err).toMatch(/ {2}sorce: .+did you mean source/);
    expect(err).toMatch(/ {2}server\.port: /);
    expect(err).not.toContain('\\n');
  });

  test('names `relay init` when a key is missing, with 2', async () => {
    change(() => {});
    writeFileSync(join(around.folder, '.env'), '');
    const { exit, err } = await checked(['check']);
    expect(exit).toBe(2);
    expect(err).toMatch(/RELAY_MASTER_KEY: .*relay init/);
  });
});

describe('the store is looked at from outside', () => {
  test('a folder that is not there yet is made by the first start', () => {
    expect(checkStore(join(around.folder, 'a', 'b'))).toMatchObject({ verdict: 'ok' });
  });

  test('a file is no folder', () => {
    expect(checkStore(join(around.folder, '.env'))).toMatchObject({ verdict: 'fail' });
    expect(checkStore(join(around.folder, '.env', 'data'))).toMatchObject({ verdict: 'fail' });
  });

  test('a folder that is open to others is warned of', () => {
    const path = join(around.folder, 'data');
    mkdirSync(path);
    chmodSync(path, 0o755);
    expect(checkStore(path)).toMatchObject({ verdict: 'warn', todo: expect.stringContaining('chmod 700') });
    chmodSync(path, 0o700);
    expect(checkStore(path)).toMatchObject({ verdict: 'ok' });
  });

  test('who holds the lock is named, and the lock is left alone', async () => {
    const path = join(around.folder, 'data');
    mkdirSync(path, { mode: 0o700 });
    const lock = join(path, 'lock');
    writeFileSync(lock, 'process 12345 on somewhere');
    expect(checkStore(path).message).toContain('nobody holds its lock');
    const holder = spawn('flock', ['-x', lock, 'sh', '-c', 'echo held; cat'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    await new Promise((resolve) => holder.stdout.once('data', resolve));
    expect(checkStore(path).message).toContain('in use by process 12345 on somewhere');
    holder.stdin.end();
    await new Promise((resolve) => holder.once('exit', resolve));
    expect(checkStore(path).message).toContain('nobody holds its lock');
  });
});
