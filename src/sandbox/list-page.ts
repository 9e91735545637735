import type { StoredEvent } from './event-log.ts';
import type { PageMeta } from './list-query.ts';

/** A page of a list before it is written. */
export interface ListPage {
  /** The key of the items; `null` when they stand alone. */
  readonly key: string | null;
  readonly items: readonly ListItem[];
  /** `null` leaves it out. */
  readonly meta: PageMeta | null;
}

export type ListItem = string | ListItemFields;

/** Only `id` is promised by the documentation. */
export interface ListItemFields {
  readonly id?: string;
  readonly type?: string;
  readonly clinic_id?: string;
  readonly created_at?: string;
}

export function listItem(event: StoredEvent): ListItemFields {
  return {
    id: event.id,
    type: event.type,
    ...(event.shownClinicId === null ? {} : { clinic_id: event.shownClinicId }),
    created_at: new Date(event.createdAt).toISOString(),
  };
}

/** The ids that a reader can find on the page. */
export function idsOn(page: ListPage): readonly string[] {
  return page.items.flatMap((item) => (typeof item === 'string' ? [item] : (item.id ?? [])));
}

export function pageText(page: ListPage): string {
  if (page.key === null) return JSON.stringify(page.items);
  return JSON.stringify({ [page.key]: page.items, ...(page.meta === null ? {} : { meta: page.meta }) });
}
