import { appendFile, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type AppendedFile, FileTouched, realDisk } from '../../src/store/file/disk.ts';

let folder: string;
let path: string;
let file: AppendedFile;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'relay-disk-'));
  path = join(folder, 'appended');
  file = await realDisk.openForAppend(path);
});

afterEach(async () => {
  await file.close();
  await rm(folder, { recursive: true });
});

describe('a file that is appended to', () => {
  test('holds small and large pieces in the order in which they were given, whole', async () => {
    const pieces = [100, 256 * 1024, 256 * 1024 + 1, 3_000_000, 7].map((length, n) =>
      Buffer.alloc(length, n + 1),
    );
    for (const piece of pieces) await file.append(piece);
    await file.datasync();
    const whole = Buffer.concat(pieces);
    expect(file.length).toBe(whole.length);
    expect((await readFile(path)).equals(whole)).toBe(true);
  });

  test('goes on at the end after it was cut', async () => {
    await file.append(Buffer.from('one two'));
    await file.truncate(4);
    await file.append(Buffer.from('three'));
    expect(await readFile(path, 'utf8')).toBe('one three');
    expect(file.length).toBe(9);
  });

  test.each([
    { because: 'it was removed', deed: () => rm(path) },
    { because: 'another program wrote into it', deed: () => appendFile(path, 'x') },
    { because: 'another program cut it', deed: () => writeFile(path, '') },
    {
      because: 'another file of the same length stands in its place',
      deed: async () => {
        await writeFile(`${path}.other`, 'mine');
        await rename(`${path}.other`, path);
      },
    },
  ])('is not written on when $because', async ({ deed }) => {
    await file.append(Buffer.from('mine'));
    file.assertUntouched();
    await deed();
    expect(() => file.assertUntouched()).toThrow(FileTouched);
  });
});
