import { z } from 'zod';
import type { Clock } from '../clock.ts';
import {
  asBackfillJob,
  type BackfillCount,
  type BackfillJob,
  newBackfillJob,
  type Wanting,
} from '../delivery/backfill.ts';
import { InvalidInput, NotFound } from '../domain/errors.ts';
import { readStartFrom, startFromInput, startOf } from '../domain/start-from.ts';
import { subscriberInput } from '../domain/subscriber-input.ts';
import type { JobStore, SubscriberStore } from '../store/store.ts';
import { type Caller, mayDo } from './auth.ts';
import { subscriberFor } from './ownership.ts';
import { idQuery, listOf, pageOf, pageQuery, shown } from './query.ts';
import { type Route, route } from './route.ts';

export interface BackfillsDependencies {
  readonly store: Pick<JobStore, 'job' | 'jobs'> & Pick<SubscriberStore, 'subscribers'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly backfiller: {
    count(wanting: Wanting, from: number): Promise<BackfillCount>;
    start(job: BackfillJob): Promise<void>;
    resume(): Promise<void>;
    cancel(jobId: string): Promise<BackfillJob>;
  };
}

const backfillInput = z
  .strictObject({
    subscriberId: idQuery.optional(),
    from: startFromInput,
    eventTypes: subscriberInput.shape.eventTypes,
    clinicIds: subscriberInput.shape.clinicIds,
    dryRun: z.boolean().default(false),
  })
  .superRefine(({ subscriberId, eventTypes, clinicIds, dryRun }, context) => {
    const add = (path: string, message: string) =>
      context.addIssue({ code: 'custom', path: [path], message });
    if (subscriberId === undefined && !dryRun)
      add('subscriberId', 'is missing: without one only dryRun works');
    if (subscriberId === undefined) return;
    if (eventTypes !== undefined) add('eventTypes', 'stands beside subscriberId, whose own filters apply');
    if (clinicIds !== undefined) add('clinicIds', 'stands beside subscriberId, whose own filters apply');
  });

export const backfillView = z.object({
  id: z.string(),
  subscriberId: z.string(),
  from: z.string(),
  state: z.enum(['running', 'done', 'cancelled']),
  /** How many events it has found so far. */
  matched: z.number(),
  /** How many of them it has gone through. */
  done: z.number(),
  /** For how many of these it made a delivery. */
  enqueued: z.number(),
  /** How many were left out because nobody has their text any more. */
  unavailable: z.number(),
  createdAt: z.string(),
  endedAt: z.string().nullable(),
});

const dryRunView = z.object({
  dryRun: z.literal(true),
  from: z.string(),
  matched: z.number(),
  streams: z.array(z.object({ clinicId: z.string(), category: z.string(), events: z.number() })),
});

export function backfillRoutes({ store, clock, backfiller }: BackfillsDependencies): readonly Route[] {
  /** @throws NotFound for an unknown and for somebody else's one alike */
  const backfillFor = async (caller: Caller, id: string): Promise<BackfillJob> => {
    const job = asBackfillJob(await store.job(id));
    if (job === null || !isVisible(caller, job)) throw new NotFound('backfill', id);
    return job;
  };

  return [
    route({
      method: 'post',
      path: '/v1/backfills',
      scope: 'write',
      summary:
        'Send a subscriber the events of the past that it has not been sent; with `dryRun` only count them',
      body: backfillInput,
      answers: { status: 202, schema: z.union([backfillView, dryRunView]) },
      async answer({ caller, body: { subscriberId, from: text, eventTypes, clinicIds, dryRun } }) {
        const now = clock.now();
        const from = pastInstant(text, now, 'from');
        if (subscriberId === undefined) {
          const filters = { eventTypes: eventTypes ?? [], clinicIds: clinicIds ?? [], deletedAt: null };
          return { body: viewOfCount(from, await backfiller.count(filters, from)) };
        }
        const subscriber = await subscriberFor(store, caller, subscriberId);
        const count = await backfiller.count(subscriber, from);
        if (dryRun) return { body: viewOfCount(from, count) };
        const about = { owner: subscriber.owner ?? caller.subject, matched: count.matched, now };
        const job = newBackfillJob({ subscriberId, from }, about);
        await backfiller.start(job);
        return { body: viewOfBackfill(job) };
      },
    }),
    route({
      method: 'get',
      path: '/v1/backfills',
      scope: 'write',
      summary: 'List backfills, oldest first: also those that began with their subscriber',
      query: z.strictObject({ subscriberId: idQuery.optional(), ...pageQuery }),
      answers: { status: 200, schema: listOf(backfillView) },
      async answer({ caller, query }) {
        const { subscriberId } = query;
        const jobs = (await store.jobs()).map(asBackfillJob).filter((job) => job !== null);
        const wanted = jobs.filter(
          (job) =>
            isVisible(caller, job) && (subscriberId === undefined || job.ask.subscriberId === subscriberId),
        );
        const { items, nextCursor } = pageOf(wanted, query);
        return { body: { data: items.map(viewOfBackfill), nextCursor } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/backfills/{id}',
      scope: 'write',
      summary: 'Show how far a backfill is',
      answers: { status: 200, schema: backfillView },
      async answer({ caller, id }) {
        return { body: viewOfBackfill(await backfillFor(caller, id)) };
      },
    }),
    route({
      method: 'delete',
      path: '/v1/backfills/{id}',
      scope: 'write',
      summary: 'Cancel a backfill where it is; what it has enqueued is sent',
      answers: { status: 200, schema: backfillView },
      async answer({ caller, id }) {
        await backfillFor(caller, id);
        return { body: viewOfBackfill(await backfiller.cancel(id)) };
      },
    }),
  ];
}

function isVisible(caller: Caller, job: BackfillJob): boolean {
  return job.owner === caller.subject || mayDo(caller, 'admin');
}

/** The moment that a text names; nothing of the past comes from the future. @throws InvalidInput */
export function pastInstant(text: string, now: number, field: string): number {
  const start = readStartFrom(text);
  const at = startOf(text, now);
  if (start !== null && at >= 0 && at <= now) return at;
  throw new InvalidInput('invalid_body', 'The body has a mistake.', {
    hint: 'Name a moment of the past: 30d, 12h, or an instant.',
    problems: [{ path: field, message: at > now ? 'is in the future' : 'is before 1970' }],
  });
}

export function viewOfBackfill({
  id,
  state,
  createdAt,
  endedAt,
  ask,
  progress,
}: BackfillJob): z.infer<typeof backfillView> {
  const { matched, done, enqueued, unavailable } = progress;
  return {
    id,
    subscriberId: ask.subscriberId,
    from: shown(ask.from),
    state,
    matched,
    done,
    enqueued,
    unavailable,
    createdAt: shown(createdAt),
    endedAt: shown(endedAt),
  };
}

function viewOfCount(from: number, { matched, streams }: BackfillCount): z.infer<typeof dryRunView> {
  return { dryRun: true, from: shown(from), matched, streams: [...streams] };
}
