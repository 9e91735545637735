import { randomUUID } from 'node:crypto';
import type { Delivery } from '../domain/delivery.ts';
import type { DeliveryFilter, Job, JobStore, LogStore } from '../store/store.ts';
import { type FetchEvent, type Replayed, type RoundStore, startFetchedRounds } from './fetched-rounds.ts';

/** Which deliveries a replay starts a new round for. */
export type ReplayAsk = {
  /** `failed` leaves out what was skipped; `skipped` names it. */
  readonly state: 'failed' | 'skipped' | 'delivered';
  /** Only these subscribers'; those that were deleted are never sent to again. */
  readonly subscriberIds: readonly string[];
  readonly clinicId?: string;
  readonly eventType?: string;
  /** Created at or after. */
  readonly since?: number;
  /** Created before. */
  readonly until?: number;
};

export type ReplayProgress = {
  /** How many it found when it was asked for. */
  readonly matched: number;
  /** How many of them it has gone through. */
  readonly done: number;
  /** For how many of those the event was fetched again, because its text was kept no longer. */
  readonly fetched?: number;
  /** How many were left as they are, because nobody has their event any more. */
  readonly notKept?: number;
  /** How many were left as they are, because their event could not be fetched then. */
  readonly notFetched?: number;
  /** The page whose round is being started, so that a restart neither leaves it out nor counts it twice. */
  readonly starting: readonly string[];
  /** Where the page after it begins; `null` for the first one, and after the last. */
  readonly cursor: string | null;
  readonly isLastPage: boolean;
};

/** A stored job of kind `replay`. */
export interface ReplayJob extends Job {
  readonly kind: 'replay';
  readonly ask: ReplayAsk;
  readonly progress: ReplayProgress;
}

export type ReplayStore = Pick<LogStore, 'deliveries' | 'delivery'> & RoundStore & Pick<JobStore, 'saveJob'>;

export interface ReplayPageDependencies {
  readonly store: ReplayStore;
  readonly fetchEvent: FetchEvent;
  /** Ends the page where it is. */
  readonly halt: AbortSignal;
}

const pageSize = 500;

export function newReplayJob(
  ask: ReplayAsk,
  about: { readonly owner: string; readonly matched: number; readonly now: number },
): ReplayJob {
  return {
    id: `rpl_${randomUUID()}`,
    kind: 'replay',
    state: 'running',
    owner: about.owner,
    createdAt: about.now,
    endedAt: null,
    ask,
    progress: { matched: about.matched, done: 0, starting: [], cursor: null, isLastPage: false },
  };
}

/** The job as what it is, or `null` when it is one of another kind. */
export function asReplayJob(job: Job | null): ReplayJob | null {
  return job?.kind === 'replay' ? (job as ReplayJob) : null;
}

/** What a replay would go through. */
export interface ReplayCount {
  readonly matched: number;
  /** Of these, whose event would have to be fetched again, because its text is kept no longer. */
  readonly toFetch: number;
}

/**
 * Counts the deliveries that a replay asked for now would go through.
 *
 * @param now epoch milliseconds of the store's clock.
 */
export async function countReplay(
  store: Pick<LogStore, 'deliveries' | 'bodyStates'>,
  ask: ReplayAsk,
  now: number,
): Promise<ReplayCount> {
  let matched = 0;
  let toFetch = 0;
  let cursor: string | null = null;
  do {
    const { wanted, nextCursor } = await wantedPage(store, ask, { endedBy: now, now }, cursor);
    matched += wanted.length;
    toFetch += (await store.bodyStates(wanted)).filter((state) => state === 'gone').length;
    cursor = nextCursor;
  } while (cursor !== null);
  return { matched, toFetch };
}

/**
 * Goes on with a replay by one page: starts the rounds of the page on record, then puts
 * the next one on record. Only what had ended before the job was made is taken, so a page
 * that is started again after a restart starts no second round. Halted, it is the job that it was.
 */
export async function replayPage(
  job: ReplayJob,
  dependencies: ReplayPageDependencies,
  now: number,
): Promise<ReplayJob> {
  const { store } = dependencies;
  const { ask } = job;
  const progress = await startPage(job, dependencies, now);
  if (progress === null) return job;
  if (progress.isLastPage) {
    const ended = { ...job, state: 'done', endedAt: now, progress } as const;
    await store.saveJob(ended);
    return ended;
  }
  const times = { endedBy: job.createdAt, now };
  const { wanted, nextCursor } = await wantedPage(store, ask, times, progress.cursor);
  const starting = wanted.map(({ id }) => id);
  const page = { starting, cursor: nextCursor, isLastPage: nextCursor === null };
  const next = { ...job, progress: { ...progress, ...page } };
  await store.saveJob(next);
  return next;
}

/** @returns the progress with the page started; `null` when it was halted. */
async function startPage(
  { ask, createdAt, progress }: ReplayJob,
  { store, fetchEvent, halt }: ReplayPageDependencies,
  now: number,
): Promise<ReplayProgress | null> {
  const { starting, done, fetched = 0, notKept = 0, notFetched = 0 } = progress;
  const found = await Promise.all(starting.map((id) => store.delivery(id)));
  const wanted = found.flatMap((delivery) =>
    delivery !== null && isWanted(delivery, ask, { endedBy: createdAt, now }) ? [delivery] : [],
  );
  const how = { isUrgent: false, signal: halt };
  const replayed = await startFetchedRounds(wanted, { store, fetchEvent }, how);
  if (replayed === null) return null;
  const count = (is: (each: Replayed) => boolean) => replayed.filter(is).length;
  return {
    ...progress,
    starting: [],
    done: done + starting.length,
    fetched: fetched + count((each) => each.kind !== 'notFetched' && each.isFetched),
    notKept: notKept + count(({ kind }) => kind === 'notKept' || kind === 'erased'),
    notFetched: notFetched + count(({ kind }) => kind === 'notFetched'),
  };
}

async function wantedPage(
  store: Pick<LogStore, 'deliveries'>,
  ask: ReplayAsk,
  times: Times,
  cursor: string | null,
): Promise<{ readonly wanted: readonly Delivery[]; readonly nextCursor: string | null }> {
  const page = await store.deliveries(filterOf(ask), { limit: pageSize, cursor });
  const wanted = page.items.filter((delivery) => isWanted(delivery, ask, times));
  return { wanted, nextCursor: page.nextCursor };
}

function filterOf({ state, ...narrowing }: ReplayAsk): DeliveryFilter {
  if (state === 'delivered') return { ...narrowing, state };
  return { ...narrowing, state: 'failed', includeSkipped: state === 'skipped' };
}

/** Both by the store's clock. */
interface Times {
  /** What ended later than this was started by the replay itself, or is no concern of it. */
  readonly endedBy: number;
  readonly now: number;
}

function isWanted(
  delivery: Pick<Delivery, 'state' | 'endReason' | 'endedAt'>,
  { state }: Pick<ReplayAsk, 'state'>,
  { endedBy, now }: Times,
): boolean {
  const { endedAt } = delivery;
  // What ended in the future did so under a clock that was ahead, before this replay.
  if (endedAt === null || (endedAt > endedBy && endedAt <= now)) return false;
  if (state === 'delivered') return delivery.state === 'delivered';
  return delivery.state === 'failed' && (delivery.endReason === 'skipped') === (state === 'skipped');
}
