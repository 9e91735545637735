import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { StoreBroken, StoreLocked } from '../../src/domain/errors.ts';
import { realDisk } from '../../src/store/file/disk.ts';
import { kernelLock } from '../../src/store/file/lock.ts';
import { simulatedClock } from '../world/clock.ts';
import { storeOn } from '../world/disk.ts';
import { builtProgram, run } from '../world/process.ts';
import { aClinic } from './fixtures.ts';

let program: Awaited<ReturnType<typeof builtProgram>>;
let path: string;

beforeAll(async () => {
  program = await builtProgram('store-process.ts');
});
afterAll(() => program.discard());
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'relay-lock-'));
});
afterEach(() => rm(path, { recursive: true }));

const open = () => storeOn(realDisk, systemClock(), { path, lock: kernelLock });

test('a second opener in the same process is refused, and gets the store when the first one closed it', async () => {
  const store = await open();
  await expect(open()).rejects.toThrow(StoreLocked);
  await store.close();
  await (await open()).close();
});

test('case 69: a second process is refused within a second, is told who has the store, and disturbs nobody', async () => {
  const store = await open();
  const second = run(program.path, [path, 'hold']);
  const startedAt = performance.now();
  const refusal = await second.line('refused');
  expect(refusal).toContain(`store_locked: The store is in use by process ${process.pid} on `);
  await second.ended;
  expect(performance.now() - startedAt).toBeLessThan(5_000);
  await store.saveClinic(aClinic());
  expect(await store.clinics()).toHaveLength(1);
  await store.close();
});

test('case 69: the refusal itself takes less than a second', async () => {
  const store = await open();
  const startedAt = performance.now();
  await expect(open()).rejects.toThrow(StoreLocked);
  expect(performance.now() - startedAt).toBeLessThan(1_000);
  await store.close();
});

test('case 70: a holder that was killed holds nothing: the next one has the store at once', async () => {
  const holder = run(program.path, [path, 'hold']);
  await holder.line('open');
  await expect(open()).rejects.toThrow(`in use by process ${holder.child.pid} on `);
  holder.child.kill('SIGKILL');
  await holder.ended;
  const startedAt = performance.now();
  const store = await open();
  expect(performance.now() - startedAt).toBeLessThan(1_000);
  await store.close();
});

test('case 71: a holder that was stopped for a while still holds it', async () => {
  const holder = run(program.path, [path, 'hold']);
  await holder.line('open');
  holder.child.kill('SIGSTOP');
  await expect(open()).rejects.toThrow(StoreLocked);
  holder.child.kill('SIGCONT');
  await expect(open()).rejects.toThrow(StoreLocked);
  holder.child.kill('SIGKILL');
  await holder.ended;
});

test('case 72: what the clock says does not matter', async () => {
  const store = await open();
  const tomorrow = simulatedClock(Date.now() + 86_400_000);
  await expect(storeOn(realDisk, tomorrow, { path, lock: kernelLock })).rejects.toThrow(StoreLocked);
  await store.close();
});

test('case 76: a holder whose lock file was removed writes nothing more, and disturbs nobody who came after it', async () => {
  const first = await open();
  await first.saveClinic(aClinic('c1', 'One'));
  await unlink(join(path, 'lock'));
  const second = await open();
  await second.saveClinic(aClinic('c2', 'Two'));
  await expect(first.saveClinic(aClinic('c3', 'Three'))).rejects.toThrow(StoreBroken);
  expect(first.troubles).toMatchObject([{ code: 'store_broken', message: expect.stringContaining('lock') }]);
  await first.close();
  await second.saveClinic(aClinic('c4', 'Four'));
  await second.close();
  const third = await open();
  expect((await third.clinics()).map(({ name }) => name)).toEqual(['One', 'Two', 'Four']);
  await third.close();
});

const canUnshare = spawnSync('unshare', ['--pid', '--fork', 'true']).status === 0;

test.skipIf(!canUnshare)(
  `case 73: a process that sees other process ids, as in another container, is refused all the same${canUnshare ? '' : ' (skipped: unshare is not allowed here)'}`,
  async () => {
    const store = await open();
    const inside = spawn('unshare', ['--pid', '--fork', process.execPath, program.path, path, 'hold'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    inside.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await new Promise((ended) => inside.once('close', ended));
    expect(said).toContain(`store_locked: The store is in use by process ${process.pid} on `);
    await store.close();
  },
);

test('an open that fails gives the lock back', async () => {
  await (await open()).close();
  const masterKeys = { current: Buffer.alloc(32, 9), previous: null };
  await expect(
    storeOn(realDisk, systemClock(), { path, lock: kernelLock, masterKeys }),
  ).rejects.toMatchObject({ code: 'wrong_master_key' });
  await (await open()).close();
});
