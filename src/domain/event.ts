/** An event as the log knows it. Its body is the vendor's JSON text and lies apart, encrypted. */
export interface RecordedEvent {
  /** The vendor's id: opaque, any length. */
  readonly id: string;
  readonly clinicId: string;
  readonly category: string;
  /** `order.placed`; any type that the vendor may invent. */
  readonly type: string;
  /** Epoch milliseconds by the vendor's clock; `null` when it gave none that can be read. */
  readonly createdAt: number | null;
  /** When the relay recorded it. */
  readonly recordedAt: number;
  /** Created before its stream's start: known, without a body, and delivered by a backfill only. */
  readonly isPast: boolean;
  /** Why nobody was owed it, whatever anybody wanted; absent where the filters decided. */
  readonly withheld?: Withheld;
  /** Fullscript's own webhook brought it, too; absent while none has. */
  readonly push?: Push;
}

/** How Fullscript's own webhook brought an event. */
export interface Push {
  readonly at: number;
  /** Before a poll had found it. */
  readonly isFirst: boolean;
  /** Its text is another than the one that a poll had retrieved. */
  readonly differs: boolean;
}

export type Withheld =
  /** Recorded in shadow mode: delivered by a backfill only. */
  | 'shadow'
  /** Somebody said that it was handled elsewhere: never delivered. */
  | 'imported';

/** Which event, and through which clinic it was seen. */
export interface EventInClinic {
  readonly clinicId: string;
  readonly eventId: string;
}

/** An event with the exact JSON text that the vendor gave for it. */
export interface EventWithBody extends RecordedEvent {
  readonly body: string;
}

/** The eleven types that the vendor documents as webhooks, and those of its clinic keys. */
export const documentedEventTypes = [
  'order.placed',
  'lab_order.updated',
  'treatment_plan.created',
  'treatment_plan.updated',
  'treatment_plan.recommendation.updated',
  'patient.created',
  'patient.updated',
  'patient.emancipated',
  'product.created',
  'product.updated',
  'product.description.updated',
  'clinic_key.activated',
  'clinic_key.revoked',
] as const;

/**
 * The list that a type belongs to by its name: `order.placed` to `orders`, and to `unknown`
 * what cannot be a list's name. Whether the vendor has such a list, this does not say.
 */
export function categoryOfType(type: string): string {
  const [thing = ''] = type.split('.');
  return /^[a-z0-9_]{1,63}$/.test(thing) && thing !== 'unknown' ? `${thing}s` : 'unknown';
}

const patternShape = /^(\*|[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?)$/;

/** `*`, a whole type (`order.placed`), or everything below a prefix at any depth (`order.*`). */
export function isEventTypePattern(text: string): boolean {
  return text.length <= 200 && patternShape.test(text);
}

/** True when `type` is one of the types that `pattern` stands for. */
export function matchesEventType(pattern: string, type: string): boolean {
  if (pattern === '*') return true;
  if (pattern.endsWith('.*')) return type.startsWith(pattern.slice(0, -1));
  return pattern === type;
}
