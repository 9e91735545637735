import type { Post } from '../../src/delivery/post.ts';
import type { FaultAsk } from '../../src/sandbox/faults.ts';
import { Fullscript } from '../../src/sandbox/fullscript.ts';
import { seededRandom, seedOf } from '../../src/sandbox/random.ts';
import type { Store } from '../../src/store/store.ts';
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
const requestsPerFiveMinutes = 200;

export interface Scenario {
  readonly switches: readonly FaultAsk[];
  readonly seed: number;
  /** On before the relay asks for the first time; else once its streams have begun. */
  readonly isFromStart: boolean;
}

/**
 * The real way in and way out, over a vendor with the switches on for some hours, over
 * midnight, and a day and a half without them.
 *
 * @returns what is wrong: something listed that is neither delivered once nor visibly
 *   kept back, and anything that the relay must never do.
 */
export async function play({ switches, seed, isFromStart }: Scenario): Promise<readonly string[]> {
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
  await time.advance(10 * minuteMs);
  if (!isFromStart) switchOn();
  for (let round = 0; round < 8; round++) {
    for (const { name } of fullscript.clinics) {
      // More than a page of orders, so that lists have borders.
      for (const type of [...types, 'order.placed', 'order.placed'])
        fullscript.addEvent({ clinic: name, type });
    }
    await time.advance(45 * minuteMs);
  }
  const books = () => ({ fullscript, store, receipts, now: time.now });
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
