import { mkdir } from 'node:fs/promises';
import { Agent } from 'node:http';
import { join } from 'node:path';
import got from 'got';
import { JSONFilePreset } from 'lowdb/node';
import { composeAttempt } from '../../../src/wire/compose.ts';
import { fullscriptSignature } from '../../../src/wire/fullscript.ts';
import { aSubscriber } from '../../store/fixtures.ts';
import { benchSender, bodyOf, clock, openWayOut, userAgent } from '../way-out.ts';

/**
 * One contender in a process of its own: `program.mjs KIND FOLDER PORT`. Each number that
 * it is sent is how many deliveries to make; it answers how long they took.
 */
const [kind = '', folder = '', port = ''] = process.argv.slice(2);
const url = `http://127.0.0.1:${port}/ok`;
const concurrency = 64;

export interface Measured {
  readonly seconds: number;
  /** From the first record on; as `seconds` where nothing is recorded before. */
  readonly withRecordingSeconds: number;
  /** CPU of this process, kernel included. */
  readonly cpuSeconds: number;
  /** From recorded to first byte, one at a time. */
  readonly firstByteMs?: readonly number[];
}

type Contender = (count: number) => Promise<Partial<Measured>>;

/** So many at once until all are done. */
async function loop(count: number, once: (n: number) => Promise<void>): Promise<void> {
  let next = 0;
  const work = async () => {
    for (let n = next++; n < count; n = next++) await once(n);
  };
  await Promise.all(Array.from({ length: concurrency }, work));
}

const subscriber = aSubscriber('sub_1', { url });
const { value: secret } = subscriber.secrets[0] as { value: string };

const contenders: Readonly<Record<string, () => Promise<Contender>>> = {
  /** The relay: what was recorded before is claimed, sent and put on record. */
  async relay() {
    const ids = ['sub_1', 'sub_2', 'sub_3', 'sub_4'];
    const { post } = benchSender();
    let left = 0;
    let done = () => {};
    const wayOut = await openWayOut({
      path: folder,
      urls: Object.fromEntries(ids.map((id) => [id, url])),
      post,
      concurrency,
      concurrencyPerSubscriber: concurrency,
      timeoutMs: 15_000,
      onRecorded: () => {
        left -= 1;
        if (left === 0) done();
      },
    });
    let round = 0;
    return async (count) => {
      round += 1;
      const begin = performance.now();
      left = count;
      const allDone = new Promise<void>((resolve) => {
        done = resolve;
      });
      for (let made = 0; made < count; made += 500) {
        const events = Array.from({ length: Math.min(500, count - made) }, (_, n) => ({
          id: `event-${process.pid}-${round}-${made + n}`,
          subscriberIds: [ids[n % ids.length] as string],
        }));
        await wayOut.record(events);
      }
      const recorded = performance.now();
      const cpu = process.cpuUsage();
      wayOut.send();
      await allDone;
      const { user, system } = process.cpuUsage(cpu);
      const end = performance.now();
      return {
        seconds: (end - recorded) / 1_000,
        withRecordingSeconds: (end - begin) / 1_000,
        cpuSeconds: (user + system) / 1_000_000,
      };
    };
  },

  /** How long an idle relay takes from a record to the first byte that the subscriber sees. */
  async idle() {
    const sender = benchSender();
    let done = () => {};
    let cameAt = 0n;
    const wayOut = await openWayOut({
      path: folder,
      urls: { sub_1: url },
      post: async (request) => {
        const result = await sender.post(request);
        if (result.kind === 'answered') cameAt = BigInt(result.answer.toString());
        return result;
      },
      concurrency,
      concurrencyPerSubscriber: 8,
      timeoutMs: 15_000,
      onRecorded: () => done(),
    });
    let made = 0;
    return async (count) => {
      const firstByteMs: number[] = [];
      for (let n = 0; n < count; n += 1) {
        made += 1;
        await wayOut.record([{ id: `event-${process.pid}-${made}`, subscriberIds: ['sub_1'] }]);
        const recordedAt = process.hrtime.bigint();
        await new Promise<void>((resolve) => {
          done = resolve;
          wayOut.send();
        });
        firstByteMs.push(Number(cameAt - recordedAt) / 1_000_000);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      return { firstByteMs };
    };
  },

  /** The relay's own client and signature, and nothing kept of what came of it. */
  async bare() {
    const { post } = benchSender();
    return async (count) => {
      await loop(count, async (n) => {
        const id = `event-${n}`;
        const delivery = { id: `dlv_${n}`, round: 1, sequence: n };
        const claimed = { delivery, attempt: 1, event: { body: bodyOf(id) }, subscriber };
        const moment = { now: clock.now(), wall: clock.wall() };
        const request = composeAttempt(claimed, moment, userAgent);
        const result = await post({ url, ...request, timeoutMs: 15_000, needsAnswerBody: false });
        if (result.kind !== 'answered' || result.status !== 200) throw new Error(result.kind);
      });
      return {};
    };
  },

  /** got, signed, and nothing kept. */
  async got() {
    const send = gotSender();
    return async (count) => {
      await loop(count, (n) => send(`event-${n}`));
      return {};
    };
  },

  /** got and a log in lowdb, as a first version would be: the entry is pushed and the file written. */
  async lowdb() {
    const send = gotSender();
    const db = await JSONFilePreset<{ deliveries: object[] }>(join(folder, 'deliveries.json'), {
      deliveries: [],
    });
    return async (count) => {
      await loop(count, async (n) => {
        const id = `event-${n}`;
        await send(id);
        db.data.deliveries.push({ id, url, status: 200, body: bodyOf(id), at: Date.now() });
        await db.write();
      });
      return {};
    };
  },
};

function gotSender() {
  const client = got.extend({
    agent: { http: new Agent({ keepAlive: true }) },
    retry: { limit: 0 },
    throwHttpErrors: true,
  });
  return async (id: string) => {
    const body = `{"event":${bodyOf(id)}}`;
    const timestamp = Math.floor(Date.now() / 1_000);
    const signature = fullscriptSignature(secret, timestamp, Buffer.from(body));
    await client.post(url, {
      body,
      headers: { 'content-type': 'application/json', 'fullscript-signature': signature },
    });
  };
}

await mkdir(folder, { recursive: true });
const make = contenders[kind];
if (!make) throw new Error(`there is no contender ${kind}`);
const contender = await make();
process.on('message', async (count: number) => {
  const cpu = process.cpuUsage();
  const begin = performance.now();
  const own = await contender(count);
  const seconds = (performance.now() - begin) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  const cpuSeconds = (user + system) / 1_000_000;
  process.send?.({ seconds, withRecordingSeconds: seconds, cpuSeconds, ...own });
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');
