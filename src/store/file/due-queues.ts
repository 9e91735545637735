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
  readonly #queues = new Map<string, { readonly first: DueHeap; readonly again: DueHeap }>();
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
      queues = { first: new DueHeap(), again: new DueHeap() };
      this.#queues.set(delivery.subscriberId, queues);
    }
    const queue = delivery.attempts === 0 ? queues.first : queues.again;
    queue.push({ dueAt: at, order: delivery.sequence, id: delivery.id });
  }

  /** The delivery that has to end first; `null` when it is its turn, or there is no order. */
  waitsBehind(delivery: Delivery): string | null {
    const rows = this.#rows.get(delivery.subscriberId);
    if (!rows || !isInRow(delivery)) return null;
    const head = rows.headOf(delivery.clinicId);
    return head === undefined || head.id === delivery.id ? null : head.id;
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
