import { deliveryIdOf } from '../../src/domain/delivery.ts';
import type { StoredEvent } from '../../src/sandbox/event-log.ts';
import type { Fullscript } from '../../src/sandbox/fullscript.ts';
import type { Store } from '../../src/store/store.ts';

/** What the vendor, the relay and the subscriber each know. */
export interface Books {
  readonly fullscript: Fullscript;
  readonly store: Store;
  readonly receipts: readonly { readonly deliveryId: string; readonly body: string }[];
  readonly now: number;
  /** Pages shift, or did a little while ago: what a shift hides, the next list brings. */
  readonly isShifting: boolean;
}

const historyMs = 30 * 86_400_000;
/** A poll that listed something has recorded it by then. */
const pollMs = 10 * 60_000;

/**
 * With the switches still on: what the vendor would list, or has listed, and is neither
 * recorded nor told of by the status.
 */
export async function unexplained({ fullscript, store, now, isShifting }: Books): Promise<readonly string[]> {
  const problems: string[] = [];
  const streams = await store.streams();
  const connections = await store.connections();
  const setAsides = await store.setAsides();
  for (const { id, clinicId, category, firstListedAt, listableAt } of fullscript.ledger()) {
    const since = firstListedAt ?? listableAt;
    if (firstListedAt === null && isShifting) continue;
    if (since > now - pollMs || (await isKnown(store, id, clinicId))) continue;
    const stream = streams.find((each) => each.clinicId === clinicId && each.category === category);
    const isTold =
      stream === undefined ||
      stream.problem !== null ||
      (stream.polledAt ?? 0) < since ||
      connections.some((each) => each.clinicId === clinicId && each.state !== 'working') ||
      setAsides.some((item) => item.clinicId === clinicId && (item.eventId === id || item.reason === 'noId'));
    const what = firstListedAt === null ? 'was never asked for' : 'was listed';
    if (!isTold) problems.push(`${category} ${id} ${what}, is unknown, and no reason can be seen`);
  }
  return problems;
}

/** When nothing hinders any more: what is not on record, or was not delivered once with the vendor's bytes. */
export async function lost(books: Books): Promise<readonly string[]> {
  const { fullscript, store, now, receipts } = books;
  const problems: string[] = [];
  const setAsides = await store.setAsides();
  const streams = await store.streams();
  const byDelivery = new Map<string, string[]>();
  for (const { deliveryId, body } of receipts) {
    byDelivery.set(deliveryId, [...(byDelivery.get(deliveryId) ?? []), body]);
  }
  const seen = new Map<string, StoredEvent[]>();
  for (const event of fullscript.ledger()) {
    const isListable = event.listableAt < now - pollMs && event.createdAt > now - historyMs;
    if (isListable && event.firstListedAt === null) problems.push(`${event.id} was never listed`);
    if (event.firstListedAt !== null) seen.set(event.id, [...(seen.get(event.id) ?? []), event]);
  }
  for (const [id, events] of seen) {
    const [{ clinicId, category, createdAt }] = events as [StoredEvent];
    const known = (await store.event(id)).find((each) => each.clinicId === clinicId);
    const aside = setAsides.find((item) => item.clinicId === clinicId && item.eventId === id);
    const count = byDelivery.get(deliveryIdOf(id, 'sub_1'))?.length ?? 0;
    if (aside !== undefined && count === 0) continue;
    if (known === undefined) problems.push(`${category} ${id} is lost`);
    else if (known.isPast) {
      const start = streams.find((each) => each.clinicId === clinicId && each.category === category)?.startAt;
      if (count > 0) problems.push(`${id} is of the past and was sent`);
      if (createdAt >= (start ?? 0)) problems.push(`${category} ${id} is taken for one of the past`);
    } else if (count !== 1) problems.push(`${category} ${id} was delivered ${count} times`);
    const [receipt] = byDelivery.get(deliveryIdOf(id, 'sub_1')) ?? [];
    if (receipt !== undefined && !events.some(({ text }) => isTextOf(text, receipt))) {
      problems.push(`${id} came with other bytes`);
    }
  }
  if (byDelivery.size > seen.size) problems.push('something was delivered that was never listed');
  return problems;
}

/** The vendor's bytes in the envelope, or what `changed-event` made of them. */
function isTextOf(text: string, body: string): boolean {
  return body === `{"event":${text}}` || body === `{"event":${text.slice(0, -1)},"revision":2}}`;
}

async function isKnown(store: Store, id: string, clinicId: string): Promise<boolean> {
  return (await store.event(id)).some((each) => each.clinicId === clinicId);
}
