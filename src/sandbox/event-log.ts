/** The list endpoints. */
export const categories = [
  'patients',
  'orders',
  'treatment_plans',
  'lab_orders',
  'products',
  'clinic_keys',
] as const;

export type Category = (typeof categories)[number];

export function isCategory(text: string): text is Category {
  return (categories as readonly string[]).includes(text);
}

/** The category that lists a type; types that nobody knows are listed with the patients. */
export function categoryOf(type: string): Category {
  return categories.find((category) => type.startsWith(`${category.slice(0, -1)}.`)) ?? 'patients';
}

/** How long events can be listed and retrieved. Source: Fullscript, "Events overview". */
export const historyMs = 30 * 86_400_000;

/** An event and, as the ledger, what became of it. Instants are epoch milliseconds. */
export interface StoredEvent {
  readonly id: string;
  readonly clinicId: string;
  readonly category: Category;
  readonly type: string;
  /** As it is listed; `null` when its JSON has none. */
  readonly shownClinicId: string | null;
  readonly createdAt: number;
  /** From then on lists show it. */
  readonly listableAt: number;
  /** The event object's exact JSON text. */
  readonly text: string;
  readonly firstListedAt: number | null;
  readonly timesListed: number;
  readonly firstRetrievedAt: number | null;
  readonly timesRetrieved: number;
}

type Kept = { -readonly [K in keyof StoredEvent]: StoredEvent[K] };

/** Every event ever made, and the ledger of what was listed and retrieved. */
export class EventLog {
  /** By clinic and category, each oldest first; ties stay in the order of their making. */
  readonly #streams = new Map<string, Kept[]>();
  readonly #byClinic = new Map<string, Map<string, Kept>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** False when the clinic has an event of that id already; nothing was added then. */
  add(event: StoredEvent): boolean {
    const known = this.#byClinic.get(event.clinicId) ?? new Map<string, Kept>();
    if (known.has(event.id)) return false;
    const kept = { ...event };
    this.#byClinic.set(event.clinicId, known.set(event.id, kept));
    const key = `${event.clinicId} ${event.category}`;
    const stream = this.#streams.get(key) ?? [];
    this.#streams.set(key, stream);
    stream.splice(firstCreatedAfter(stream, event.createdAt), 0, kept);
    this.#size += 1;
    return true;
  }

  /** What lists show at `now` of those created from `from` until before `until`, oldest first. */
  listable(
    stream: { readonly clinicId: string; readonly category: Category },
    ask: { readonly now: number; readonly from: number; readonly until: number },
  ): readonly StoredEvent[] {
    const events = this.#streams.get(`${stream.clinicId} ${stream.category}`) ?? [];
    const from = Math.max(ask.from, ask.now - historyMs);
    return events
      .slice(firstCreatedAfter(events, from - 1), firstCreatedAfter(events, ask.until - 1))
      .filter((event) => event.listableAt <= ask.now);
  }

  /** `null` when the clinic has no such event, not yet, or no longer. */
  retrievable(clinicId: string, eventId: string, now: number): StoredEvent | null {
    const event = this.find(clinicId, eventId);
    if (event === null || event.listableAt > now || event.createdAt < now - historyMs) return null;
    return event;
  }

  find(clinicId: string, eventId: string): StoredEvent | null {
    return this.#byClinic.get(clinicId)?.get(eventId) ?? null;
  }

  noteListed(clinicId: string, eventIds: readonly string[], now: number): void {
    for (const id of eventIds) {
      const event = this.#byClinic.get(clinicId)?.get(id);
      if (event === undefined) continue;
      event.firstListedAt ??= now;
      event.timesListed += 1;
    }
  }

  noteRetrieved(clinicId: string, eventId: string, now: number): void {
    const event = this.#byClinic.get(clinicId)?.get(eventId);
    if (event === undefined) return;
    event.firstRetrievedAt ??= now;
    event.timesRetrieved += 1;
  }

  /** Of one clinic, or of all; in the order of their making. */
  events(clinicId: string | null): readonly StoredEvent[] {
    const clinics = clinicId === null ? [...this.#byClinic.keys()] : [clinicId];
    return clinics.flatMap((id) => [...(this.#byClinic.get(id)?.values() ?? [])]);
  }
}

/** Index of the first event created after `at`. */
function firstCreatedAfter(events: readonly StoredEvent[], at: number): number {
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((events[middle] as StoredEvent).createdAt <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}
