import { benchSender, openWayOut } from '../way-out.ts';

/**
 * A relay with four good subscribers and four others, who misbehave or do not:
 * `program.mjs bad|good FOLDER PORT OTHERS_PORT SECONDS`. Prints one line of JSON.
 */
const [others, path = '', port = '', othersPort = '', seconds = '6'] = process.argv.slice(2);
const everyMs = 10;
const warmUpMs = 1_000;

export interface Slice {
  /** From recorded to answered, of the four good ones. */
  readonly delaysMs: readonly number[];
  readonly rssMb: number;
  /** What the others answered or did not. */
  readonly attemptsOfOthers: number;
}

const goodIds = ['good_1', 'good_2', 'good_3', 'good_4'];
const tempers = { hanging: 'hang', dripping: 'drip', failing: 'fail', flooding: 'huge' };
const urls: Record<string, string> = {};
for (const id of goodIds) urls[id] = `http://127.0.0.1:${port}/ok?${id}`;
for (const [id, temper] of Object.entries(tempers)) {
  urls[id] = `http://127.0.0.1:${othersPort}/${others === 'bad' ? temper : 'ok'}?${id}`;
}

const recordedAt = new Map<string, number>();
const delaysMs: number[] = [];
let attemptsOfOthers = 0;
let isMeasuring = false;
const sender = benchSender();
const wayOut = await openWayOut({
  path,
  urls,
  post: async (request) => {
    const result = await sender.post(request);
    const isGood = request.url.includes('good_');
    if (!isGood) attemptsOfOthers += 1;
    const eventId = /"id":"([^"]+)"/.exec(request.body.toString('latin1', 0, 100))?.[1] ?? '';
    const at = recordedAt.get(eventId);
    if (isMeasuring && isGood && at !== undefined) delaysMs.push(performance.now() - at);
    return result;
  },
  concurrency: 64,
  concurrencyPerSubscriber: 8,
  timeoutMs: 2_000,
  onRecorded: () => {},
});

const subscriberIds = Object.keys(urls);
const begin = performance.now();
let n = 0;
let rssMb = 0;
const end = begin + warmUpMs + Number(seconds) * 1_000;
for (let at = begin; at < end && performance.now() < end; at += everyMs) {
  const waitMs = at - performance.now();
  if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
  isMeasuring = performance.now() > begin + warmUpMs;
  n += 1;
  const id = `event-${n}`;
  await wayOut.record([{ id, subscriberIds }]);
  recordedAt.set(id, performance.now());
  wayOut.send();
  rssMb = Math.max(rssMb, process.memoryUsage.rss() / 1_000_000);
}
const slice: Slice = { delaysMs, rssMb: Math.round(rssMb), attemptsOfOthers };
process.stdout.write(`${JSON.stringify(slice)}\n`, () => process.exit(0));
