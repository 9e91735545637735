import { promises } from 'node:dns';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { run } from '../../src/cli/program.ts';
import { verify } from '../../src/receiver/verify.ts';
import { type Answer, type StandIn, standIn } from '../client/stand-in.ts';
import { simulatedClock } from '../world/clock.ts';
import { type Outside, outside } from './outside.ts';

// What forwards is loaded when it is needed, which takes real time; the tests' clock is simulated.
beforeAll(() => import('../../src/main.ts'));

const startedAt = Date.parse('2026-11-22T12:00:00Z');
const secret = 'f9e0cbb95cd7b126ee072797acde99efa8e1cd9de52a40dc6e0420a7410e7d47';
const body = '{"id":"e1", "n":12345678901234567890,"s":"\\u00e9é"}';

const listeningLine =
  'Listening; Ctrl-C stops it. Each line ends with a position: --after goes on behind it.';

const message = (name: string, id: string, data: object) =>
  `id: ${id}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
const position = (id: string) => message('position', id, {});
const event = (id: string, changes: object = {}) =>
  message('event', `p-${id}`, {
    id,
    type: 'order.placed',
    clinicId: 'cl_1',
    category: 'orders',
    recordedAt: '2026-11-22T12:00:01.000Z',
    bodyBase64: Buffer.from(body.replace('e1', id)).toString('base64'),
    ...changes,
  });
const streamOf = (...messages: string[]) => ({
  status: 200,
  text: messages.join(''),
  headers: { 'content-type': 'text/event-stream; charset=utf-8' },
});
const brokenOff = (...messages: string[]): Answer => ({ ...streamOf(...messages), breaks: true });

interface Listening {
  readonly relay: StandIn;
  readonly around: Outside;
  readonly exit: Promise<number>;
  /** Moves time on until it is so. */
  until(isSo: () => boolean): Promise<void>;
}

/** A relay whose streams end after what `answers` says, one after the other; from then on it is quiet. */
async function listening(argv: readonly string[], answers: readonly Answer[]): Promise<Listening> {
  let asked = 0;
  const relay = await standIn(() => answers[asked++] ?? { destroy: true });
  const clock = simulatedClock(startedAt);
  const around = await outside({ env: { RELAY_URL: relay.url, RELAY_TOKEN: 't', SIGNING: secret }, clock });
  onTestFinished(async () => {
    await relay.close();
    await around.discard();
  });
  const beside = `http://127.0.0.1:${(await receiver()).port}`;
  const exit = run(['listen', ...argv], around);
  return {
    relay,
    around,
    exit,
    async until(isSo) {
      for (let turn = 0; turn < 2_000 && !isSo(); turn++) {
        await clock.advance(100);
        // What crosses real sockets gets as far as this does.
        await fetch(beside);
      }
      expect(isSo(), around.err() + around.out()).toBe(true);
    },
  };
}

interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

async function receiver(port = 0, status = 204) {
  const received: Received[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    received.push({ headers: request.headers, body: Buffer.concat(chunks) });
    response.writeHead(status).end();
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  onTestFinished(() => void server.close().closeAllConnections());
  return { received, port: (server.address() as AddressInfo).port, close: () => server.close() };
}

test('each event is a line, and a connection that breaks is made again after what was shown last', async () => {
  const { relay, around, exit, until } = await listening(
    [],
    [brokenOff(position('p-0'), event('e1'), event('e2')), { destroy: true }, streamOf(event('e3'))],
  );
  await until(() => around.out().includes('e3'));
  around.stop();
  expect(await exit).toBe(0);
  expect(around.out().split('\n').slice(0, 3)).toEqual(
    ['e1', 'e2', 'e3'].map((id) => `12:00:01  order.placed  ${id}  cl_1  p-${id}`),
  );
  expect(relay.seen.slice(0, 3).map(({ path }) => path)).toEqual([
    '/v1/listen',
    '/v1/listen?after=p-e2',
    '/v1/listen?after=p-e2',
  ]);
  expect(around.err().split('\n')).toEqual([
    listeningLine,
    'The connection is gone; trying again.',
    'Connected again.',
    'Stopped.',
    'To go on from here: --after p-e3',
    '',
  ]);
});

test('a stream that the relay ends, as it does when a token lapses, is followed by the next without a word', async () => {
  const { relay, around, exit, until } = await listening(
    [],
    [streamOf(position('p-0'), event('e1')), streamOf(event('e2')), streamOf(event('e3'))],
  );
  await until(() => around.out().includes('e3'));
  around.stop();
  await exit;
  expect(relay.seen[2]?.path).toBe('/v1/listen?after=p-e2');
  expect(around.err()).toBe(`${listeningLine}\nStopped.\nTo go on from here: --after p-e3\n`);
});

for (const { between, because } of [
  {
    between: { status: 502, text: '<h1>Bad Gateway</h1>', isProxys: true },
    because: 'a proxy that answers while the relay starts anew',
  },
  { between: { status: 503, json: { code: 'store_unavailable' } }, because: 'a relay whose disk is full' },
  { between: { status: 429, json: { code: 'rate_limited' } }, because: 'a relay that is asked too often' },
] satisfies { between: Answer; because: string }[]) {
  test(`${because} ends nothing once the relay was heard, and everything before`, async () => {
    const { around, exit, until } = await listening(
      [],
      [brokenOff(position('p-0')), between, streamOf(event('e1'))],
    );
    await until(() => around.out().includes('e1'));
    around.stop();
    expect(await exit).toBe(0);
    expect(await (await listening(['--after', 'p-0'], [between, streamOf(event('e1'))])).exit).toBe(1);
  });
}

test('a token that was revoked ends it, and where to go on is told', async () => {
  const { around, exit, until } = await listening(
    [],
    [streamOf(position('p-0'), event('e1')), { status: 401, json: { code: 'unauthorized' } }],
  );
  await until(() => around.err().includes('RELAY_TOKEN'));
  expect(await exit).toBe(1);
  expect(around.err()).toContain('To go on from here: --after p-e1');
});

test('a relay that takes the call and says nothing is not waited for without end', async () => {
  const { around, exit, until } = await listening([], [{ silent: true }]);
  await until(() => around.err().includes('did not answer within 45 s'));
  expect(await exit).toBe(1);
});

test('what is forwarded is signed as a subscriber gets it, and not a byte of the event changes', async () => {
  const { received, port } = await receiver();
  const url = `http://127.0.0.1:${port}/hook`;
  const argv = ['--forward-to', url, '--secret-env', 'SIGNING'];
  const { around, exit, until } = await listening(argv, [
    streamOf(position('p-0'), event('e1'), event('e2')),
  ]);
  await until(() => around.out().includes('e2'));
  around.stop();
  await exit;
  const [first, second] = received as [Received, Received];
  expect(first.body.toString()).toBe(`{"event":${body}}`);
  expect(first.headers['relay-sequence']).toBe('1');
  expect(second.headers['relay-sequence']).toBe('2');
  expect(around.out()).toMatch(/e1 {2}cl_1 → accepted 204 in \d+ ms/);
  expect(around.err()).not.toContain(secret);
  const now = () => startedAt;
  expect(verify(first, { secrets: [secret], now, toleranceSeconds: 3_600 })).toMatchObject({
    kind: 'verified',
    sequence: 1,
  });
});

test('while nobody listens at the URL the event waits, and it is not lost when the wait is cut off', async () => {
  const { port, close } = await receiver();
  close();
  const argv = ['--forward-to', `http://127.0.0.1:${port}/hook`];
  const { around, exit, until } = await listening(argv, [streamOf(position('p-0'), event('e1'))]);
  await until(() => around.err().includes('Nobody answers there yet'));
  const { received } = await receiver(port);
  await until(() => received.length === 1);
  await until(() => around.out().includes('accepted 204'));
  around.stop();
  await exit;
  expect(received[0]?.headers['relay-sequence']).toBe('1');
  expect(around.err()).toContain('--after p-e1');
});

test('Ctrl-C while an event waits leaves it to the next run', async () => {
  const { port, close } = await receiver();
  close();
  const argv = ['--forward-to', `http://127.0.0.1:${port}/hook`];
  const { around, exit, until } = await listening(argv, [streamOf(position('p-0'), event('e1'))]);
  await until(() => around.err().includes('Nobody answers there yet'));
  around.stop();
  expect(await exit).toBe(0);
  expect(around.err()).toContain('--after p-0');
  expect(around.out()).toBe('');
});

test('Ctrl-C does not wait for a receiver that hangs, and its event is left to the next run', async () => {
  const hanging = createServer();
  await new Promise<void>((resolve) => hanging.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void hanging.close().closeAllConnections());
  const { port } = hanging.address() as AddressInfo;
  const argv = ['--forward-to', `http://127.0.0.1:${port}/hook`];
  const { around, exit, until } = await listening(argv, [streamOf(position('p-0'), event('e1'))]);
  const asked = once(hanging, 'request');
  await until(() => around.err().includes('Listening'));
  await asked;
  around.stop();
  expect(await exit).toBe(0);
  expect(around.err()).toContain('--after p-0');
  expect(around.out()).toBe('');
});

test('a receiver that refuses stops nothing: each refusal says loudly how to forward it again, and so does the end', async () => {
  const { port } = await receiver(0, 500);
  const argv = ['--forward-to', `http://127.0.0.1:${port}/hook`, '--after', 'p-00'];
  const { around, exit, until } = await listening(argv, [streamOf(event('e1'), event('e2'))]);
  await until(() => around.out().includes('e2'));
  around.stop();
  expect(await exit).toBe(0);
  expect(around.out()).toMatch(/e1 {2}cl_1 → status 500 in \d+ ms {2}p-e1\n/);
  expect(around.err()).toContain('  It was not taken. To forward again from there: --after p-00\n');
  expect(around.err()).toContain('  It was not taken. To forward again from there: --after p-e1\n');
  expect(around.err()).toMatch(/\nNot taken: 2 of 2. To forward again from there: --after p-00\n$/);
});

test('what is refused before the relay gave a position is forwarded again from the moment that was asked for', async () => {
  const { port } = await receiver(0, 500);
  const url = `http://127.0.0.1:${port}/hook`;
  const argv = ['--forward-to', url, '--since', '2026-11-22T11:00:00Z'];
  const { around, exit, until } = await listening(argv, [streamOf(event('e1'), event('e2'))]);
  await until(() => around.out().includes('e2'));
  around.stop();
  await exit;
  expect(around.err()).toContain(
    'not taken. To forward again from there: --since 2026-11-22T11:00:00.000Z\n',
  );
  expect(around.err()).toContain('not taken. To forward again from there: --after p-e1\n');
  expect(around.err()).toMatch(/Not taken: 2 of 2. .+ --since 2026-11-22T11:00:00.000Z\n$/);
});

for (const { argv, sent } of [
  { argv: ['--envelope', 'both'], sent: `{"event":${body},"event_payload":{"event":${body}}}` },
  { argv: ['--thin'], sent: '{"event":{"id":"e1"}}' },
  { argv: ['--profile', 'standard'], sent: body },
]) {
  test(`${argv.join(' ')} sends what a subscriber of that kind gets`, async () => {
    const { received, port } = await receiver();
    const url = `http://localhost:${port}/hook`;
    const { around, exit, until } = await listening(
      ['--forward-to', url, ...argv],
      [streamOf(position('p-0'), event('e1'))],
    );
    await until(() => around.out().includes('accepted 204'));
    around.stop();
    await exit;
    expect(received[0]?.body.toString()).toBe(sent);
  });
}

test('a name that leads beyond the own network is not sent to in the clear, and nothing is lost by it', async () => {
  const lookUp = vi
    .spyOn(promises, 'lookup')
    .mockImplementation((async () => [
      { address: '203.0.113.7', family: 4 },
    ]) as unknown as typeof promises.lookup);
  onTestFinished(() => lookUp.mockRestore());
  const argv = ['--forward-to', 'http://receiver.example:3000/hook'];
  const { around, exit, until } = await listening(argv, [streamOf(position('p-0'), event('e1'))]);
  await until(() => around.err().includes('plain http is not allowed'));
  expect(await exit).toBe(1);
  expect(around.err()).toContain('--after p-0');
  expect(around.out()).toBe('');
});

test('with --json each event is one line, its text too if asked for', async () => {
  const { around, exit, until } = await listening(
    ['--json', '--print-bodies'],
    [streamOf(position('p-0'), event('e1'), event('e2', { bodyBase64: null }))],
  );
  await until(() => around.out().split('\n').length === 3);
  around.stop();
  await exit;
  const [first, second] = around
    .out()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(first).toMatchObject({ position: 'p-e1', id: 'e1', body, outcome: null });
  expect(second).toMatchObject({ id: 'e2', body: null });
});

for (const { argv, exit, err } of [
  { argv: ['--profile', 'x'], exit: 2, err: 'There is no profile x.' },
  { argv: ['--forward-to', 'ftp://x'], exit: 2, err: 'is no URL' },
  { argv: ['--forward-to', 'http://me:pw@localhost:3000'], exit: 2, err: 'holds a user name or password' },
  { argv: ['--forward-to', 'http://203.0.113.7/hook'], exit: 2, err: 'plain http is not allowed' },
  { argv: ['--forward-to', 'http://169.254.169.254/'], exit: 2, err: 'which is never allowed' },
  { argv: ['--forward-to', 'http://localhost:1', '--envelope', 'x'], exit: 2, err: 'Allowed choices are' },
  { argv: ['--after', 'p-0'], exit: 1, err: 'No relay answers' },
  { argv: ['--secret-env', 'SIGNING'], exit: 2, err: 'Add --forward-to URL.' },
  { argv: ['--since', '1h', '--after', 'p'], exit: 2, err: 'Choose one of them.' },
  { argv: [], exit: 1, err: 'No relay answers' },
]) {
  test(`relay listen ${argv.join(' ')} with nobody there says: ${err}`, async () => {
    const { around, exit: ended } = await listening(argv, []);
    expect(await ended).toBe(exit);
    expect(around.err()).toContain(err);
    expect(around.err()).not.toContain('pw@');
  });
}

test('a position that the relay refuses ends it', async () => {
  const gone = { code: 'position_gone', detail: 'It is not kept.', hint: 'Begin anew.' };
  const { around, exit } = await listening(['--after', 'p-9'], [{ status: 410, json: gone }]);
  expect(await exit).toBe(1);
  expect(around.err()).toContain('It is not kept.');
});
