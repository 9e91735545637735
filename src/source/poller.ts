import type { Clock } from '../clock.ts';
import type { Connection, Stream } from '../domain/clinic.ts';
import { ClaimLost, Conflict, StoreUnavailable } from '../domain/errors.ts';
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
  /** Deliveries were recorded. */
  readonly onRecorded: () => void;
  /** Told once: the store is broken, or the relay has a fault. */
  readonly onFatal: (error: unknown) => void;
}

const pollsAtOnce = 8;
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
  readonly #polling = new Set<Promise<void>>();
  /** Connection id → when its clinic is asked for again, and after what wait. */
  readonly #discoveries = new Map<string, { at: number; waitMs: number }>();
  /** Connections whose clinic this process has seen to be the one on record. */
  readonly #verified = new Set<string>();
  #isRunning = false;
  #turning: Promise<void> | null = null;
  #cancelTimer = (): void => {};
  #cancelKeepAlive = (): void => {};
  #mustTurnAgain = false;
  #turnedAt = 0;

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

  /** Asks for a connection's clinic again at once, after its tokens were replaced. */
  forget(connectionId: string): void {
    this.#verified.delete(connectionId);
    this.#discoveries.delete(connectionId);
  }

  /** Claims nothing more; resolves when the polls under way have ended, or after `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    this.#isRunning = false;
    this.#cancelTimer();
    this.#cancelKeepAlive();
    const grace = new Promise<void>((resolve) => this.#dependencies.clock.after(graceMs, resolve));
    await Promise.race([Promise.all([this.#turning, ...this.#polling]), grace]);
  }

  /** Milliseconds since the poller last looked for work: it looks every 30 s at least. */
  get idleMs(): number {
    return this.#dependencies.clock.monotonic() - this.#turnedAt;
  }

  async #turn(): Promise<void> {
    const { clock, onFatal } = this.#dependencies;
    let sleepMs = lookAgainMs;
    try {
      while (this.#mustTurnAgain && this.#isRunning) {
        this.#mustTurnAgain = false;
        this.#turnedAt = clock.monotonic();
        await this.#discover();
        sleepMs = await this.#claimAndPoll();
      }
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) {
        this.#isRunning = false;
        onFatal(error);
        return;
      }
    }
    if (this.#isRunning) this.#cancelTimer = clock.after(sleepMs, () => this.wake());
  }

  /** @returns how long nothing else becomes due. */
  async #claimAndPoll(): Promise<number> {
    const { store, schedule, clock } = this.#dependencies;
    const streams = await this.#polled();
    const now = clock.now();
    const due = schedule.due(streams, now).slice(0, pollsAtOnce - this.#polling.size);
    const claims = due.length === 0 ? [] : await store.claimPolls({ streams: due, leaseMs });
    for (const claim of claims) {
      const running = this.#pollOne(claim, streams.length).finally(() => {
        this.#polling.delete(running);
        this.wake();
      });
      this.#polling.add(running);
    }
    const waiting = streams
      .filter((stream) => stream.nextPollAt > now)
      .map((stream) => stream.nextPollAt - now);
    const retries = [...this.#discoveries.values()].map(({ at }) => Math.max(at - now, lookAgainMs));
    return Math.min(longestSleepMs, ...waiting, ...retries);
  }

  /** Streams of clinics that are not paused and that some connection can read. */
  async #polled(): Promise<readonly Stream[]> {
    const { store, categories } = this.#dependencies;
    const readable = new Set(
      (await store.connections()).filter(({ state }) => state === 'working').map(({ clinicId }) => clinicId),
    );
    const polled = new Set(
      (await store.clinics())
        .filter(({ id, isPaused, isRemoved }) => !isPaused && !isRemoved && readable.has(id))
        .map(({ id }) => id),
    );
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
      if (error instanceof ClaimLost || error instanceof StoreUnavailable) return;
      this.#isRunning = false;
      this.#dependencies.onFatal(error);
    }
  }

  /** Asks for the clinic of each connection once in the life of the process: a name never silently changes clinic. */
  async #discover(): Promise<void> {
    const { store, clock } = this.#dependencies;
    for (const connection of await store.connections()) {
      if (connection.state !== 'working' || this.#verified.has(connection.id)) continue;
      if ((this.#discoveries.get(connection.id)?.at ?? 0) > clock.now()) continue;
      await this.#discoverClinic(connection);
    }
  }

  async #discoverClinic(connection: Connection): Promise<void> {
    const { access, tokens, clock, logger } = this.#dependencies;
    const answer = await access.clinicOf(connection);
    if (answer.kind !== 'clinic') {
      const waitMs = this.#discoveries.get(connection.id)?.waitMs ?? firstDiscoveryRetryMs;
      this.#discoveries.set(connection.id, {
        at: clock.now() + waitMs,
        waitMs: Math.min(waitMs * 2, lastDiscoveryRetryMs),
      });
      logger.warn('The clinic of a connection cannot be asked for; it is tried again.', {
        connectionId: connection.id,
        name: connection.name,
        answer: answer.kind,
      });
      return;
    }
    this.#discoveries.delete(connection.id);
    if (connection.clinicId !== null && connection.clinicId !== answer.id) {
      await tokens.giveUp(connection.id, `its token belongs to another clinic now (${answer.id})`);
      return;
    }
    await this.#follow(connection, answer);
    this.#verified.add(connection.id);
  }

  async #follow(
    connection: Connection,
    { id, vendorNow }: { readonly id: string; readonly vendorNow: number | null },
  ): Promise<void> {
    const { store, clock, logger, categories, tokens, startAt } = this.#dependencies;
    const known = (await store.clinics()).find((clinic) => clinic.id === id);
    if (!known) {
      try {
        await store.saveClinic({
          id,
          name: connection.name,
          isPaused: false,
          isRemoved: false,
          createdAt: clock.now(),
        });
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
        await tokens.giveUp(connection.id, `the name ${connection.name} belongs to another clinic`);
        return;
      }
    }
    if (connection.clinicId === null) {
      await store.saveConnection({ ...connection, tokens: null, spareTokens: null, clinicId: id });
      logger.info('A clinic is connected.', { clinicId: id, name: connection.name });
    }
    const start = startAt(vendorNow ?? clock.now());
    await store.follow(
      id,
      categories.map((category) => ({ category, startAt: start })),
    );
  }

  #keepAliveLater(): void {
    const { clock, tokens, onFatal } = this.#dependencies;
    this.#cancelKeepAlive = clock.after(keepAliveMs, () => {
      tokens
        .keepAlive()
        .catch((error: unknown) => {
          if (!(error instanceof StoreUnavailable) && !(error instanceof ClaimLost)) onFatal(error);
        })
        .finally(() => {
          if (this.#isRunning) this.#keepAliveLater();
        });
    });
  }
}
