import type { Clinic, SetAside, Stream } from '../../domain/clinic.ts';
import type { Delivery } from '../../domain/delivery.ts';
import { type Health, untriedHealth } from '../../domain/subscriber.ts';
import type { Job } from '../store.ts';
import { Column, Words } from './columns.ts';
import { DueQueues } from './due-queues.ts';
import type {
  AttemptRow,
  ConnectionRow,
  LinkRow,
  OpenAttempt,
  RevocationRow,
  SubscriberRow,
  TokenKeyRow,
} from './facts.ts';
import { type DeliveryRows, deliveryKind, type EventRows, eventKey, eventKind, stateIn } from './kinds.ts';
import { LogRows } from './log-rows.ts';
import { Table, UndoLog } from './table.ts';

export interface BudgetBlock {
  readonly at: number;
  readonly count: number;
  readonly countsUntil: number;
}

/**
 * Everything the file store knows, in memory. `apply` is the only thing that changes it;
 * what it changes can be taken back through `undo`.
 *
 * The folded part is small and comes back from the checkpoint; the log part (events,
 * deliveries, attempts) comes back from the journal, and from its indexes.
 */
export class State {
  readonly undo = new UndoLog();

  // Folded: kept whole in the checkpoint.
  readonly clinics = new Table<Clinic>(this.undo);
  readonly connections = new Table<ConnectionRow>(this.undo);
  readonly subscribers = new Table<SubscriberRow>(this.undo, (before, after) => {
    const isOrdered = (after?.order ?? null) !== null;
    const id = (after ?? before)?.id ?? '';
    if (isOrdered !== ((before?.order ?? null) !== null)) {
      this.due.setOrder(id, isOrdered, this.deliveries.values());
    }
  });
  readonly healths = new Table<Health>(this.undo);
  /** Subscriber id → how many deliveries it was given. */
  readonly sequences = new Table<number>(this.undo);
  readonly streams = new Table<Stream>(this.undo);
  readonly setAsides = new Table<SetAside>(this.undo);
  readonly jobs = new Table<Job>(this.undo);
  readonly tokenKeys = new Table<TokenKeyRow>(this.undo);
  /** By the id of the connection that was to come of it. */
  readonly links = new Table<LinkRow>(this.undo);
  readonly revocations = new Table<RevocationRow>(this.undo);
  /** Token id → until when it has to be remembered. */
  readonly revoked = new Table<number>(this.undo);
  readonly budget = new Table<BudgetBlock>(this.undo);
  readonly counters = new Table<number>(this.undo);
  /** Files of bodies that nothing more is written into: one that holds what was erased, or that is gone. */
  readonly bodyFiles = new Table<'toRewrite' | 'gone'>(this.undo);

  // The log: comes from the journal, and from the indexes of its closed ranges.
  readonly words = new Words();
  readonly due = new DueQueues((id) => this.deliveries.hot(id));
  readonly events: EventRows = new LogRows(this.undo, eventKind(this.words), (id) => this.words.known(id));
  readonly deliveries: DeliveryRows = new LogRows(this.undo, deliveryKind(this));
  /** Of the deliveries that are in memory. */
  readonly attempts = new Table<readonly AttemptRow[]>(this.undo);
  /** By delivery id: at most one attempt of a delivery is under way. */
  readonly openAttempts = new Table<OpenAttempt>(this.undo, (before, after) => {
    const deliveryId = (after ?? before)?.deliveryId ?? '';
    this.deliveries.touch(deliveryId);
    const delivery = after ? undefined : this.deliveries.hot(deliveryId);
    if (delivery) this.due.note(delivery);
  });
  /** By event number: when it was last listed, in seconds of this process counted from 1; 0 before. */
  readonly listed = new Column('u32');
  /** Stream → when its last completed sweep began, in the same seconds. */
  readonly sweeps = new Map<string, number>();
  /** Subscriber id → how many of its deliveries are in each state. */
  readonly counts = new Map<string, Record<Delivery['state'], number>>();

  /** Counts the changes of whom events are owed to. */
  get subscribersVersion(): number {
    return this.counters.get('subscribersVersion') ?? 0;
  }

  healthOf(subscriberId: string): Health {
    return this.healths.get(subscriberId) ?? untriedHealth;
  }

  /** `null` when the event is not known, or not any more. */
  eventNumberOf({ clinicId, eventId }: Pick<Delivery, 'clinicId' | 'eventId'>): number | null {
    return this.events.numberOf(eventKey(clinicId, eventId));
  }

  /** Counts the deliveries that came out of indexes. */
  countLoaded(): void {
    const { columns, end } = this.deliveries;
    this.counts.clear();
    for (let number = 0; number < end; number++) {
      if (!this.deliveries.isThere(number)) continue;
      const state = stateIn(columns.flags.get(number));
      this.count(this.words.text(columns.subscriber.get(number)), state, 1);
    }
  }

  countRemoved(number: number, by: 1 | -1): void {
    const { subscriber, flags } = this.deliveries.columns;
    this.count(this.words.text(subscriber.get(number)), stateIn(flags.get(number)), by);
  }

  /** Whether the file of a body or excerpt was taken away: its days were over, or what is kept of it lies elsewhere. */
  isExpired(file: string): boolean {
    if (file === '') return false;
    return dayNumber(file) < (this.counters.get('bodiesFrom') ?? 0) || this.bodyFiles.get(file) === 'gone';
  }

  count(subscriberId: string, state: Delivery['state'], by: 1 | -1): void {
    let counts = this.counts.get(subscriberId);
    if (!counts) {
      counts = { pending: 0, delivered: 0, failed: 0, cancelled: 0 };
      this.counts.set(subscriberId, counts);
    }
    counts[state] += by;
  }
}

/** The days since 1970 of the day that a file's name begins with. */
export function dayNumber(file: string): number {
  return Math.floor(Date.parse(file.slice(0, 10)) / 86_400_000);
}

export function streamKey({ clinicId, category }: { clinicId: string; category: string }): string {
  return `${clinicId.length}:${clinicId}${category}:`;
}
