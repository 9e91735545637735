export interface DueEntry {
  /** See `queuedAt`. */
  readonly dueAt: number;
  /** The subscriber's sequence number: among equals, the older delivery goes first. */
  readonly order: number;
  readonly id: string;
}

export function isBefore(a: DueEntry, b: DueEntry): boolean {
  return a.dueAt < b.dueAt || (a.dueAt === b.dueAt && a.order < b.order);
}

/** A binary heap, the soonest entry on top. */
export class DueHeap {
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
