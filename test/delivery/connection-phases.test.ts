import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Clock } from '../../src/clock.ts';
import type { AddressGuard } from '../../src/delivery/address-guard.ts';
import { followPhases, phaseOfConnection } from '../../src/delivery/connection-phases.ts';
import { createWebhookSender } from '../../src/delivery/webhook-sender.ts';
import { simulatedClock } from '../world/clock.ts';
import { hostile, openGuard, request } from './sending.ts';

function slowly(guard: AddressGuard = openGuard()) {
  const clock = simulatedClock(0);
  const created = createWebhookSender({ guard, clock });
  onTestFinished(() => created.close());
  return { clock, post: created.post };
}

/** More than any phase may last, so that what ends an exchange is its phase. */
const timeoutMs = 60_000;

/** A listener whose queue is full and who accepts nobody: the kernel drops what dials it. */
async function blackHole(): Promise<number> {
  const program = `
    const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      require('node:fs').writeSync(1, String(server.address().port));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 30_000);
    });`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [bytes] = (await once(child.stdout, 'data')) as [Buffer];
  const port = Number(bytes.toString());
  const queued: Socket[] = [];
  onTestFinished(() => {
    for (const socket of queued) socket.destroy();
  });
  // A backlog of one holds two; whoever comes then waits in vain.
  for (let n = 0; n < 4; n += 1) queued.push(connect(port, '127.0.0.1').on('error', () => {}));
  await Promise.all(queued.slice(0, 2).map((socket) => once(socket, 'connect')));
  return port;
}

describe('each phase of a connection ends after five seconds, however long the exchange may last', () => {
  test('case 78: eight names whose servers never answer; somebody else is sent to meanwhile', async () => {
    const peer = await hostile({ onRequest: (socket) => socket.write('HTTP/1.1 204 Ok\r\n\r\n') });
    const { clock, post } = slowly(
      openGuard((host) => (host.startsWith('dead') ? new Promise(() => {}) : Promise.resolve(['127.0.0.1']))),
    );
    const dead = Array.from({ length: 8 }, (_, n) =>
      post(request(`http://dead${n}.example/`, { timeoutMs })),
    );
    const other = await post(request(`http://alive.example:${peer.port}/`, { timeoutMs }));
    expect(other).toMatchObject({ kind: 'answered', status: 204 });
    await clock.advance(4_999);
    await clock.advance(1);
    expect(await Promise.all(dead)).toEqual(
      Array(8).fill({ kind: 'timedOut', phase: 'dns', timeoutMs: 5_000 }),
    );
    expect(clock.waiting).toBe(0);
  });

  test.runIf(process.platform === 'linux')(
    'case 81: a black hole where somebody should accept',
    async () => {
      const port = await blackHole();
      const { clock, post } = slowly();
      const posted = post(request(`http://127.0.0.1:${port}/`, { timeoutMs }));
      await clock.advance(5_000);
      expect(await posted).toEqual({ kind: 'timedOut', phase: 'connect', timeoutMs: 5_000 });
      expect(clock.waiting).toBe(0);
    },
    20_000,
  );

  test('case 89: a handshake that never ends, and its connection is closed', async () => {
    const peer = await hostile({});
    const { clock, post } = slowly();
    const posted = post(request(`https://localhost:${peer.port}/`, { timeoutMs }));
    await peer.until(() => peer.received().length > 0);
    await clock.advance(5_000);
    expect(await posted).toEqual({ kind: 'timedOut', phase: 'tls', timeoutMs: 5_000 });
    await peer.until(() => peer.open() === 0);
    expect(clock.waiting).toBe(0);
  });

  test('but the answer has as long as the exchange', async () => {
    const peer = await hostile({});
    const { clock, post } = slowly();
    const posted = post(request(peer, { timeoutMs }));
    await peer.until(() => peer.received().length > 0);
    await clock.advance(59_999);
    await clock.advance(1);
    expect(await posted).toEqual({ kind: 'timedOut', phase: 'headers', timeoutMs });
  });
});

test('a connection that was made while the process was held up is kept', async () => {
  const clock = simulatedClock(0);
  const socket = new Duplex({ read() {}, write() {} });
  const heldUp: Clock = {
    ...clock,
    after: (delayMs, then) =>
      clock.after(delayMs, () => {
        then();
        socket.emit('connect');
      }),
  };
  followPhases(socket, 'connect', heldUp);
  await clock.advance(5_000);
  expect(phaseOfConnection(socket)).toBeNull();
  expect(socket.destroyed).toBe(false);
});
