import { wait } from '../clock.ts';
import type { Stream, StreamKey } from '../domain/clinic.ts';
import { ClaimLost, StoreUnavailable } from '../domain/errors.ts';
import type { PollClaim } from '../store/store.ts';
import { type AskedPollEnd, AskedPolls, brokenOff } from './asked-polls.ts';
import { type ClaimedPollDependencies, pollClaimed } from './claimed-poll.ts';
import { Discovery, type DiscoveryDependencies } from './discovery.ts';
import { DueStreams } from './due-streams.ts';
import { KeepAlive } from './keep-alive.ts';
import { PollSlots } from './poll-slots.ts';
import { polledStreams } from './polled-streams.ts';
import type { Shortfall } from './schedule.ts';

export interface PollerDependencies extends DiscoveryDependencies, ClaimedPollDependencies {
  readonly store: DiscoveryDependencies['store'] & ClaimedPollDependencies['store'];
  /** Ends the requests that wait for their turn, so that a stop need not. */
  readonly stopRequests: () => void;
  /** Told once: the store is broken, or the relay has a fault. */
  readonly onFatal: (error: unknown) => void;
}

const leaseMs = 120_000;
/** While there is more to do than can be done at once, what is due is looked up again so often … */
const lookAgainMs = 1_000;
/** … and at most so often when a poll has ended and nothing else is left: a look reads every stream. */
const lookPauseMs = 250;
const longestSleepMs = 30_000;

/**
 * Polls again and again: has the clinic of each connection found, claims the streams that
 * are due and polls them. A clinic that fails stops no other.
 */
export class Poller {
  readonly #dependencies: PollerDependencies;
  readonly #discovery: Discovery;
  readonly #asked: AskedPolls;
  readonly #keepAlive: KeepAlive;
  readonly #slots = new PollSlots();
  readonly #stopping = new AbortController();
  #isRunning = false;
  #turning: Promise<void> | null = null;
  #mustTurnAgain = false;
  #mustLook = false;
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** What was due at the last look and has not begun. */
  #due = new DueStreams([]);
  /** When the next of what was not due then will be. */
  #nextDueAt = 0;
  #hasEndedSinceLook = false;
  #isShort = false;
  #turnedAt = 0;
  #cancelTimer = (): void => {};

  constructor(dependencies: PollerDependencies) {
    this.#dependencies = dependencies;
    this.#discovery = new Discovery(dependencies);
    this.#asked = new AskedPolls(dependencies.clock);
    const { store, tokens, clock } = dependencies;
    this.#keepAlive = new KeepAlive({
      store,
      tokens,
      clock,
      onError: (error) => this.#failUnlessPassing(error),
    });
  }

  start(): void {
    this.#isRunning = true;
    this.#turnedAt = this.#dependencies.clock.monotonic();
    this.#keepAlive.start();
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
    this.#stopping.abort();
    this.#dependencies.stopRequests();
    const underWay = [
      this.#turning,
      this.#keepAlive.stop(),
      this.#slots.allEnded(),
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
    if (this.#due.size > 0) return lookAgainMs - sinceMs;
    if (this.#hasEndedSinceLook) return lookPauseMs - sinceMs;
    return Math.min(this.#nextDueAt - clock.now(), longestSleepMs - sinceMs);
  }

  #discovered(error: unknown): void {
    if (error !== null) this.#failUnlessPassing(error);
    this.wake();
  }

  #failUnlessPassing(error: unknown): void {
    if (!passes(error)) this.#fail(error);
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
    const streams = await polledStreams(this.#dependencies);
    const now = clock.now();
    this.#lookedAt = clock.monotonic();
    this.#tellOfShortfall();
    const isIdle = (stream: Stream) => !this.#slots.isTakenBy(stream);
    this.#due = new DueStreams(schedule.due(streams, now).filter(isIdle));
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
    while (this.#isRunning && !this.#slots.isFull) {
      const stream = this.#due.take(({ clinicId }) => this.#slots.hasRoomFor(clinicId));
      if (stream === null) return;
      const [claim] = await this.#dependencies.store.claimPolls({ streams: [stream], leaseMs });
      // None is left when somebody else has it: the next one gets the place.
      if (claim) this.#begin(claim);
    }
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

  #begin(claim: PollClaim): void {
    const ended = this.#pollOne(claim).finally(() => {
      this.#slots.release(claim.stream);
      this.#hasEndedSinceLook = true;
      this.#turnSoon();
    });
    this.#slots.take(claim.stream, ended);
  }

  /** Whoever asked while it was polled waits for the poll after, which is not to be long in coming. */
  async #pollOne(claim: PollClaim): Promise<void> {
    const asked = this.#asked.take(claim.stream);
    const how = { isSweepWanted: asked.isSweep, signal: this.#stopping.signal };
    const polled = pollClaimed(claim, this.#dependencies, how).catch((error: unknown) => {
      this.#fail(error);
      return brokenOff;
    });
    asked.tell(await polled);
    if (this.#isRunning && this.#asked.isAskedFor(claim.stream)) await this.#soon(claim.stream);
  }

  /** Without a store that takes it, a stream is polled when it would have been anyway. */
  async #soon({ clinicId, category }: StreamKey): Promise<void> {
    const { store } = this.#dependencies;
    await store.pollSoon(clinicId, category).catch((error: unknown) => this.#failUnlessPassing(error));
    this.wake();
  }
}

/** What ends a piece of work that is simply done again. */
function passes(error: unknown): boolean {
  return error instanceof StoreUnavailable || error instanceof ClaimLost;
}
