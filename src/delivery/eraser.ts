import { randomUUID } from 'node:crypto';
import { type Clock, wait } from '../clock.ts';
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
  /** What came of it; `null` until it is on record, and when it came to nothing. */
  readonly found: Erased | null;
  /** Why it waits, or did not come to its end, in one line. */
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

const cutOff =
  'A restart cut it off before all of it was on record: ask for it again. What was erased stays so.';
const againMs = 60_000;

/**
 * Runs erasures, one at a time. Until one is on record a restart ends it, since the
 * patient's id is not put on record: it says so, and whoever asked asks again. Afterwards
 * a restart goes on with what is left to do on the disk.
 */
export class Eraser {
  readonly #with: EraserDependencies;
  #running: { readonly halt: AbortController; readonly ended: Promise<void> } | null = null;
  /** As it is, where the store could not take it. */
  #last: ErasureJob | null = null;

  constructor(dependencies: EraserDependencies) {
    this.#with = dependencies;
  }

  /** Goes on with what the process before this one left, or says that it was cut off. */
  async start(): Promise<void> {
    const { store, logger } = this.#with;
    const left = (await store.jobs())
      .flatMap((job) => asErasureJob(job) ?? [])
      .filter(({ state }) => state === 'running');
    for (const job of left) {
      if (job.progress.found) continue;
      const message = 'An erasure was cut off by a restart: it has to be asked for again.';
      logger.warn(message, { erasureId: job.id, subject: job.owner });
      await this.#save(this.#ended(job, { problem: cutOff }));
    }
    const onRecord = left.filter(({ progress }) => progress.found !== null);
    const [first] = onRecord;
    if (!first) return;
    this.#run(first, async (signal) => {
      for (const job of onRecord) await this.#removeErased(job, signal);
    });
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
    const saved = this.#with.store.saveJob(job);
    this.#run(job, async (signal) => {
      // Whoever began it hears of it.
      const isSaved = await saved.then(
        () => true,
        () => false,
      );
      if (isSaved) await this.#erase(job, patientId, signal);
    });
    await saved;
    return job;
  }

  /** `null` when there is none of that id. */
  async find(id: string): Promise<ErasureJob | null> {
    return this.#last?.id === id ? this.#last : asErasureJob(await this.#with.store.job(id));
  }

  /** Ends the one under way; the next start goes on with what is on record. */
  async stop(): Promise<void> {
    this.#running?.halt.abort();
    await this.#running?.ended;
  }

  #run(job: ErasureJob, work: (signal: AbortSignal) => Promise<void>): void {
    const halt = new AbortController();
    const ended = work(halt.signal)
      .catch((error: unknown) => this.#failed(job, error, halt.signal))
      .catch(this.#with.onFatal)
      .finally(() => {
        this.#running = null;
      });
    this.#running = { halt, ended };
  }

  async #erase(job: ErasureJob, patientId: string, signal: AbortSignal): Promise<void> {
    const { store } = this.#with;
    const jobAfter = (found: Erased): ErasureJob => ({ ...job, progress: { found, problem: null } });
    const ask = { ...job.ask, patientId, by: job.owner, jobAfter, signal };
    const found = await this.#whenPossible(job, signal, () => store.erase(ask));
    await this.#removeErased(jobAfter(found), signal);
  }

  /** @param job it is on record. */
  async #removeErased(job: ErasureJob, signal: AbortSignal): Promise<void> {
    const { found } = job.progress;
    this.#last = job;
    if (found?.isErased) await this.#whenPossible(job, signal, () => this.#with.store.removeErased(signal));
    await this.#save(this.#ended(job, {}));
    const { patient: _patient, ...counts } = found ?? { patient: '' };
    this.#with.logger.info('erasure', { erasureId: job.id, subject: job.owner, ...counts });
  }

  /** Tries again every minute while the store can take no writes; the job says why it waits. */
  async #whenPossible<Answer>(
    job: ErasureJob,
    signal: AbortSignal,
    work: () => Promise<Answer>,
  ): Promise<Answer> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof StoreUnavailable) || signal.aborted) throw error;
        this.#last = { ...job, progress: { ...job.progress, problem: error.message } };
        this.#with.logger.warn('An erasure waits for the store.', { erasureId: job.id, fault: error.code });
        await wait(this.#with.clock, againMs, signal);
        signal.throwIfAborted();
      }
    }
  }

  async #failed(begun: ErasureJob, error: unknown, signal: AbortSignal): Promise<void> {
    // The next start goes on, or says that it was cut off.
    if (signal.aborted) return;
    if (error instanceof StoreBroken) throw error;
    const problem = error instanceof RelayError ? error.message : 'The relay met a fault of its own.';
    const fault = error instanceof RelayError ? error.code : error instanceof Error ? error.name : 'unknown';
    const message = 'An erasure came to nothing, or is not at its end.';
    this.#with.logger.error(message, { erasureId: begun.id, fault });
    await this.#save(this.#ended(this.#last?.id === begun.id ? this.#last : begun, { problem }));
  }

  #ended(job: ErasureJob, progress: Partial<ErasureProgress>): ErasureJob {
    const after = { ...job.progress, problem: null, ...progress };
    const state = after.found && after.problem === null ? 'done' : 'cancelled';
    return { ...job, state, endedAt: this.#with.clock.now(), progress: after };
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
function asErasureJob(job: Job | null): ErasureJob | null {
  return job?.kind === 'erasure' ? (job as ErasureJob) : null;
}
