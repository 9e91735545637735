import { wait } from '../clock.ts';
import type { Stream, StreamKey } from '../domain/clinic.ts';
import { ClaimLost, StoreBroken, StoreUnavailable } from '../domain/errors.ts';
import type { ClinicStore, PollClaim, PollStore, SubscriberStore } from '../store/store.ts';
import { type AskedPollEnd, AskedPolls, endOf } from './asked-polls.ts';
import { Discovery, type DiscoveryDependencies } from './discovery.ts';
import { poll } from './poll.ts';
import type { Schedule, Shortfall } from './schedule.ts';

export interface PollerDependencies extends DiscoveryDependencies {
  readonly store: ClinicStore & PollStore & Pick<SubscriberStore, 'subscribers'>;
  readonly schedule: Schedule;
  readonly overlapDays: number;
  readonly sweepHours: number;
  /** Nobody is owed what is recorded. */
  readonly isShadow: boolean;
  /** Ends the requests that wait for their turn, so that a stop need not. */
  readonly stopRequests: () => void;
  /** Deliveries were recorded. */
  readonly onRecorded: () => void;
  /** Told once: the store is broken, or the relay has a fault. */
  readonly onFatal: (error: unknown) => void;
}

const pollsAtOnce = 8;
/** A clinic that answers slowly leaves room for the others. */
const pollsAtOnceOfClinic = 2;
const leaseMs = 120_000;
/** While there is more to do than can be done at once, what is due is looked up again so often … */
const lookAgainMs = 1_000;
/** … and at most so often when a poll has ended and nothing else is left: a look reads every stream. */
const lookPauseMs = 250;
const longestSleepMs = 30_000;
const keepAliveMs = 60_000;

/**
 * Polls again and again: has the clinic of each connection found, claims the streams that
 * are due and polls them. A clinic that fails stops no other.
 */
export class Poller {
  readonly #dependencies: PollerDependencies;
  readonly #discovery: Discovery;
  readonly #asked: AskedPolls;
  /** By stream. */
  readonly #polling = new Map<string, { readonly clinicId: string; readonly ended: Promise<void> }>();
  readonly #stopping = new AbortController();
  #isRunning = false;
  #turning: Promise<void> | null = null;
  #mustTurnAgain = false;
  #mustLook = false;
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** What was due at the last look and has not begun, in the order of its turn. */
  #due: readonly Stream[] = [];
  /** When the next of what was not due then will be. */
  #nextDueAt = 0;
  #hasEndedSinceLook = false;
  #isShort = false;
  #turnedAt = 0;
  #cancelTimer = (): void => {};
  #cancelKeepAlive = (): void => {};
  #keepingAlive: Promise<void> | null = null;
  #askingApps: Promise<void> | null = null;

  constructor(dependencies: PollerDependencies) {
    this.#dependencies = dependencies;
    this.#discovery = new Discovery(dependencies);
    this.#asked = new AskedPolls(dependencies.clock);
  }

  start(): void {
    this.#isRunning = true;
    this.#turnedAt = this.#dependencies.clock.monotonic();
    this.#keepAliveLater();
    this.wake();
  }

  /** Something is due, or may be: a new connection, a clinic to poll now. */
  wake(): void {
    this.#mustLook = true;
    this.#turnSoon();
  }

  /** A connection got other tokens: its clinic is asked for before it is used. */
  forget(connectionId: string): void {
    this.#discovery.suspect(connectionId);
    this.wake();
  }

  /**
   * Polls a stream when its turn comes, which is soon, and tells how that poll ended.
   *
   * @param how.isSweep reads the whole 30 days.
   */
  async pollAgain(
    stream: StreamKey,
    how: { readonly isSweep: boolean; readonly signal: AbortSignal },
  ): Promise<AskedPollEnd> {
    const ended = this.#asked.ask(stream, how);
    await this.#soon(stream);
    return ended;
  }

  /** Claims nothing more; resolves when what is under way has ended, or after `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    this.#isRunning = false;
    this.#cancelTimer();
    this.#cancelKeepAlive();
    this.#stopping.abort();
    this.#dependencies.stopRequests();
    const polls = [...this.#polling.values()].map(({ ended }) => ended);
    const underWay = [
      this.#turning,
      this.#keepingAlive,
      this.#askingApps,
      ...polls,
      ...this.#discovery.underWay,
    ];
    const grace = new AbortController();
    await Promise.race([Promise.all(underWay), wait(this.#dependencies.clock, graceMs, grace.signal)]);
    grace.abort();
  }

  /** Milliseconds since the poller last looked for work: it looks every 30 s at least. */
  get idleMs(): number {
    return this.#dependencies.clock.monotonic() - this.#turnedAt;
  }

  /** `null` while the budget lets every stream be polled every `pollSecondsMax`. */
  get shortfall(): Shortfall | null {
    const { schedule, clock } = this.#dependencies;
    return schedule.shortfall(clock.now());
  }

  #turnSoon(): void {
    this.#mustTurnAgain = true;
    if (!this.#isRunning || this.#turning) return;
    this.#cancelTimer();
    this.#turning = this.#turn().finally(() => {
      this.#turning = null;
      if (this.#mustTurnAgain && this.#isRunning) this.#turnSoon();
    });
  }

  async #turn(): Promise<void> {
    const { clock } = this.#dependencies;
    let sleepMs = lookAgainMs;
    try {
      while (this.#mustTurnAgain && this.#isRunning) {
        this.#mustTurnAgain = false;
        this.#turnedAt = clock.monotonic();
        if (this.#lookInMs <= 0) await this.#look();
        await this.#beginDue();
        sleepMs = this.#lookInMs;
      }
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) return this.#fail(error);
      this.#mustLook = true;
    }
    if (this.#isRunning) this.#cancelTimer = clock.after(sleepMs, () => this.#turnSoon());
  }

  /** Until what is due is to be looked up again. */
  get #lookInMs(): number {
    if (this.#mustLook) return 0;
    const { clock } = this.#dependencies;
    const sinceMs = clock.monotonic() - this.#lookedAt;
    if (this.#due.length > 0) return lookAgainMs - sinceMs;
    if (this.#hasEndedSinceLook) return lookPauseMs - sinceMs;
    return Math.min(this.#nextDueAt - clock.now(), longestSleepMs - sinceMs);
  }

  #discovered(error: unknown): void {
    if (error !== null && !passes(error)) this.#fail(error);
    else this.wake();
  }

  #fail(error: unknown): void {
    if (!this.#isRunning) return;
    this.#isRunning = false;
    this.#dependencies.onFatal(error);
  }

  async #look(): Promise<void> {
    const { schedule, clock } = this.#dependencies;
    this.#mustLook = false;
    this.#hasEndedSinceLook = false;
    await this.#discovery.begin((error) => this.#discovered(error));
    const streams = await this.#polled();
    const now = clock.now();
    this.#lookedAt = clock.monotonic();
    this.#tellOfShortfall();
    const isIdle = (stream: Stream) => !this.#polling.has(keyOf(stream));
    this.#due = schedule.due(streams, now).filter(isIdle);
    this.#nextDueAt = now + longestSleepMs;
    for (const stream of streams) {
      const isLater = stream.nextPollAt > now && stream.nextPollAt < this.#nextDueAt;
      if (isLater && isIdle(stream)) this.#nextDueAt = stream.nextPollAt;
    }
    for (const at of this.#discovery.retriesAt) {
      this.#nextDueAt = Math.min(this.#nextDueAt, Math.max(at, now + lookAgainMs));
    }
  }

  async #beginDue(): Promise<void> {
    const waiting: Stream[] = [];
    for (const stream of this.#due) {
      const isFull = this.#polling.size >= pollsAtOnce;
      if (isFull || this.#pollsOf(stream.clinicId) >= pollsAtOnceOfClinic) {
        waiting.push(stream);
        continue;
      }
      const [claim] = await this.#dependencies.store.claimPolls({ streams: [stream], leaseMs });
      // None is left when somebody else has it: the next one gets the place.
      if (claim) this.#begin(claim);
    }
    this.#due = waiting;
  }

  /** Told when it begins, and not again while it lasts. */
  #tellOfShortfall(): void {
    const { logger } = this.#dependencies;
    const { shortfall } = this;
    if (shortfall !== null && !this.#isShort) {
      const words =
        'The budget cannot poll each stream every pollSecondsMax; either of these would be enough.';
      logger.warn(words, { ...shortfall });
    }
    this.#isShort = shortfall !== null;
  }

  #pollsOf(clinicId: string): number {
    return [...this.#polling.values()].filter((each) => each.clinicId === clinicId).length;
  }

  #begin(claim: PollClaim): void {
    const key = keyOf(claim.stream);
    const ended = this.#pollOne(claim).finally(() => {
      this.#polling.delete(key);
      this.#hasEndedSinceLook = true;
      this.#turnSoon();
    });
    this.#polling.set(key, { clinicId: claim.stream.clinicId, ended });
  }

  /** Whoever asked while it was polled waits for the poll after, which is not to be long in coming. */
  async #pollOne(claim: PollClaim): Promise<void> {
    const asked = this.#asked.take(claim.stream);
    asked.tell(await this.#pollAs(claim, asked.isSweep));
    if (this.#isRunning && this.#asked.isAskedFor(claim.stream)) await this.#soon(claim.stream);
  }

  /** Without a store that takes it, a stream is polled when it would have been anyway. */
  async #soon({ clinicId, category }: StreamKey): Promise<void> {
    await this.#dependencies.store.pollSoon(clinicId, category).catch((error: unknown) => {
      if (!passes(error)) this.#fail(error);
    });
    this.wake();
  }

  /** Streams of clinics that are not paused and that some connection can read. */
  async #polled(): Promise<readonly Stream[]> {
    const { store, access, categories } = this.#dependencies;
    const usable = (await store.connections()).filter((connection) => access.isUsable(connection));
    const readable = new Set(usable.map(({ clinicId }) => clinicId));
    const clinics = (await store.clinics()).filter(
      ({ id, isPaused, isRemoved }) => !isPaused && !isRemoved && readable.has(id),
    );
    const polled = new Set(clinics.map(({ id }) => id));
    const streams = await store.streams();
    return streams.filter(({ clinicId, category }) => polled.has(clinicId) && categories.includes(category));
  }

  async #pollAs(claim: PollClaim, isSweepWanted: boolean): Promise<AskedPollEnd> {
    const { store, access, schedule, clock, logger, overlapDays, sweepHours, isShadow, onRecorded } =
      this.#dependencies;
    try {
      const stream = await poll(claim, {
        store,
        list: access.list,
        retrieve: access.retrieve,
        clock,
        logger,
        overlapDays,
        sweepHours,
        isShadow,
        isSweepWanted,
        signal: this.#stopping.signal,
        learn: (stream, seen) => schedule.learn(stream, seen),
        nextPollAt: (stream) => schedule.nextPollAt(stream, clock.now()),
        retryAt: (stream) => schedule.retryAt(stream, clock.now()),
        onRecorded,
      });
      return endOf(stream);
    } catch (error) {
      await this.#pollBroke(claim, error);
      return { kind: 'failed', problem: 'it was broken off' };
    }
  }

  async #pollBroke(claim: PollClaim, error: unknown): Promise<void> {
    const { store, schedule, clock, logger } = this.#dependencies;
    // Requests that were told to stop end here, too.
    if (!this.#isRunning || error instanceof StoreUnavailable) return;
    const { clinicId, category } = claim.stream;
    if (error instanceof ClaimLost) {
      logger.warn('A poll was taken over; what it read is read again.', { clinicId, category });
      return;
    }
    if (error instanceof StoreBroken) return this.#fail(error);
    // One item that nobody thought of must not stop the other clinics.
    const fault = error instanceof Error ? error.name : 'unknown error';
    logger.error('A poll met a fault of the relay; please report it.', { clinicId, category, fault });
    const nextPollAt = schedule.retryAt(claim.stream, clock.now());
    const end = { kind: 'failed', problem: `a fault of the relay: ${fault}`, nextPollAt } as const;
    await store.endPoll(claim, end).catch((cause: unknown) => {
      if (cause instanceof StoreBroken) this.#fail(cause);
    });
  }

  #keepAliveLater(): void {
    this.#cancelKeepAlive = this.#dependencies.clock.after(keepAliveMs, () => {
      this.#keepingAlive = this.#passing(this.#keepAlive()).finally(() => {
        this.#keepingAlive = null;
        if (this.#isRunning) this.#keepAliveLater();
      });
    });
  }

  /** The operator's apps are asked beside: they may hang. */
  async #keepAlive(): Promise<void> {
    const { store, tokens } = this.#dependencies;
    const connections = await store.connections();
    this.#askingApps ??= this.#passing(tokens.askApps(connections)).finally(() => {
      this.#askingApps = null;
    });
    await tokens.keepAlive(connections);
  }

  #passing(work: Promise<void>): Promise<void> {
    return work.catch((error: unknown) => {
      if (!passes(error)) this.#fail(error);
    });
  }
}

/** What ends a piece of work that is simply done again. */
function passes(error: unknown): boolean {
  return error instanceof StoreUnavailable || error instanceof ClaimLost;
}

function keyOf({ clinicId, category }: StreamKey): string {
  return JSON.stringify([clinicId, category]);
}
