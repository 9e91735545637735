import { type Clock, wait } from '../clock.ts';
import { alarmingLatenessMs, type Clinic, type Gap, gapBefore, type Stream } from '../domain/clinic.ts';
import { StoreUnavailable } from '../domain/errors.ts';
import type { Logger } from '../logger.ts';
import type { ClinicStore, PollClaim, PollEnd, PollStore } from '../store/store.ts';
import { type ListEvents, wordsOf } from './clinic-access.ts';
import { Intake, type IntakeDependencies } from './intake.ts';
import { dayBefore, historyDays } from './list-bounds.ts';
import { listPages } from './list-pages.ts';
import type { Seen } from './schedule.ts';
import { SetAsides } from './set-asides.ts';
import { isSweepDue } from './sweep-turn.ts';

export interface PollDependencies extends Omit<IntakeDependencies, 'isFirstPass'> {
  readonly store: IntakeDependencies['store'] &
    Pick<PollStore, 'setAside' | 'setAsides' | 'renewPoll' | 'endPoll'> &
    Pick<ClinicStore, 'clinics'>;
  readonly list: ListEvents;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly overlapDays: number;
  readonly sweepHours: number;
  /** See `Schedule`, these three. */
  readonly learn: (stream: Stream, seen: Seen) => void;
  readonly nextPollAt: (stream: Stream) => number;
  readonly retryAt: (stream: Stream) => number;
  /** Read the whole 30 days, though no sweep is due. */
  readonly isSweepWanted: boolean;
  /** Ends the waiting for a store that takes no writes. */
  readonly signal: AbortSignal;
}

const dayMs = 86_400_000;
const hourMs = 3_600_000;
const leaseMs = 120_000;
const offRetryMs = hourMs;
const storeAgainMs = 1_000;
/** A stream that begins is due at once. */
const firstPassMs = 5 * 60_000;

/**
 * Polls one stream once: reads the list to its last page, retrieves what is new, records
 * it with the deliveries that follow, and only then moves the cursor.
 *
 * The ids are the truth and the cursor a hint: each poll begins `overlapDays` before it
 * (and a day or two more, because the vendor's days have an unknown zone), a sweep at the
 * first event there is, and no known id ends the reading. Whatever goes wrong leaves the
 * cursor where it is, and everything that could be read recorded: one event that the
 * vendor never hands out (500, 403, a time-out) does not hold up those after it.
 *
 * While the store takes no writes the end waits here for it: a claim that is not ended
 * keeps its stream from being read until the lease lapses.
 *
 * @throws ClaimLost, StoreBroken; StoreUnavailable only after `signal`
 */
export async function poll(claim: PollClaim, dependencies: PollDependencies): Promise<Stream> {
  const release = keepLease(claim, dependencies);
  try {
    return await recordEnd(claim, await read(claim, dependencies), dependencies);
  } finally {
    release();
  }
}

async function read(claim: PollClaim, dependencies: PollDependencies): Promise<PollEnd> {
  try {
    return await new Reading(claim, dependencies).run();
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error;
    const nextPollAt = dependencies.retryAt(claim.stream);
    return { kind: 'failed', problem: `what was read could not be recorded: ${error.message}`, nextPollAt };
  }
}

async function recordEnd(
  claim: PollClaim,
  end: PollEnd,
  { store, clock, signal }: PollDependencies,
): Promise<Stream> {
  for (;;) {
    try {
      return await store.endPoll(claim, end);
    } catch (error) {
      if (!(error instanceof StoreUnavailable) || signal.aborted) throw error;
      await wait(clock, storeAgainMs, signal);
    }
  }
}

/** A page may take long: the budget may be spent, or the vendor may ask for air. */
function keepLease(claim: PollClaim, { store, clock, logger }: PollDependencies): () => void {
  let isOver = false;
  let cancel = (): void => {};
  const renewLater = (): void => {
    if (isOver) return;
    cancel = clock.after(leaseMs / 3, () => {
      store.renewPoll(claim, leaseMs).then(renewLater, () => {
        if (isOver) return;
        const { clinicId, category } = claim.stream;
        logger.warn('The lease of a poll is lost.', { clinicId, category });
      });
    });
  };
  renewLater();
  return () => {
    isOver = true;
    cancel();
  };
}

interface Completion {
  /** By the earlier of the vendor's clock and the relay's. */
  readonly beganAt: number;
  readonly connectedAt: number;
  readonly pages: number;
  readonly lateMs: number;
}

class Reading {
  readonly #claim: PollClaim;
  readonly #with: PollDependencies;
  readonly #isSweep: boolean;
  readonly #now: number;
  /** When what is listed was created. */
  readonly #eventsAt: number[] = [];

  constructor(claim: PollClaim, dependencies: PollDependencies) {
    this.#claim = claim;
    this.#with = dependencies;
    this.#now = dependencies.clock.now();
    const { cursor } = claim.stream;
    const isDue = isSweepDue(claim.stream, dependencies.sweepHours, this.#now);
    this.#isSweep = cursor === null || isDue || dependencies.isSweepWanted;
  }

  async run(): Promise<PollEnd> {
    const { list } = this.#with;
    const { clinicId, category } = this.#claim.stream;
    const clinic = await this.#clinic();
    const intake = await this.#intake(clinic);
    const afterDay = this.#afterDay();
    let beganAt = this.#now;
    let pages = 0;
    for await (const answer of listPages((page) => list({ clinicId, category, afterDay, page }))) {
      if (answer.kind === 'forbidden' || answer.kind === 'notFound') return this.#off(answer.kind);
      if (answer.kind !== 'page') return this.#failed(`the list could not be read: ${wordsOf(answer)}`);
      // Of two clocks the earlier one is safe: it only reads more again.
      if (pages === 0) beganAt = Math.min(answer.vendorNow ?? this.#now, this.#now);
      pages++;
      this.#eventsAt.push(...answer.items.flatMap(({ createdAt }) => createdAt ?? []));
      const problem = await intake.takePage(answer.items);
      if (problem !== null) return this.#failed(problem);
    }
    if (intake.owing > 0) return this.#failed(`${intake.owing} events could not be retrieved yet`);
    this.#learn({ afterDay, until: beganAt, pages });
    const connectedAt = clinic?.createdAt ?? 0;
    return this.#completed({ beganAt, connectedAt, pages, lateMs: intake.lateMs });
  }

  async #clinic(): Promise<Clinic | null> {
    const { clinicId } = this.#claim.stream;
    return (await this.#with.store.clinics()).find(({ id }) => id === clinicId) ?? null;
  }

  async #intake(clinic: Clinic | null): Promise<Intake> {
    const { store, logger } = this.#with;
    const setAsides = await SetAsides.of(this.#claim, { store, logger, now: this.#now });
    return new Intake(this.#claim, clinic, setAsides, { ...this.#with, isFirstPass: this.#isFirstPass() });
  }

  /** A first pass that failed, or comes late, may list what was created since the start: its dates are asked for. */
  #isFirstPass(): boolean {
    const { cursor, failedInRow, isOff, nextPollAt } = this.#claim.stream;
    return cursor === null && failedInRow === 0 && !isOff && this.#now - nextPollAt < firstPassMs;
  }

  #learn({ afterDay, until, pages }: { afterDay: string; until: number; pages: number }): void {
    const { stream } = this.#claim;
    // Complete from the cursor on; and from the day after next on, whatever days are in the vendor's time zone.
    const from = Math.min(Date.parse(afterDay) + 2 * dayMs, stream.cursor ?? until);
    this.#with.learn(stream, { from, until, eventsAt: this.#eventsAt, pages, isSweep: this.#isSweep });
  }

  #afterDay(): string {
    const days = this.#isSweep ? historyDays : Math.min(this.#with.overlapDays, historyDays);
    return dayBefore(this.#claim.stream, this.#now, days);
  }

  /** Longer away than the vendor remembers: what happened in between can be read nowhere. */
  #gapBefore(completion: Completion): Gap | null {
    const { stream } = this.#claim;
    const gap = this.#isFirstPass() ? null : gapBefore(stream, completion);
    if (gap === null) return null;
    const { clinicId, category } = stream;
    this.#with.logger.error(
      'A stream was not read for longer than the vendor remembers; events may be lost.',
      {
        clinicId,
        category,
        from: new Date(gap.from).toISOString(),
        until: new Date(gap.until).toISOString(),
      },
    );
    return gap;
  }

  #completed(completion: Completion): PollEnd {
    const { beganAt, pages, lateMs } = completion;
    this.#tellOfLateness(lateMs);
    this.#tellOfReturn();
    const gap = this.#gapBefore(completion);
    return {
      kind: 'completed',
      cursor: beganAt,
      ...(gap && { gap }),
      isSweep: this.#isSweep && !this.#mayHaveShifted(pages),
      newestEventAt: this.#eventsAt.reduce<number | null>((newest, at) => Math.max(newest ?? 0, at), null),
      lateMs,
      nextPollAt: this.#with.nextPollAt(this.#claim.stream),
    };
  }

  /**
   * What leaves the vendor's 30 days while a list is read moves the items behind it a place
   * forward, over the border of two pages. Later sweeps know nearly all of them; the first
   * one is made twice.
   */
  #mayHaveShifted(pages: number): boolean {
    return this.#claim.stream.cursor === null && pages > 1;
  }

  #tellOfReturn(): void {
    const { clinicId, category, isOff } = this.#claim.stream;
    if (isOff) this.#with.logger.warn('A category that was off answers.', { clinicId, category });
  }

  /** What is listed later than the overlap is found by the next sweep only. */
  #tellOfLateness(lateMs: number): void {
    const { overlapDays, logger } = this.#with;
    if (lateMs < alarmingLatenessMs(overlapDays)) return;
    const { clinicId, category } = this.#claim.stream;
    logger.warn('Fullscript lists events late: raise source.overlapDays if this goes on.', {
      clinicId,
      category,
      lateHours: Math.round(lateMs / hourMs),
      overlapDays,
    });
  }

  #off(answer: 'forbidden' | 'notFound'): PollEnd {
    const { clinicId, category, isOff } = this.#claim.stream;
    if (!isOff) this.#with.logger.warn('A category is off for a clinic.', { clinicId, category, answer });
    const problem =
      answer === 'forbidden' ? 'the token may not read it' : 'the vendor has no such list (404)';
    return { kind: 'off', problem, nextPollAt: this.#now + offRetryMs };
  }

  #failed(problem: string): PollEnd {
    const { clinicId, category } = this.#claim.stream;
    this.#with.logger.warn('A poll failed; the cursor stays.', { clinicId, category, problem });
    return { kind: 'failed', problem, nextPollAt: this.#with.retryAt(this.#claim.stream) };
  }
}
