import { randomUUID } from 'node:crypto';
import type { Clinic } from '../domain/clinic.ts';
import type { RecordedEvent } from '../domain/event.ts';
import { filteredBy, type Subscriber } from '../domain/subscriber.ts';
import type { BackfillStore, ClinicStore, Job, LogStore } from '../store/store.ts';

/** Which known events a subscriber is owed that was not there, or did not want them, when they were recorded. */
export type BackfillAsk = {
  readonly subscriberId: string;
  /** Epoch milliseconds: events created at or after this moment. */
  readonly from: number;
};

export type BackfillProgress = {
  /** How many it found when it was asked for. */
  readonly matched: number;
  /** How many it has gone through. */
  readonly done: number;
  /** For how many of these it made a delivery. */
  readonly enqueued: number;
  /** How many were left out because nobody has their text any more. */
  readonly unavailable: number;
  /** The last event that it has gone through; `null` before the first. */
  readonly after: Position | null;
};

/** A stored job of kind `backfill`. */
export interface BackfillJob extends Job {
  readonly kind: 'backfill';
  readonly ask: BackfillAsk;
  readonly progress: BackfillProgress;
}

/** An event's place in the order in which a backfill goes: by creation, and by recording where that is unknown. */
export type Position = {
  readonly at: number;
  readonly eventId: string;
  readonly clinicId: string;
};

/** An event that a backfill would take. */
export interface Candidate extends Position {
  readonly category: string;
  readonly type: string;
}

/** Whom candidates are for; one who is not registered yet has no id. */
export type Wanting = Pick<Subscriber, 'eventTypes' | 'clinicIds' | 'deletedAt'> & {
  readonly id?: string;
  readonly createdAt?: number;
};

export interface CandidatesDependencies {
  readonly store: Pick<LogStore, 'events'> & Pick<BackfillStore, 'unowed'> & Pick<ClinicStore, 'clinics'>;
  /** How long an ended delivery is on record at least; what was sent longer ago nobody knows any more. */
  readonly deliveriesKeptMs: number;
}

const pageSize = 1_000;
/** The machine's clock may have been behind the vendor's when an event was recorded. */
const clockSlackMs = 86_400_000;

export function newBackfillJob(
  ask: BackfillAsk,
  about: { readonly owner: string; readonly matched: number; readonly now: number },
): BackfillJob {
  return {
    id: `bkf_${randomUUID()}`,
    kind: 'backfill',
    state: 'running',
    owner: about.owner,
    createdAt: about.now,
    endedAt: null,
    ask,
    progress: { matched: about.matched, done: 0, enqueued: 0, unavailable: 0, after: null },
  };
}

/** The job as what it is, or `null` when it is one of another kind. */
export function asBackfillJob(job: Job | null): BackfillJob | null {
  return job?.kind === 'backfill' ? (job as BackfillJob) : null;
}

/**
 * The events that a backfill from `from` would take, page by page, in no order.
 *
 * What the subscriber has a delivery for is left out. So is what was recorded so long ago
 * that its delivery may have been deleted since: it is never sent twice.
 */
async function* candidates(
  wanting: Wanting,
  from: number,
  { store, deliveriesKeptMs, now }: CandidatesDependencies & { readonly now: number },
): AsyncGenerator<readonly Candidate[]> {
  const names = new Map((await store.clinics()).map(({ id, name }) => [id, name]));
  const keptSince = now - deliveriesKeptMs;
  const isOld = wanting.createdAt !== undefined && wanting.createdAt < keptSince;
  const since = Math.max(from - clockSlackMs, isOld ? keptSince : 0);
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<LogStore['events']>> = await store.events(
      { since },
      { limit: pageSize, cursor },
    );
    const wanted = page.items.filter((event) => isWanted(wanting, event, from, names));
    yield await withoutOwed(wanting, wanted.map(candidateOf), store);
    cursor = page.nextCursor;
  } while (cursor !== null);
}

async function withoutOwed(
  { id }: Wanting,
  found: readonly Candidate[],
  store: Pick<BackfillStore, 'unowed'>,
): Promise<readonly Candidate[]> {
  if (id === undefined || found.length === 0) return found;
  const eventIds = found.map(({ eventId }) => eventId);
  const unowed = new Set(await store.unowed(id, eventIds));
  return found.filter(({ eventId }) => unowed.has(eventId));
}

function isWanted(
  wanting: Wanting,
  event: RecordedEvent,
  from: number,
  names: ReadonlyMap<string, Clinic['name']>,
): boolean {
  if (event.withheld === 'imported' || (event.createdAt ?? event.recordedAt) < from) return false;
  const rule = filteredBy(wanting, event, names.get(event.clinicId) ?? null);
  // What was listed without its type shows it when it is retrieved.
  return rule === null || (rule === 'eventTypes' && event.type === typeUnknown);
}

/** The type of an event that was listed without one. */
export const typeUnknown = 'unknown';

function candidateOf({ id, clinicId, category, type, createdAt, recordedAt }: RecordedEvent): Candidate {
  return { at: createdAt ?? recordedAt, eventId: id, clinicId, category, type };
}

/** How many events of which stream a backfill would take. */
export interface BackfillCount {
  readonly matched: number;
  readonly streams: readonly {
    readonly clinicId: string;
    readonly category: string;
    readonly events: number;
  }[];
}

export async function countBackfill(
  wanting: Wanting,
  from: number,
  dependencies: CandidatesDependencies & { readonly now: number },
): Promise<BackfillCount> {
  const ids = new Set<string>();
  const streams = new Map<string, { clinicId: string; category: string; events: number }>();
  for await (const page of candidates(wanting, from, dependencies)) {
    for (const { eventId, clinicId, category } of page) {
      // One that was seen in two clinics is sent once.
      if (ids.has(eventId)) continue;
      ids.add(eventId);
      const key = JSON.stringify([clinicId, category]);
      const before = streams.get(key)?.events ?? 0;
      streams.set(key, { clinicId, category, events: before + 1 });
    }
  }
  const byClinic = [...streams.values()].sort(
    (a, b) => a.clinicId.localeCompare(b.clinicId) || a.category.localeCompare(b.category),
  );
  return { matched: ids.size, streams: byClinic };
}

/** The first `most` candidates behind a position, in order. */
export async function nextCandidates(
  wanting: Wanting,
  { from, after, most }: { readonly from: number; readonly after: Position | null; readonly most: number },
  dependencies: CandidatesDependencies & { readonly now: number },
): Promise<readonly Candidate[]> {
  let first: Candidate[] = [];
  for await (const page of candidates(wanting, from, dependencies)) {
    first.push(...page.filter((each) => after === null || inOrder(after, each) < 0));
    if (first.length > 2 * most) first = first.sort(inOrder).slice(0, most);
  }
  return first.sort(inOrder).slice(0, most);
}

function inOrder(a: Position, b: Position): number {
  if (a.at !== b.at) return a.at - b.at;
  if (a.eventId !== b.eventId) return a.eventId < b.eventId ? -1 : 1;
  if (a.clinicId !== b.clinicId) return a.clinicId < b.clinicId ? -1 : 1;
  return 0;
}
