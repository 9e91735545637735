import { InvalidInput } from '../domain/errors.ts';
import type { Copy } from './inbox.ts';

export interface Handled extends Copy {
  /** Epoch milliseconds. */
  readonly at: number;
}

/**
 * Which events were handled, for so long and no longer, and which ones are being handled
 * in this process. In memory: about 200 bytes each.
 */
export class HandledEvents {
  readonly #keepMs: number;
  /** The one that was handled last stands last. */
  readonly #byId = new Map<string, Handled>();
  readonly #claimed = new Set<string>();

  /** @throws InvalidInput `receiver_options_invalid` */
  constructor({ keepDays = keepDaysDefault }: KeepOptions) {
    if (!(keepDays > 0 && keepDays < Number.POSITIVE_INFINITY)) {
      throw new InvalidInput('receiver_options_invalid', 'keepDays is no number of days.', {
        hint: 'Leave it out for 35 days: as long as the relay may send an event again.',
      });
    }
    this.#keepMs = keepDays * dayMs;
  }

  get size(): number {
    return this.#byId.size;
  }

  claim(copy: Copy): 'yours' | 'handled' | 'busy' {
    const known = this.#byId.get(copy.eventId);
    if (known && (known.round >= copy.round || known.signedAt >= copy.signedAt)) return 'handled';
    if (this.#claimed.has(copy.eventId)) return 'busy';
    this.#claimed.add(copy.eventId);
    return 'yours';
  }

  release({ eventId }: Copy): void {
    this.#claimed.delete(eventId);
  }

  /** Also gives the claim back. */
  add(handled: Handled): void {
    this.release(handled);
    this.#byId.delete(handled.eventId);
    this.#byId.set(handled.eventId, handled);
    this.forgetOld(handled.at);
  }

  forgetOld(now: number): void {
    for (const [eventId, { at }] of this.#byId) {
      if (at >= now - this.#keepMs) return;
      this.#byId.delete(eventId);
    }
  }

  all(): Iterable<Handled> {
    return this.#byId.values();
  }
}

const dayMs = 86_400_000;

/** As long as the relay knows an event, which Fullscript lists for 30 days. */
const keepDaysDefault = 35;

export interface KeepOptions {
  /** How long an event is remembered. Default: 35. */
  readonly keepDays?: number;
  /** Epoch milliseconds. */
  readonly now?: () => number;
}
