import type { Delivery, DeliveryState, EndReason } from '../../domain/delivery.ts';
import type { Words } from './columns.ts';
import type { DueQueues } from './due-queues.ts';
import type { AttemptRow, EventRow, OpenAttempt, StoredDelivery } from './facts.ts';
import type { LogRows } from './log-rows.ts';
import type { RowKind } from './row-kind.ts';
import type { Table } from './table.ts';

/** What lists and rules look at, of an event in a clinic. `first` and `count` are the deliveries made with it. */
const eventColumns = {
  clinic: 'word',
  type: 'word',
  category: 'word',
  flags: 'u8',
  recordedAt: 'f64',
  bodyFile: 'word',
  first: 'f64',
  count: 'u32',
} as const;

const deliveryColumns = {
  subscriber: 'word',
  clinic: 'word',
  type: 'word',
  flags: 'u8',
  createdAt: 'f64',
  /** 0 while it is open. */
  endedAt: 'f64',
  /** Of one that a backfill added: one more than the number of its event; 0 of all others. */
  backfillOf: 'u32',
} as const;

export type EventRows = LogRows<EventRow, keyof typeof eventColumns>;
export type DeliveryRows = LogRows<Delivery, keyof typeof deliveryColumns>;

/** A body that is the row's own; one that another clinic's row holds is not. */
const isPastFlag = 1;
const ownBodyFlag = 2;
const seenAgainFlag = 4;
const erasedFlag = 8;
const pushedFlag = 16;
const pushedFirstFlag = 32;
const pushDiffersFlag = 64;

const states: readonly DeliveryState[] = ['pending', 'delivered', 'failed', 'cancelled'];
const endReasons: readonly (EndReason | null)[] = [
  null,
  'scheduleUsedUp',
  'skipped',
  'bodyLost',
  'subscriberDeleted',
  'erased',
];

export function isPast(flags: number): boolean {
  return (flags & isPastFlag) !== 0;
}

export function hasOwnBody(flags: number): boolean {
  return (flags & ownBodyFlag) !== 0;
}

export function isSeenAgain(flags: number): boolean {
  return (flags & seenAgainFlag) !== 0;
}

export function isErased(flags: number): boolean {
  return (flags & erasedFlag) !== 0;
}

/** Fullscript's own webhook brought it, too. */
export function isPushed(flags: number): boolean {
  return (flags & pushedFlag) !== 0;
}

export function isPushedFirst(flags: number): boolean {
  return (flags & pushedFirstFlag) !== 0;
}

export function doesPushDiffer(flags: number): boolean {
  return (flags & pushDiffersFlag) !== 0;
}

export function stateIn(flags: number): DeliveryState {
  return states[flags & 3] as DeliveryState;
}

export function endReasonIn(flags: number): EndReason | null {
  return endReasons[flags >> 2] ?? null;
}

export function eventKind(words: Words): RowKind<EventRow, keyof typeof eventColumns> {
  return {
    columns: eventColumns,
    columnsOf: (row) => ({
      clinic: words.number(row.clinicId),
      type: words.number(row.type),
      category: words.number(row.category),
      flags:
        (row.isPast ? isPastFlag : 0) |
        (row.body !== null && row.bodyOf === undefined ? ownBodyFlag : 0) |
        (row.isSeenAgain ? seenAgainFlag : 0) |
        (row.isErased ? erasedFlag : 0) |
        (row.push ? pushedFlag : 0) |
        (row.push?.isFirst ? pushedFirstFlag : 0) |
        (row.push?.differs ? pushDiffersFlag : 0),
      recordedAt: row.recordedAt,
      bodyFile: words.number(row.body?.file ?? ''),
      first: row.deliveries[0],
      count: row.deliveries[1],
    }),
    nameOf: (row) => eventKey(row.clinicId, row.id),
    seek: (name) => {
      const { clinicId, eventId } = splitEventKey(name);
      return { id: eventId, clinicId };
    },
    store: (row) => row,
    restore: (stored) => stored as EventRow,
    isBusy: () => false,
    entered: () => {},
    left: () => {},
    removed: () => {},
    changed: () => {},
  };
}

/** What is kept beside a delivery while it is in memory. */
export interface BesideDeliveries {
  readonly words: Words;
  readonly attempts: Table<readonly AttemptRow[]>;
  readonly openAttempts: Table<OpenAttempt>;
  readonly due: DueQueues;
  /** The number of its event; `null` when that is not known any more. */
  eventNumberOf(delivery: Delivery): number | null;
  /** Takes note of a delivery that came to be in a state, or (-1) is in it no more. */
  count(subscriberId: string, state: DeliveryState, by: 1 | -1): void;
  /** The same of a delivery that is known by its number only. */
  countRemoved(number: number, by: 1 | -1): void;
}

/** A delivery as an index holds it, with its attempts. */
export function storedDelivery(stored: unknown): StoredDelivery {
  return stored as StoredDelivery;
}

export function deliveryKind(beside: BesideDeliveries): RowKind<Delivery, keyof typeof deliveryColumns> {
  return {
    columns: deliveryColumns,
    columnsOf: (row) => ({
      subscriber: beside.words.number(row.subscriberId),
      clinic: beside.words.number(row.clinicId),
      type: beside.words.number(row.eventType),
      flags: states.indexOf(row.state) | (endReasons.indexOf(row.endReason) << 2),
      createdAt: row.createdAt,
      endedAt: row.endedAt ?? 0,
      backfillOf: row.isBackfilled ? (beside.eventNumberOf(row) ?? -1) + 1 : 0,
    }),
    nameOf: (row) => row.id,
    seek: (id) => ({ id }),
    store: (delivery): StoredDelivery => {
      const open = beside.openAttempts.get(delivery.id);
      return { delivery, attempts: beside.attempts.get(delivery.id) ?? [], ...(open && { open }) };
    },
    restore: (stored) => {
      const { delivery, attempts, open } = storedDelivery(stored);
      beside.attempts.put(delivery.id, attempts);
      if (open) beside.openAttempts.put(delivery.id, open);
      return delivery;
    },
    isBusy: (row) => row.state === 'pending' || beside.openAttempts.has(row.id),
    entered: (delivery) => beside.due.changed(undefined, delivery),
    left: ({ id }) => beside.attempts.release(id),
    removed: (number, by) => beside.countRemoved(number, by),
    changed: (before, after) => {
      if (before) beside.count(before.subscriberId, before.state, -1);
      if (after) beside.count(after.subscriberId, after.state, 1);
      beside.due.changed(before, after);
    },
  };
}

/** Ids are opaque and may hold any character, so the length of the first keeps two pairs apart. */
export function eventKey(clinicId: string, eventId: string): string {
  return `${clinicId.length}:${clinicId}${eventId}`;
}

function splitEventKey(key: string): { readonly clinicId: string; readonly eventId: string } {
  const start = key.indexOf(':') + 1;
  const end = start + Number(key.slice(0, start - 1));
  return { clinicId: key.slice(start, end), eventId: key.slice(end) };
}
