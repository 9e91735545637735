import type { Clock } from '../clock.ts';
import { NotFound } from '../domain/errors.ts';
import type { Job, JobStore } from '../store/store.ts';

export interface JobRunsDependencies<Stored extends Job> {
  readonly store: Pick<JobStore, 'job' | 'jobs' | 'saveJob'>;
  readonly clock: Clock;
  readonly kind: Stored['kind'];
  /** The job as what it is, or `null` when it is one of another kind. */
  readonly asKind: (job: Job | null) => Stored | null;
  /** Resolves when the job has ended, or soon after `halt`; goes on where the job on record is. */
  readonly run: (job: Stored, halt: AbortSignal) => Promise<void>;
  /** A run that rejects: the process has to end. */
  readonly onFatal: (error: unknown) => void;
}

/** Runs the stored jobs of one kind, each at most once at a time, until they end or are cancelled. */
export class JobRuns<Stored extends Job> {
  readonly #with: JobRunsDependencies<Stored>;
  readonly #running = new Map<string, { readonly halt: AbortController; readonly ended: Promise<void> }>();
  #isStopped = false;

  constructor(dependencies: JobRunsDependencies<Stored>) {
    this.#with = dependencies;
  }

  /** Begins every job on record that is not at its end: a restart cut it off, or it was put there to be begun. */
  async resume(): Promise<void> {
    const { store, asKind } = this.#with;
    for (const job of await store.jobs()) {
      const found = asKind(job);
      if (found?.state === 'running') this.begin(found);
    }
  }

  /** @param job on record; what runs already is left running. */
  begin(job: Stored): void {
    if (this.#isStopped || this.#running.has(job.id)) return;
    const { run, onFatal } = this.#with;
    const halt = new AbortController();
    const ended = run(job, halt.signal)
      .catch(onFatal)
      .finally(() => this.#running.delete(job.id));
    this.#running.set(job.id, { halt, ended });
  }

  /**
   * Ends the job where it is. One that has ended already stays as it is.
   *
   * @throws NotFound
   */
  async cancel(jobId: string): Promise<Stored> {
    const { store, clock, kind, asKind } = this.#with;
    const running = this.#running.get(jobId);
    running?.halt.abort();
    await running?.ended;
    const job = asKind(await store.job(jobId));
    if (job === null) throw new NotFound(kind, jobId);
    if (job.state !== 'running') return job;
    const cancelled = { ...job, state: 'cancelled', endedAt: clock.now() } as const;
    try {
      await store.saveJob(cancelled);
    } catch (error) {
      // Not on record, so not cancelled.
      this.begin(job);
      throw error;
    }
    return cancelled;
  }

  /** Halts them where they are; the next start goes on with the rest. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const running = [...this.#running.values()];
    for (const { halt } of running) halt.abort();
    await Promise.all(running.map(({ ended }) => ended));
  }
}
