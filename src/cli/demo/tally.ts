import type { Receipt } from './sample-subscriber.ts';

/** An event that a subscriber has to get, with the vendor's exact text. */
export interface Owed {
  readonly subscriber: string;
  readonly eventId: string;
  readonly text: string;
}

export interface Verdict {
  /** Deliveries that were owed and accepted, signature and bytes as they should be. */
  readonly delivered: number;
  readonly owed: number;
  /** Accepted more than once. */
  readonly duplicates: number;
  readonly lost: number;
  /** What was wrong with receipts that should not have been so, one line each. */
  readonly faults: readonly string[];
}

/** Holds what the subscribers received against what the vendor listed. */
export class Tally {
  readonly #accepted = new Map<string, number>();
  readonly #texts = new Map<string, string>();
  readonly #faults: string[] = [];
  attempts = 0;

  take(receipt: Receipt): void {
    this.attempts++;
    const key = keyOf(receipt);
    if (!receipt.isSignatureValid) {
      this.#faults.push(`${receipt.subscriber}: the signature of ${receipt.eventId} is not valid`);
      return;
    }
    if (receipt.status >= 300) return;
    this.#accepted.set(key, (this.#accepted.get(key) ?? 0) + 1);
    this.#texts.set(key, receipt.eventText);
  }

  get accepted(): number {
    return this.#accepted.size;
  }

  judge(owed: readonly Owed[]): Verdict {
    const faults = [...this.#faults];
    let delivered = 0;
    for (const delivery of owed) {
      const text = this.#texts.get(keyOf(delivery));
      if (text === delivery.text) delivered++;
      else if (text !== undefined)
        faults.push(`${delivery.subscriber}: the bytes of ${delivery.eventId} changed`);
    }
    const expected = new Set(owed.map(keyOf));
    for (const key of this.#accepted.keys()) {
      if (!expected.has(key)) faults.push(`${key} was delivered and not owed`);
    }
    const duplicates = [...this.#accepted.values()].reduce((sum, times) => sum + times - 1, 0);
    return { delivered, owed: owed.length, duplicates, lost: owed.length - delivered, faults };
  }
}

function keyOf({ subscriber, eventId }: { subscriber: string; eventId: string }): string {
  return `${subscriber} ${eventId}`;
}
