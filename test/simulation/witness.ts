import type { Outcome } from '../../src/domain/attempt.ts';
import type { Delivery } from '../../src/domain/delivery.ts';
import { ClaimLost } from '../../src/domain/errors.ts';
import type { Subscriber } from '../../src/domain/subscriber.ts';
import type { FileStore } from '../../src/store/file/file-store.ts';
import type { DeliveryClaim, Store } from '../../src/store/store.ts';
import type { History } from './history.ts';

/** Between which moments something was put on record: asked for, and told to be done. */
export interface Span {
  readonly askedAt: number;
  /** `null` while nobody knows: the process that asked ended before it was told. */
  toldAt: number | null;
}

export interface KnownSubscriber {
  /** As it was registered; its filters never change here. */
  readonly subscriber: Subscriber;
  readonly added: Span;
  deleted: Span | null;
}

/** Hears of what was told at the moment when it was told. */
export interface Ear {
  polled(stream: { readonly clinicId: string; readonly category: string; readonly cursor: number }): void;
  /** @param key `<delivery>#<attempt>` */
  attempted(key: string, outcome: Outcome): void;
}

/** Longer than a poll goes on, frozen or not. */
const longestPollMs = 86_400_000;

export function keyOf(clinicId: string, eventId: string): string {
  return `${clinicId} ${eventId}`;
}

/**
 * Stands between the relay and its store and remembers what the store told it: what every
 * later process has to find again, and nothing beyond it.
 */
export class Witness {
  readonly events = new Map<string, Span>();
  readonly subscribers = new Map<string, KnownSubscriber>();
  /** By `<delivery>#<attempt>`: the outcome on record, or `claimed`. */
  readonly attempts = new Map<string, string>();
  /** By `<clinic> <category>`: the latest cursor that was told. */
  readonly cursors = new Map<string, number>();
  /** By `<clinic> <category>`: the true time at which its last completed poll ended. */
  readonly polledAt = new Map<string, number>();
  /** Deliveries whose success was told. */
  readonly delivered = new Set<string>();
  /** By delivery: how often a new round, or an early attempt, was asked for. */
  readonly roundsAsked = new Map<string, number>();
  /** By connection: access tokens, the ones asked for after the last that was told included. */
  readonly tokens = new Map<string, { told: string | null; asked: string[] }>();
  readonly setAsides = new Set<string>();
  /** By event: the true time at which it was first told to be on record. */
  readonly recordedAt = new Map<string, number>();
  /** By delivery: when it came to its end. */
  readonly #ended = new Map<string, number>();
  readonly #subscriberOf = new Map<string, string>();
  /** By subscriber: the true time at which all that was open last came to an end, unsent. */
  readonly #emptiedAt = new Map<string, number>();
  readonly #history: History;
  readonly #ear: Ear;

  constructor(history: History, ear: Ear) {
    this.#history = history;
    this.#ear = ear;
  }

  /** When a delivery was known to be at its end; `null` when it is open, or nobody knows. */
  endedAt(deliveryId: string): number | null {
    const emptiedAt = this.#emptiedAt.get(this.#subscriberOf.get(deliveryId) ?? '');
    return this.#ended.get(deliveryId) ?? emptiedAt ?? null;
  }

  /** What a process finds of a delivery at its start, or is told of it. */
  found({ id, subscriberId, endedAt }: Delivery): void {
    this.#subscriberOf.set(id, subscriberId);
    if (endedAt === null) this.#ended.delete(id);
    else this.#ended.set(id, endedAt);
  }

  /** The store as a process sees it. Nothing is remembered of what a process is told after its end. */
  watch(store: FileStore, life: { readonly isOver: boolean }): FileStore {
    const told = async <T>(answer: Promise<T>, remember: (value: T) => void): Promise<T> => {
      const value = await answer;
      if (!life.isOver) remember(value);
      return value;
    };
    const history = this.#history;
    const watched: Partial<Store> = {
      recordEvents: (claim, batch) => {
        const { clinicId } = claim.stream;
        for (const { id } of batch.events) {
          const key = keyOf(clinicId, id);
          if (!this.events.has(key)) this.events.set(key, { askedAt: history.tick(), toldAt: null });
          const recordedAt = this.recordedAt.get(key) ?? history.now();
          if (recordedAt < history.now() - longestPollMs) {
            history.violate('enqueued once', `event ${key} is recorded again`);
          }
        }
        return told(store.recordEvents(claim, batch), (recorded) => {
          for (const { id } of batch.events) {
            const key = keyOf(clinicId, id);
            const span = this.events.get(key) as Span;
            if (recorded.kind === 'recorded') {
              span.toldAt ??= history.tick();
              if (!this.recordedAt.has(key)) this.recordedAt.set(key, history.now());
            }
            if (recorded.kind !== 'recorded' && span.toldAt === null) this.events.delete(key);
          }
          if (recorded.kind === 'recorded') history.note('recorded', clinicId, recorded.events);
        });
      },
      endPoll: (claim, end) =>
        told(store.endPoll(claim, end), (stream) => {
          const { clinicId, category, cursor } = stream;
          history.note('polled', clinicId, category, end.kind, cursor);
          if (cursor === null) return;
          this.cursors.set(keyOf(clinicId, category), cursor);
          if (end.kind === 'completed') this.polledAt.set(keyOf(clinicId, category), history.now());
          this.#ear.polled({ clinicId, category, cursor });
        }),
      setAside: (claim, item) =>
        told(store.setAside(claim, item), ({ clinicId, eventId, reason, isFinal }) => {
          history.note('setAside', clinicId, eventId, reason, String(isFinal));
          if (isFinal && eventId !== null) this.setAsides.add(keyOf(clinicId, eventId));
        }),
      claimDeliveries: (ask) =>
        told(store.claimDeliveries(ask), (claims) => {
          for (const claim of claims) this.#claimed(claim);
        }),
      recordAttempt: (claim, result) => {
        const recorded = store.recordAttempt(claim, result);
        recorded.catch((error) => {
          if (error instanceof ClaimLost) history.note('late', claim.delivery.id, claim.attempt);
        });
        return told(recorded, ({ delivery }) => {
          history.note('attempt', delivery.id, claim.attempt, result.outcome.kind, delivery.state);
          this.attempts.set(`${delivery.id}#${claim.attempt}`, result.outcome.kind);
          this.#ear.attempted(`${delivery.id}#${claim.attempt}`, result.outcome);
          if (delivery.state === 'delivered') this.delivered.add(delivery.id);
          this.found(delivery);
        });
      },
      startRounds: (ids, fetched) => {
        for (const id of ids) {
          this.roundsAsked.set(id, (this.roundsAsked.get(id) ?? 0) + 1);
          this.delivered.delete(id);
        }
        return told(store.startRounds(ids, fetched), (started) => {
          // One that was gone already is left out of the answer, and its end stays known.
          for (const { deliveryId, kind } of started) if (kind === 'newRound') this.#ended.delete(deliveryId);
        });
      },
      addSubscriber: (subscriber, backfill) => {
        const added: Span = { askedAt: history.tick(), toldAt: null };
        this.subscribers.set(subscriber.id, { subscriber, added, deleted: null });
        return told(store.addSubscriber(subscriber, backfill), () => {
          added.toldAt = history.tick();
        });
      },
      deleteSubscriber: (id) => {
        const known = this.subscribers.get(id);
        const deleted: Span = { askedAt: history.tick(), toldAt: null };
        if (known) known.deleted ??= deleted;
        return told(store.deleteSubscriber(id), () => {
          if (known?.deleted) known.deleted.toldAt = history.tick();
          this.#emptiedAt.set(id, history.now());
        });
      },
      resumeSubscriber: (id, how) =>
        told(store.resumeSubscriber(id, how), () => {
          if (how.backlog === 'skip') this.#emptiedAt.set(id, history.now());
        }),
      saveTokens: (claim, tokens) => {
        this.#askTokens(claim.connection.id, tokens.accessToken);
        return told(store.saveTokens(claim, tokens), ({ id }) => this.#toldTokens(id, tokens.accessToken));
      },
      saveConnection: (connection) => {
        const text = connection.tokens?.accessToken;
        if (text !== undefined) this.#askTokens(connection.id, text);
        return told(store.saveConnection(connection), () => {
          if (text !== undefined) this.#toldTokens(connection.id, text);
        });
      },
    };
    return { ...store, ...watched };
  }

  #claimed({ delivery, attempt }: DeliveryClaim): void {
    const key = `${delivery.id}#${attempt}`;
    this.#history.note('claimed', delivery.id, attempt);
    if (this.attempts.has(key)) {
      this.#history.violate('I3 ids and bytes are stable', `attempt ${key} was given out twice`);
    }
    this.attempts.set(key, 'claimed');
    this.#subscriberOf.set(delivery.id, delivery.subscriberId);
  }

  #askTokens(connectionId: string, accessToken: string): void {
    const known = this.tokens.get(connectionId) ?? { told: null, asked: [] };
    known.asked.push(accessToken);
    this.tokens.set(connectionId, known);
  }

  #toldTokens(connectionId: string, accessToken: string): void {
    const known = this.tokens.get(connectionId);
    if (!known) return;
    known.told = accessToken;
    known.asked = known.asked.slice(known.asked.lastIndexOf(accessToken) + 1);
  }
}
