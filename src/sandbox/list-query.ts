import type { StoredEvent } from './event-log.ts';

const dayMs = 86_400_000;

/** The documented parameters of a list, read. */
export interface ListQuery {
  /** Created at or after, epoch milliseconds. */
  readonly from: number;
  /** Created before. */
  readonly until: number;
  readonly eventType: string | null;
  readonly sortBy: 'created_at' | 'event_type';
  readonly isDescending: boolean;
  /** Counted from 1. */
  readonly pageNumber: number;
  readonly pageSize: number;
}

/** How the vendor understands what the documentation leaves open. */
export interface ListDialect {
  /** `always`: whatever `order_by` says. */
  readonly isDescending: boolean | 'always';
  readonly ignoresDays: boolean;
  readonly pageSizeMax: number;
  /** `>day` and `<day` take in the named day. */
  readonly includesNamedDay: boolean;
  /** Days begin at this distance from UTC. */
  readonly utcOffsetMinutes: number;
}

const defaultPageSize = 20;
export const pageSizeMax = 100;

/** Reads the query of a list; a string says what is wrong with it. Unknown parameters are ignored. */
export function readListQuery(query: URLSearchParams, dialect: ListDialect): ListQuery | string {
  const days = readDays(dialect.ignoresDays ? null : query.get('created_at'), dialect);
  if (days === null) {
    return 'created_at takes yyyy-mm-dd, <yyyy-mm-dd, >yyyy-mm-dd or yyyy-mm-dd..yyyy-mm-dd';
  }
  const sortBy = query.get('sort_by') ?? 'created_at';
  if (sortBy !== 'created_at' && sortBy !== 'event_type') return 'sort_by takes event_type or created_at';
  const orderBy = query.get('order_by') ?? (dialect.isDescending ? 'DESC' : 'ASC');
  if (orderBy !== 'ASC' && orderBy !== 'DESC') return 'order_by takes ASC or DESC';
  const pageNumber = readCount(query.get('page[number]'), 1);
  const pageSize = readCount(query.get('page[size]'), defaultPageSize);
  if (pageNumber === null || pageSize === null) {
    return 'page[number] and page[size] take whole numbers from 1';
  }
  return {
    ...days,
    eventType: query.get('event_type'),
    sortBy,
    isDescending: dialect.isDescending === 'always' || orderBy === 'DESC',
    pageNumber,
    pageSize: Math.min(pageSize, dialect.pageSizeMax),
  };
}

function readCount(text: string | null, absent: number): number | null {
  if (text === null) return absent;
  return /^[1-9]\d{0,8}$/.test(text) ? Number(text) : null;
}

function readDays(text: string | null, dialect: ListDialect): { from: number; until: number } | null {
  if (text === null) return { from: Number.NEGATIVE_INFINITY, until: Number.POSITIVE_INFINITY };
  const [, sign = '', firstDay = '', lastDay] =
    /^([<>]?)(\d{4}-\d{2}-\d{2})(?:\.\.(\d{4}-\d{2}-\d{2}))?$/.exec(text) ?? [];
  const first = startOfDay(firstDay, dialect.utcOffsetMinutes);
  if (first === null) return null;
  const namedMs = dialect.includesNamedDay ? dayMs : 0;
  if (lastDay !== undefined) {
    const last = startOfDay(lastDay, dialect.utcOffsetMinutes);
    return last === null || sign !== '' ? null : { from: first, until: last + dayMs };
  }
  if (sign === '<') return { from: Number.NEGATIVE_INFINITY, until: first + namedMs };
  if (sign === '>') return { from: first + dayMs - namedMs, until: Number.POSITIVE_INFINITY };
  return { from: first, until: first + dayMs };
}

function startOfDay(day: string, utcOffsetMinutes: number): number | null {
  const at = Date.parse(`${day}T00:00:00.000Z`);
  // The parser takes 31 February for 3 March.
  if (Number.isNaN(at) || new Date(at).toISOString().slice(0, 10) !== day) return null;
  return at - utcOffsetMinutes * 60_000;
}

/**
 * One page in the asked order; `events` come oldest first, ties in the order of their making.
 *
 * @param shift so many items less stand before a page that is not the first.
 */
export function pageOf(
  events: readonly StoredEvent[],
  query: ListQuery,
  shift = 0,
): { readonly events: readonly StoredEvent[]; readonly meta: PageMeta } {
  const { eventType } = query;
  let sorted = eventType === null ? [...events] : events.filter((event) => event.type === eventType);
  if (query.sortBy === 'event_type') {
    sorted = sorted.sort((a, b) => (a.type < b.type ? -1 : a.type > b.type ? 1 : 0));
  }
  if (query.isDescending) sorted.reverse();
  const start = (query.pageNumber - 1) * query.pageSize + (query.pageNumber > 1 ? shift : 0);
  const totalPages = Math.ceil(sorted.length / query.pageSize);
  return {
    events: sorted.slice(start, start + query.pageSize),
    meta: {
      current_page: query.pageNumber,
      next_page: query.pageNumber < totalPages ? query.pageNumber + 1 : null,
      prev_page: query.pageNumber > 1 ? query.pageNumber - 1 : null,
      total_pages: totalPages,
      total_count: sorted.length,
    },
  };
}

/** Source: Fullscript, technical reference, "Pagination". */
export interface PageMeta {
  readonly current_page: number;
  readonly next_page: number | null;
  readonly prev_page: number | null;
  readonly total_pages: number;
  readonly total_count: number;
}
