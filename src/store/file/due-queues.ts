import { type Delivery, queuedAt } from '../../domain/delivery.ts';

/**
 * The pending deliveries of each subscriber in the order in which they are to be
 * attempted. Entries are never removed when a delivery changes; they are recognised as
 * stale when they come up, so a change costs one insertion.
 */
export class DueQueues {
  readonly #queues = new Map<string, { readonly first: DueHeap; readonly again: DueHeap }>();

  note(delivery: Delivery): void {
    const at = queuedAt(delivery);
    if (delivery.state !== 'pending' || at === null) return;
    let queues = this.#queues.get(delivery.subscriberId);
    if (!queues) {
      queues = { first: new DueHeap(), again: new DueHeap() };
      this.#queues.set(delivery.subscriberId, queues);
    }
    const queue = delivery.attempts === 0 ? queues.first : queues.again;
    queue.push({ dueAt: at, order: delivery.sequence, id: delivery.id });
  }

  /**
   * Takes up to `count` deliveries that are due: first attempts before retries, the
   * longest due first. Each is taken out; it comes back when its delivery changes.
   *
   * @param isOpen whether an entry still says what is so, and nobody has claimed it.
   */
  take(subscriberId: string, count: number, now: number, isOpen: (entry: DueEntry) => boolean): string[] {
    const taken: string[] = [];
    const queues = this.#queues.get(subscriberId);
    if (!queues) return taken;
    for (const queue of [queues.first, queues.again]) {
      while (taken.length < count) {
        const next = queue.firstOpen(isOpen);
        if (!next || next.dueAt > now) break;
        queue.pop();
        if (!taken.includes(next.id)) taken.push(next.id);
      }
    }
    return taken;
  }

  /** Takes the one that has been due for longest, first attempt or not; `null` when none is. */
  takeOldest(subscriberId: string, now: number, isOpen: (entry: DueEntry) => boolean): string | null {
    const queues = this.#queues.get(subscriberId);
    const first = queues?.first.firstOpen(isOpen);
    const again = queues?.again.firstOpen(isOpen);
    const isFirst = first !== undefined && (again === undefined || isBefore(first, again));
    const oldest = isFirst ? first : again;
    if (!oldest || oldest.dueAt > now) return null;
    (isFirst ? queues?.first : queues?.again)?.pop();
    return oldest.id;
  }

  /** When the subscriber's next delivery becomes due; `null` when it has none open. */
  nextDueAt(subscriberId: string, isOpen: (entry: DueEntry) => boolean): number | null {
    const queues = this.#queues.get(subscriberId);
    if (!queues) return null;
    const first = queues.first.firstOpen(isOpen)?.dueAt ?? Number.POSITIVE_INFINITY;
    const again = queues.again.firstOpen(isOpen)?.dueAt ?? Number.POSITIVE_INFINITY;
    const soonest = Math.min(first, again);
    return Number.isFinite(soonest) ? soonest : null;
  }
}

export interface DueEntry {
  /** See `queuedAt`. */
  readonly dueAt: number;
  /** The subscriber's sequence number: among equals, the older delivery goes first. */
  readonly order: number;
  readonly id: string;
}

function isBefore(a: DueEntry, b: DueEntry): boolean {
  return a.dueAt < b.dueAt || (a.dueAt === b.dueAt && a.order < b.order);
}

/** A binary heap, the soonest entry on top. */
class DueHeap {
  readonly #entries: DueEntry[] = [];

  push(entry: DueEntry): void {
    const entries = this.#entries;
    let at = entries.length;
    entries.push(entry);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = entries[above] as DueEntry;
      if (!isBefore(entry, parent)) break;
      entries[at] = parent;
      at = above;
    }
    entries[at] = entry;
  }

  pop(): void {
    const entries = this.#entries;
    const last = entries.pop();
    if (last === undefined || entries.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= entries.length) break;
      if (below + 1 < entries.length && isBefore(entries[below + 1] as DueEntry, entries[below] as DueEntry))
        below++;
      if (!isBefore(entries[below] as DueEntry, last)) break;
      entries[at] = entries[below] as DueEntry;
      at = below;
    }
    entries[at] = last;
  }

  /** The soonest entry that is not stale; stale ones above it are dropped. */
  firstOpen(isOpen: (entry: DueEntry) => boolean): DueEntry | undefined {
    for (let top = this.#entries[0]; top !== undefined; top = this.#entries[0]) {
      if (isOpen(top)) return top;
      this.pop();
    }
    return undefined;
  }
}
