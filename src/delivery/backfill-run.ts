import { type Clock, wait } from '../clock.ts';
import { deliveryIdOf } from '../domain/delivery.ts';
import { NotFound } from '../domain/errors.ts';
import { filteredBy, type Subscriber } from '../domain/subscriber.ts';
import type { Logger } from '../logger.ts';
import type {
  BackfillStore,
  ClinicStore,
  JobStore,
  LogStore,
  OwedEvent,
  PollStore,
  SubscriberStore,
} from '../store/store.ts';
import {
  type BackfillJob,
  type Candidate,
  type CandidatesDependencies,
  nextCandidates,
  typeUnknown,
} from './backfill.ts';
import type { FetchEvent } from './fetched-rounds.ts';

export interface BackfillRunDependencies extends CandidatesDependencies {
  readonly store: CandidatesDependencies['store'] &
    Pick<BackfillStore, 'oweEvents'> &
    Pick<LogStore, 'delivery'> &
    Pick<JobStore, 'saveJob'> &
    Pick<PollStore, 'streams'> &
    Pick<ClinicStore, 'connections'> &
    Pick<SubscriberStore, 'subscribers'>;
  /** Within what the polls leave of the budget. */
  readonly fetchEvent: FetchEvent;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Deliveries were made. */
  readonly onOwed: () => void;
  /** Ends the run where it is. */
  readonly halt: AbortSignal;
}

/** Deliveries of a backfill that wait for their first attempt: no more at once, so that it is gentle. */
const waitingMax = 16;
const owedAtOnce = 8;
const lookAgainMs = 250;
const selectedAtOnce = 10_000;
const fetchTriesMax = 5;
const fetchAgainMs = 30_000;
/** A stream that was never read through may bring more of the past; so long is it waited for. */
const historyWaitMs = 3_600_000;
const historyLookMs = 30_000;

/**
 * Goes on with a backfill until it is done, or halted: makes a few deliveries, waits until
 * they were attempted, makes the next, from the oldest event on. How far it is is on
 * record with each step, in one commit with its deliveries.
 *
 * @throws StoreUnavailable (it can be gone on with), StoreBroken
 */
export class BackfillRun {
  job: BackfillJob;
  readonly #with: BackfillRunDependencies;
  #selected: readonly Candidate[] = [];
  /** Deliveries that were made and, when last looked at, not attempted. */
  #waiting: readonly string[] = [];

  constructor(job: BackfillJob, dependencies: BackfillRunDependencies) {
    this.job = job;
    this.#with = dependencies;
  }

  async toTheEnd(): Promise<void> {
    const { halt } = this.#with;
    while (this.job.state === 'running' && !halt.aborted) await this.#step();
  }

  async #step(): Promise<void> {
    const { clock, halt } = this.#with;
    const subscriber = await this.#subscriber();
    if (subscriber === null) return this.#end('cancelled');
    await this.#lookAtWaiting();
    const room = Math.min(owedAtOnce, waitingMax - this.#waiting.length);
    if (room < owedAtOnce) return wait(clock, lookAgainMs, halt);
    if (this.#selected.length === 0) await this.#select(subscriber);
    if (this.#selected.length > 0) return this.#owe(subscriber, this.#selected.slice(0, room));
    if (await this.#isHistoryComing()) return wait(clock, historyLookMs, halt);
    return this.#end('done');
  }

  async #subscriber(): Promise<Subscriber | null> {
    const { subscribers } = await this.#with.store.subscribers();
    return (
      subscribers.find(({ id, deletedAt }) => id === this.job.ask.subscriberId && deletedAt === null) ?? null
    );
  }

  async #lookAtWaiting(): Promise<void> {
    const { store } = this.#with;
    const deliveries = await Promise.all(this.#waiting.map((id) => store.delivery(id)));
    this.#waiting = deliveries.flatMap((each) =>
      each !== null && each.state === 'pending' && each.attempts === 0 ? [each.id] : [],
    );
  }

  async #select(subscriber: Subscriber): Promise<void> {
    const { ask, progress } = this.job;
    this.#selected = await nextCandidates(
      subscriber,
      { from: ask.from, after: progress.after, most: selectedAtOnce },
      { ...this.#with, now: this.#with.clock.now() },
    );
  }

  async #isHistoryComing(): Promise<boolean> {
    const { store, clock } = this.#with;
    if (clock.now() - this.job.createdAt > historyWaitMs) return false;
    const connections = await store.connections();
    if (connections.some(({ state, clinicId }) => state === 'working' && clinicId === null)) return true;
    const clinics = await store.clinics();
    const read = new Set(clinics.filter((each) => !each.isPaused && !each.isRemoved).map(({ id }) => id));
    return (await store.streams()).some(
      ({ clinicId, cursor, isOff, failedInRow }) =>
        read.has(clinicId) && cursor === null && !isOff && failedInRow === 0,
    );
  }

  async #owe(subscriber: Subscriber, batch: readonly Candidate[]): Promise<void> {
    const { store, onOwed, halt } = this.#with;
    let events: readonly OwedEvent[] = batch.map(({ clinicId, eventId, type }) => {
      return { clinicId, eventId, type, body: null };
    });
    let unavailable = 0;
    for (;;) {
      let next = this.job;
      const jobAfter = (deliveries: number) => {
        next = this.#after(batch, { deliveries, unavailable });
        return next;
      };
      const owing = await this.#unlessDeleted(() =>
        store.oweEvents({ subscriberId: subscriber.id, events, jobAfter }),
      );
      if (owing === null) return this.#end('cancelled');
      if (owing.kind === 'owed') {
        this.job = next;
        this.#selected = this.#selected.slice(batch.length);
        this.#waiting = [
          ...this.#waiting,
          ...events.map(({ eventId }) => deliveryIdOf(eventId, subscriber.id)),
        ];
        if (owing.deliveries > 0) onOwed();
        return;
      }
      const needed = new Set(owing.events.map(({ eventId }) => eventId));
      const filled: OwedEvent[] = [];
      for (const event of events) {
        if (!needed.has(event.eventId)) filled.push(event);
        else {
          const body = await this.#fetch(event);
          if (halt.aborted) return;
          const whole = body === null ? null : this.#withBody(subscriber, event, body);
          if (body === null) unavailable++;
          else if (whole !== null) filled.push(whole);
        }
      }
      events = filled;
    }
  }

  #after(
    batch: readonly Candidate[],
    { deliveries, unavailable }: { readonly deliveries: number; readonly unavailable: number },
  ): BackfillJob {
    const { progress } = this.job;
    const { at, eventId, clinicId } = batch.at(-1) as Candidate;
    return {
      ...this.job,
      progress: {
        ...progress,
        matched: Math.max(progress.matched, progress.done + this.#selected.length),
        done: progress.done + batch.length,
        enqueued: progress.enqueued + deliveries,
        unavailable: progress.unavailable + unavailable,
        after: { at, eventId, clinicId },
      },
    };
  }

  /** The event with its text, or `null` when the text shows that it is not wanted. */
  #withBody(subscriber: Subscriber, event: OwedEvent, body: string): OwedEvent | null {
    const { type: told, createdAt } = readEvent(body);
    if (createdAt !== null && createdAt < this.job.ask.from) return null;
    if (event.type !== typeUnknown || told === null) return { ...event, body };
    const rule = filteredBy(subscriber, { type: told, clinicId: event.clinicId }, null);
    return rule === 'eventTypes' ? null : { ...event, type: told, body };
  }

  /** `null` when nobody has it any more, or it was not to be had after several tries. */
  async #fetch({ clinicId, eventId }: OwedEvent): Promise<string | null> {
    const { fetchEvent, clock, logger, halt } = this.#with;
    for (let tries = 1; !halt.aborted; tries++) {
      const fetched = await fetchEvent({ clinicId, eventId }, { isUrgent: false, signal: halt });
      if (fetched.kind === 'event') return fetched.body;
      if (halt.aborted) break;
      if (fetched.kind === 'gone' || tries === fetchTriesMax) {
        const { detail } = fetched;
        logger.warn('A backfill leaves an event out.', {
          backfillId: this.job.id,
          clinicId,
          eventId,
          detail,
        });
        break;
      }
      await wait(clock, fetchAgainMs, halt);
    }
    return null;
  }

  async #unlessDeleted<Answer>(work: () => Promise<Answer>): Promise<Answer | null> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof NotFound) return null;
      throw error;
    }
  }

  async #end(state: 'done' | 'cancelled'): Promise<void> {
    const ended = { ...this.job, state, endedAt: this.#with.clock.now() };
    await this.#with.store.saveJob(ended);
    this.job = ended;
  }
}

/** What was listed without its type or its date shows them in its text. */
function readEvent(body: string): { readonly type: string | null; readonly createdAt: number | null } {
  const { type, created_at } = JSON.parse(body) as { type?: unknown; created_at?: unknown };
  const at = typeof created_at === 'string' ? Date.parse(created_at) : Number.NaN;
  return { type: typeof type === 'string' ? type : null, createdAt: Number.isNaN(at) ? null : at };
}
