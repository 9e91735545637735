import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Receipt, startSampleSubscriber } from '../src/cli/demo/sample-subscriber.ts';
import { documentedEventTypes } from '../src/domain/event.ts';
import { type RunningSandbox, startSandbox } from '../src/sandbox/server.ts';
import { receivingSubscriber } from './world/subscriber.ts';

const relayCommand = resolve(import.meta.dirname, '../dist/cli/index.js');

let folder: string;
let sandbox: RunningSandbox;
let children: ChildProcess[];
let closers: (() => Promise<void>)[];

beforeEach(async () => {
  if (!existsSync(relayCommand)) throw new Error(`${relayCommand} is not there: run \`npm run build\` first`);
  folder = mkdtempSync(join(tmpdir(), 'relay-e2e-'));
  sandbox = await startSandbox({ seed: 11 });
  children = [];
  closers = [() => sandbox.close()];
});

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  for (const close of closers) await close();
  rmSync(folder, { recursive: true, force: true });
});

/** What a subscriber outside of the relay saw: kept by this process, which nobody kills. */
async function aSubscriber(name: string, answer: (eventId: string, attempt: number) => number) {
  const receipts: Receipt[] = [];
  const secret = 'an-end-to-end-secret-of-over-32-characters';
  const challengeToken = `challenge-of-${name}`;
  const subscriber = await startSampleSubscriber({
    name,
    profile: 'fullscript',
    secret,
    challengeToken,
    answer,
    onReceipt: (receipt) => receipts.push(receipt),
  });
  closers.push(() => subscriber.close());
  const declared = { name, url: subscriber.url, secret, challengeToken, retrySeconds: [1, 1, 2, 2, 4] };
  return { receipts, declared };
}

function configure(subscribers: readonly object[]): void {
  const env = {
    RELAY_MASTER_KEY: randomBytes(32).toString('base64'),
    RELAY_JWT_SECRET: randomBytes(32).toString('base64'),
  };
  const lines = Object.entries(env)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
  writeFileSync(join(folder, '.env'), lines, { mode: 0o600 });
  const config = {
    source: {
      environment: 'us-sandbox',
      apiUrl: `${sandbox.url}/api`,
      clientId: 'sandbox-client',
      clientSecret: 'sandbox-secret',
      pollSecondsMin: 1,
      pollSecondsMax: 2,
      startFrom: '1h',
    },
    clinics: sandbox.fullscript.clinics.map(({ name, slug }) => ({
      name,
      accessToken: `sandbox-access-${slug}`,
      refreshToken: `sandbox-refresh-${slug}`,
    })),
    subscribers,
    delivery: { allowPrivateAddresses: true, allowHttp: true },
    server: { port: 0 },
  };
  writeFileSync(join(folder, 'relay.config.json'), JSON.stringify(config));
}

function serve(): ChildProcess {
  const child = spawn(process.execPath, [relayCommand, 'serve'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  return child;
}

/** A verb of the command line against a running relay, with the relay's own keys; its answer as JSON. */
function relayCli(url: string, ...verb: readonly string[]) {
  const env = { ...process.env, RELAY_URL: url };
  return promisify(execFile)(process.execPath, [relayCommand, ...verb, '--json'], { cwd: folder, env });
}

function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((done) => child.once('exit', (code) => done(code)));
}

async function until(isSo: () => boolean, what: string, withinMs = 40_000): Promise<void> {
  const end = performance.now() + withinMs;
  while (!isSo()) {
    if (performance.now() > end) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('kill -9 at any moment of serve, and a restart on the same data: nothing lost, every repeat under the same ids', async () => {
  // One event in eight: five different ones that fail in a row would open its breaker, which waits 30 s.
  const stumbling = await aSubscriber('stumbling', (eventId, attempt) =>
    attempt === 1 && /^[01]/.test(eventId) ? 503 : 200,
  );
  const steady = await aSubscriber('steady', () => 200);
  configure([stumbling.declared, steady.declared]);
  const kills = 6;
  for (let life = 0; life < kills; life++) {
    const relay = serve();
    const before = steady.receipts.length;
    for (const clinic of ['Washington', 'New York']) {
      for (const type of documentedEventTypes.slice(life, life + 6))
        sandbox.fullscript.addEvent({ clinic, type });
    }
    // Not always at the same point of its life: after the first, the third, the fifth … receipt.
    await until(() => steady.receipts.length > before + life * 2, `life ${life} delivers`);
    relay.kill('SIGKILL');
    await ended(relay);
  }
  const last = serve();
  const listed = sandbox.fullscript.ledger();
  const acceptedBy = (receipts: readonly Receipt[]) =>
    new Set(receipts.filter(({ status }) => status === 200).map(({ eventId }) => eventId));
  for (const { receipts } of [stumbling, steady]) {
    await until(() => acceptedBy(receipts).size === listed.length, 'everything listed is accepted');
  }
  last.kill('SIGTERM');
  expect(await ended(last)).toBe(0);

  const texts = new Map(listed.map((event) => [event.id, event.text]));
  for (const { receipts } of [stumbling, steady]) {
    const attempts = new Map<string, number>();
    for (const receipt of receipts) {
      expect(receipt.isSignatureValid).toBe(true);
      expect(receipt.eventText).toBe(texts.get(receipt.eventId));
      expect(receipt.attempt).toBeGreaterThan(attempts.get(receipt.deliveryId) ?? 0);
      attempts.set(receipt.deliveryId, receipt.attempt);
    }
    expect(attempts.size).toBe(listed.length);
    // A kill can cut off what is in flight, and nothing else may come twice.
    const accepted = receipts.filter(({ status }) => status === 200);
    expect(accepted.length - listed.length).toBeLessThanOrEqual(kills * 64);
  }
}, 120_000);

test('case 30: a second signal ends the relay at once, and the next start sends what was cut off', async () => {
  let isHanging = true;
  const asked: (string | undefined)[] = [];
  const endpoint = createServer((request, response) => {
    asked.push(request.headers['relay-attempt']?.toString());
    if (!isHanging) response.end();
  });
  await new Promise<void>((listening) => endpoint.listen(0, '127.0.0.1', listening));
  closers.push(async () => {
    endpoint.closeAllConnections();
    endpoint.close();
  });
  const { port } = endpoint.address() as AddressInfo;
  const secret = 'an-end-to-end-secret-of-over-32-characters';
  configure([{ name: 'hanging', url: `http://127.0.0.1:${port}/hook`, secret }]);
  sandbox.fullscript.addEvent({ clinic: 'Washington', type: 'order.placed' });
  const relay = serve();
  await until(() => asked.length > 0, 'the event is sent');
  relay.kill('SIGTERM');
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(relay.exitCode).toBeNull();
  const signalledAt = performance.now();
  relay.kill('SIGTERM');
  expect(await ended(relay)).toBe(1);
  expect(performance.now() - signalledAt).toBeLessThan(5_000);
  isHanging = false;
  serve();
  await until(() => asked.length > 1, 'the event is sent again');
  expect(asked).toEqual(['1', '2']);
}, 60_000);

for (const reader of ['stops reading', 'goes away'] as const) {
  test(`case 35: a log whose reader ${reader} stops neither the relay nor its end`, async () => {
    const steady = await aSubscriber('steady', () => 200);
    const second = await aSubscriber('second', () => 200);
    configure([steady.declared, second.declared]);
    const relay = serve();
    relay.stdout?.once('data', () => {
      if (reader === 'goes away') relay.stdout?.destroy();
      else relay.stdout?.pause();
    });
    // Of two attempts each: more lines than pipes hold.
    const count = 500;
    for (let made = 0; made < count; made++) {
      sandbox.fullscript.addEvent({ clinic: 'Washington', type: 'order.placed' });
    }
    await until(() => steady.receipts.length >= count, 'everything is delivered');
    await until(() => second.receipts.length >= count, 'everything is delivered twice');
    relay.kill('SIGTERM');
    expect(await ended(relay)).toBe(0);
  }, 120_000);
}

/** Neither the data folder nor the output holds any of these. */
function expectNowhere(canaries: readonly string[], output: string): void {
  const everything = readdirSync(join(folder, 'data'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name)).toString('latin1'));
  expect(everything.length).toBeGreaterThan(3);
  for (const canary of canaries)
    for (const text of [...everything, output]) expect(text).not.toContain(canary);
}

function addCanaryPatient(): void {
  const patient = { patient: { id: 'p-1', first_name: 'Canary-Zoë', email: 'canary@example.test' } };
  sandbox.fullscript.addEvent({ clinic: 'Washington', type: 'patient.created', data: patient });
}

/** What a child says, on both of its ways out. */
function outputOf(child: ChildProcess): { text: string } {
  const output = { text: '' };
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => (output.text += chunk.toString()));
  }
  return output;
}

test('nothing that is secret or of a patient lies readable in the data folder', async () => {
  const steady = await aSubscriber('steady', () => 200);
  configure([steady.declared]);
  addCanaryPatient();
  const relay = serve();
  const output = outputOf(relay);
  await until(() => steady.receipts.length > 0, 'the event arrives');
  expect(steady.receipts[0]?.eventText).toContain('Canary-Zoë');
  relay.kill('SIGTERM');
  expect(await ended(relay)).toBe(0);
  expectNowhere(
    ['Canary', 'canary@', 'sandbox-access', 'sandbox-refresh', 'end-to-end-secret', 'challenge-of'],
    output.text,
  );
}, 60_000);

test('case 130: a failing answer that echoes the request is kept, and nothing of it lies readable', async () => {
  const echo = await receivingSubscriber();
  closers.push(() => echo.close());
  echo.answer(({ headers, body }) => ({
    status: 500,
    body: `${headers['fullscript-signature']} ${headers['x-gateway']} ${body}`,
  }));
  const secret = 'an-end-to-end-secret-of-over-32-characters';
  const headers = { 'X-Gateway': 'gateway-pass' };
  configure([{ name: 'echo', url: echo.url, secret, headers, retrySeconds: [1] }]);
  addCanaryPatient();
  const relay = serve();
  const output = outputOf(relay);
  const attempts = () => output.text.split('"msg":"attempt"').length - 1;
  await until(() => attempts() >= 2, 'the event is refused twice');
  const url = /http:\/\/127\.0\.0\.1:\d+/.exec(output.text)?.[0] ?? '';
  const [one] = JSON.parse((await relayCli(url, 'deliveries', 'list')).stdout).data;
  const shown = (await relayCli(url, 'deliveries', 'show', one.id)).stdout;
  expect(shown, 'its owner may see what was answered').toContain('Canary-Zo');
  relay.kill('SIGTERM');
  expect(await ended(relay)).toBe(0);
  const signatures = echo.requests.map((request) =>
    String(request.headers['fullscript-signature']).slice(-64),
  );
  expect(signatures[0]).toMatch(/^[0-9a-f]{64}$/);
  expectNowhere(['Canary', 'canary@', 'gateway-pass', 'end-to-end-secret', ...signatures], output.text);
}, 60_000);
