import type { Attempt } from '../../src/domain/attempt.ts';
import type { Connection, SetAside, Stream } from '../../src/domain/clinic.ts';
import type { Delivery } from '../../src/domain/delivery.ts';
import type { RecordedEvent } from '../../src/domain/event.ts';
import type { Subscriber } from '../../src/domain/subscriber.ts';
import type { Page, PageAsk, Store } from '../../src/store/store.ts';

/** Everything that a store says it knows. */
export interface Dump {
  readonly events: readonly RecordedEvent[];
  readonly deliveries: readonly Delivery[];
  readonly attempts: ReadonlyMap<string, readonly Attempt[]>;
  readonly subscribers: readonly Subscriber[];
  readonly streams: readonly Stream[];
  readonly connections: readonly Connection[];
  readonly setAsides: readonly SetAside[];
}

export async function dumpOf(store: Store): Promise<Dump> {
  const deliveries = await all((page) => store.deliveries({}, page));
  const attempts = new Map<string, readonly Attempt[]>();
  for (const { id } of deliveries) attempts.set(id, await store.attempts(id));
  return {
    events: await all((page) => store.events({}, page)),
    deliveries,
    attempts,
    subscribers: (await store.subscribers()).subscribers,
    streams: await store.streams(),
    connections: await store.connections(),
    setAsides: await store.setAsides({ includeResolved: true }),
  };
}

async function all<Item>(pageOf: (ask: PageAsk) => Promise<Page<Item>>): Promise<readonly Item[]> {
  const items: Item[] = [];
  for (let cursor: string | null = null; ; ) {
    const page: Page<Item> = await pageOf({ limit: 1_000, cursor });
    items.push(...page.items);
    cursor = page.nextCursor;
    if (cursor === null) return items;
  }
}
