import type { StreamKey } from '../../domain/clinic.ts';
import { deliveryIdOf } from '../../domain/delivery.ts';
import { StoreCorrupt } from '../../domain/errors.ts';
import type { NewEvent } from '../store.ts';
import type { Decision } from './commits.ts';
import type { Core } from './core.ts';
import type { EventRow } from './facts.ts';
import { eventKey, hasOwnBody } from './kinds.ts';
import { type State, streamKey } from './state.ts';

/** By event id: the row of another clinic that holds a body, and that body, or `null` when it is damaged. */
export type KnownBodies = ReadonlyMap<string, { readonly row: EventRow; readonly body: string | null }>;

/** What other clinics hold of these events. */
export async function bodiesElsewhere(
  { commits, bodies, coldRows }: Core,
  clinicId: string,
  events: readonly NewEvent[],
): Promise<KnownBodies> {
  const found = await commits.read((state) =>
    events.flatMap((event) => {
      const number = numberElsewhere(state, clinicId, event);
      return number === null ? [] : [state.events.at(number)];
    }),
  );
  const known = new Map<string, { row: EventRow; body: string | null }>();
  for (const row of await coldRows.rows(found)) {
    if (!row.body) continue;
    try {
      const body = await bodies.open(row.body, { kind: 'body', record: eventKey(row.clinicId, row.id) });
      known.set(row.id, { row, body: body.toString() });
    } catch (error) {
      if (!(error instanceof StoreCorrupt)) throw error;
      known.set(row.id, { row, body: null });
    }
  }
  return known;
}

/** The number of another clinic's record of the event that holds a body of its own; `null` when there is none. */
function numberElsewhere(state: State, clinicId: string, event: NewEvent): number | null {
  if (event.body === null) return null;
  const { events, words } = state;
  const isElsewhere = (number: number) =>
    hasOwnBody(events.columns.flags.get(number)) &&
    !state.isExpired(words.text(events.columns.bodyFile.get(number))) &&
    words.text(events.columns.clinic.get(number)) !== clinicId;
  return (
    events
      .numbersOf(event.id)
      .sort((a, b) => a - b)
      .find(isElsewhere) ?? null
  );
}

/** The body that another clinic holds of the event was not looked at, or is gone since. */
export function isUnread(state: State, clinicId: string, event: NewEvent, known: KnownBodies): boolean {
  const file = known.get(event.id)?.row.body?.file;
  return numberElsewhere(state, clinicId, event) === null
    ? file !== undefined
    : file === undefined || state.isExpired(file);
}

/** @returns how many deliveries it made. */
export function recordEvent(
  { state, record, keep }: Decision,
  event: NewEvent,
  { clinicId, category, now }: { clinicId: string; category: string; now: number },
  known: { row: EventRow; body: string | null } | undefined,
): number {
  const { id, type, createdAt, isPast, withheld } = event;
  const why = withheld === undefined ? {} : { withheld };
  const to = event.subscriberIds
    .filter((subscriberId) => !state.deliveries.has(deliveryIdOf(id, subscriberId)))
    .map((subscriberId) => [subscriberId, (state.sequences.get(subscriberId) ?? 0) + 1] as const);
  const isKept = known !== undefined && known.body === event.body && known.row.body !== null;
  const body = isKept
    ? { body: known.row.body, bodyOf: known.row.clinicId }
    : {
        body:
          event.body === null
            ? null
            : keep(Buffer.from(event.body), { kind: 'body', record: eventKey(clinicId, id) }),
      };
  record({
    t: 'event',
    row: { id, clinicId, category, type, createdAt, isPast, ...why, ...body },
    at: now,
    to,
  });
  return to.length;
}

/** What was set aside and could be read after all is no longer. */
export function resolveSetAsides(
  { state, record }: Decision,
  stream: StreamKey,
  events: readonly NewEvent[],
  now: number,
): void {
  if (state.setAsides.size === 0) return;
  for (const { id } of events) {
    const item = state.setAsides.get(`${streamKey(stream)}${id}`);
    if (item && item.resolvedAt === null) record({ t: 'setAside', row: { ...item, resolvedAt: now } });
  }
}
