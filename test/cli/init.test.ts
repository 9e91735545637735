import { mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { run } from '../../src/cli/program.ts';
import { sandboxConfig } from '../../src/cli/sandbox-config.ts';
import { type Outside, outside } from './outside.ts';

let around: Outside & { discard(): Promise<void> };
let envPath: string;
let configPath: string;
beforeEach(async () => {
  around = await outside();
  envPath = join(around.folder, '.env');
  configPath = join(around.folder, 'relay.config.json');
});
afterEach(() => around.discard());

const envOf = () => parseEnv(readFileSync(envPath, 'utf8'));
const modeOf = (path: string) => statSync(path).mode & 0o777;

describe('relay init', () => {
  test('names the next step in the way in which it was called', async () => {
    const byNpx = await outside({ env: { npm_command: 'exec' } });
    expect(await run(['init'], byNpx)).toBe(0);
    expect(byNpx.out()).toContain('  npx relay serve ');
    await byNpx.discard();
    expect(await run(['init'], around)).toBe(0);
    expect(around.out()).toContain('  relay serve ');
  });

  test('writes a configuration and fresh keys, and names the next step', async () => {
    expect(await run(['init'], around)).toBe(0);
    const env = envOf();
    expect(Buffer.from(env.RELAY_MASTER_KEY ?? '', 'base64')).toHaveLength(32);
    expect((env.RELAY_JWT_SECRET ?? '').length).toBeGreaterThanOrEqual(32);
    expect(JSON.parse(readFileSync(configPath, 'utf8'))).toMatchObject({ store: { kind: 'file' } });
    expect(around.out()).toContain('Wrote relay.config.json.');
    expect(around.out()).toContain('relay serve');
    expect(around.out()).not.toContain(env.RELAY_MASTER_KEY);
    expect(around.err()).toBe('');
  });

  for (const umask of [0o000, 0o777]) {
    test(`gives .env to its owner alone under umask ${umask.toString(8)}`, async () => {
      const before = process.umask(umask);
      try {
        expect(await run(['init'], around)).toBe(0);
      } finally {
        process.umask(before);
      }
      expect(modeOf(envPath)).toBe(0o600);
      expect(modeOf(configPath)).toBe(0o644);
    });
  }

  test('makes other keys each time', async () => {
    await run(['init'], around);
    const other = await outside();
    await run(['init'], other);
    expect(readFileSync(join(other.folder, '.env'), 'utf8')).not.toBe(readFileSync(envPath, 'utf8'));
    await other.discard();
  });

  test('makes no master key beside a store, which opens only with its own', async () => {
    mkdirSync(join(around.folder, 'data'));
    writeFileSync(join(around.folder, 'data', 'keys.json'), '{}');
    expect(await run(['init'], around)).toBe(0);
    expect(envOf().RELAY_MASTER_KEY).toBeUndefined();
    expect(envOf().RELAY_JWT_SECRET).toBeTruthy();
    expect(around.out()).toContain('RELAY_MASTER_KEY is left to you');
  });

  test('overwrites nothing, and says so', async () => {
    await run(['init'], around);
    const before = [readFileSync(envPath, 'utf8'), readFileSync(configPath, 'utf8')];
    expect(await run(['init'], around)).toBe(0);
    expect([readFileSync(envPath, 'utf8'), readFileSync(configPath, 'utf8')]).toEqual(before);
    expect(around.out()).toContain('Kept relay.config.json: it was there already.');
    expect(around.out()).toContain('Kept .env: it was there already.');
  });

  test('adds to an existing .env only what it lacks, and closes it to others first', async () => {
    writeFileSync(envPath, 'MINE=1\nRELAY_JWT_SECRET=kept-as-it-is', { mode: 0o644 });
    expect(await run(['init'], around)).toBe(0);
    const env = envOf();
    expect(env).toMatchObject({ MINE: '1', RELAY_JWT_SECRET: 'kept-as-it-is' });
    expect(env.RELAY_MASTER_KEY).toBeTruthy();
    expect(modeOf(envPath)).toBe(0o600);
    expect(around.out()).toContain('added what it lacked: RELAY_MASTER_KEY');
  });

  test('a key without a value counts as lacking', async () => {
    writeFileSync(envPath, 'RELAY_MASTER_KEY=\n', { mode: 0o600 });
    await run(['init'], around);
    expect(envOf().RELAY_MASTER_KEY).toBeTruthy();
  });

  test('a key that the environment has is not made a second time', async () => {
    writeFileSync(envPath, 'FULLSCRIPT_CLIENT_ID=a\nFULLSCRIPT_CLIENT_SECRET=b\n', { mode: 0o600 });
    const set = await outside({
      env: { RELAY_MASTER_KEY: 'x', RELAY_JWT_SECRET: 'y' },
      folder: around.folder,
    });
    await run(['init'], set);
    expect(set.out()).toContain('Kept .env: it was there already.');
  });

  test('writes nothing through a link that leads nowhere', async () => {
    symlinkSync(join(around.folder, 'elsewhere'), configPath);
    await run(['init'], around);
    expect(around.out()).toContain('Kept relay.config.json');
  });

  test('says so where it may not write', async () => {
    writeFileSync(join(around.folder, 'file'), '');
    expect(await run(['init', '--config', 'file/relay.config.json'], around)).toBe(1);
    expect(around.err()).toMatch(/^relay: .+cannot be written \(ENOTDIR\)\.\n/);
  });

  test('tells a program which files it wrote', async () => {
    await run(['init', '--json'], around);
    expect(JSON.parse(around.out())).toMatchObject({
      files: [
        { path: configPath, kind: 'created' },
        { path: envPath, kind: 'created' },
      ],
    });
  });
});

test('the configuration at the top of the repository is the one that init writes', () => {
  const path = new URL('../../relay.config.json', import.meta.url);
  expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual(sandboxConfig);
});
