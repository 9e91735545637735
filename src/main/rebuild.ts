import { systemClock } from '../clock.ts';
import type { Config } from '../config.ts';
import { declareSubscribers } from '../delivery/declared-subscribers.ts';
import { createGuards } from '../delivery/guards.ts';
import { Conflict, InvalidInput } from '../domain/errors.ts';
import type { Logger } from '../logger.ts';
import { declareClinics } from '../source/declared-clinics.ts';
import { type Reading, type ReadingDependencies, untilRead } from '../source/rebuild.ts';
import { countListed, type RebuildCount } from '../source/rebuild-count.ts';
import { realDisk } from '../store/file/disk.ts';
import type { LogStore, PollStore, Store } from '../store/store.ts';
import { openStore } from './open-store.ts';
import { failures } from './shared.ts';
import { vetDeclared } from './vet-declared.ts';
import { wayIn } from './way-in.ts';

export type { RebuildCount };

export interface Rebuild {
  readonly config: Config;
  readonly logger: Logger;
  /** Epoch milliseconds: what was created before is recorded as known and never sent. */
  readonly startAt: number;
  /** Ends it where it is; `relay serve` goes on from there. */
  readonly halt: AbortSignal;
  readonly onProgress: ReadingDependencies['onProgress'];
}

export interface Rebuilt extends Reading {
  /** Events that deliveries follow from, if a subscriber wants them. */
  readonly enqueued: number;
  /** Known and never sent. */
  readonly past: number;
  readonly deliveries: number;
  readonly setAside: number;
}

const stopGraceMs = 20_000;
const pageSize = 1_000;

/**
 * Makes a log anew, after the old one was lost, from what the vendor lists: by the
 * ordinary way in, with streams that start at `startAt`. Nothing is sent: the relay that
 * is started next does that.
 *
 * @throws InvalidInput `no_subscribers`, `no_clinics`, Conflict `log_not_empty`
 */
export function rebuild(ask: Rebuild): Promise<Rebuilt> {
  return onEmptyStore(ask, ask.config, async ({ store, reading }) => {
    const counts = await store.deliveryCounts(null);
    const streams = await store.streams();
    return {
      ...reading,
      enqueued: streams.reduce((sum, { recorded }) => sum + recorded, 0),
      past: await countPast(store),
      deliveries: Object.values(counts).reduce((sum, count) => sum + count, 0),
      setAside: (await store.setAsides()).length,
    };
  });
}

/**
 * What `rebuild` would record. The store is opened, because tokens that are renewed on the
 * way have to be kept; connections, clinics and subscribers are put into it and nothing else.
 *
 * @throws as `rebuild`
 */
export function countRebuild(ask: Rebuild): Promise<RebuildCount & Pick<Reading, 'unconnected'>> {
  const { source } = ask.config;
  const unread = { ...ask.config, source: { ...source, categories: [] } };
  return onEmptyStore(ask, unread, async ({ store, access, clock, reading }) => {
    const { categories } = source;
    const count = await countListed({ store, list: access.list, categories, clock, startAt: ask.startAt });
    return { ...count, unconnected: reading.unconnected };
  });
}

interface OnStore {
  readonly store: Store;
  readonly access: ReturnType<typeof wayIn>['access'];
  readonly clock: ReturnType<typeof systemClock>;
  readonly reading: Reading;
}

async function onEmptyStore<Answer>(
  { logger, startAt, halt, onProgress }: Rebuild,
  config: Config,
  work: (on: OnStore) => Promise<Answer>,
): Promise<Answer> {
  assertDeclared(config);
  const clock = systemClock();
  const failure = failures(logger);
  const guards = createGuards({ ...config.delivery, listening: () => [] }, config);
  vetDeclared(config, guards);
  const shared = { clock, random: Math.random, logger, onFatal: failure.report };
  const store = await openStore(config, { ...shared, disk: realDisk });
  try {
    await assertEmpty(store);
    await declareSubscribers(config.subscribers, { store, clock, logger });
    // The moment that is asked for is that of all clinics.
    const clinics = config.clinics.map(({ startFrom: _startFrom, ...clinic }) => clinic);
    await declareClinics(store, clinics, { clock, logger });
    const startFrom = new Date(startAt).toISOString();
    const source = { ...config.source, startFrom };
    const way = { ...shared, store, tokenUrlGuard: guards.tokenUrls, onRecorded: () => {} };
    const { poller, access } = wayIn({ ...config, source }, way);
    poller.start();
    try {
      const { categories } = source;
      const read = untilRead({ store, categories, clock, halt, onProgress }).then((reading) =>
        work({ store, access, clock, reading }),
      );
      return await Promise.race([read, failure.happened]);
    } finally {
      await poller.stop(stopGraceMs);
    }
  } finally {
    await store.close();
  }
}

/** What only the API knew is lost with the log, so that only what the file declares can be made anew. */
function assertDeclared({ subscribers, clinics }: Config): void {
  if (clinics.length === 0) {
    throw new InvalidInput(
      'no_clinics',
      'No clinic is declared in the configuration: there is nothing to read.',
      {
        hint: 'Declare each with its tokens, or start `relay serve` and use `relay clinics add`.',
      },
    );
  }
  if (subscribers.length === 0) {
    throw new InvalidInput(
      'no_subscribers',
      'No subscriber is declared in the configuration: nobody would get what is recorded.',
      {
        hint: 'Declare those that are to get the events; what was registered through the API is lost with the log.',
      },
    );
  }
}

async function assertEmpty(store: LogStore & PollStore): Promise<void> {
  const { items } = await store.events({}, { limit: 1, cursor: null });
  if (items.length === 0 && (await store.streams()).length === 0) return;
  throw new Conflict(
    'log_not_empty',
    'There is a delivery log, and it knows events: a rebuild is for one that was lost.',
    {
      hint: 'Start `relay serve`: it goes on where the log ends. To begin anew, name another store.path.',
    },
  );
}

async function countPast(store: LogStore): Promise<number> {
  let count = 0;
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<LogStore['events']>> = await store.events(
      { state: 'past' },
      { limit: pageSize, cursor },
    );
    count += page.items.length;
    cursor = page.nextCursor;
  } while (cursor !== null);
  return count;
}
