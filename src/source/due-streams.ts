import type { Stream } from '../domain/clinic.ts';

/**
 * What was due at the last look, in the order of its turn. Taking one costs the same
 * however many there are.
 */
export class DueStreams {
  readonly #streams: readonly Stream[];
  #next = 0;
  /** Could not begin when their turn came, and are the first to be tried again. */
  #passedOver: Stream[] = [];

  constructor(streams: readonly Stream[]) {
    this.#streams = streams;
  }

  get size(): number {
    return this.#passedOver.length + this.#streams.length - this.#next;
  }

  /** The first that can begin; `null` when none can. */
  take(canBegin: (stream: Stream) => boolean): Stream | null {
    const again = this.#passedOver.findIndex(canBegin);
    if (again !== -1) return this.#passedOver.splice(again, 1)[0] ?? null;
    while (this.#next < this.#streams.length) {
      const stream = this.#streams[this.#next++] as Stream;
      if (canBegin(stream)) return stream;
      this.#passedOver.push(stream);
    }
    return null;
  }
}
