import { randomUUID } from 'node:crypto';
import type { Stream } from '../domain/clinic.ts';
import type { Job, JobStore } from '../store/store.ts';
import type { StreamFinding } from './audit.ts';
import { type AuditedStream, type Counts, noCounts, sumOf } from './audit-book.ts';

export type AuditAsk = {
  /** `null` for all clinics. */
  readonly clinicId: string | null;
  /** Missing events are taken in. */
  readonly isRepairing: boolean;
  readonly isNightly: boolean;
};

export type AuditProgress = {
  /** How many streams there were when it began. */
  readonly streams: number;
  /** How many of them are done, those that could not be listed included. */
  readonly done: number;
  readonly unlisted: number;
  /** Of these, how many wanted somebody: see `UnlistedReason`. */
  readonly unlistedInNeed: number;
  readonly counts: Counts;
  readonly withoutId: number;
  readonly repaired: number;
  /** How many pages of finished streams are on record, each a row of its own. */
  readonly pages: number;
  /** The streams that are on no page yet. */
  readonly open: readonly AuditedStream[];
};

/** A stored job of kind `audit`. */
export interface AuditJob extends Job {
  readonly kind: 'audit';
  readonly ask: AuditAsk;
  readonly progress: AuditProgress;
}

/** Missing events that an audit names; more are counted only. */
export const missingIdsMax = 1_000;
/** Together, in characters: an id may be of any length, and a row of the store may not. */
const missingIdsLengthMax = 50_000;
const pageLengthMax = 200_000;

export function newAuditJob(
  ask: AuditAsk,
  about: { readonly owner: string; readonly streams: number; readonly now: number },
): AuditJob {
  return {
    id: `aud_${randomUUID()}`,
    kind: 'audit',
    state: 'running',
    owner: about.owner,
    createdAt: about.now,
    endedAt: null,
    ask,
    progress: {
      streams: about.streams,
      done: 0,
      unlisted: 0,
      unlistedInNeed: 0,
      counts: noCounts,
      withoutId: 0,
      repaired: 0,
      pages: 0,
      open: [],
    },
  };
}

/** A page of finished streams, beside its audit: a row of the store has an end to its size. */
interface AuditPage extends Job {
  readonly kind: 'audit';
  readonly ask: { readonly pageOf: string };
  readonly progress: { readonly streams: readonly AuditedStream[] };
}

/** The audit itself, or `null` for a page of one and for jobs of other kinds. */
export function asAuditJob(job: Job | null): AuditJob | null {
  return job?.kind === 'audit' && job.ask.pageOf === undefined ? (job as AuditJob) : null;
}

/** The id of the audit that a row belongs to; `null` when it is of another kind. */
export function auditIdOf(job: Job): string | null {
  if (job.kind !== 'audit') return null;
  return asAuditJob(job)?.id ?? (job as AuditPage).ask.pageOf;
}

/** The streams that an audit is done with, in the order in which they were audited. */
export async function auditStreamsOf(
  { id, progress }: AuditJob,
  store: Pick<JobStore, 'job'>,
): Promise<readonly AuditedStream[]> {
  const streams: AuditedStream[] = [];
  for (let page = 0; page < progress.pages; page++) {
    const row = (await store.job(pageIdOf(id, page))) as AuditPage | null;
    streams.push(...(row?.progress.streams ?? []));
  }
  return [...streams, ...progress.open];
}

function pageIdOf(auditId: string, page: number): string {
  return `${auditId}.${page}`;
}

/** The job after one more stream. */
export function withFinding(
  job: AuditJob,
  { clinicId, category }: Stream,
  finding: Exclude<StreamFinding, { kind: 'halted' }>,
): AuditJob {
  const { progress } = job;
  const done = progress.done + 1;
  if (finding.kind === 'unlisted') {
    const { kind, reason, detail } = finding;
    return {
      ...job,
      progress: {
        ...progress,
        done,
        unlisted: progress.unlisted + 1,
        unlistedInNeed: progress.unlistedInNeed + (reason === 'off' || reason === 'paused' ? 0 : 1),
        open: [...progress.open, { kind, clinicId, category, reason, detail }],
      },
    };
  }
  const { tally, withoutId, missing, problem } = finding;
  const days = tally.days();
  const missingIds = named(missing, missingIdsMax - progress.counts.missing);
  const repaired = job.ask.isRepairing && missing.length > 0 ? null : 0;
  return {
    ...job,
    progress: {
      ...progress,
      done,
      counts: sumOf([progress.counts, ...Object.values(days)]),
      withoutId: progress.withoutId + withoutId,
      open: [
        ...progress.open,
        { kind: 'listed', clinicId, category, days, withoutId, missingIds, repaired, problem },
      ],
    },
  };
}

/** The job after the repair of the stream that was audited last. */
export function withRepair(job: AuditJob, repaired: number): AuditJob {
  const { progress } = job;
  const open = progress.open.map((stream, index) =>
    stream.kind === 'listed' && index === progress.open.length - 1 ? { ...stream, repaired } : stream,
  );
  return { ...job, progress: { ...progress, repaired: progress.repaired + repaired, open } };
}

/** Turns the page once the open streams fill one: save the page first, then the job. */
export function turned(job: AuditJob): { readonly page: Job; readonly job: AuditJob } | null {
  const { progress } = job;
  if (JSON.stringify(progress.open).length < pageLengthMax) return null;
  const page: AuditPage = {
    ...job,
    id: pageIdOf(job.id, progress.pages),
    state: 'done',
    ask: { pageOf: job.id },
    progress: { streams: progress.open },
  };
  return { page, job: { ...job, progress: { ...progress, pages: progress.pages + 1, open: [] } } };
}

/** What is left of a large audit when newer ones have taken its place. */
export function withoutStreams(job: AuditJob): AuditJob {
  return { ...job, progress: { ...job.progress, pages: 0, open: [] } };
}

function named(missing: readonly string[], most: number): readonly string[] {
  const ids: string[] = [];
  let length = 0;
  for (const id of missing.slice(0, Math.max(0, most))) {
    length += id.length;
    if (length > missingIdsLengthMax) break;
    ids.push(id);
  }
  return ids;
}
