import { Conflict, NotFound, StoreBroken, StoreUnavailable } from '../domain/errors.ts';
import type { JobStore } from '../store/store.ts';
import { isBalanced } from './audit-book.ts';
import {
  type AuditAsk,
  type AuditJob,
  asAuditJob,
  auditIdOf,
  newAuditJob,
  withoutStreams,
} from './audit-job.ts';
import { type AuditRunDependencies, runAudit, streamsToAudit } from './audit-run.ts';
import { nextNightAt } from './nightly.ts';

export interface AuditorDependencies extends Omit<AuditRunDependencies, 'halt' | 'store' | 'onProgress'> {
  readonly store: AuditRunDependencies['store'] & JobStore;
  /** In [0, 1). */
  readonly random: () => number;
  /** Told once: the store is broken, or the relay has a fault. */
  readonly onFatal: (error: unknown) => void;
}

interface Running {
  /** As it is at the moment. */
  job: AuditJob;
  readonly halt: AbortController;
  readonly ended: Promise<void>;
}

/** So many are kept, the newest; and so many of them with their pages. */
const keptMax = 5;
const wholeKeptMax = 2;
const lookAgainMs = 10 * 60_000;
/** Whose the nightly audits are. */
const nightlyOwner = 'relay';

/**
 * Runs audits, one at a time: those that somebody asked for, and one every night. It
 * alone changes their jobs. What they found is on record stream by stream, so that a
 * restart goes on and counts nothing twice.
 */
export class Auditor {
  readonly #with: AuditorDependencies;
  #running: Running | null = null;
  #isStopped = false;
  #cancelTimer = (): void => {};

  constructor(dependencies: AuditorDependencies) {
    this.#with = dependencies;
  }

  /** Goes on with what a restart cut off, and audits every night from now on. */
  async start(): Promise<void> {
    const audits = await this.#audits();
    const cutOff = audits.find(({ state }) => state === 'running');
    if (cutOff) this.#run(cutOff);
    const lastAt = audits.find(({ ask }) => ask.isNightly)?.createdAt ?? null;
    this.#watchForNight(this.#nextNightAt(lastAt));
  }

  /**
   * Puts an audit on record and begins it; it goes on after this has resolved.
   *
   * @throws Conflict `audit_running` while another one is under way
   */
  async begin(ask: AuditAsk, owner: string): Promise<AuditJob> {
    const { store, clock } = this.#with;
    const streams = (await streamsToAudit(ask, this.#with)).length;
    if (this.#running !== null) {
      throw new Conflict('audit_running', `The audit ${this.#running.job.id} is under way.`, {
        hint: 'Wait until it is done, or cancel it.',
      });
    }
    const job = newAuditJob(ask, { owner, streams, now: clock.now() });
    const saved = store.saveJob(job);
    this.#run(job, saved);
    await saved;
    return job;
  }

  /** As it is at the moment, which is more than is on record while it runs; `null` when there is none. */
  async find(auditId: string): Promise<AuditJob | null> {
    const job = asAuditJob(await this.#with.store.job(auditId));
    return job !== null && this.#running?.job.id === auditId ? this.#running.job : job;
  }

  /**
   * Ends the audit where it is; what it found so far stays. One that has ended already stays as it is.
   *
   * @throws NotFound
   */
  async cancel(auditId: string): Promise<AuditJob> {
    const { store, clock } = this.#with;
    if (this.#running?.job.id === auditId) {
      this.#running.halt.abort();
      await this.#running.ended;
    }
    const job = asAuditJob(await store.job(auditId));
    if (job === null) throw new NotFound('audit', auditId);
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

  /** Halts where it is; `start` goes on with the rest. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelTimer();
    this.#running?.halt.abort();
    await this.#running?.ended;
  }

  /** Newest first. */
  async #audits(): Promise<readonly AuditJob[]> {
    const jobs = (await this.#with.store.jobs()).map(asAuditJob).filter((job) => job !== null);
    return jobs.sort((a, b) => b.createdAt - a.createdAt);
  }

  #run(job: AuditJob, isOnRecord: Promise<void> = Promise.resolve()): void {
    if (this.#isStopped || this.#running !== null) return;
    const halt = new AbortController();
    const ended = isOnRecord
      .then(
        () => this.#untilEnded(job, halt.signal),
        // Whoever began it hears of it.
        () => {},
      )
      .catch((error: unknown) => this.#broke(job, error, halt.signal))
      .finally(() => {
        this.#running = null;
      });
    this.#running = { job, halt, ended };
  }

  async #untilEnded(job: AuditJob, halt: AbortSignal): Promise<void> {
    await this.#forgetOld();
    const onProgress = (now: AuditJob): void => {
      if (this.#running) this.#running.job = now;
    };
    const ended = await runAudit(job, { ...this.#with, halt, onProgress });
    if (ended.state !== 'done') return;
    const { counts, unlisted, unlistedInNeed, repaired } = ended.progress;
    const facts = { auditId: job.id, isBalanced: isBalanced(counts), ...counts, repaired, unlisted };
    const { logger } = this.#with;
    if (counts.missing > 0) logger.error('An audit found events missing in the log.', facts);
    else if (unlistedInNeed > 0) logger.warn('An audit could not list every stream.', facts);
    else logger.info('An audit is done.', facts);
  }

  /** An audit is no reason to stop the relay, unless its store is broken. */
  async #broke(job: AuditJob, error: unknown, halt: AbortSignal): Promise<void> {
    const { store, clock, logger, onFatal } = this.#with;
    // Requests that were told to stop end here, too.
    if (halt.aborted) return;
    if (error instanceof StoreBroken) return onFatal(error);
    const fault = error instanceof Error ? error.name : 'unknown error';
    logger.error('An audit met a fault of the relay; please report it.', { auditId: job.id, fault });
    const last = asAuditJob(await store.job(job.id)) ?? job;
    await store.saveJob({ ...last, state: 'cancelled', endedAt: clock.now() }).catch((cause: unknown) => {
      if (!(cause instanceof StoreUnavailable)) onFatal(cause);
    });
  }

  /** Keeps the newest audits, of large ones among the older no more than the sums. */
  async #forgetOld(): Promise<void> {
    const { store } = this.#with;
    const audits = (await this.#audits()).slice(0, keptMax);
    const ages = new Map(audits.map(({ id }, age) => [id, age]));
    try {
      // What is on no page would tell half of it.
      for (const job of audits.slice(wholeKeptMax)) {
        if (job.progress.pages > 0) await store.saveJob(withoutStreams(job));
      }
      for (const job of await store.jobs()) {
        const auditId = auditIdOf(job);
        if (auditId === null) continue;
        const age = ages.get(auditId) ?? keptMax;
        if (age >= (job.id === auditId ? keptMax : wholeKeptMax)) await store.deleteJob(job.id);
      }
    } catch (error) {
      // The next audit forgets them, too.
      if (!(error instanceof StoreUnavailable)) throw error;
    }
  }

  /** @param at epoch milliseconds; looked at again and again, for the machine's clock may step. */
  #watchForNight(at: number): void {
    const { clock, onFatal } = this.#with;
    const leftMs = Math.max(at - clock.now(), 0);
    this.#cancelTimer = clock.after(Math.min(leftMs, lookAgainMs), () => {
      if (leftMs > lookAgainMs) this.#watchForNight(at);
      else this.#auditNightly().then((next) => this.#isStopped || this.#watchForNight(next), onFatal);
    });
  }

  /** @returns when to look again. */
  async #auditNightly(): Promise<number> {
    const { clock } = this.#with;
    const ask = { clinicId: null, isRepairing: true, isNightly: true };
    try {
      const hasStreams = (await streamsToAudit(ask, this.#with)).length > 0;
      if (hasStreams) await this.begin(ask, nightlyOwner);
      return this.#nextNightAt(clock.now());
    } catch (error) {
      const passes = error instanceof StoreUnavailable || error instanceof Conflict;
      if (!passes) throw error;
      return clock.now() + lookAgainMs;
    }
  }

  #nextNightAt(lastAt: number | null): number {
    const { clock, random } = this.#with;
    return nextNightAt({ now: clock.now(), lastAt, random: random() });
  }
}
