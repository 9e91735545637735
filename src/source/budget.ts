import PQueue from 'p-queue';
import { type Clock, wait } from '../clock.ts';
import { RelayError, StoreUnavailable } from '../domain/errors.ts';
import type { Logger } from '../logger.ts';
import type { BudgetStore } from '../store/store.ts';
import { WindowShare } from './window-share.ts';

/** Who goes first when requests wait: what is half done before what is new; `spare` is what the others leave over. */
export type RequestKind = 'token' | 'retrieve' | 'list' | 'spare';

const priority: Readonly<Record<Exclude<RequestKind, 'spare'>, number>> = { token: 2, retrieve: 1, list: 0 };

export interface BudgetDependencies {
  readonly store: BudgetStore;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  readonly requestsPerFiveMinutes: number;
}

/** Requests that cannot be sent to the vendor at the moment, and why. */
export interface Standstill {
  /**
   * None at all: the requests of the last five minutes are as many as may be (`usedUp`), or the vendor asked for
   * air. None for the events of one clinic, in which too many happened at once (`manyEvents`).
   */
  readonly because: 'usedUp' | 'vendorAsked' | 'manyEvents';
  /** `null` when it is the whole app's. */
  readonly clinicId: string | null;
  readonly since: number;
  /** The next request goes then at the earliest. */
  readonly until: number;
}

/** The vendor's rolling window. Source: Fullscript, "Rate limits". */
const windowMs = 5 * 60_000;
/** More than one slow clinic can hold: see `pollsAtOnceOfClinic` in poll-slots.ts. */
const requestsAtOnce = 16;
const blockMax = 50;
/** A block is used up well before it lapses when the requests go on as they did this long. */
const aheadMs = 2_000;
/** At most this share of the limit is taken ahead: a stretch that ends early wastes what was. */
const aheadShare = 0.02;
const storeAgainMs = 1_000;
/** A shorter wait for room is how a well-used budget looks. */
const toldFromMs = 10_000;
const firstBackoffMs = 30_000;
const lastBackoffMs = 10 * 60_000;
/**
 * Of the limit, in any window, the events of one clinic take at most so much: where much
 * happens at once must not keep all others from being read for minutes.
 */
const retrieveShare = 0.9;
/** Of the limit, in any window: so much do spare requests take at most … */
const spareShare = 0.1;
/** … and only while no more than this is taken by all together: polls leave three hundredths free, see schedule.ts. */
const spareUntilShare = 0.98;

/**
 * The app's request budget: never more than the limit in any five minutes, over all
 * clinics, processes and restarts. Requests are taken from the store in blocks: as many
 * as wait, and while requests follow each other, as many as the next two seconds may
 * bring, because each block is a durable record that the store keeps for five minutes.
 */
export class RequestBudget {
  readonly #dependencies: BudgetDependencies;
  readonly #queue = new PQueue({ concurrency: requestsAtOnce });
  #block = { left: 0, untilMs: 0 };
  /** Requests that have a place in the queue and none in a block. */
  #waiting = 0;
  /** When each request of the last moments was let go, by the monotonic clock. */
  #taken: number[] = [];
  #reserving: Promise<void> | null = null;
  /** One for all that wait: the pause is the whole app's. */
  #pausing: Promise<void> | null = null;
  #pausedSince = 0;
  #pausedUntil = 0;
  #usedUp: { readonly since: number; readonly until: number } | null = null;
  #backoffMs = firstBackoffMs;
  readonly #stop = new AbortController();
  /** By clinic. */
  readonly #retrieved = new Map<string, WindowShare>();
  readonly #spare: WindowShare;
  /** Clinic id → how long its retrievals wait for their share, while they do. */
  readonly #retrievalsWait = new Map<string, Pick<Standstill, 'since' | 'until'>>();

  constructor(dependencies: BudgetDependencies) {
    this.#dependencies = dependencies;
    this.#spare = new WindowShare(dependencies.clock, windowMs);
  }

  /**
   * Runs one request when there is room for it.
   * @param clinicId whose event is retrieved.
   * @throws RelayError `stopped` after `stop`
   */
  async run<Answer>(
    kind: RequestKind,
    request: () => Promise<Answer>,
    clinicId: string | null = null,
  ): Promise<Answer> {
    if (kind === 'spare') {
      await this.#takeSpare();
      return request();
    }
    if (kind === 'retrieve' && clinicId !== null) await this.#takeRetrieval(clinicId);
    const answer = await this.#queue.add(
      async () => {
        await this.#takeOne();
        return request();
      },
      { priority: priority[kind] },
    );
    return answer as Answer;
  }

  /** Requests that wait for their turn end at once; those under way are left to their end. */
  stop(): void {
    this.#stop.abort();
  }

  /** `null` while requests may go. */
  get standstill(): Standstill | null {
    const now = this.#dependencies.clock.now();
    const ofApp = { clinicId: null };
    if (now < this.#pausedUntil) {
      return { because: 'vendorAsked', ...ofApp, since: this.#pausedSince, until: this.#pausedUntil };
    }
    if (this.#usedUp !== null && now < this.#usedUp.until) {
      return { because: 'usedUp', ...ofApp, ...this.#usedUp };
    }
    for (const [clinicId, wait] of this.#retrievalsWait) return { because: 'manyEvents', clinicId, ...wait };
    return null;
  }

  /**
   * The vendor asked for air: nothing is sent until then, over the whole app.
   * @param retryAfterMs `null`, and 0 as well, leaves the length to our own backoff.
   */
  pause(retryAfterMs: number | null): void {
    const { clock, random, logger } = this.#dependencies;
    const isAsked = retryAfterMs !== null && retryAfterMs > 0;
    // Requests that were under way together are refused together: that is one refusal.
    if (!isAsked && clock.now() < this.#pausedUntil) return;
    const pauseMs = isAsked ? retryAfterMs : Math.round(this.#backoffMs * (1 + random() * 0.1));
    if (!isAsked) this.#backoffMs = Math.min(this.#backoffMs * 2, lastBackoffMs);
    const until = clock.now() + pauseMs;
    if (until <= this.#pausedUntil) return;
    if (this.#pausedUntil <= clock.now()) this.#pausedSince = clock.now();
    this.#pausedUntil = until;
    logger.warn('Fullscript asks the app to slow down.', { pauseMs });
  }

  /**
   * A request was answered: the next pause without a Retry-After begins short again. A
   * late answer, to a request from before the pause, says nothing about it.
   */
  answered(): void {
    if (this.#pausedUntil <= this.#dependencies.clock.now()) this.#backoffMs = firstBackoffMs;
  }

  async #takeOne(): Promise<void> {
    this.#waiting += 1;
    try {
      while (!this.#tryToTake()) {
        if (this.#dependencies.clock.now() < this.#pausedUntil) await this.#untilPauseEnds();
        else await this.#untilReserved();
      }
    } finally {
      this.#waiting -= 1;
    }
  }

  #tryToTake(): boolean {
    this.#assertRunning();
    const { clock } = this.#dependencies;
    const now = clock.monotonic();
    if (clock.now() < this.#pausedUntil || this.#block.left === 0 || this.#block.untilMs <= now) return false;
    this.#block.left -= 1;
    this.#taken.push(now);
    return true;
  }

  #untilPauseEnds(): Promise<void> {
    const { clock } = this.#dependencies;
    this.#pausing ??= wait(clock, this.#pausedUntil - clock.now(), this.#stop.signal).finally(() => {
      this.#pausing = null;
    });
    return this.#pausing;
  }

  #untilReserved(): Promise<void> {
    this.#reserving ??= this.#reserve().finally(() => {
      this.#reserving = null;
    });
    return this.#reserving;
  }

  /** Waits outside of the queue, as spare requests do: its places are for requests that may be made. */
  async #takeRetrieval(clinicId: string): Promise<void> {
    const { clock, logger, requestsPerFiveMinutes } = this.#dependencies;
    const share = this.#retrieved.get(clinicId) ?? new WindowShare(clock, windowMs);
    this.#retrieved.set(clinicId, share);
    for (;;) {
      this.#assertRunning();
      const waitMs = share.waitMs(this.#mostOf(retrieveShare));
      if (waitMs === 0) break;
      const now = clock.now();
      const known = this.#retrievalsWait.get(clinicId);
      if (known === undefined && waitMs >= toldFromMs) {
        const words = 'More happened in a clinic than five minutes’ requests can retrieve; the rest follows.';
        logger.info(words, { clinicId, requestsPerFiveMinutes, waitMs });
      }
      this.#retrievalsWait.set(clinicId, { since: known?.since ?? now, until: now + waitMs });
      await wait(clock, waitMs, this.#stop.signal);
    }
    this.#retrievalsWait.delete(clinicId);
    share.take();
  }

  async #takeSpare(): Promise<void> {
    const { store, clock } = this.#dependencies;
    const limit = this.#mostOf(spareUntilShare);
    for (;;) {
      this.#assertRunning();
      const waitMs = this.#spare.waitMs(this.#mostOf(spareShare));
      if (waitMs > 0 || clock.now() < this.#pausedUntil) {
        await (waitMs > 0 ? wait(clock, waitMs, this.#stop.signal) : this.#untilPauseEnds());
        continue;
      }
      try {
        const { granted, retryInMs } = await store.reserveRequests({ count: 1, limit, windowMs });
        // A pause may have begun meanwhile: the request is wasted, then.
        if (granted > 0 && clock.now() >= this.#pausedUntil) {
          this.#spare.take();
          return;
        }
        await wait(clock, retryInMs, this.#stop.signal);
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
        await wait(clock, storeAgainMs, this.#stop.signal);
      }
    }
  }

  #mostOf(share: number): number {
    return Math.max(1, Math.floor(this.#dependencies.requestsPerFiveMinutes * share));
  }

  #assertRunning(): void {
    if (!this.#stop.signal.aborted) return;
    throw new RelayError('stopped', 'The relay is stopping.', { hint: 'Start it again.' });
  }

  async #reserve(): Promise<void> {
    const { store, clock, requestsPerFiveMinutes: limit } = this.#dependencies;
    // Requests that are made together arrive together, and share a block.
    await Promise.resolve();
    const askedAt = clock.monotonic();
    try {
      const block = await store.reserveRequests({ count: this.#wanted(askedAt), limit, windowMs });
      if (block.granted === 0) {
        this.#noteUsedUp(block.retryInMs);
        return await wait(clock, block.retryInMs, this.#stop.signal);
      }
      this.#usedUp = null;
      this.#block = { left: block.granted, untilMs: askedAt + block.useWithinMs };
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      await wait(clock, storeAgainMs, this.#stop.signal);
    }
  }

  #noteUsedUp(retryInMs: number): void {
    const { clock, logger, requestsPerFiveMinutes } = this.#dependencies;
    const now = clock.now();
    if (this.#usedUp === null && retryInMs >= toldFromMs) {
      const words = 'The requests of five minutes are used up; what is to be read waits.';
      logger.info(words, { requestsPerFiveMinutes, waitMs: retryInMs });
    }
    this.#usedUp = { since: this.#usedUp?.since ?? now, until: now + retryInMs };
  }

  #wanted(now: number): number {
    const limit = this.#dependencies.requestsPerFiveMinutes;
    this.#taken = this.#taken.filter((at) => now - at < aheadMs);
    const ahead = Math.min(this.#taken.length, Math.floor(limit * aheadShare));
    return Math.min(this.#waiting + this.#queue.size + ahead, blockMax, limit);
  }
}
