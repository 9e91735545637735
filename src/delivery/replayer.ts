import { type Clock, wait } from '../clock.ts';
import type { Delivery } from '../domain/delivery.ts';
import { StoreUnavailable } from '../domain/errors.ts';
import type { Logger } from '../logger.ts';
import type { JobStore } from '../store/store.ts';
import { type FetchEvent, type Replayed, startFetchedRounds } from './fetched-rounds.ts';
import { JobRuns } from './job-runs.ts';
import { asReplayJob, type ReplayJob, type ReplayStore, replayPage } from './replay.ts';

export interface ReplayerDependencies {
  readonly store: ReplayStore & Pick<JobStore, 'job' | 'jobs'>;
  readonly fetchEvent: FetchEvent;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Deliveries became due. */
  readonly onStarted: () => void;
  /** The store is broken: the process has to end. */
  readonly onFatal: (error: unknown) => void;
}

const unavailableWaitMs = 2_000;
/** Whoever waits for one delivery waits no longer for its event. */
const fetchWaitMs = 20_000;

/** Runs stored replay jobs, page after page, until each is done or cancelled. It alone changes them. */
export class Replayer {
  readonly #dependencies: ReplayerDependencies;
  readonly #runs: JobRuns<ReplayJob>;

  constructor(dependencies: ReplayerDependencies) {
    this.#dependencies = dependencies;
    this.#runs = new JobRuns({
      ...dependencies,
      kind: 'replay',
      asKind: asReplayJob,
      run: (job, halt) => this.#untilEnded(job, halt),
    });
  }

  /** Goes on with what a restart cut off. */
  resume(): Promise<void> {
    return this.#runs.resume();
  }

  /**
   * Replays one delivery, now.
   *
   * @returns `null` when it was removed meanwhile
   * @throws StoreCorrupt `body_unreadable` when its event is damaged, and cannot be fetched again
   */
  async startRound(delivery: Delivery): Promise<Replayed | null> {
    const { clock, onStarted } = this.#dependencies;
    const halt = new AbortController();
    const cancel = clock.after(fetchWaitMs, () => halt.abort());
    try {
      const how = { isUrgent: true, signal: halt.signal };
      const replayed = await startFetchedRounds([delivery], this.#dependencies, how);
      if (replayed === null) {
        const detail = 'Fullscript did not answer in time';
        return { deliveryId: delivery.id, kind: 'notFetched', detail };
      }
      onStarted();
      return replayed[0] ?? null;
    } finally {
      cancel();
    }
  }

  /** Puts the job on record and begins; it goes on after this has resolved. */
  async start(job: ReplayJob): Promise<void> {
    await this.#dependencies.store.saveJob(job);
    this.#runs.begin(job);
  }

  /**
   * Ends the job where it is; what was made due is sent. One that has ended already stays as it is.
   *
   * @throws NotFound
   */
  cancel(jobId: string): Promise<ReplayJob> {
    return this.#runs.cancel(jobId);
  }

  /** Halts after the page under way; `resume` goes on with the rest. */
  stop(): Promise<void> {
    return this.#runs.stop();
  }

  async #untilEnded(first: ReplayJob, halt: AbortSignal): Promise<void> {
    const { store, fetchEvent, clock, logger, onStarted } = this.#dependencies;
    let job = first;
    while (job.state === 'running' && !halt.aborted) {
      try {
        job = await replayPage(job, { store, fetchEvent, halt }, clock.now());
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
        logger.warn('A replay waits for the store.', { replayId: job.id, code: error.code });
        await wait(clock, unavailableWaitMs, halt);
        continue;
      }
      onStarted();
    }
    if (job.state === 'done') logger.info('replay', { replayId: job.id, done: job.progress.done });
  }
}
