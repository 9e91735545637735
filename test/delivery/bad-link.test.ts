import { connect, createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { createWebhookSender } from '../../src/delivery/webhook-sender.ts';
import { type SimulatedClock, simulatedClock } from '../world/clock.ts';
import { eventually } from '../world/eventually.ts';
import { http } from './peer.ts';
import { hostile, openGuard, request, told } from './sending.ts';

const latencyMs = 2_000;
const resendAfterMs = 1_000;
const segmentBytes = 1_400;

/**
 * A link to a port of this machine as TCP feels one that loses every fifth segment: each
 * takes its time, a lost one is sent again later and later, and holds up those behind it.
 */
async function badLink(port: number, clock: SimulatedClock) {
  const sockets = new Set<Socket>();
  const sent = { segments: 0, lost: 0, underWay: 0 };
  const carry = (from: Socket, to: Socket) => {
    let arrivesAt = 0;
    from.on('data', (bytes) => {
      for (let start = 0; start < bytes.length; start += segmentBytes) {
        let at = clock.now() + latencyMs;
        sent.segments += 1;
        // Every fifth of all is lost once, and every fifth of those once more.
        for (
          let count = sent.segments, wait = resendAfterMs;
          count % 5 === 0 && wait <= 2 * resendAfterMs;
          count /= 5, wait *= 2
        ) {
          sent.lost += 1;
          at += wait;
        }
        arrivesAt = Math.max(arrivesAt, at);
        const segment = bytes.subarray(start, start + segmentBytes);
        sent.underWay += 1;
        clock.after(arrivesAt - clock.now(), () => {
          sent.underWay -= 1;
          to.write(segment);
        });
      }
    });
    from.on('error', () => {}).once('close', () => to.destroy());
  };
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const socket of [near, far]) sockets.add(socket);
    carry(near, far);
    carry(far, near);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the link has no port');
  return { port: address.port, sent };
}

test('case 100: over two seconds of latency and a fifth of all segments lost, each POST arrives once and is answered', async () => {
  const clock = simulatedClock(0);
  const peer = await hostile({
    onRequest: (socket) => void socket.write(http(200, 'z'.repeat(5 * segmentBytes))),
  });
  const link = await badLink(peer.port, clock);
  const { post, close } = createWebhookSender({ guard: openGuard(), clock });
  onTestFinished(close);
  const numbers = Array.from({ length: 12 }, (_, n) => n);
  for (const number of numbers) {
    const body = Buffer.from(`delivery-${number};${'x'.repeat(20 * segmentBytes)}`);
    const asked = { body, timeoutMs: 15_000, needsAnswerBody: number % 2 === 0 };
    let result: string | undefined;
    const posted = post(request(`http://127.0.0.1:${link.port}/hook`, asked)).then((each) => {
      result = told(each);
    });
    // Time stands still while what was sent is on its way through this machine only.
    await eventually(async () => {
      if (link.sent.underWay > 0) await clock.advance(100);
      return result !== undefined;
    });
    await posted;
    expect(result).toMatch(asked.needsAnswerBody ? /^200$/ : /^200/);
  }
  expect(link.sent.lost / link.sent.segments).toBeGreaterThan(0.2);
  const arrived = [...peer.received().matchAll(/delivery-(\d+);/g)].map(([, number]) => Number(number));
  expect(arrived, 'once each, in order').toEqual(numbers);
});
