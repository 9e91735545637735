import { type Clock, wait } from '../clock.ts';
import type { Stream, StreamKey } from '../domain/clinic.ts';
import { StoreUnavailable } from '../domain/errors.ts';
import type { Logger } from '../logger.ts';
import type { ClinicStore, Job, JobStore, PollStore } from '../store/store.ts';
import { type AuditDependencies, auditStream, repairStream, type StreamFinding } from './audit.ts';
import {
  type AuditAsk,
  type AuditJob,
  auditStreamsOf,
  turned,
  withFinding,
  withRepair,
} from './audit-job.ts';
import type { ClinicAccess } from './clinic-access.ts';

export interface AuditRunDependencies extends AuditDependencies {
  readonly store: AuditDependencies['store'] &
    Pick<PollStore, 'streams'> &
    Pick<ClinicStore, 'clinics' | 'connections'> &
    Pick<JobStore, 'job' | 'saveJob'>;
  readonly access: Pick<ClinicAccess, 'isUsable'>;
  readonly categories: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
  /** Hears of each stream that is done; what is on record may be some minutes behind. */
  readonly onProgress: (job: AuditJob) => void;
}

/** What is not audited by then is left out: the next night has an audit of its own. */
const longestMs = 20 * 3_600_000;
/** A restart repeats no more of an audit than this. */
const saveEveryMs = 5 * 60_000;
const storeAgainMs = 2_000;

/** The streams that an audit goes through: those of clinics that were not removed, in a lasting order. */
export async function streamsToAudit(
  { clinicId }: Pick<AuditAsk, 'clinicId'>,
  { store, categories }: Pick<AuditRunDependencies, 'store' | 'categories'>,
): Promise<readonly Stream[]> {
  const clinics = await store.clinics();
  const followed = new Set(clinics.filter(({ isRemoved }) => !isRemoved).map(({ id }) => id));
  const streams = (await store.streams()).filter(
    (stream) =>
      followed.has(stream.clinicId) &&
      categories.includes(stream.category) &&
      (clinicId ?? stream.clinicId) === stream.clinicId,
  );
  return streams.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

/** Goes on with an audit until it is done or halted. @throws StoreBroken */
export async function runAudit(job: AuditJob, dependencies: AuditRunDependencies): Promise<AuditJob> {
  return new AuditRun(job, dependencies).run();
}

class AuditRun {
  #job: AuditJob;
  readonly #with: AuditRunDependencies;
  #savedAtMs: number;

  constructor(job: AuditJob, dependencies: AuditRunDependencies) {
    this.#job = job;
    this.#with = dependencies;
    this.#savedAtMs = dependencies.clock.monotonic();
  }

  async run(): Promise<AuditJob> {
    const { store, halt, clock } = this.#with;
    const done = new Map((await auditStreamsOf(this.#job, store)).map((stream) => [keyOf(stream), stream]));
    for (const stream of await streamsToAudit(this.#job.ask, this.#with)) {
      if (halt.aborted) break;
      const found = done.get(keyOf(stream));
      // A restart cut its repair off.
      if (found?.kind === 'listed' && found.repaired === null) await this.#repair(stream, found.missingIds);
      if (found !== undefined) continue;
      const finding = await this.#audit(stream);
      if (finding.kind === 'halted') break;
      await this.#take(stream, finding);
    }
    if (!halt.aborted) this.#job = { ...this.#job, state: 'done', endedAt: clock.now() };
    await this.#save(this.#job);
    return this.#job;
  }

  async #audit(stream: Stream): Promise<StreamFinding> {
    const { store, access, clock } = this.#with;
    // A start in the future was made while the clock was ahead, and says nothing about how long it took.
    if (clock.now() - this.#job.createdAt > longestMs) {
      return unlisted('outOfTime', 'the audit took too long; audit single clinics');
    }
    const clinic = (await store.clinics()).find(({ id }) => id === stream.clinicId);
    if (clinic?.isPaused) return unlisted('paused', 'the clinic is paused');
    const connections = await store.connections();
    const isReadable = connections.some(
      (connection) => connection.clinicId === stream.clinicId && access.isUsable(connection),
    );
    if (!isReadable) return unlisted('noAccess', 'no connection of the clinic works');
    return auditStream(stream, this.#with);
  }

  async #take(stream: Stream, finding: Exclude<StreamFinding, { kind: 'halted' }>): Promise<void> {
    const { clock, logger, onProgress } = this.#with;
    const { clinicId, category } = stream;
    this.#job = withFinding(this.#job, stream, finding);
    onProgress(this.#job);
    if (finding.kind === 'listed' && finding.missing.length > 0) {
      const { isRepairing } = this.#job.ask;
      const missing = finding.missing.length;
      logger.error('Events that Fullscript lists are missing in the log.', {
        clinicId,
        category,
        missing,
        isRepairing,
      });
      // Before they are taken in, so that no crash hides that they were missing.
      await this.#save(this.#job);
      if (isRepairing) await this.#repair(stream, finding.missing);
    }
    const turn = turned(this.#job);
    if (turn !== null) {
      await this.#save(turn.page);
      this.#job = turn.job;
    }
    if (turn !== null || clock.monotonic() - this.#savedAtMs >= saveEveryMs) await this.#save(this.#job);
  }

  /** Of the stream that was audited last. */
  async #repair(stream: Stream, missing: readonly string[]): Promise<void> {
    const repaired = await repairStream(stream, missing, this.#with);
    if (repaired === null) return;
    this.#job = withRepair(this.#job, repaired);
    await this.#save(this.#job);
  }

  /** Once the store takes it; an audit that is halted tries once. */
  async #save(row: Job): Promise<void> {
    const { store, clock, logger, halt } = this.#with;
    for (let tries = 1; ; tries++) {
      try {
        await store.saveJob(row);
        this.#savedAtMs = clock.monotonic();
        return;
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
        if (tries === 1) {
          logger.warn('An audit waits for the store.', { auditId: this.#job.id, code: error.code });
        }
        if (halt.aborted) return;
        await wait(clock, storeAgainMs, halt);
      }
    }
  }
}

function unlisted(reason: 'outOfTime' | 'paused' | 'noAccess', detail: string): StreamFinding {
  return { kind: 'unlisted', reason, detail };
}

function keyOf({ clinicId, category }: StreamKey): string {
  return JSON.stringify([clinicId, category]);
}
