import { randomUUID } from 'node:crypto';
import type { Delivery } from '../domain/delivery.ts';
import type { DeliveryFilter, DeliveryStore, Job, JobStore, LogStore } from '../store/store.ts';

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
  /** How many of those were left as they are, because their event is kept no longer. */
  readonly notKept?: number;
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

export type ReplayStore = Pick<LogStore, 'deliveries' | 'delivery'> &
  Pick<DeliveryStore, 'startRounds'> &
  Pick<JobStore, 'saveJob'>;

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

/**
 * How many deliveries a replay asked for now would go through.
 *
 * @param now epoch milliseconds of the store's clock.
 */
export async function countReplay(
  store: Pick<LogStore, 'deliveries'>,
  ask: ReplayAsk,
  now: number,
): Promise<number> {
  let count = 0;
  let cursor: string | null = null;
  do {
    const page = await wantedPage(store, ask, { endedBy: now, now }, cursor);
    count += page.ids.length;
    cursor = page.nextCursor;
  } while (cursor !== null);
  return count;
}

/**
 * Goes on with a replay by one page: starts the rounds of the page on record, then puts
 * the next one on record. Only what had ended before the job was made is taken, so a page
 * that is started again after a restart starts no second round.
 */
export async function replayPage(store: ReplayStore, job: ReplayJob, now: number): Promise<ReplayJob> {
  const { ask, progress } = job;
  const left = progress.starting.length > 0 ? await startPage(store, job, now) : 0;
  const notKept = (progress.notKept ?? 0) + left;
  const done = progress.done + progress.starting.length;
  if (progress.isLastPage) {
    const ended = {
      ...job,
      state: 'done',
      endedAt: now,
      progress: { ...progress, done, notKept, starting: [] },
    } as const;
    await store.saveJob(ended);
    return ended;
  }
  const { ids, nextCursor } = await wantedPage(store, ask, { endedBy: job.createdAt, now }, progress.cursor);
  const next = {
    ...job,
    progress: {
      ...progress,
      done,
      notKept,
      starting: ids,
      cursor: nextCursor,
      isLastPage: nextCursor === null,
    },
  };
  await store.saveJob(next);
  return next;
}

/** @returns how many of the page have nothing left to send. */
async function startPage(store: ReplayStore, job: ReplayJob, now: number): Promise<number> {
  const times = { endedBy: job.createdAt, now };
  const deliveries = await Promise.all(job.progress.starting.map((id) => store.delivery(id)));
  const ids = deliveries
    .filter((delivery) => delivery !== null && isWanted(delivery, job.ask, times))
    .map((delivery) => (delivery as Delivery).id);
  const started = ids.length > 0 ? await store.startRounds(ids) : [];
  return started.filter(({ kind }) => kind === 'notKept').length;
}

async function wantedPage(
  store: Pick<LogStore, 'deliveries'>,
  ask: ReplayAsk,
  times: Times,
  cursor: string | null,
): Promise<{ readonly ids: readonly string[]; readonly nextCursor: string | null }> {
  const page = await store.deliveries(filterOf(ask), { limit: pageSize, cursor });
  const ids = page.items.filter((delivery) => isWanted(delivery, ask, times)).map(({ id }) => id);
  return { ids, nextCursor: page.nextCursor };
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
