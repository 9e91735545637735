import { z } from 'zod';
import type { Clock } from '../clock.ts';
import {
  asReplayJob,
  countReplay,
  newReplayJob,
  type ReplayAsk,
  type ReplayJob,
} from '../delivery/replay.ts';
import { Conflict, NotFound } from '../domain/errors.ts';
import type { Subscriber } from '../domain/subscriber.ts';
import type { JobStore, LogStore, SubscriberStore } from '../store/store.ts';
import { type Caller, mayDo } from './auth.ts';
import { given } from './deliveries.ts';
import { visibleSubscribers } from './ownership.ts';
import { checkWindow, idQuery, shown, windowQuery } from './query.ts';
import { type Route, route } from './route.ts';

export interface ReplaysDependencies {
  readonly store: Pick<LogStore, 'deliveries' | 'bodyStates'> &
    Pick<JobStore, 'job' | 'jobs'> &
    Pick<SubscriberStore, 'subscribers'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly replayer: {
    start(job: ReplayJob): Promise<void>;
    cancel(jobId: string): Promise<ReplayJob>;
  };
}

/** Each goes through the whole log once. */
const runningMax = 5;

const replayInput = z.strictObject({
  state: z.enum(['failed', 'skipped', 'delivered']),
  subscriberId: idQuery.optional(),
  clinicId: idQuery.optional(),
  eventType: idQuery.optional(),
  ...windowQuery,
  dryRun: z.boolean().default(false),
});

const replayView = z.object({
  id: z.string(),
  state: z.enum(['running', 'done', 'cancelled']),
  matched: z.number(),
  done: z.number(),
  /** Of these, whose event was kept no longer and was fetched again. */
  fetched: z.number(),
  /** Left as they are: nobody has their event any more. */
  notKept: z.number(),
  /** Left as they are: their event could not be fetched at the time. */
  notFetched: z.number(),
  createdAt: z.string(),
  endedAt: z.string().nullable(),
});

const dryRunView = z.object({
  dryRun: z.literal(true),
  matched: z.number(),
  /** Of these, whose event would have to be fetched again. */
  toFetch: z.number(),
});

export function replayRoutes({ store, clock, replayer }: ReplaysDependencies): readonly Route[] {
  /** @throws NotFound for an unknown and for somebody else's one alike */
  const replayFor = async (caller: Caller, id: string): Promise<ReplayJob> => {
    const job = asReplayJob(await store.job(id));
    const isVisible = job !== null && (job.owner === caller.subject || mayDo(caller, 'admin'));
    if (!isVisible) throw new NotFound('replay', id);
    return job;
  };

  return [
    route({
      method: 'post',
      path: '/v1/replays',
      scope: 'write',
      summary: 'Replay every delivery in a state; with `dryRun` only count them',
      body: replayInput,
      answers: { status: 202, schema: z.union([replayView, dryRunView]) },
      async answer({ caller, body: { state, subscriberId, dryRun, ...narrowing } }) {
        checkWindow(narrowing, 'invalid_body');
        const visible = await visibleSubscribers(store, caller);
        const living = subscriberId === undefined ? visible.filter(isLiving) : [named(visible, subscriberId)];
        const subscriberIds = living.map(({ id }) => id);
        const ask: ReplayAsk = { state, subscriberIds, ...given(narrowing) };
        const now = clock.now();
        if (!dryRun) await checkRunning(store, caller);
        const count = await countReplay(store, ask, now);
        if (dryRun) return { body: { dryRun, ...count } };
        const job = newReplayJob(ask, { owner: caller.subject, matched: count.matched, now });
        await replayer.start(job);
        return { body: viewOfReplay(job) };
      },
    }),
    route({
      method: 'get',
      path: '/v1/replays/{id}',
      scope: 'write',
      summary: 'Show how far a replay is',
      answers: { status: 200, schema: replayView },
      async answer({ caller, id }) {
        return { body: viewOfReplay(await replayFor(caller, id)) };
      },
    }),
    route({
      method: 'delete',
      path: '/v1/replays/{id}',
      scope: 'write',
      summary: 'Cancel a replay where it is; what was made due is sent',
      answers: { status: 200, schema: replayView },
      async answer({ caller, id }) {
        await replayFor(caller, id);
        return { body: viewOfReplay(await replayer.cancel(id)) };
      },
    }),
  ];
}

function isLiving({ deletedAt }: Subscriber): boolean {
  return deletedAt === null;
}

/** @throws NotFound, Conflict `subscriber_deleted` */
function named(visible: readonly Subscriber[], id: string): Subscriber {
  const found = visible.find((subscriber) => subscriber.id === id);
  if (found === undefined) throw new NotFound('subscriber', id);
  if (isLiving(found)) return found;
  throw new Conflict('subscriber_deleted', `${found.name} was deleted: nothing is sent to it again.`, {
    hint: 'Register it anew; what was sent before stays in the log.',
  });
}

async function checkRunning(store: Pick<JobStore, 'jobs'>, { subject }: Caller): Promise<void> {
  const jobs = await store.jobs();
  const running = jobs.filter(
    (job) => job.owner === subject && job.state === 'running' && job.kind === 'replay',
  );
  if (running.length < runningMax) return;
  throw new Conflict('too_many_replays', `${running.length} replays of yours are running.`, {
    hint: 'Wait until one is done, or cancel one.',
  });
}

function viewOfReplay({ id, state, createdAt, endedAt, progress }: ReplayJob): z.infer<typeof replayView> {
  const { matched, done, fetched = 0, notKept = 0, notFetched = 0 } = progress;
  const counts = { matched, done, fetched, notKept, notFetched };
  return { id, state, ...counts, createdAt: shown(createdAt), endedAt: shown(endedAt) };
}
