import type { StreamKey } from '../domain/clinic.ts';

/** What may have become of a listed event. It counts once, in the first that fits any of its deliveries. */
export const buckets = [
  /** Not in the log, though the stream was polled after it had been listed. */
  'missing',
  'setAside',
  'failed',
  'held',
  'pending',
  'cancelled',
  'delivered',
  /** Owed to nobody: no subscriber wanted it when it was recorded, or it is from before the stream's start. */
  'filtered',
] as const;

export type Bucket = (typeof buckets)[number];

/** `listed` is counted when an event is met in the list, each bucket when it is known what became of it. */
export type Counts = Readonly<Record<'listed' | Bucket, number>>;

/** What is zero is left out. */
export type SparseCounts = Partial<Counts>;

/** By the day of creation (UTC), `2026-11-22`; `undated` holds events without a date, and those of impossible days. */
export type Days = Readonly<Record<string, SparseCounts>>;

export const undated = 'undated';

/** What an audit found out about one stream. */
export type AuditedStream = ListedStream | UnlistedStream;

export interface ListedStream extends StreamKey {
  readonly kind: 'listed';
  readonly days: Days;
  /** Listed items without an id that can be used: no part of the counts, for nobody can say whether they are events. */
  readonly withoutId: number;
  /** Of the missing events, the first ones: an audit names 1,000 at most. */
  readonly missingIds: readonly string[];
  /** How many of the missing ones are in the log now; `null` while that is being done. */
  readonly repaired: number | null;
  /** Why its polls did not complete while the audit waited for one; `null` when they did. */
  readonly problem: string | null;
}

/** The audit says nothing about it. */
export interface UnlistedStream extends StreamKey {
  readonly kind: 'unlisted';
  readonly reason: UnlistedReason;
  /** One line for people. */
  readonly detail: string;
}

/** `off` and `paused` were decided by the vendor or a person; the others want somebody. */
export type UnlistedReason = 'off' | 'paused' | 'noAccess' | 'failed' | 'outOfTime';

/** Counts a stream's events by day while it is listed. */
export class Tally {
  readonly #days = new Map<string, Map<keyof Counts, number>>();
  readonly #firstDay: string;
  readonly #lastDay: string;

  /** @param now epoch milliseconds. */
  constructor(now: number) {
    // The vendor's clock may be ahead or behind, and a stream may be older than its history.
    this.#firstDay = dayOf(now - 62 * dayMs);
    this.#lastDay = dayOf(now + 2 * dayMs);
  }

  count(createdAt: number | null, as: keyof Counts): void {
    const day = this.#dayOf(createdAt);
    const counts = this.#days.get(day) ?? new Map<keyof Counts, number>();
    this.#days.set(day, counts.set(as, (counts.get(as) ?? 0) + 1));
  }

  days(): Days {
    const sorted = [...this.#days].sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(sorted.map(([day, counts]) => [day, Object.fromEntries(counts)]));
  }

  #dayOf(createdAt: number | null): string {
    const day = createdAt === null ? undated : dayOf(createdAt);
    return day >= this.#firstDay && day <= this.#lastDay ? day : undated;
  }
}

const dayMs = 86_400_000;

function dayOf(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}

export const noCounts = Object.fromEntries(['listed', ...buckets].map((name) => [name, 0])) as Counts;

export function sumOf(all: readonly SparseCounts[]): Counts {
  const sum: Record<keyof Counts, number> = { ...noCounts };
  for (const counts of all) {
    for (const name of Object.keys(counts) as (keyof Counts)[]) sum[name] += counts[name] ?? 0;
  }
  return sum;
}

/** Every listed event stands in a bucket, and none is missing. */
export function isBalanced(counts: Counts): boolean {
  return counts.missing === 0 && buckets.reduce((sum, name) => sum + counts[name], 0) === counts.listed;
}
