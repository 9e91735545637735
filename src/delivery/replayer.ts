import { type Clock, wait } from '../clock.ts';
import type { Delivery } from '../domain/delivery.ts';
import { NotFound, StoreUnavailable } from '../domain/errors.ts';
import type { Logger } from '../logger.ts';
import type { JobStore } from '../store/store.ts';
import { type FetchEvent, type Replayed, startFetchedRounds } from './fetched-rounds.ts';
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
  readonly #running = new Map<string, { readonly halt: AbortController; readonly ended: Promise<void> }>();
  #isStopped = false;

  constructor(dependencies: ReplayerDependencies) {
    this.#dependencies = dependencies;
  }

  /** Goes on with what a restart cut off. */
  async resume(): Promise<void> {
    for (const job of await this.#dependencies.store.jobs()) {
      const replay = asReplayJob(job);
      if (replay?.state === 'running') this.#run(replay);
    }
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
    this.#run(job);
  }

  /**
   * Ends the job where it is; what was made due is sent. One that has ended already stays as it is.
   *
   * @throws NotFound
   */
  async cancel(jobId: string): Promise<ReplayJob> {
    const { store, clock } = this.#dependencies;
    const running = this.#running.get(jobId);
    running?.halt.abort();
    await running?.ended;
    const job = asReplayJob(await store.job(jobId));
    if (job === null) throw new NotFound('replay', jobId);
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

  /** Halts after the page under way; `resume` goes on with the rest. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const running = [...this.#running.values()];
    for (const { halt } of running) halt.abort();
    await Promise.all(running.map(({ ended }) => ended));
  }

  #run(job: ReplayJob): void {
    if (this.#isStopped || this.#running.has(job.id)) return;
    const halt = new AbortController();
    const ended = this.#untilEnded(job, halt.signal)
      .catch(this.#dependencies.onFatal)
      .finally(() => this.#running.delete(job.id));
    this.#running.set(job.id, { halt, ended });
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
