import { wait } from '../clock.ts';
import { Conflict, StoreUnavailable } from '../domain/errors.ts';
import type { JobStore } from '../store/store.ts';
import {
  asBackfillJob,
  type BackfillCount,
  type BackfillJob,
  countBackfill,
  type Wanting,
} from './backfill.ts';
import { BackfillRun, type BackfillRunDependencies } from './backfill-run.ts';
import { JobRuns } from './job-runs.ts';

export interface BackfillerDependencies extends Omit<BackfillRunDependencies, 'halt' | 'store'> {
  readonly store: BackfillRunDependencies['store'] & Pick<JobStore, 'job' | 'jobs'>;
  /** The store is broken: the process has to end. */
  readonly onFatal: (error: unknown) => void;
}

const unavailableWaitMs = 2_000;

/** Runs stored backfills until each is done or cancelled. It alone changes them. */
export class Backfiller {
  readonly #dependencies: BackfillerDependencies;
  readonly #runs: JobRuns<BackfillJob>;
  /** Of subscribers whose next backfill is being put on record. */
  readonly #starting = new Set<string>();

  constructor(dependencies: BackfillerDependencies) {
    this.#dependencies = dependencies;
    this.#runs = new JobRuns({
      ...dependencies,
      kind: 'backfill',
      asKind: asBackfillJob,
      run: (job, halt) => this.#untilEnded(job, halt),
    });
  }

  /** Goes on with what is on record: what a restart cut off, or came on record with a new subscriber. */
  resume(): Promise<void> {
    return this.#runs.resume();
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
      this.#runs.begin(job);
    } finally {
      this.#starting.delete(subscriberId);
    }
  }

  /**
   * Ends the job where it is; what it has enqueued is sent. One that has ended already stays as it is.
   *
   * @throws NotFound
   */
  cancel(jobId: string): Promise<BackfillJob> {
    return this.#runs.cancel(jobId);
  }

  /** Halts after the step under way; `resume` goes on with the rest. */
  stop(): Promise<void> {
    return this.#runs.stop();
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
