import { randomUUID } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { Conflict, RelayError, StoreBroken, StoreUnavailable } from '../domain/errors.ts';
import type { Logger } from '../logger.ts';
import type { Erased, ErasureStore, Job, JobStore } from '../store/store.ts';

/** What is on record of who asked for what; the patient's id is not. */
export type ErasureAsk = {
  /** `null` for all clinics. */
  readonly clinicId: string | null;
  readonly endsOpen: boolean;
  readonly isDryRun: boolean;
};

export type ErasureProgress = {
  /** What came of it; `null` until then, and when it came to nothing. */
  readonly found: Erased | null;
  /** Why it came to nothing, in one line. */
  readonly problem: string | null;
};

/** A stored job of kind `erasure`. */
export interface ErasureJob extends Job {
  readonly kind: 'erasure';
  readonly ask: ErasureAsk;
  readonly progress: ErasureProgress;
}

export interface EraserDependencies {
  readonly store: ErasureStore & Pick<JobStore, 'saveJob' | 'job' | 'jobs'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The store is broken: the process has to end. */
  readonly onFatal: (error: unknown) => void;
}

const cutOff = 'A restart cut it off.';

/**
 * Runs erasures, one at a time. Since the patient's id is not put on record, a restart
 * does not go on with one: it says so, and whoever asked asks again.
 */
export class Eraser {
  readonly #with: EraserDependencies;
  #running: { readonly halt: AbortController; readonly ended: Promise<void> } | null = null;
  /** As it is, where the store could not take its end. */
  #last: ErasureJob | null = null;

  constructor(dependencies: EraserDependencies) {
    this.#with = dependencies;
  }

  /** Says of what the process before this one left that it was cut off. */
  async start(): Promise<void> {
    for (const job of await this.#with.store.jobs()) {
      const erasure = asErasureJob(job);
      if (erasure?.state === 'running') await this.#save(this.#ended(erasure, { problem: cutOff }));
    }
  }

  /**
   * Puts it on record and begins; it goes on after this has resolved.
   *
   * @throws Conflict `erasure_running` while another one is under way
   */
  async begin(patientId: string, ask: ErasureAsk, owner: string): Promise<ErasureJob> {
    if (this.#running !== null) {
      throw new Conflict('erasure_running', 'Another erasure is under way.', {
        hint: 'Wait until it is done.',
      });
    }
    const job: ErasureJob = {
      id: `ers_${randomUUID()}`,
      kind: 'erasure',
      state: 'running',
      owner,
      createdAt: this.#with.clock.now(),
      endedAt: null,
      ask,
      progress: { found: null, problem: null },
    };
    const halt = new AbortController();
    const saved = this.#with.store.saveJob(job);
    const ended = saved
      .then(
        () => this.#run(job, patientId, halt.signal),
        // Whoever began it hears of it.
        () => {},
      )
      .catch(this.#with.onFatal)
      .finally(() => {
        this.#running = null;
      });
    this.#running = { halt, ended };
    await saved;
    return job;
  }

  /** `null` when there is none of that id. */
  async find(id: string): Promise<ErasureJob | null> {
    return this.#last?.id === id ? this.#last : asErasureJob(await this.#with.store.job(id));
  }

  /** Ends the one under way; what is on record as erased goes from the disk at the next start. */
  async stop(): Promise<void> {
    this.#running?.halt.abort();
    await this.#running?.ended;
  }

  async #run(job: ErasureJob, patientId: string, signal: AbortSignal): Promise<void> {
    const { store, logger } = this.#with;
    try {
      const found = await store.erase({ ...job.ask, patientId, by: job.owner, signal });
      await this.#save(this.#ended(job, { found }));
      const { patient: _patient, ...counts } = found;
      logger.info('erasure', { erasureId: job.id, subject: job.owner, ...counts });
    } catch (error) {
      // The next start says that it was cut off.
      if (signal.aborted) return;
      if (error instanceof StoreBroken) throw error;
      const problem = error instanceof RelayError ? error.message : 'The relay met a fault of its own.';
      const fault =
        error instanceof RelayError ? error.code : error instanceof Error ? error.name : 'unknown';
      logger.error('An erasure came to nothing, or is not at its end.', { erasureId: job.id, fault });
      await this.#save(this.#ended(job, { problem }));
    }
  }

  #ended(job: ErasureJob, progress: Partial<ErasureProgress>): ErasureJob {
    const state = progress.found ? 'done' : 'cancelled';
    return { ...job, state, endedAt: this.#with.clock.now(), progress: { ...job.progress, ...progress } };
  }

  /** While the store takes no writes it is known here, and nowhere else. */
  async #save(job: ErasureJob): Promise<void> {
    this.#last = job;
    await this.#with.store.saveJob(job).catch((error: unknown) => {
      if (!(error instanceof StoreUnavailable)) throw error;
    });
  }
}

/** The job as what it is, or `null` when it is one of another kind. */
export function asErasureJob(job: Job | null): ErasureJob | null {
  return job?.kind === 'erasure' ? (job as ErasureJob) : null;
}
