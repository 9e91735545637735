import { type FileHandle, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FileInbox, type OpenFile, openFileInbox } from '../../src/receiver/file-inbox.ts';
import type { Copy } from '../../src/receiver/inbox.ts';
import { now } from './signed.ts';

const dayMs = 86_400_000;

let folder: string;
let path: string;
let opened: FileInbox[];
const clock = { now };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inbox-'));
  path = join(folder, 'inbox.jsonl');
  opened = [];
  clock.now = now;
});
afterEach(async () => {
  for (const inbox of opened) await inbox.close();
  await rm(folder, { recursive: true });
});

async function openInbox(openFile?: OpenFile): Promise<FileInbox> {
  const inbox = await openFileInbox(path, { now: () => clock.now, ...(openFile && { openFile }) });
  opened.push(inbox);
  return inbox;
}

function copy(eventId: string): Copy {
  return { eventId, round: 1, signedAt: now };
}

async function handle(inbox: FileInbox, ...eventIds: readonly string[]): Promise<void> {
  for (const eventId of eventIds) expect(await inbox.claim(copy(eventId))).toBe('yours');
  await Promise.all(eventIds.map((eventId) => inbox.settle(copy(eventId))));
}

/** What a process that starts after a crash finds. */
async function knows(...eventIds: readonly string[]): Promise<readonly boolean[]> {
  const inbox = await openFileInbox(path, { now: () => clock.now });
  const claims = await Promise.all(eventIds.map((eventId) => inbox.claim(copy(eventId))));
  await inbox.close();
  return claims.map((claim) => claim === 'handled');
}

test('what was settled is there after a crash, what was only claimed may be handled again', async () => {
  const inbox = await openInbox();
  await handle(inbox, 'evt_1', 'a "quoted"\nid', 'evt_3');
  await inbox.claim(copy('evt_4'));
  expect(await knows('evt_1', 'a "quoted"\nid', 'evt_3', 'evt_4')).toEqual([true, true, true, false]);
});

test('the file holds ids and times, for nobody else to read', async () => {
  const inbox = await openInbox();
  await handle(inbox, 'evt_1');
  const [, line] = (await readFile(path, 'utf8')).split('\n');
  expect(JSON.parse(line ?? '')).toEqual({ eventId: 'evt_1', round: 1, signedAt: now, at: now });
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await readdir(folder)).toEqual(['inbox.jsonl']);
});

describe('at its end', () => {
  for (const { tail, because } of [
    { tail: '{"eventId":"evt_3","rou', because: 'half a line' },
    { tail: '\0\0\0\0\0\0', because: 'a block that was never written' },
    { tail: '{"eventId":"evt_3","rou\n\0\0\n', because: 'torn lines' },
    { tail: '{"eventId":"evt_3","round":1,"signedAt":1,"at":1}', because: 'a line without its end' },
  ]) {
    test(`${because} is what a crash leaves, and is cut off`, async () => {
      const inbox = await openInbox();
      await handle(inbox, 'evt_1', 'evt_2');
      await inbox.close();
      opened = [];
      await writeFile(path, tail, { flag: 'a' });
      const again = await openInbox();
      await handle(again, 'evt_9');
      expect(await knows('evt_1', 'evt_2', 'evt_3', 'evt_9')).toEqual([true, true, false, true]);
    });
  }
});

test('damage before good lines is no crash: the line is named, and the file left as it is', async () => {
  await handle(await openInbox(), 'evt_1', 'evt_2', 'evt_3');
  const text = (await readFile(path, 'utf8')).replace('"evt_2"', '"evt_2');
  await writeFile(path, text);
  await expect(openInbox()).rejects.toMatchObject({
    code: 'inbox_damaged',
    message: expect.stringContaining('Line 3 of '),
  });
  expect(await readFile(path, 'utf8')).toBe(text);
});

test('a file that is something else is never touched', async () => {
  for (const text of ['', '{"name":"my-app"}\n', 'x']) {
    await writeFile(path, text);
    await expect(openInbox()).rejects.toMatchObject({ code: 'inbox_foreign' });
    expect(await readFile(path, 'utf8')).toBe(text);
  }
});

test('what is too old is left out while it runs', async () => {
  const inbox = await openInbox();
  const old = Array.from({ length: 1_200 }, (_, index) => `old_${index}`);
  await handle(inbox, ...old);
  clock.now += 36 * dayMs;
  await handle(inbox, 'evt_1');
  await handle(inbox, 'evt_2');
  expect((await readFile(path, 'utf8')).split('\n')).toHaveLength(4);
  expect(await knows('old_0', 'evt_1', 'evt_2')).toEqual([false, true, true]);
});

test('a clock that is wrong at the start makes it forget nothing', async () => {
  await handle(await openInbox(), 'evt_1');
  for (const wrong of [now + 4000 * dayMs, 0]) {
    clock.now = wrong;
    await openInbox();
  }
  clock.now = now + dayMs;
  await handle(await openInbox(), 'evt_2');
  expect(await knows('evt_1', 'evt_2')).toEqual([true, true]);
});

describe('when the disk does not do as told', () => {
  /** Opens real files whose methods may be told to fail. */
  function fallible() {
    const faults: { open?: string; appendFile?: string; datasync?: string; truncate?: string } = {};
    const openFile: OpenFile = async (name, flags, mode) => {
      if (faults.open !== undefined) throw Object.assign(new Error(faults.open), { code: faults.open });
      const file = await open(name, flags, mode);
      const failing = (method: Exclude<keyof typeof faults, 'open'>) => {
        const real = (file[method] as (...given: unknown[]) => Promise<unknown>).bind(file);
        return async (...given: unknown[]) => {
          if (faults[method] === undefined) return real(...given);
          // A full disk takes a part.
          if (method === 'appendFile') await file.write(String(given[0]).slice(0, 10));
          throw Object.assign(new Error(faults[method]), { code: faults[method] });
        };
      };
      return new Proxy(file, {
        get(target, name) {
          if (name === 'appendFile' || name === 'datasync' || name === 'truncate') return failing(name);
          const value = Reflect.get(target, name, target);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      }) as FileHandle;
    };
    return { faults, openFile };
  }

  test('a full disk refuses the event that it cannot hold, and takes later ones when there is space', async () => {
    const { faults, openFile } = fallible();
    const inbox = await openInbox(openFile);
    await handle(inbox, 'evt_1');
    faults.appendFile = 'ENOSPC';
    await expect(handle(inbox, 'evt_2')).rejects.toMatchObject({ code: 'ENOSPC' });
    delete faults.appendFile;
    await inbox.settle(copy('evt_2'));
    await handle(inbox, 'evt_3');
    expect(await knows('evt_1', 'evt_2', 'evt_3')).toEqual([true, true, true]);
  });

  for (const { broken, because } of [
    { broken: { datasync: 'EIO' }, because: 'a sync fails: what is on disk is unknown' },
    { broken: { appendFile: 'EIO', truncate: 'EIO' }, because: 'half a line cannot be taken back' },
  ]) {
    test(`it takes nothing more after ${because}`, async () => {
      const { faults, openFile } = fallible();
      const inbox = await openInbox(openFile);
      Object.assign(faults, broken);
      await expect(handle(inbox, 'evt_1')).rejects.toMatchObject({ code: 'inbox_broken' });
      for (const name of Object.keys(broken)) delete faults[name as keyof typeof faults];
      await expect(inbox.settle(copy('evt_1'))).rejects.toMatchObject({ code: 'inbox_broken' });
      await expect(inbox.claim(copy('evt_2'))).rejects.toMatchObject({ code: 'inbox_broken' });
    });
  }

  test('lines that cannot be left out stay, and nothing is lost by it', async () => {
    const { faults, openFile } = fallible();
    const inbox = await openInbox(openFile);
    await handle(inbox, ...Array.from({ length: 1_200 }, (_, index) => `old_${index}`));
    clock.now += 36 * dayMs;
    faults.open = 'EACCES';
    await handle(inbox, 'evt_1');
    await handle(inbox, 'evt_2');
    expect((await readFile(path, 'utf8')).split('\n')).toHaveLength(1_204);
    expect(await knows('evt_1', 'evt_2')).toEqual([true, true]);
  });
});

describe('two processes with one file', () => {
  test('the first one stops when another has put its own file in its place', async () => {
    const first = await openInbox();
    await openInbox();
    await expect(first.claim(copy('evt_1')), 'before its handler has run').rejects.toMatchObject({
      code: 'inbox_shared',
    });
  });

  test('the first one writes down nothing that it handled meanwhile', async () => {
    const first = await openInbox();
    await first.claim(copy('evt_1'));
    await openInbox();
    await expect(first.settle(copy('evt_1'))).rejects.toMatchObject({ code: 'inbox_shared' });
    expect(await knows('evt_1')).toEqual([false]);
  });

  test('of many that start in one moment one goes on, with all that was known', async () => {
    await handle(await openInbox(), 'evt_1');
    const started = await Promise.all(Array.from({ length: 8 }, () => openInbox()));
    const claims = await Promise.all(
      started.map((inbox) => inbox.claim(copy('evt_2')).catch(({ code }) => code)),
    );
    expect(claims.filter((claim) => claim === 'yours')).toHaveLength(1);
    expect(claims.filter((claim) => claim === 'inbox_shared')).toHaveLength(7);
    expect(await knows('evt_1')).toEqual([true]);
    expect(await readdir(folder)).toEqual(['inbox.jsonl']);
  });

  test('it stops when lines stand in it that it did not write', async () => {
    const inbox = await openInbox();
    await writeFile(path, '\n', { flag: 'a' });
    await expect(handle(inbox, 'evt_1')).rejects.toMatchObject({ code: 'inbox_shared' });
  });
});

test('a closed inbox has finished what was begun, and says that it is closed', async () => {
  const inbox = await openInbox();
  await inbox.claim(copy('evt_1'));
  const settled = inbox.settle(copy('evt_1'));
  await inbox.close();
  await settled;
  await expect(inbox.claim(copy('evt_2'))).rejects.toMatchObject({ code: 'inbox_closed' });
  opened = [];
  expect(await knows('evt_1')).toEqual([true]);
});
