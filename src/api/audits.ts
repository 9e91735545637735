import { z } from 'zod';
import type { Clinic } from '../domain/clinic.ts';
import { Conflict, NotFound } from '../domain/errors.ts';
import {
  type AuditedStream,
  type Counts,
  isBalanced,
  type ListedStream,
  noCounts,
  sumOf,
} from '../source/audit-book.ts';
import {
  type AuditAsk,
  type AuditJob,
  asAuditJob,
  auditStreamsOf,
  missingIdsMax,
} from '../source/audit-job.ts';
import type { ClinicStore, JobStore } from '../store/store.ts';
import { idQuery, shown } from './query.ts';
import { type Route, route } from './route.ts';

export interface AuditsDependencies {
  readonly store: Pick<JobStore, 'job'> & Pick<ClinicStore, 'clinics'>;
  readonly auditor: {
    find(auditId: string): Promise<AuditJob | null>;
    begin(ask: AuditAsk, owner: string): Promise<AuditJob>;
    cancel(auditId: string): Promise<AuditJob>;
  };
}

const auditInput = z.strictObject({
  /** Its id or its configured name; without it all clinics are audited. */
  clinicId: idQuery.optional(),
  /** Take in what is missing; events from before a stream's start are recorded as past and never sent. */
  repair: z.boolean().default(false),
});

const counted = Object.fromEntries(Object.keys(noCounts).map((name) => [name, z.number()])) as Record<
  keyof Counts,
  z.ZodNumber
>;

const streamView = z.object({
  clinicId: z.string(),
  category: z.string(),
  balanced: z.boolean(),
  ...counted,
  /** Listed without an id that can be used: no part of `listed`. */
  withoutId: z.number(),
  repaired: z.number(),
  missingIds: z.array(z.string()),
  /** Why its polls did not complete while the audit waited for one. */
  problem: z.string().nullable(),
  /** By the day of creation (UTC); `undated` holds events without a date. Days without events are left out. */
  days: z.array(z.object({ day: z.string(), ...counted })),
});

const auditView = z.object({
  id: z.string(),
  state: z.enum(['running', 'done', 'cancelled']),
  clinicId: z.string().nullable(),
  repair: z.boolean(),
  isNightly: z.boolean(),
  createdAt: z.string(),
  endedAt: z.string().nullable(),
  /** How many streams it goes through, and how many of them are done. */
  progress: z.object({ streams: z.number(), done: z.number() }),
  /** The buckets sum to `listed`, and nothing is missing; `null` until it is done. It says nothing about `unlisted`. */
  balanced: z.boolean().nullable(),
  ...counted,
  withoutId: z.number(),
  /** How many of the missing events are in the log now. */
  repaired: z.number(),
  /** The first 1,000. */
  missingIds: z.array(z.string()),
  /** Streams that could not be listed; empty while it is running, as `streams` is. */
  unlisted: z.array(
    z.object({
      clinicId: z.string(),
      category: z.string(),
      reason: z.enum(['off', 'paused', 'noAccess', 'failed', 'outOfTime']),
      detail: z.string(),
    }),
  ),
  /** Of a large audit none, once two newer ones were begun. */
  streams: z.array(streamView),
});

export function auditRoutes({ store, auditor }: AuditsDependencies): readonly Route[] {
  const auditFor = async (id: string): Promise<AuditJob> => {
    const job = await auditor.find(id);
    if (job === null) throw new NotFound('audit', id);
    return job;
  };

  return [
    route({
      method: 'post',
      path: '/v1/audits',
      scope: 'admin',
      summary: 'Compare the log with all that Fullscript still lists; with `repair` take in what is missing',
      body: auditInput,
      answers: { status: 202, schema: auditView },
      async answer({ caller, body: { clinicId, repair } }) {
        const clinic = clinicId === undefined ? null : followedClinic(await store.clinics(), clinicId);
        const ask = { clinicId: clinic?.id ?? null, isRepairing: repair, isNightly: false };
        return { body: viewOfAudit(await auditor.begin(ask, caller.subject), []) };
      },
    }),
    route({
      method: 'get',
      path: '/v1/audits/{id}',
      scope: 'admin',
      summary: 'Show how far an audit is, and what it found once it has ended',
      answers: { status: 200, schema: auditView },
      async answer({ id }) {
        const job = await auditFor(id);
        return { body: viewOfAudit(job, job.state === 'running' ? [] : await auditStreamsOf(job, store)) };
      },
    }),
    route({
      method: 'delete',
      path: '/v1/audits/{id}',
      scope: 'admin',
      summary: 'Cancel an audit where it is; what it found so far stays',
      answers: { status: 200, schema: auditView },
      async answer({ id }) {
        await auditFor(id);
        const job = await auditor.cancel(id);
        return { body: viewOfAudit(job, await auditStreamsOf(job, store)) };
      },
    }),
  ];
}

export const auditsView = z.object({
  /** The newest that is done. */
  last: z
    .object({
      id: z.string(),
      endedAt: z.string(),
      balanced: z.boolean(),
      listed: z.number(),
      missing: z.number(),
      repaired: z.number(),
      /** How many streams could not be listed, and how many of these want somebody. */
      unlisted: z.number(),
      unlistedInNeed: z.number(),
    })
    .nullable(),
  running: z.object({ id: z.string(), streams: z.number(), done: z.number() }).nullable(),
});

/** What the status says of audits. */
export async function auditsOf(
  store: Pick<JobStore, 'jobs'>,
  auditor: Pick<AuditsDependencies['auditor'], 'find'>,
): Promise<z.infer<typeof auditsView>> {
  const audits = (await store.jobs()).map(asAuditJob).filter((job) => job !== null);
  const onRecord = audits.find(({ state }) => state === 'running');
  const running = onRecord ? await auditor.find(onRecord.id) : null;
  const [last] = audits.filter(({ state }) => state === 'done').sort((a, b) => endOf(b) - endOf(a));
  return { last: last ? viewOfLast(last) : null, running: running ? viewOfRunning(running) : null };
}

function endOf({ endedAt, createdAt }: AuditJob): number {
  return endedAt ?? createdAt;
}

function viewOfLast(job: AuditJob): NonNullable<z.infer<typeof auditsView>['last']> {
  const { counts, repaired, unlisted, unlistedInNeed } = job.progress;
  const { listed, missing } = counts;
  const endedAt = shown(endOf(job));
  return {
    id: job.id,
    endedAt,
    balanced: isBalanced(counts),
    listed,
    missing,
    repaired,
    unlisted,
    unlistedInNeed,
  };
}

function viewOfRunning({ id, progress }: AuditJob): NonNullable<z.infer<typeof auditsView>['running']> {
  return { id, streams: progress.streams, done: progress.done };
}

/** @throws NotFound; Conflict `clinic_not_connected` when it was removed */
function followedClinic(clinics: readonly Clinic[], idOrName: string): Clinic {
  const clinic = clinics.find(({ id }) => id === idOrName) ?? clinics.find(({ name }) => name === idOrName);
  if (clinic === undefined) throw new NotFound('clinic', idOrName);
  if (!clinic.isRemoved) return clinic;
  throw new Conflict('clinic_not_connected', `${clinic.name} is not connected.`, {
    hint: 'Connect it again with new tokens.',
  });
}

function viewOfAudit(job: AuditJob, streams: readonly AuditedStream[]): z.infer<typeof auditView> {
  const { id, state, ask, createdAt, endedAt, progress } = job;
  const listed = streams.filter((stream) => stream.kind === 'listed');
  return {
    id,
    state,
    clinicId: ask.clinicId,
    repair: ask.isRepairing,
    isNightly: ask.isNightly,
    createdAt: shown(createdAt),
    endedAt: shown(endedAt),
    progress: { streams: progress.streams, done: progress.done },
    balanced: state === 'done' ? isBalanced(progress.counts) : null,
    ...progress.counts,
    withoutId: progress.withoutId,
    repaired: progress.repaired,
    missingIds: listed.flatMap(({ missingIds }) => missingIds).slice(0, missingIdsMax),
    unlisted: streams
      .filter((stream) => stream.kind === 'unlisted')
      .map(({ clinicId, category, reason, detail }) => ({ clinicId, category, reason, detail })),
    streams: listed.map(viewOfStream),
  };
}

function viewOfStream(stream: ListedStream): z.infer<typeof streamView> {
  const { clinicId, category, days, withoutId, repaired, missingIds, problem } = stream;
  const counts = sumOf(Object.values(days));
  return {
    clinicId,
    category,
    balanced: isBalanced(counts),
    ...counts,
    withoutId,
    repaired: repaired ?? 0,
    missingIds: [...missingIds],
    problem,
    days: Object.entries(days).map(([day, sparse]) => ({ day, ...sumOf([sparse]) })),
  };
}
