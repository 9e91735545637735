import type { Post } from '../../src/delivery/post.ts';
import type { StoredEvent } from '../../src/sandbox/event-log.ts';
import type { FaultAsk } from '../../src/sandbox/faults.ts';
import { Fullscript } from '../../src/sandbox/fullscript.ts';
import { seededRandom, seedOf } from '../../src/sandbox/random.ts';
import { createIngest } from '../../src/source/ingest.ts';
import type { Store } from '../../src/store/store.ts';
import { fullscriptSignature } from '../../src/wire/fullscript.ts';
import { Life } from '../simulation/life.ts';
import { type Rooms, startRooms } from '../simulation/relay.ts';
import { SimulatedTime } from '../simulation/time.ts';
import { authorizeAgain, vendorHttpOf } from '../simulation/vendor.ts';
import { aSubscriber } from '../store/fixtures.ts';
import { SimulatedDisk, storeOn } from '../world/disk.ts';
import { keptLog } from '../world/log.ts';
import { type Books, lost, unexplained } from './books.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const startMs = Date.parse('2026-11-22T18:40:00Z');
const pollSecondsMin = 1_800;
/** What is set aside is looked at again once a day; a Retry-After may have stopped the app for ten hours before. */
const healingMs = 40 * hourMs;
const categories = ['orders', 'patients', 'products'];
const types = ['order.placed', 'patient.updated', 'product.updated'];
const secret = 'the-signature-secret-key-of-the-dashboard';
const requestsPerFiveMinutes = 200;

export interface Scenario {
  readonly switches: readonly FaultAsk[];
  readonly seed: number;
  /** On before the relay asks for the first time; else once its streams have begun. */
  readonly isFromStart: boolean;
  /** Fullscript's own webhooks bring some of the events, too: before the polls, after them, and twice. */
  readonly isPushing?: boolean;
}

/**
 * The real way in and way out, over a vendor with the switches on for some hours, over
 * midnight, and a day and a half without them.
 *
 * @returns what is wrong: something listed that is neither delivered once nor visibly
 *   kept back, and anything that the relay must never do.
 */
export async function play({
  switches,
  seed,
  isFromStart,
  isPushing = false,
}: Scenario): Promise<readonly string[]> {
  const time = new SimulatedTime(startMs);
  const fullscript = new Fullscript({
    clock: { now: () => time.now },
    seed,
    limit: { requests: requestsPerFiveMinutes, windowMs: 5 * minuteMs },
  });
  const life = new Life({ number: 1, time, aheadMs: 0, doom: null, onEnd: () => {} });
  const random = seededRandom(seedOf(seed, 'scenario'));
  const store = await storeOn(new SimulatedDisk(), life.clock);
  await store.addSubscriber(aSubscriber());
  const receipts: Books['receipts'][number][] = [];
  const post: Post = async ({ headers, body }) => {
    receipts.push({ deliveryId: String(headers['relay-delivery-id']), body: body.toString() });
    return accepted;
  };
  const { logger, lines } = keptLog();
  const problems: string[] = [];
  const pushed = new Map<string, number>();
  const switchOn = () => {
    for (const ask of switches) fullscript.faults.switchOn(ask);
  };
  if (isFromStart) switchOn();
  const rooms = await startRooms({
    store,
    post,
    http: vendorHttpOf(life, { fullscript, random, pageSizeMax: 7 }),
    clock: life.clock,
    random: random.next,
    logger,
    requestsPerFiveMinutes,
    pollSecondsMin,
    categories,
    clinics: fullscript.clinics.map(({ name, slug }) => ({
      name,
      accessToken: `sandbox-access-${slug}`,
      refreshToken: `sandbox-refresh-${slug}`,
    })),
    onFatal: (error) => problems.push(`fatal: ${error instanceof Error ? error.stack : error}`),
  });
  const ingest = createIngest({
    store,
    secret,
    isShadow: false,
    clock: life.clock,
    logger,
    onRecorded: () => rooms.dispatcher.wake(),
  });
  /** Some at once, some when a poll has been there, some again hours later; `changed-event` is not played with it. */
  const push = ({ text }: StoredEvent) => {
    for (const waitMs of [5_000, 20 * minuteMs, 40 * minuteMs, 3 * hourMs]) {
      if (random.next() < 0.4) continue;
      life.hear(waitMs, async () => {
        const body = Buffer.from(`{"event":${text}}`);
        const signature = fullscriptSignature(secret, Math.floor(time.now / 1000), body);
        const ingested = await ingest({ headers: { 'fullscript-signature': signature }, body });
        pushed.set(ingested.kind, (pushed.get(ingested.kind) ?? 0) + 1);
      });
    }
  };
  await time.advance(10 * minuteMs);
  if (!isFromStart) switchOn();
  for (let round = 0; round < 8; round++) {
    for (const { name } of fullscript.clinics) {
      // More than a page of orders, so that lists have borders.
      for (const type of [...types, 'order.placed', 'order.placed']) {
        const event = fullscript.addEvent({ clinic: name, type });
        if (isPushing) push(event);
      }
    }
    await time.advance(45 * minuteMs);
  }
  const isShifting = switches.some(({ name }) => name === 'page-shift');
  const books = () => ({ fullscript, store, receipts, now: time.now, isShifting });
  problems.push(...(await unexplained(books())));

  fullscript.faults.switchAllOff();
  const healedAt = time.now;
  const lastListableAt = Math.max(healedAt, ...fullscript.ledger().map(({ listableAt }) => listableAt));
  const untilMs = Math.min(lastListableAt, healedAt + 10 * 24 * hourMs) + healingMs;
  const isSettled = async () =>
    time.now > lastListableAt + hourMs &&
    (await store.streams()).every(({ polledAt }) => polledAt !== null && polledAt > healedAt) &&
    (await lost(books())).length === 0;
  while (time.now < untilMs && !(await isSettled())) {
    await reconnect(fullscript, store, rooms, time.now);
    await time.advance(hourMs);
  }
  problems.push(...(await lost(books())));
  const { violations } = fullscript.requests();
  if (violations > 0) problems.push(`${violations} requests beyond the limit`);
  problems.push(...lines.filter(({ message }) => message.includes('fault of the relay')).map(wordsOfLine));
  if (isPushing) {
    const days = await store.pushDays(0);
    const isOfEachWay = days.some((day) => day.pushedFirst * day.polledFirst * day.neverPushed > 0);
    if (switches.length === 0 && !isOfEachWay) problems.push(`not of each way: ${JSON.stringify(days)}`);
    if (days.some(({ differing }) => differing > 0)) problems.push('the same text is said to differ');
    if ([...pushed.keys()].some((kind) => kind !== 'recorded')) problems.push(JSON.stringify([...pushed]));
  }
  const stopped = rooms.stop();
  await time.advance(minuteMs);
  await stopped;
  await store.close();
  return problems;
}

const accepted: Awaited<ReturnType<Post>> = {
  kind: 'answered',
  status: 200,
  retryAfter: undefined,
  location: undefined,
  answer: Buffer.alloc(0),
  isTruncated: false,
  durationMs: 1,
  reusedConnection: true,
};

/** What a person does who reads in the status that a clinic needs to be connected again. */
async function reconnect(
  fullscript: Fullscript,
  store: Store,
  { poller }: Rooms,
  now: number,
): Promise<void> {
  for (const connection of await store.connections()) {
    if (connection.state === 'working') continue;
    const tokens = authorizeAgain(fullscript, connection.name);
    if (tokens === null) continue;
    await store.saveConnection({
      ...connection,
      tokens: { ...tokens, expiresAt: now + 2 * hourMs },
      spareTokens: null,
      state: 'working',
      stateReason: null,
    });
    poller.forget(connection.id);
  }
}

function wordsOfLine({ message, facts }: { message: string; facts: unknown }): string {
  return `${message} ${JSON.stringify(facts)}`;
}
