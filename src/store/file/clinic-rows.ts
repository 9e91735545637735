import type { Delivery } from '../../domain/delivery.ts';
import { DueHeap } from './due-heap.ts';

/** It waits for the earlier ones of its clinic, and the later ones for it. A replay passes by. */
export function isInRow({ state, round }: Delivery): boolean {
  return state === 'pending' && round === 1;
}

/**
 * The open deliveries of one subscriber that takes each clinic's events in order. As in
 * the due queues, what has ended is recognised when it comes up: finding a head and adding
 * one cost O(log n).
 */
export class ClinicRows {
  readonly #byClinic = new Map<string, DueHeap>();
  readonly #deliveryOf: (id: string) => Delivery | undefined;

  constructor(deliveryOf: (id: string) => Delivery | undefined) {
    this.#deliveryOf = deliveryOf;
  }

  add(delivery: Delivery): void {
    if (!isInRow(delivery)) return;
    let row = this.#byClinic.get(delivery.clinicId);
    if (!row) {
      row = new DueHeap();
      this.#byClinic.set(delivery.clinicId, row);
    }
    row.push({ dueAt: 0, order: delivery.sequence, id: delivery.id });
  }

  /** The earliest that is open. */
  headOf(clinicId: string): Delivery | undefined {
    const head = this.#byClinic.get(clinicId)?.firstOpen(({ id }) => {
      const delivery = this.#deliveryOf(id);
      return delivery !== undefined && isInRow(delivery);
    });
    return head && this.#deliveryOf(head.id);
  }
}
