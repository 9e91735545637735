import { wait } from '../clock.ts';
import { Conflict, NotFound, StoreUnavailable } from '../domain/errors.ts';
import type { JobStore } from '../store/store.ts';
import {
  asBackfillJob,
  type BackfillCount,
  type BackfillJob,
  countBackfill,
  type Wanting,
} from './backfill.ts';
import { BackfillRun, type BackfillRunDependencies } from './backfill-run.ts';

export interface BackfillerDependencies extends Omit<BackfillRunDependencies, 'halt' | 'store'> {
  readonly store: BackfillRunDependencies['store'] & Pick<JobStore, 'job' | 'jobs'>;
  /** The store is broken: the process has to end. */
  readonly onFatal: (error: unknown) => void;
}

const unavailableWaitMs = 2_000;

/** Runs stored backfills until each is done or cancelled. It alone changes them. */
export class Backfiller {
  readonly #dependencies: BackfillerDependencies;
  readonly #running = new Map<string, { readonly halt: AbortController; readonly ended: Promise<void> }>();
  /** Of subscribers whose next backfill is being put on record. */
  readonly #starting = new Set<string>();
  #isStopped = false;

  constructor(dependencies: BackfillerDependencies) {
    this.#dependencies = dependencies;
  }

  /** Goes on with what is on record: what a restart cut off, or came on record with a new subscriber. */
  async resume(): Promise<void> {
    for (const job of await this.#dependencies.store.jobs()) {
      const backfill = asBackfillJob(job);
      if (backfill?.state === 'running') this.#run(backfill);
    }
  }

  /** How many events a backfill begun now would take. */
  count(wanting: Wanting, from: number): Promise<BackfillCount> {
    return countBackfill(wanting, from, { ...this.#dependencies, now: this.#dependencies.clock.now() });
  }

  /**
   * Puts the job on record and begins; it goes on after this has resolved.
   *
   * @throws Conflict `backfill_running`: one of a subscriber at a time keeps the order, and the rate gentle
   */
  async start(job: BackfillJob): Promise<void> {
    const { store } = this.#dependencies;
    const { subscriberId } = job.ask;
    if (this.#starting.has(subscriberId)) throw underWay('A backfill of the subscriber');
    this.#starting.add(subscriberId);
    try {
      const jobs = (await store.jobs()).map(asBackfillJob);
      const running = jobs.find(
        (each) => each?.state === 'running' && each.ask.subscriberId === subscriberId,
      );
      if (running) throw underWay(`The backfill ${running.id} of the subscriber`);
      await store.saveJob(job);
      this.#run(job);
    } finally {
      this.#starting.delete(subscriberId);
    }
  }

  /**
   * Ends the job where it is; what it has enqueued is sent. One that has ended already stays as it is.
   *
   * @throws NotFound
   */
  async cancel(jobId: string): Promise<BackfillJob> {
    const { store, clock } = this.#dependencies;
    const running = this.#running.get(jobId);
    running?.halt.abort();
    await running?.ended;
    const job = asBackfillJob(await store.job(jobId));
    if (job === null) throw new NotFound('backfill', jobId);
    if (job.state !== 'running') return job;
    const cancelled = { ...job, state: 'cancelled', endedAt: clock.now() } as const;
    try {
      await store.saveJob(cancelled);
    } catch (error) {
      // Not on record, so not cancelled.
      this.#run(job);
      throw error;
    }
    return cancelled;
  }

  /** Halts after the step under way; `resume` goes on with the rest. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const running = [...this.#running.values()];
    for (const { halt } of running) halt.abort();
    await Promise.all(running.map(({ ended }) => ended));
  }

  #run(job: BackfillJob): void {
    if (this.#isStopped || this.#running.has(job.id)) return;
    const halt = new AbortController();
    const ended = this.#untilEnded(job, halt.signal)
      .catch(this.#dependencies.onFatal)
      .finally(() => this.#running.delete(job.id));
    this.#running.set(job.id, { halt, ended });
  }

  async #untilEnded(job: BackfillJob, halt: AbortSignal): Promise<void> {
    const { clock, logger } = this.#dependencies;
    const run = new BackfillRun(job, { ...this.#dependencies, halt });
    while (run.job.state === 'running' && !halt.aborted) {
      try {
        await run.toTheEnd();
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
        logger.warn('A backfill waits for the store.', { backfillId: job.id, code: error.code });
        await wait(clock, unavailableWaitMs, halt);
      }
    }
    const { id, state, progress } = run.job;
    if (state !== 'running') {
      const { enqueued, unavailable } = progress;
      logger.info('A backfill has ended.', { backfillId: id, state, enqueued, unavailable });
    }
  }
}

function underWay(which: string): Conflict {
  return new Conflict('backfill_running', `${which} is under way.`, {
    hint: 'Wait until it is done, or cancel it.',
  });
}
