import { mkdir } from 'node:fs/promises';
import { systemClock } from '../../../src/clock.ts';
import { createDeliver } from '../../../src/delivery/deliver.ts';
import { Dispatcher } from '../../../src/delivery/dispatcher.ts';
import { silentLogger } from '../../../src/logger.ts';
import { type Disk, realDisk } from '../../../src/store/file/disk.ts';
import { type FileStoreOptions, openFileStore } from '../../../src/store/file/file-store.ts';
import type { Retained } from '../../../src/store/file/retention.ts';
import type { DeliveryFilter, Store } from '../../../src/store/store.ts';
import { movableClock } from '../../crash/movable-clock.ts';
import { accepted, anEvent, aSubscriber, claim, furnished, pollOf, refused } from '../../store/fixtures.ts';

/**
 * A process of its own, so that memory and start are those of a relay's store alone.
 * Prints one line of JSON.
 *
 *   fill PATH COUNT     adds that many ended deliveries, through the store, without waiting for the disk
 *   open PATH           how long a start takes, what it needs, and how long first pages take
 *   retain PATH         the longest that a look of retention holds up everything else, when all that ended is to go
 *   deliver PATH COUNT  how many deliveries a second go from recorded to answered, every record synced
 */
const [what, path = '', count = '0'] = process.argv.slice(2);
const clock = systemClock();
// Waiting timers do not keep a process alive; `process.exit` ends it.
setInterval(() => {}, 2 ** 30);

const unsynced: Disk = {
  ...realDisk,
  syncFolder: async () => {},
  async openForAppend(name) {
    const file = await realDisk.openForAppend(name);
    return {
      get length() {
        return file.length;
      },
      append: (bytes) => file.append(bytes),
      datasync: async () => {},
      truncate: (length) => file.truncate(length),
      assertUntouched: () => {},
      close: () => file.close(),
    };
  },
};

function open(disk: Disk, options: Partial<FileStoreOptions> = {}) {
  return openFileStore({
    path,
    masterKeys: { current: Buffer.alloc(32, 7), previous: null },
    disk,
    lock: () => () => {},
    clock,
    random: Math.random,
    onTrouble: (trouble) => {
      throw trouble;
    },
    ...options,
  });
}

const subscriberIds = ['sub_1', 'sub_2', 'sub_3'];
const types = ['order.placed', 'order.updated', 'patient.created', 'patient.updated'];

async function furnish(store: Store): Promise<void> {
  if ((await store.clinics()).length > 0) return;
  await furnished(store, aSubscriber('sub_1', { retrySeconds: [] }));
  for (const id of subscriberIds.slice(1)) await store.addSubscriber(aSubscriber(id, { retrySeconds: [] }));
}

async function fill(deliveries: number): Promise<void> {
  for (let left = deliveries; left > 0; left -= perSession) await fillSome(Math.min(left, perSession));
}

/** A close waits for the index that is under way: nobody fills a log faster than it is indexed. */
const perSession = 20_000;

async function fillSome(deliveries: number): Promise<void> {
  const store = await open(unsynced);
  await furnish(store);
  const poll = await pollOf(store);
  const { version } = await store.subscribers();
  const from = store.recovery.deliveries;
  for (let made = from; made < from + deliveries; made += 1_000) {
    const events = Array.from({ length: 1_000 }, (_, n) =>
      anEvent(`event-${made + n}`, {
        type: types[n % types.length] as string,
        subscriberIds: [subscriberIds[n % 3] as string],
      }),
    );
    await store.recordEvents(poll, { events, subscribersVersion: version });
    for (const subscriberId of subscriberIds) {
      const claims = await claim(store, 1_000, subscriberId);
      await Promise.all(
        claims.map((each, n) =>
          // One in a hundred fails: nothing of it is open then, for its schedule has no steps.
          store.recordAttempt(each, n % 100 === 99 ? { ...refused, excerpt: null } : accepted),
        ),
      );
      if (claims.length > 0)
        await store.resumeSubscriber(subscriberId, { lift: [], backlog: 'deliver', closeBreaker: true });
    }
    // The indexes are made in the background: they get their turn.
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await store.close();
}

const filters: Readonly<Record<string, DeliveryFilter>> = {
  all: {},
  failed: { state: 'failed' },
  'held (none)': { state: 'held' },
  'one subscriber and type': { subscriberIds: ['sub_2'], eventType: 'patient.created' },
  'an event': { eventId: 'event-17' },
  'before the first (none)': { until: 1 },
};

async function look(): Promise<unknown> {
  const store = await open(realDisk);
  // Counted from the process's own start: Node's is part of it.
  const startSeconds = performance.now() / 1_000;
  const startCpuSeconds = process.cpuUsage().user / 1_000_000;
  const settledMb = () => Math.round(process.memoryUsage.rss() / 1_000_000);
  const rssMb = settledMb();
  const firstPageMs: Record<string, number> = {};
  for (const [name, filter] of Object.entries(filters)) {
    const begin = performance.now();
    await store.deliveries(filter, { limit: 100, cursor: null });
    firstPageMs[name] = performance.now() - begin;
  }
  const begin = performance.now();
  await store.events({ subscriberIds: ['nobody'] }, { limit: 100, cursor: null });
  firstPageMs['events of nobody'] = performance.now() - begin;
  const { deliveries } = store.recovery;
  const afterMb = settledMb();
  await store.close();
  return { deliveries, startSeconds, startCpuSeconds, rssMb, afterMb, firstPageMs };
}

const dayMs = 86_400_000;
/** As many as a subscriber may have that was paused for some days. */
const openDeliveries = 2_000;

/** Two looks: what is over goes at the first, the ids once the files of their texts are gone. */
async function retain(): Promise<unknown> {
  const ahead = movableClock();
  const looks: Retained[] = [];
  const onRetained = (retained: Retained | Error) => {
    if (retained instanceof Error) throw retained;
    looks.push(retained);
  };
  const retention = { ids: 35, bodies: 30, deliveries: 35, onRetained };
  const store = await open(realDisk, { clock: ahead, retention });
  const poll = await pollOf(store);
  const { version } = await store.subscribers();
  const events = Array.from({ length: openDeliveries }, (_, n) => anEvent(`open-${n}`));
  await store.recordEvents(poll, { events, subscribersVersion: version });
  const end = { cursor: 5_000, isSweep: true, newestEventAt: 1_000, nextPollAt: 0 };
  await store.endPoll(poll, { kind: 'completed', ...end });
  let longestMs = 0;
  for (const lookNumber of [1, 2]) {
    ahead.advance(lookNumber === 1 ? 40 * dayMs : dayMs / 4);
    for (let last = performance.now(); looks.length < lookNumber; ) {
      await new Promise(setImmediate);
      const now = performance.now();
      longestMs = Math.max(longestMs, now - last);
      last = now;
    }
    // The next one is waited for from then on.
    await new Promise(setImmediate);
  }
  await store.close();
  const [{ deliveries = 0, moved = 0 } = {}, { events: ids = 0 } = {}] = looks;
  return { longestMs, deliveries, moved, ids };
}

async function deliver(deliveries: number): Promise<unknown> {
  await mkdir(path, { recursive: true });
  const store = await open(realDisk);
  await furnish(store);
  const post = async () =>
    ({
      kind: 'answered',
      status: 200,
      retryAfter: undefined,
      location: undefined,
      answer: Buffer.alloc(0),
      isTruncated: false,
      durationMs: 1,
      reusedConnection: true,
    }) as const;
  const attempt = createDeliver({
    store,
    post,
    clock,
    random: Math.random,
    logger: silentLogger,
    userAgent: 'bench',
    timeoutMs: 15_000,
  });
  let left = deliveries;
  let done = () => {};
  const answered = new Promise<void>((resolve) => {
    done = resolve;
  });
  const dispatcher = new Dispatcher({
    store,
    deliver: async (claimed, signal) => {
      const attempted = await attempt(claimed, signal);
      return {
        record: async () => {
          const recorded = await attempted.record();
          if (--left === 0) done();
          return recorded;
        },
      };
    },
    clock,
    logger: silentLogger,
    onFatal: (error) => {
      throw error;
    },
    concurrency: 64,
    concurrencyPerSubscriber: 64,
    timeoutMs: 15_000,
  });
  const poll = await pollOf(store);
  const { version } = await store.subscribers();
  const names = `${process.pid}-${Date.now()}`;
  dispatcher.start();
  const cpuBefore = process.cpuUsage();
  const begin = performance.now();
  for (let made = 0; made < deliveries; made += 500) {
    const events = Array.from({ length: Math.min(500, deliveries - made) }, (_, n) =>
      anEvent(`${names}-${made + n}`, { subscriberIds: [subscriberIds[n % 3] as string] }),
    );
    await store.recordEvents(poll, { events, subscribersVersion: version });
    dispatcher.wake();
  }
  await answered;
  const seconds = (performance.now() - begin) / 1_000;
  const { user, system } = process.cpuUsage(cpuBefore);
  await dispatcher.stop(5_000);
  await store.close();
  return { perSecond: deliveries / seconds, cpuMicrosecondsEach: (user + system) / deliveries };
}

const result =
  what === 'fill'
    ? await fill(Number(count))
    : what === 'deliver'
      ? await deliver(Number(count))
      : what === 'retain'
        ? await retain()
        : await look();
process.stdout.write(`${JSON.stringify(result ?? {})}\n`);
process.exit(0);
