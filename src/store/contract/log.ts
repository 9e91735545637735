import type { Attempt } from '../../domain/attempt.ts';
import type { Delivery, ShownState } from '../../domain/delivery.ts';
import type { EventInClinic, RecordedEvent } from '../../domain/event.ts';

export interface LogStore {
  delivery(deliveryId: string): Promise<Delivery | null>;
  /**
   * The earlier delivery of the same clinic that has to end before this one is sent;
   * `null` when there is none, or its subscriber has no order.
   */
  waitsBehind(deliveryId: string): Promise<string | null>;
  /** In the order of their numbers; the excerpt of one whose excerpt is damaged is `null`. */
  attempts(deliveryId: string): Promise<readonly Attempt[]>;
  /** Newest first, by order of creation. */
  deliveries(filter: DeliveryFilter, page: PageAsk): Promise<Page<Delivery>>;
  /** Counts by shown state, for the whole log or one subscriber. */
  deliveryCounts(subscriberIds: readonly string[] | null): Promise<Readonly<Record<ShownState, number>>>;
  /** Every clinic in which the event was seen, the one it was seen in first at the front. */
  event(eventId: string): Promise<readonly RecordedEvent[]>;
  /**
   * The exact text; `null` when it is past, unknown or expired.
   * @throws StoreCorrupt `body_unreadable` when it is damaged
   */
  eventBody(clinicId: string, eventId: string): Promise<string | null>;
  /** Whether their texts are there, in the order given: `gone` are also those that are unknown or past. */
  bodyStates(events: readonly EventInClinic[]): Promise<readonly BodyState[]>;
  /** Newest recorded first. */
  events(filter: EventFilter, page: PageAsk): Promise<Page<RecordedEvent>>;
  /** Where the log of events ends: what is recorded from now on comes after it. */
  eventsEnd(): Promise<EventPosition>;
  /**
   * Events in the order in which they were recorded, from after a position on, or from the
   * oldest that is kept.
   *
   * @param limit 1 to 1,000.
   * @throws PositionGone when events after it may have come and gone, or when it is of another log.
   */
  eventsAfter(
    position: EventPosition | null,
    filter: Pick<EventFilter, 'clinicId' | 'since'>,
    limit: number,
  ): Promise<EventsAfter>;
}

/** A place between two events of the log; text that means something to the store that gave it only. */
export type EventPosition = string;

export interface EventsAfter {
  /** Each with the position right after it. */
  readonly items: readonly { readonly event: RecordedEvent; readonly position: EventPosition }[];
  /** After everything that was looked at, wanted or not. */
  readonly position: EventPosition;
}

/** `erased`: on demand, and not to be had again. */
export type BodyState = 'kept' | 'gone' | 'erased';

export interface DeliveryFilter {
  readonly state?: ShownState;
  /** Only these subscribers': how a caller is kept to its own. */
  readonly subscriberIds?: readonly string[];
  readonly clinicId?: string;
  readonly eventType?: string;
  readonly eventId?: string;
  /** Created at or after. */
  readonly since?: number;
  /** Created before. */
  readonly until?: number;
  /** False leaves out those that ended as skipped. */
  readonly includeSkipped?: boolean;
}

export interface EventFilter {
  readonly state?: 'recorded' | 'past';
  readonly clinicId?: string;
  readonly eventType?: string;
  readonly since?: number;
  readonly until?: number;
  /** Only events that these subscribers were owed. */
  readonly subscriberIds?: readonly string[];
  /** Only those that Fullscript's own webhooks brought, too, or only the others. */
  readonly isPushed?: boolean;
}

export interface PageAsk {
  /** 1 to 1,000. */
  readonly limit: number;
  /** From the page before; `null` for the first. Stable while the log grows. */
  readonly cursor: string | null;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor: string | null;
}
