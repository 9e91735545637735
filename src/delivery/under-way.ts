/**
 * What is under way at this moment, in slots that are used again.
 *
 * A `Set` would say the same and keep the garbage collector busy. When V8 makes a Set's
 * table anew, the table before it keeps what it held and a link to the next; once one of
 * them is old, all that ever passes through the Set lives until the next full collection.
 */
export class UnderWay<Item> {
  readonly #slots: (Item | undefined)[] = [];
  readonly #free: number[] = [];

  get size(): number {
    return this.#slots.length - this.#free.length;
  }

  /** The answer takes the item out again; it is called once. */
  add(item: Item): () => void {
    const slot = this.#free.pop() ?? this.#slots.length;
    this.#slots[slot] = item;
    return () => {
      this.#slots[slot] = undefined;
      this.#free.push(slot);
    };
  }

  items(): Item[] {
    return this.#slots.filter((item) => item !== undefined);
  }
}
