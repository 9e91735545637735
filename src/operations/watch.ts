import type { Clock } from '../clock.ts';
import { StoreUnavailable } from '../domain/errors.ts';
import type { OperationalEvent } from '../domain/operational-event.ts';
import { type Subscriber, stateOfSubscriber } from '../domain/subscriber.ts';
import type { Logger } from '../logger.ts';
import type { Store } from '../store/store.ts';
import { conditionsOf } from './conditions.ts';

/** An audit that ended and found events missing. */
export interface AuditMissing {
  readonly auditId: string;
  readonly missing: number;
  readonly repaired: number;
}

export interface WatchDependencies {
  readonly store: Pick<Store, 'subscribers' | 'clinics' | 'connections' | 'streams'>;
  /** The audits that ended since an instant and found something missing. */
  readonly auditsMissing: (since: number) => Promise<readonly AuditMissing[]>;
  readonly tell: (event: OperationalEvent) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly behindAfterMs: number;
  readonly overlapDays: number;
  /** Those that are read; what was taken out of the configuration is behind nothing. */
  readonly categories: readonly string[];
}

const betweenLooksMs = 15_000;
/** After a start, streams and subscribers get time to come back by themselves. */
const firstLookMs = 120_000;
const auditsOfMs = 24 * 3_600_000;

/**
 * Looks at what is on record again and again and tells what has gone wrong since, once;
 * what holds at a start is told again. What is over within a look is not worth a message.
 */
export class Watch {
  readonly #on: WatchDependencies;
  #told: ReadonlyMap<string, OperationalEvent> = new Map();
  readonly #auditsTold = new Set<string>();
  #cancel = (): void => {};
  #look: Promise<void> = Promise.resolve();
  #isRunning = false;

  constructor(dependencies: WatchDependencies) {
    this.#on = dependencies;
  }

  start(): void {
    this.#isRunning = true;
    this.#wait(firstLookMs);
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    this.#cancel();
    await this.#look;
  }

  #wait(ms: number): void {
    if (!this.#isRunning) return;
    this.#cancel = this.#on.clock.after(ms, () => {
      this.#look = this.#lookOnce()
        .catch((error: unknown) => {
          if (error instanceof StoreUnavailable) return;
          const fault = error instanceof Error ? error.message : 'unknown';
          this.#on.logger.error('What is wrong could not be looked at; please report it.', { fault });
        })
        .finally(() => this.#wait(betweenLooksMs));
    });
  }

  async #lookOnce(): Promise<void> {
    const { store, clock, behindAfterMs, overlapDays, categories, tell } = this.#on;
    const [{ subscribers }, clinics, connections, known] = await Promise.all([
      store.subscribers(),
      store.clinics(),
      store.connections(),
      store.streams(),
    ]);
    const streams = known.filter(({ category }) => categories.includes(category));
    const now = clock.now();
    const conditions = conditionsOf({
      subscribers,
      clinics,
      connections,
      streams,
      now,
      behindAfterMs,
      overlapDays,
    });
    for (const [key, event] of conditions) if (!this.#told.has(key)) tell(event);
    this.#tellRecovered(subscribers);
    this.#told = conditions;
    for (const audit of await this.#on.auditsMissing(now - auditsOfMs)) {
      if (this.#auditsTold.has(audit.auditId)) continue;
      this.#auditsTold.add(audit.auditId);
      tell({ type: 'relay.audit.missing', data: audit });
    }
  }

  #tellRecovered(subscribers: readonly Subscriber[]): void {
    const troubled = new Set(
      [...this.#told.values()].map(({ data }) => ('subscriberId' in data ? data.subscriberId : null)),
    );
    for (const subscriber of subscribers) {
      const { id: subscriberId, name } = subscriber;
      if (!troubled.has(subscriberId) || stateOfSubscriber(subscriber) !== 'active') continue;
      this.#on.tell({ type: 'relay.subscriber.recovered', data: { subscriberId, name } });
    }
  }
}
