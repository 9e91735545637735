import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkDisk, checkStore } from '../../src/cli/check-store.ts';
import { run } from '../../src/cli/program.ts';
import { RelayError } from '../../src/domain/errors.ts';
import type { StoreTrial } from '../../src/main/upkeep.ts';
import { realDisk } from '../../src/store/file/disk.ts';
import { KeyRing } from '../../src/store/file/keys.ts';
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

  test('says whether the egress proxy can be reached, and nothing of its password', async () => {
    const proxy = vendor.url.replace('http://', 'http://relay:pass-of-the-proxy@');
    change((config) => {
      config.delivery = { proxy };
    });
    const reached = await checked();
    expect(verdictsOf(reached.out)).toMatchObject({ 'egress proxy': 'ok' });
    expect(reached.out).toContain('127.0.0.1:');
    expect(reached.out).not.toContain('pass-of-the-proxy');
    expect(vendor.seen.map(({ path }) => path)).toEqual(['/api']);
    await vendor.close();
    const refused = await checked();
    expect(refused.exit).toBe(1);
    expect(refused.out).toContain('cannot be reached (ECONNREFUSED)');
    expect(refused.out).not.toContain('pass-of-the-proxy');
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

  test('warns of filters that let nothing through that anybody knows', async () => {
    change((config) => {
      config.clinics = [{ name: 'Washington', accessToken: 'a', refreshToken: 'r' }];
      const secret = 'a-secret-of-thirty-two-characters';
      const url = 'http://127.0.0.1:3000/hook';
      config.subscribers = [
        {
          name: 'ehr',
          url,
          secret,
          eventTypes: ['order.*', 'ordr.placed'],
          clinicIds: ['Washington', 'Wshington'],
        },
      ];
    });
    const { exit, out } = await checked();
    expect(exit).toBe(0);
    const checks = (JSON.parse(out) as { checks: { check: string; message: string }[] }).checks;
    expect(checks.filter(({ check }) => check === 'filter of ehr').map(({ message }) => message)).toEqual([
      'Fullscript documents no event type that ordr.placed stands for; it is kept as it is.',
      'No clinic has the id or name Wshington yet.',
    ]);
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

  test('names a master key that does not open the store, before a start', async () => {
    change((config) => {
      config.store = { kind: 'file', path: join(around.folder, 'data') };
    });
    const path = aFolder();
    const ring = await KeyRing.open(realDisk, path, { current: Buffer.alloc(32, 7), previous: null });
    await ring.keyFor('value', 'store');
    const { exit, out } = await checked();
    expect(exit).toBe(1);
    expect(verdictsOf(out)).toMatchObject({ store: 'ok', 'master key': 'fail' });
    expect(out).toContain('the key that the store was made with');
  });

  test('asks for the key that the store was made with when there is a store already, with 2', async () => {
    change(() => {});
    writeFileSync(join(aFolder(), 'keys.json'), '{}');
    writeFileSync(join(around.folder, '.env'), '');
    const { exit, err } = await checked(['check']);
    expect(exit).toBe(2);
    expect(err).toMatch(/RELAY_MASTER_KEY: .*the key that the store in \.\/data was made with/);
    expect(err).not.toMatch(/RELAY_MASTER_KEY: .*relay init/);
  });
});

const storeFindings = (path: string, found: Partial<StoreTrial> = {}) =>
  checkStore(path, async () => ({ writeRefusal: null, keys: 'none', ...found }));

describe('the store is looked at from outside', () => {
  test('case 75: a folder on a network file system is warned of', async () => {
    expect(checkDisk('/mnt/data', 'NFS')).toMatchObject([
      { verdict: 'warn', message: expect.stringContaining('/mnt/data is on a network file system (NFS)') },
    ]);
    expect(checkDisk('/mnt/data', null)).toEqual([]);
  });

  test('a folder that is not there yet is made by the first start', async () => {
    expect(await storeFindings(join(around.folder, 'a', 'b'))).toMatchObject([{ verdict: 'ok' }]);
  });

  test('a file is no folder', async () => {
    expect(await storeFindings(join(around.folder, '.env'))).toMatchObject([{ verdict: 'fail' }]);
    expect(await storeFindings(join(around.folder, '.env', 'data'))).toMatchObject([{ verdict: 'fail' }]);
  });

  test('a folder that is open to others is warned of', async () => {
    const path = aFolder();
    chmodSync(path, 0o755);
    expect(await storeFindings(path)).toMatchObject([
      { verdict: 'warn', todo: expect.stringContaining('chmod 700') },
    ]);
    chmodSync(path, 0o700);
    expect(await storeFindings(path)).toMatchObject([{ verdict: 'ok' }]);
  });

  test('who holds the lock is named, and the lock is left alone', async () => {
    const path = aFolder();
    const lock = join(path, 'lock');
    const told = async () => (await storeFindings(path))[0]?.message;
    writeFileSync(lock, 'process 12345 on somewhere');
    expect(await told()).toContain('nobody holds its lock');
    const holder = spawn('flock', ['-x', lock, 'sh', '-c', 'echo held; cat'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    await new Promise((resolve) => holder.stdout.once('data', resolve));
    expect(await told()).toContain('in use by process 12345 on somewhere');
    holder.stdin.end();
    await new Promise((resolve) => holder.once('exit', resolve));
    expect(await told()).toContain('nobody holds its lock');
  });

  for (const { code, says, todo } of [
    { code: 'ENOSPC', says: 'is full', todo: 'Free some space.' },
    { code: 'EDQUOT', says: 'is full', todo: 'Free some space.' },
    { code: 'EROFS', says: 'read-only disk', todo: 'Mount it so that it can be written.' },
    { code: 'EACCES', says: 'this user may not', todo: 'Give the folder to the relay’s user.' },
    { code: 'EIO', says: '(EIO)', todo: 'Look at that disk.' },
  ]) {
    test(`a disk that refuses a write with ${code}: ${says}`, async () => {
      expect(await storeFindings(aFolder(), { writeRefusal: code })).toEqual([
        { check: 'store', verdict: 'fail', message: expect.stringContaining(says), todo },
      ]);
    });
  }

  test('a master key that fits is told, and one that does not with its remedy', async () => {
    const wrong = new RelayError('wrong_master_key', 'It does not open this store.', {
      hint: 'Take the other.',
    });
    expect((await storeFindings(aFolder(), { keys: 'opened' }))[1]).toMatchObject({ verdict: 'ok' });
    expect((await storeFindings(join(around.folder, 'data'), { keys: wrong }))[1]).toEqual({
      check: 'master key',
      verdict: 'fail',
      message: 'It does not open this store.',
      todo: 'Take the other.',
    });
  });
});

function aFolder(): string {
  const path = join(around.folder, 'data');
  mkdirSync(path, { mode: 0o700 });
  return path;
}
