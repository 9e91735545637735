import { setMaxListeners } from 'node:events';
import PQueue from 'p-queue';
import type { Clock } from '../clock.ts';
import { RelayError, StoreUnavailable } from '../domain/errors.ts';
import type { Subscriber } from '../domain/subscriber.ts';
import type { Logger } from '../logger.ts';
import type { AfterAttempt, DeliveryClaim, DeliveryStore, SubscriberStore } from '../store/store.ts';
import { Alarm } from './alarm.ts';
import type { Deliver } from './deliver.ts';
import { HeldClaims } from './held-claims.ts';
import { Lanes, type OpenLane } from './lanes.ts';
import { UnderWay } from './under-way.ts';

export interface DispatcherDependencies {
  readonly store: Pick<DeliveryStore, 'claimDeliveries' | 'renew' | 'nextDueAt'> &
    Pick<SubscriberStore, 'subscribers'>;
  readonly deliver: Deliver;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told once, when nothing more is claimed because the store is broken or the relay has a fault. */
  readonly onFatal: (error: unknown) => void;
  /** Attempts under way at once, 1 or more. */
  readonly concurrency: number;
  /** For a subscriber that sets none of its own. */
  readonly concurrencyPerSubscriber: number;
  /** The longest that one exchange can take. */
  readonly timeoutMs: number;
  /** Default: `timeoutMs` and 15 s for the store. */
  readonly leaseMs?: number;
}

/** Between looks at lanes that had no work while others have more than their slots. */
const lookAgainMs = 500;

/** The longest sleep: a lease that lapsed in another process wakes nobody. */
const sleepMaxMs = 30_000;

/** A slot is free when its answer is there; so many results for each may still be on their way into the store. */
const unrecordedPerSlot = 2;

const storeAgainMs = 1_000;
const leaseSlackMs = 15_000;

/**
 * Delivers again and again. A *look* asks every lane for due work; between looks, a slot
 * that comes free is offered to the lanes that had more work than slots. Work is claimed
 * for free slots only, so nothing waits in memory under a lease.
 *
 * It looks when it is woken, when the next delivery becomes due, and otherwise sleeps.
 */
export class Dispatcher {
  readonly #dependencies: DispatcherDependencies;
  readonly #leaseMs: number;
  readonly #lanes: Lanes<PQueue>;
  readonly #held: HeldClaims;
  readonly #alarm: Alarm;
  readonly #runs = new UnderWay<Promise<void>>();
  /** Attempts under way; claims are made for free slots only, so never more than `concurrency`. */
  #sending = 0;
  readonly #abort = new AbortController();
  #isRunning = false;
  #isTurnSet = false;
  #turning: Promise<void> | null = null;
  #mustTurnAgain = false;
  #mustLook = false;
  #isNextLookPlanned = false;
  #lookedAt = 0;
  #areLanesStale = true;
  #lanesReadAt = 0;
  #isWaitingForStore = false;
  #hasFailed = false;

  /** @throws RelayError `lease_too_short` when a lease would end before its request. */
  constructor(dependencies: DispatcherDependencies) {
    const { timeoutMs } = dependencies;
    this.#dependencies = dependencies;
    this.#leaseMs = dependencies.leaseMs ?? timeoutMs + leaseSlackMs;
    if (this.#leaseMs <= timeoutMs) {
      throw new RelayError(
        'lease_too_short',
        `A lease of ${this.#leaseMs} ms ends before a request of ${timeoutMs} ms.`,
        { hint: 'Make the lease longer than the time-out.' },
      );
    }
    this.#lanes = new Lanes(() => new PQueue(), dependencies.concurrencyPerSubscriber);
    this.#alarm = new Alarm(dependencies.clock, () => this.#look());
    this.#held = new HeldClaims({
      ...dependencies,
      leaseMs: this.#leaseMs,
      onError: (error) => this.#fail(error),
    });
    setMaxListeners(0, this.#abort.signal);
  }

  start(): void {
    this.#isRunning = true;
    this.wake();
  }

  /** Something may be due, or a subscriber changed: after events were recorded, a replay, a resume. */
  wake(): void {
    this.#areLanesStale = true;
    this.#look();
  }

  /**
   * Claims nothing more and waits for what is under way, `graceMs` at most; what is not
   * done by then is cut off, stays claimed, and counts as interrupted at the next start.
   * The store is not used once this has resolved.
   */
  async stop(graceMs: number): Promise<void> {
    this.#isRunning = false;
    this.#alarm.cancel();
    const cancel = this.#dependencies.clock.after(graceMs, () => this.#abort.abort());
    // What is being claimed at this moment is sent too.
    await this.#turning;
    await Promise.all(this.#runs.items());
    cancel();
    await this.#held.stop();
  }

  #look(): void {
    this.#mustLook = true;
    this.#turnSoon();
  }

  /** Many answers come in one tick, when the store has synced them together; one claim refills all their slots. */
  #turnSoon(): void {
    if (!this.#isRunning || this.#isTurnSet) return;
    this.#isTurnSet = true;
    setImmediate(() => {
      this.#isTurnSet = false;
      this.#mustTurnAgain = true;
      this.#turning ??= this.#turn().finally(() => {
        this.#turning = null;
      });
    });
  }

  async #turn(): Promise<void> {
    try {
      while (this.#isRunning && this.#mustTurnAgain) {
        this.#mustTurnAgain = false;
        await this.#fill();
      }
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) return this.#fail(error);
      if (!this.#isWaitingForStore) {
        this.#dependencies.logger.warn('dispatcher waits for the store', { code: error.code });
      }
      this.#isWaitingForStore = true;
      this.#lookBy(this.#dependencies.clock.now() + storeAgainMs);
    }
  }

  async #fill(): Promise<void> {
    const { store, concurrency } = this.#dependencies;
    if (this.#mustLook) {
      this.#mustLook = false;
      this.#isNextLookPlanned = false;
      this.#lookedAt = this.#dependencies.clock.now();
      this.#alarm.cancel();
      await this.#refreshLanes();
      this.#lanes.expectWork();
    }
    for (;;) {
      const unrecordedMax = concurrency * unrecordedPerSlot;
      const slots = Math.min(concurrency, this.#sending + unrecordedMax - this.#runs.size);
      const slotsBySubscriber = this.#lanes.offer(slots);
      if (!this.#isRunning || slotsBySubscriber.size === 0) break;
      const claims = await store.claimDeliveries({ slotsBySubscriber, leaseMs: this.#leaseMs });
      // It counted as pressed when the next look was planned.
      if (this.#lanes.noteTaken(slotsBySubscriber, claims)) this.#isNextLookPlanned = false;
      for (const claim of claims) {
        const run = this.#run(claim);
        run.then(this.#runs.add(run));
      }
    }
    await this.#planLook();
  }

  async #refreshLanes(): Promise<void> {
    const { store, clock } = this.#dependencies;
    if (!this.#areLanesStale && clock.now() < this.#lanesReadAt + sleepMaxMs) return;
    this.#areLanesStale = false;
    this.#lanesReadAt = clock.now();
    let known: readonly Subscriber[];
    try {
      known = (await store.subscribers()).subscribers;
    } catch (error) {
      this.#areLanesStale = true;
      throw error;
    }
    this.#lanes.follow(known);
  }

  async #run(claim: DeliveryClaim): Promise<void> {
    const lane = this.#lanes.of(claim.subscriber);
    const attempt = async () => {
      this.#sending += 1;
      try {
        return await this.#dependencies.deliver(claim, this.#abort.signal);
      } finally {
        this.#sending -= 1;
      }
    };
    const release = this.#held.add(claim);
    lane.unrecorded += 1;
    try {
      const attempted = await lane.queue.add(attempt);
      this.#turnSoon();
      const delivered = await attempted.record();
      if (delivered.kind === 'recorded') this.#learn(lane, delivered.after);
    } catch (error) {
      this.#fail(error);
    } finally {
      lane.unrecorded -= 1;
      release();
      this.#turnSoon();
    }
  }

  #learn(lane: OpenLane<PQueue>, { delivery, subscriber }: AfterAttempt): void {
    lane.follow(subscriber);
    // The next one of its clinic may have waited for this one.
    if (subscriber.order !== null && delivery.dueAt === null) lane.mayHaveWork = lane.slots > 0;
    if (delivery.dueAt !== null && lane.slots > 0) this.#lookBy(delivery.dueAt);
  }

  async #planLook(): Promise<void> {
    // What comes sooner than planned, a retry or news, brings its own moment with it.
    if (this.#isNextLookPlanned || !this.#isRunning) return;
    this.#isNextLookPlanned = true;
    const { store, clock } = this.#dependencies;
    const { pressed } = this.#lanes;
    // Without rates, all that becomes due between two looks brings its own moment with it.
    const mustAsk = pressed.size === 0 || this.#lanes.areRated;
    const dueAt = mustAsk ? await store.nextDueAt(pressed) : null;
    this.#isWaitingForStore = false;
    const now = clock.now();
    // What was due at this look already and was not to be had is not asked for again without a pause.
    const isOverdue = dueAt !== null && dueAt <= this.#lookedAt;
    const pauseMs = isOverdue || pressed.size > 0 ? lookAgainMs : sleepMaxMs;
    this.#lookBy(Math.min(now + pauseMs, isOverdue || dueAt === null ? Number.POSITIVE_INFINITY : dueAt));
  }

  #lookBy(at: number): void {
    if (this.#isRunning) this.#alarm.setBy(at);
  }

  #fail(error: unknown): void {
    this.#isRunning = false;
    this.#alarm.cancel();
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#dependencies.onFatal(error);
  }
}
