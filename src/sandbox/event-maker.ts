import { documentedEventTypes } from '../domain/event.ts';
import type { SandboxClinic } from './clinics.ts';
import { dataOf, makeRoster, type Roster } from './event-data.ts';
import { type Category, categoryOf, type StoredEvent } from './event-log.ts';
import { type JsonValue, jsonStyles, jsonText } from './json-text.ts';
import { type Random, seededRandom, seedOf } from './random.ts';

type DocumentedType = (typeof documentedEventTypes)[number];

/** How often a random event is of a type: clinics mostly take orders. */
const shares: Readonly<Record<DocumentedType, number>> = {
  'order.placed': 30,
  'patient.updated': 16,
  'treatment_plan.created': 12,
  'treatment_plan.recommendation.updated': 10,
  'patient.created': 8,
  'lab_order.updated': 8,
  'treatment_plan.updated': 5,
  'product.updated': 4,
  'product.description.updated': 2,
  'product.created': 2,
  'patient.emancipated': 1,
  'clinic_key.activated': 1,
  'clinic_key.revoked': 1,
};
const allShares = Object.values(shares).reduce((sum, share) => sum + share, 0);

/** An event before it is written down: what faults may still change. */
export interface EventDraft {
  readonly category: Category;
  readonly createdAt: number;
  readonly listableAt: number;
  /** Members of the event object, in their order; `created_at` is written from `createdAt`. */
  readonly members: { readonly [key: string]: JsonValue };
  /** Members that the lists know and the event's text does not have. */
  readonly untold: readonly string[];
}

export interface EventAsk {
  /** Any type; unknown ones get invented data. Absent: a random documented one. */
  readonly type?: string;
  /** Absent: the one that lists the type. */
  readonly category?: Category;
  /** Absent: a new UUID. */
  readonly id?: string;
  /** Epoch milliseconds. Absent: now. In the future: lists show it from then on. */
  readonly createdAt?: number;
  /** Lists show it this much later than its `created_at`. */
  readonly listedLateMs?: number;
  /** Takes the place of the invented `data`. */
  readonly data?: JsonValue;
}

function told(members: EventDraft['members'], untold: readonly string[]): EventDraft['members'] {
  return Object.fromEntries(Object.entries(members).filter(([key]) => !untold.includes(key)));
}

/** Invents events: the same seed, clinics and questions give the same events. */
export class EventMaker {
  readonly #seed: number;
  readonly #random: Random;
  readonly #rosters = new Map<string, Roster>();

  constructor(seed: number) {
    this.#seed = seed;
    this.#random = seededRandom(seedOf(seed, 'events'));
  }

  draft(clinic: SandboxClinic, ask: EventAsk, now: number): EventDraft {
    const type = ask.type ?? this.#randomType();
    const createdAt = ask.createdAt ?? now;
    const isWithoutClinic = type === 'product.created';
    return {
      category: ask.category ?? categoryOf(type),
      createdAt,
      listableAt: createdAt + (ask.listedLateMs ?? 0),
      members: {
        id: ask.id ?? this.#random.uuid(),
        type,
        created_at: '',
        ...(isWithoutClinic ? {} : { clinic_id: clinic.id }),
        data: ask.data ?? this.#data(type, clinic, createdAt),
      },
      untold: [],
    };
  }

  /** Writes the draft down in one of the styles that JSON allows. */
  write(clinic: SandboxClinic, draft: EventDraft): StoredEvent {
    const members = { ...draft.members, created_at: new Date(draft.createdAt).toISOString() };
    const { id, type, clinic_id: shownClinicId } = members as Record<string, JsonValue>;
    return {
      id: String(id),
      clinicId: clinic.id,
      category: draft.category,
      type: String(type),
      shownClinicId: typeof shownClinicId === 'string' ? shownClinicId : null,
      createdAt: draft.createdAt,
      listableAt: draft.listableAt,
      text: jsonText(told(members, draft.untold), this.#random.pick(jsonStyles)),
      firstListedAt: null,
      timesListed: 0,
      firstRetrievedAt: null,
      timesRetrieved: 0,
    };
  }

  #randomType(): DocumentedType {
    let left = this.#random.next() * allShares;
    for (const type of documentedEventTypes) {
      left -= shares[type];
      if (left < 0) return type;
    }
    return 'order.placed';
  }

  #data(type: string, clinic: SandboxClinic, createdAt: number): JsonValue {
    const make = (dataOf as Readonly<Record<string, (typeof dataOf)[DocumentedType]>>)[type];
    if (make === undefined) return { note: `There is no page about ${type} – ça va` };
    return make(this.#rosterOf(clinic), this.#random, createdAt);
  }

  #rosterOf(clinic: SandboxClinic): Roster {
    const known = this.#rosters.get(clinic.id);
    if (known !== undefined) return known;
    const roster = makeRoster(seededRandom(seedOf(this.#seed, clinic.slug)));
    this.#rosters.set(clinic.id, roster);
    return roster;
  }
}
