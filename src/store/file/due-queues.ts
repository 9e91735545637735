import { type Delivery, queuedAt } from '../../domain/delivery.ts';
import { ClinicRows, isInRow } from './clinic-rows.ts';
import { type DueEntry, DueHeap, isBefore } from './due-heap.ts';

/**
 * The pending deliveries of each subscriber in the order in which they are to be
 * attempted. Entries are never removed when a delivery changes; they are recognised as
 * stale when they come up, so a change costs one insertion.
 *
 * Of a subscriber that takes each clinic's events in order, one that waits behind another
 * is not in the queue: it comes into it when it is its turn.
 */
export class DueQueues {
  readonly #queues = new Map<string, Queues>();
  /** By subscriber, of those with an order. */
  readonly #rows = new Map<string, ClinicRows>();
  readonly #deliveryOf: (id: string) => Delivery | undefined;

  /** @param deliveryOf of those that are in memory, as all pending ones are. */
  constructor(deliveryOf: (id: string) => Delivery | undefined) {
    this.#deliveryOf = deliveryOf;
  }

  /** From now on a subscriber's deliveries wait for each other, or do not. */
  setOrder(subscriberId: string, isOrdered: boolean, all: Iterable<Delivery>): void {
    if (isOrdered) this.#rows.set(subscriberId, new ClinicRows(this.#deliveryOf));
    else this.#rows.delete(subscriberId);
    const pending = [...all].filter((each) => each.subscriberId === subscriberId);
    for (const delivery of pending) this.#rows.get(subscriberId)?.add(delivery);
    for (const delivery of pending) this.note(delivery);
  }

  /** Takes note of what a delivery came to be; one that ended lets the next of its clinic take its turn. */
  changed(before: Delivery | undefined, after: Delivery | undefined): void {
    const either = after ?? before;
    const rows = either && this.#rows.get(either.subscriberId);
    if (rows && after && !(before && isInRow(before))) rows.add(after);
    if (after) this.note(after);
    if (!rows || !before || !isInRow(before) || (after && isInRow(after))) return;
    const head = rows.headOf(before.clinicId);
    if (head) this.note(head);
  }

  /** It may be due, or become so: it is in nobody's hands. */
  note(delivery: Delivery): void {
    const at = queuedAt(delivery);
    if (delivery.state !== 'pending' || at === null || this.waitsBehind(delivery) !== null) return;
    let queues = this.#queues.get(delivery.subscriberId);
    if (!queues) {
      queues = { first: new DueHeap(), again: new DueHeap(), backfilled: new DueHeap() };
      this.#queues.set(delivery.subscriberId, queues);
    }
    queues[queueOf(delivery)].push({ dueAt: at, order: delivery.sequence, id: delivery.id });
  }

  /** The delivery that has to end first; `null` when it is its turn, or there is no order. */
  waitsBehind(delivery: Delivery): string | null {
    const rows = this.#rows.get(delivery.subscriberId);
    if (!rows || !isInRow(delivery)) return null;
    const head = rows.headOf(delivery.clinicId);
    return head === undefined || head.id === delivery.id ? null : head.id;
  }

  /**
   * Takes up to `count` deliveries that are due: first attempts before retries, those
   * before what a backfill added, the longest due first. Each is taken out; it comes back
   * when its delivery changes.
   *
   * @param isOpen whether an entry still says what is so, and nobody has claimed it.
   */
  take(subscriberId: string, count: number, now: number, isOpen: (entry: DueEntry) => boolean): string[] {
    const taken: string[] = [];
    for (const queue of this.#queuesOf(subscriberId)) {
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
    let oldest: { readonly entry: DueEntry; readonly queue: DueHeap } | null = null;
    for (const queue of this.#queuesOf(subscriberId)) {
      const entry = queue.firstOpen(isOpen);
      if (entry && (oldest === null || !isBefore(oldest.entry, entry))) oldest = { entry, queue };
    }
    if (oldest === null || oldest.entry.dueAt > now) return null;
    oldest.queue.pop();
    return oldest.entry.id;
  }

  /** When the subscriber's next delivery becomes due; `null` when it has none open. */
  nextDueAt(subscriberId: string, isOpen: (entry: DueEntry) => boolean): number | null {
    const first = this.#queuesOf(subscriberId).map((queue) => queue.firstOpen(isOpen)?.dueAt);
    const soonest = Math.min(...first.map((dueAt) => dueAt ?? Number.POSITIVE_INFINITY));
    return Number.isFinite(soonest) ? soonest : null;
  }

  /** In the order in which they are served. */
  #queuesOf(subscriberId: string): readonly DueHeap[] {
    const queues = this.#queues.get(subscriberId);
    return queues ? [queues.first, queues.again, queues.backfilled] : [];
  }
}

type Queues = Readonly<Record<'first' | 'again' | 'backfilled', DueHeap>>;

function queueOf({ attempts, isBackfilled }: Delivery): keyof Queues {
  if (attempts > 0) return 'again';
  return isBackfilled ? 'backfilled' : 'first';
}
