import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createHandshake } from '../../src/delivery/handshake.ts';
import { silentLogger } from '../../src/logger.ts';
import { eventually } from '../world/eventually.ts';
import { loopbackSender } from '../world/sender.ts';
import { eventText, fullscriptSecret, signed, speakers } from './signed.ts';

const run = promisify(execFile);
const root = resolve(import.meta.dirname, '../..');

/** A project of somebody else's, in which the package and Express are installed. */
let project: string;

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'receiver-'));
  await mkdir(join(project, 'node_modules/@types'), { recursive: true });
  await symlink(root, join(project, 'node_modules/fullscript-relay'));
  for (const name of ['express', '@types/node', '@types/express']) {
    await symlink(join(root, 'node_modules', name), join(project, 'node_modules', name));
  }
});
afterAll(() => rm(project, { recursive: true }));

/** Every file that importing the built entry loads, and every module of others. */
async function loadedBy(entry: string): Promise<{ files: Set<string>; modules: Set<string> }> {
  const files = new Set<string>();
  const modules = new Set<string>();
  const waiting = [entry];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (files.has(file)) continue;
    files.add(file);
    const text = await readFile(file, 'utf8');
    for (const [, specifier = ''] of text.matchAll(/(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g)) {
      if (specifier.startsWith('.')) waiting.push(resolve(dirname(file), specifier));
      else modules.add(specifier);
    }
  }
  return { files, modules };
}

test('the receiver loads nothing but Node, the wire formats, the forms of secrets and the errors', async () => {
  const { files, modules } = await loadedBy(join(root, 'dist/receiver/index.js'));
  expect([...modules].filter((name) => !name.startsWith('node:'))).toEqual([]);
  const elsewhere = [...files]
    .map((file) => relative(join(root, 'dist'), file))
    .filter((file) => !/^(receiver|wire)\//.test(file));
  expect(elsewhere.toSorted()).toEqual([
    'domain/ed25519-key.js',
    'domain/errors.js',
    'domain/signing-secret.js',
  ]);
  expect(files.size).toBeGreaterThan(10);
});

test('it can be required, too', async () => {
  const script = 'console.log(typeof require("fullscript-relay/receiver").createReceiver)';
  const { stdout } = await run(process.execPath, ['-e', script], { cwd: project });
  expect(stdout).toBe('function\n');
});

test('its types hold in a strict project, and know what is missing', async () => {
  const good = `
    import { createServer } from 'node:http';
    import express from 'express';
    import { createReceiver, type InboxStore, memoryInbox, verify } from 'fullscript-relay/receiver';
    const inbox: InboxStore = memoryInbox();
    const receiver = createReceiver({
      secrets: [process.env.SIGNING_SECRET],
      challengeToken: process.env.CHALLENGE_TOKEN,
      inbox,
      onEvent: async (event, { deliveryId, isTest }) => [event.id, event.type, deliveryId, isTest],
    });
    express().post('/hook', receiver);
    createServer(receiver);
    const verdict = verify({ headers: new Headers(), body: '{}' }, { secrets: ['x'] });
    export const told: string = verdict.kind === 'verified' ? verdict.event.id : verdict.reason;
  `;
  await writeFile(join(project, 'good.ts'), good);
  await writeFile(join(project, 'bad.ts'), good.replace('onEvent:', 'onEvents:'));
  const check = (file: string) =>
    run(
      process.execPath,
      [
        join(root, 'node_modules/typescript/bin/tsc'),
        ...['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', 'false'],
        ...['--module', 'nodenext', '--target', 'es2023', '--types', 'node', '--ignoreConfig'],
        file,
      ],
      { cwd: project },
    );
  await check('good.ts');
  await expect(check('bad.ts')).rejects.toMatchObject({ stdout: expect.stringContaining('onEvents') });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

function started(file: string, port: number): { child: ChildProcess; printed: () => string } {
  const child = spawn(process.execPath, [file], {
    cwd: project,
    env: {
      PATH: process.env.PATH,
      PORT: String(port),
      SIGNING_SECRET: fullscriptSecret,
      CHALLENGE_TOKEN: 'the-challenge-token',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      text += chunk;
    });
  }
  return { child, printed: () => text };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('exit', resolve));
}

test('the README’s receiver runs as written: each event once, across a kill, and no forged one', async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  const example = /```js\n([^`]*from 'fullscript-relay\/receiver'[^`]*)```/.exec(readme)?.[1];
  expect(example?.trim().split('\n').length).toBeLessThanOrEqual(16);
  await writeFile(join(project, 'example.mjs'), example ?? '');

  const clock = systemClock();
  const sender = loopbackSender(clock);
  const port = await freePort();
  const subscriber = {
    ...speakers.fullscript,
    url: `http://127.0.0.1:${port}/hook`,
    challengeToken: 'the-challenge-token',
  };
  let { child, printed } = started('example.mjs', port);
  onTestFinished(async () => {
    sender.close();
    await ended(child);
  });
  const shakeHands = createHandshake({
    post: sender.post,
    clock,
    logger: silentLogger,
    userAgent: 'relay/1',
  });
  const isUp = async () => (await shakeHands(subscriber)).kind === 'passed';
  await eventually(isUp, 'an answer to the handshake');

  const send = async (id: string, changes: { attempt?: number; secret?: string } = {}) => {
    const { attempt = 1, secret = fullscriptSecret } = changes;
    const to = { ...subscriber, secrets: [{ value: secret, expiresAt: null }] };
    const request = signed({ to, event: eventText(id), attempt, at: clock.wall() });
    const answer = await sender.post({
      url: subscriber.url,
      ...request,
      timeoutMs: 5_000,
      needsAnswerBody: true,
    });
    return answer.kind === 'answered' ? `${answer.status} ${answer.answer}` : answer.kind;
  };
  const taken = (receipt: string) => `200 {"challenge":"the-challenge-token","received":"${receipt}"}`;
  expect(await send('evt_1')).toBe(taken('handled'));
  expect(await send('evt_1', { attempt: 2 })).toBe(taken('duplicate'));
  expect(await send('evt_2', { secret: 'another-secret-0123456789abcdefgh' })).toContain('401');
  expect(printed()).toBe('order.placed evt_1\n');

  await ended(child);
  ({ child, printed } = started('example.mjs', port));
  await eventually(isUp, 'an answer after the restart');
  expect(await send('evt_1', { attempt: 3 })).toBe(taken('duplicate'));
  expect(await send('evt_2')).toBe(taken('handled'));
  expect(printed()).toBe('order.placed evt_2\n');
});
