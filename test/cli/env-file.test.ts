import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { envFileOf, withEnvFile } from '../../src/cli/env-file.ts';
import { readTextFile } from '../../src/cli/text-file.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'relay-env-'));
  path = join(folder, '.env');
});
afterEach(() => rmSync(folder, { recursive: true }));

test('.env lies beside the configuration that it belongs to', () => {
  expect(envFileOf('/srv/relay', 'relay.config.json')).toBe('/srv/relay/.env');
  expect(envFileOf('/srv/relay', '../other/relay.config.json')).toBe('/srv/other/.env');
});

test('.env adds to the environment and never changes what is set', () => {
  writeFileSync(path, 'A=file\nB="two words" # why\nexport C=3\n', { mode: 0o600 });
  expect(withEnvFile({ A: 'set', D: undefined }, path)).toEqual({ A: 'set', B: 'two words', C: '3' });
});

test('without .env the environment stays as it is', () => {
  expect(withEnvFile({ A: 'set' }, path)).toEqual({ A: 'set' });
});

test('secrets that every user of the machine can read are refused, with the remedy', () => {
  writeFileSync(path, 'RELAY_TOKEN=x\n', { mode: 0o644 });
  expect(() => withEnvFile({}, path)).toThrow(
    expect.objectContaining({ code: 'env_file_open', hint: expect.stringContaining(`chmod 600 ${path}`) }),
  );
});

test('a readable .env without secrets of the relay is taken', () => {
  writeFileSync(path, 'RELAY_URL=http://127.0.0.1:9\nRELAY_TOKEN=\n', { mode: 0o644 });
  expect(withEnvFile({}, path).RELAY_URL).toBe('http://127.0.0.1:9');
});

describe('a file that is no small text file is refused at once', () => {
  for (const { make, because } of [
    { make: () => mkdirSync(path), because: 'no regular file' },
    { make: () => execFileSync('mkfifo', [path]), because: 'no regular file' },
    { make: () => writeFileSync(path, Buffer.from([0x41, 0x3d, 0xff, 0xfe])), because: 'not UTF-8' },
    { make: () => writeFileSync(path, Buffer.alloc(1024 * 1024 + 1, 'a')), because: 'larger than 1 MiB' },
  ]) {
    test(`${because}`, () => {
      make();
      expect(() => readTextFile(path)).toThrow(because);
    });
  }

  test('a missing one names `relay init`', () => {
    expect(() => readTextFile(path)).toThrow(
      expect.objectContaining({ code: 'file_missing', hint: expect.stringContaining('relay init') }),
    );
  });
});
