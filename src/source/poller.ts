import type { Clock } from '../clock.ts';
import type { Connection, Stream, StreamKey } from '../domain/clinic.ts';
import { ClaimLost, Conflict, StoreBroken, StoreUnavailable } from '../domain/errors.ts';
import type { Logger } from '../logger.ts';
import type { ClinicStore, PollClaim, PollStore, SubscriberStore } from '../store/store.ts';
import type { ClinicAccess } from './clinic-access.ts';
import { poll } from './poll.ts';
import type { Schedule } from './schedule.ts';
import type { ConnectionTokens } from './tokens.ts';

export interface PollerDependencies {
  readonly store: ClinicStore & PollStore & Pick<SubscriberStore, 'subscribers'>;
  readonly access: ClinicAccess;
  readonly tokens: ConnectionTokens;
  readonly schedule: Schedule;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly categories: readonly string[];
  readonly overlapDays: number;
  readonly sweepHours: number;
  /** Where a new clinic's streams start, given the vendor's present moment. */
  readonly startAt: (vendorNow: number) => number;
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
const discoveriesAtOnce = 4;
const leaseMs = 120_000;
const lookAgainMs = 1_000;
const longestSleepMs = 30_000;
const keepAliveMs = 60_000;
const firstDiscoveryRetryMs = 5_000;
const lastDiscoveryRetryMs = 300_000;

/**
 * Polls again and again: finds the clinic of each connection, follows its categories,
 * claims the streams that are due and polls them. A clinic that fails stops no other.
 */
export class Poller {
  readonly #dependencies: PollerDependencies;
  /** By stream. */
  readonly #polling = new Map<string, { readonly clinicId: string; readonly ended: Promise<void> }>();
  /** By connection. */
  readonly #discovering = new Map<string, Promise<void>>();
  /** Connection id → when its clinic is asked for again, and after what wait. */
  readonly #retries = new Map<string, { at: number; waitMs: number }>();
  #isFollowing = false;
  #isRunning = false;
  #turning: Promise<void> | null = null;
  #mustTurnAgain = false;
  #turnedAt = 0;
  #cancelTimer = (): void => {};
  #cancelKeepAlive = (): void => {};
  #keepingAlive: Promise<void> | null = null;

  constructor(dependencies: PollerDependencies) {
    this.#dependencies = dependencies;
  }

  start(): void {
    this.#isRunning = true;
    this.#turnedAt = this.#dependencies.clock.monotonic();
    this.#keepAliveLater();
    this.wake();
  }

  /** Something is due, or may be: a new connection, a clinic to poll now. */
  wake(): void {
    this.#mustTurnAgain = true;
    if (!this.#isRunning || this.#turning) return;
    this.#cancelTimer();
    this.#turning = this.#turn().finally(() => {
      this.#turning = null;
      if (this.#mustTurnAgain && this.#isRunning) this.wake();
    });
  }

  /** A connection got other tokens: its clinic is asked for before it is used. */
  forget(connectionId: string): void {
    this.#dependencies.access.suspect(connectionId);
    this.#retries.delete(connectionId);
    this.wake();
  }

  /** Claims nothing more; resolves when what is under way has ended, or after `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    this.#isRunning = false;
    this.#cancelTimer();
    this.#cancelKeepAlive();
    this.#dependencies.stopRequests();
    const polls = [...this.#polling.values()].map(({ ended }) => ended);
    const underWay = [this.#turning, this.#keepingAlive, ...polls, ...this.#discovering.values()];
    await Promise.race([
      Promise.all(underWay),
      new Promise<void>((resolve) => this.#dependencies.clock.after(graceMs, resolve)),
    ]);
  }

  /** Milliseconds since the poller last looked for work: it looks every 30 s at least. */
  get idleMs(): number {
    return this.#dependencies.clock.monotonic() - this.#turnedAt;
  }

  async #turn(): Promise<void> {
    const { clock } = this.#dependencies;
    let sleepMs = lookAgainMs;
    try {
      while (this.#mustTurnAgain && this.#isRunning) {
        this.#mustTurnAgain = false;
        this.#turnedAt = clock.monotonic();
        await this.#followKnown();
        await this.#discover();
        sleepMs = await this.#claimAndPoll();
      }
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) return this.#fail(error);
    }
    if (this.#isRunning) this.#cancelTimer = clock.after(sleepMs, () => this.wake());
  }

  #fail(error: unknown): void {
    if (!this.#isRunning) return;
    this.#isRunning = false;
    this.#dependencies.onFatal(error);
  }

  /** @returns how long nothing else becomes due. */
  async #claimAndPoll(): Promise<number> {
    const { store, schedule, clock } = this.#dependencies;
    const streams = await this.#polled();
    const now = clock.now();
    const idle = streams.filter((stream) => !this.#polling.has(keyOf(stream)));
    for (const stream of schedule.due(idle, now)) {
      if (this.#polling.size >= pollsAtOnce) break;
      if (this.#pollsOf(stream.clinicId) >= pollsAtOnceOfClinic) continue;
      const [claim] = await store.claimPolls({ streams: [stream], leaseMs });
      // None is left when somebody else has it: the next one gets the place.
      if (claim) this.#begin(claim, streams.length);
    }
    const waits = idle.map((stream) => stream.nextPollAt - now).filter((waitMs) => waitMs > 0);
    const retries = [...this.#retries.values()].map(({ at }) => Math.max(at - now, lookAgainMs));
    return Math.min(longestSleepMs, ...waits, ...retries);
  }

  #pollsOf(clinicId: string): number {
    return [...this.#polling.values()].filter((each) => each.clinicId === clinicId).length;
  }

  #begin(claim: PollClaim, streams: number): void {
    const key = keyOf(claim.stream);
    const ended = this.#pollOne(claim, streams).finally(() => {
      this.#polling.delete(key);
      this.wake();
    });
    this.#polling.set(key, { clinicId: claim.stream.clinicId, ended });
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

  async #pollOne(claim: PollClaim, streams: number): Promise<void> {
    const { store, access, schedule, clock, logger, overlapDays, sweepHours, onRecorded } =
      this.#dependencies;
    try {
      await poll(claim, {
        store,
        list: access.list,
        retrieve: access.retrieve,
        clock,
        logger,
        overlapDays,
        sweepHours,
        nextPollAt: (stream) => schedule.nextPollAt(stream, { now: clock.now(), streams }),
        retryAt: (stream) => schedule.retryAt(stream, clock.now()),
        onRecorded,
      });
    } catch (error) {
      await this.#pollBroke(claim, error);
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

  /** A category that was added to the configuration begins for the clinics that there are. */
  async #followKnown(): Promise<void> {
    if (this.#isFollowing) return;
    const { store, clock } = this.#dependencies;
    for (const { id } of await store.clinics()) await this.#followAll(id, clock.now());
    this.#isFollowing = true;
  }

  async #followAll(clinicId: string, vendorNow: number): Promise<void> {
    const { store, categories, startAt } = this.#dependencies;
    const start = startAt(vendorNow);
    await store.follow(
      clinicId,
      categories.map((category) => ({ category, startAt: start })),
    );
  }

  /** Asks for the clinics of new connections, beside the polls: a vendor that hangs holds up nobody's events. */
  async #discover(): Promise<void> {
    const { store, access, clock } = this.#dependencies;
    for (const connection of await store.connections()) {
      const { id, clinicId, state } = connection;
      if (this.#discovering.size >= discoveriesAtOnce) return;
      if (state !== 'working' || (clinicId !== null && !access.isSuspect(id))) continue;
      if (this.#discovering.has(id) || (this.#retries.get(id)?.at ?? 0) > clock.now()) continue;
      const running = this.#discoverClinic(connection)
        .catch((error: unknown) => {
          if (!(error instanceof StoreUnavailable) && !(error instanceof ClaimLost)) this.#fail(error);
        })
        .finally(() => {
          this.#discovering.delete(id);
          this.wake();
        });
      this.#discovering.set(id, running);
    }
  }

  async #discoverClinic(connection: Connection): Promise<void> {
    const { access, tokens, clock, logger } = this.#dependencies;
    const { id, name, clinicId } = connection;
    const answer = await access.clinicOf(connection);
    if (answer.kind !== 'clinic') {
      const waitMs = this.#retries.get(id)?.waitMs ?? firstDiscoveryRetryMs;
      const nextMs = Math.min(waitMs * 2, lastDiscoveryRetryMs);
      this.#retries.set(id, { at: clock.now() + waitMs, waitMs: nextMs });
      logger.warn('The clinic of a connection cannot be asked for; it is tried again.', {
        connectionId: id,
        name,
        answer: answer.kind,
      });
      return;
    }
    this.#retries.delete(id);
    if (clinicId !== null && clinicId !== answer.id) {
      await tokens.giveUp(id, `its token belongs to another clinic now (${answer.id})`);
    } else {
      await this.#connect(connection, answer);
    }
  }

  /** A name never silently changes clinic. */
  async #connect(
    connection: Connection,
    { id, vendorNow }: { readonly id: string; readonly vendorNow: number | null },
  ): Promise<void> {
    const { store, access, clock, logger, tokens } = this.#dependencies;
    const { name } = connection;
    const known = (await store.clinics()).find((clinic) => clinic.id === id);
    if (known && known.name !== name) {
      await tokens.giveUp(connection.id, `its token belongs to the clinic ${known.name}, not to ${name}`);
      return;
    }
    if (!known) {
      const clinic = { id, name, isPaused: false, isRemoved: false, createdAt: clock.now() };
      try {
        await store.saveClinic(clinic);
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
        await tokens.giveUp(connection.id, `the name ${name} belongs to another clinic`);
        return;
      }
    }
    if (connection.clinicId === null) {
      await store.saveConnection({ ...connection, tokens: null, spareTokens: null, clinicId: id });
      logger.info('A clinic is connected.', { clinicId: id, name });
    }
    await this.#followAll(id, vendorNow ?? clock.now());
    access.trust(connection.id);
  }

  #keepAliveLater(): void {
    const { clock, tokens } = this.#dependencies;
    this.#cancelKeepAlive = clock.after(keepAliveMs, () => {
      this.#keepingAlive = tokens
        .keepAlive()
        .catch((error: unknown) => {
          if (!(error instanceof StoreUnavailable) && !(error instanceof ClaimLost)) this.#fail(error);
        })
        .finally(() => {
          this.#keepingAlive = null;
          if (this.#isRunning) this.#keepAliveLater();
        });
    });
  }
}

function keyOf({ clinicId, category }: StreamKey): string {
  return JSON.stringify([clinicId, category]);
}
