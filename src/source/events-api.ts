import { createHash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { readRetryAfterMs } from '../domain/backoff.ts';
import type { ListPlace } from '../domain/list-place.ts';
import { rawJsonAt } from '../wire/raw-json.ts';
import type { VendorAnswer, VendorHttp } from './vendor-http.ts';

/** What the vendor answered instead of what was asked for. */
export type Refusal =
  /** The token is expired, revoked, or lacks the scope: the vendor does not say which. */
  | { readonly kind: 'unauthorized' }
  | { readonly kind: 'forbidden' }
  | { readonly kind: 'notFound' }
  /** 429, or 503: the whole app is asked for air. */
  | { readonly kind: 'limited'; readonly status: number; readonly retryAfterMs: number | null }
  /** It may pass by itself. */
  | { readonly kind: 'unavailable'; readonly detail: string }
  /** Another 4xx: asking again the same way would not help. */
  | { readonly kind: 'rejected'; readonly status: number };

/** An item of a list. The documentation promises an id and nothing more. */
export interface ListItem {
  /** `null` when it has none that can be used. */
  readonly id: string | null;
  readonly type: string | null;
  /** Epoch milliseconds. */
  readonly createdAt: number | null;
  readonly clinicId: string | null;
  /** SHA-256 of its text: what to call it when it has no id. */
  readonly digest: string;
}

export interface ListPage {
  readonly kind: 'page';
  readonly items: readonly ListItem[];
  /** `null` after the last; see `listPages`. */
  readonly nextPage: number | null;
  /** The vendor did not say whether there is another page. */
  readonly isNextGuessed?: true;
  readonly vendorNow: number | null;
}

export interface RetrievedEvent {
  readonly kind: 'event';
  /** The exact text of the event object. */
  readonly body: string;
  readonly type: string | null;
  readonly createdAt: number | null;
  readonly clinicId: string | null;
}

export type Unreadable =
  | { readonly kind: 'unreadable'; readonly detail: string }
  | { readonly kind: 'tooLarge'; readonly detail: string };

export interface VendorClinic {
  readonly kind: 'clinic';
  readonly id: string;
  readonly name: string;
  readonly vendorNow: number | null;
}

/** The vendor's events API under one access token. */
export interface EventsApi {
  /** @param ask.afterDay `yyyy-mm-dd`: events of later days; whether of that day, too, the vendor does not say. */
  list(
    accessToken: string,
    ask: { readonly category: string; readonly afterDay: string; readonly page: number },
  ): Promise<ListPage | Refusal>;
  retrieve(accessToken: string, eventId: string): Promise<RetrievedEvent | Unreadable | Refusal>;
  /** The clinic of the token's user. */
  clinic(accessToken: string): Promise<VendorClinic | Refusal>;
}

/** The vendor's maximum. */
const pageSize = 100;

/** @param lists by category. */
export function createEventsApi(
  http: VendorHttp,
  apiUrl: string,
  clock: Clock,
  lists: Readonly<Record<string, ListPlace>> = {},
): EventsApi {
  const get = (path: string, accessToken: string) =>
    http({ method: 'GET', url: `${apiUrl}${path}`, accessToken });

  return {
    async list(accessToken, { category, afterDay, page }) {
      const place = Object.hasOwn(lists, category) ? lists[category] : undefined;
      const query = new URLSearchParams({
        ...place?.query,
        created_at: `>${afterDay}`,
        sort_by: 'created_at',
        order_by: 'ASC',
        'page[number]': String(page),
        'page[size]': String(pageSize),
      });
      const path = place?.path ?? `/events/${encodeURIComponent(category)}`;
      const answer = await get(`${path}?${query}`, accessToken);
      const read = readJson(answer, clock);
      if (read.kind === 'tooLarge') return { kind: 'unavailable', detail: read.detail };
      return read.kind === 'json' ? pageOf(read, page) : read;
    },

    async retrieve(accessToken, eventId) {
      const answer = await get(`/events/${encodeURIComponent(eventId)}`, accessToken);
      const read = readJson(answer, clock);
      if (read.kind === 'unavailable' && answer.kind === 'answered' && answer.status === 200) {
        return { kind: 'unreadable', detail: read.detail };
      }
      return read.kind === 'json' ? eventOf(read, eventId) : read;
    },

    async clinic(accessToken) {
      const read = readJson(await get('/clinic', accessToken), clock);
      if (read.kind === 'tooLarge') return { kind: 'unavailable', detail: read.detail };
      if (read.kind !== 'json') return read;
      const clinic = member(read.value, 'clinic') ?? read.value;
      const id = textOf(member(clinic, 'id'));
      if (id === null) return { kind: 'unavailable', detail: 'the answer names no clinic' };
      return { kind: 'clinic', id, name: textOf(member(clinic, 'name')) ?? id, vendorNow: read.vendorNow };
    },
  };
}

interface ReadJson {
  readonly kind: 'json';
  readonly value: unknown;
  readonly text: string;
  readonly vendorNow: number | null;
}

function readJson(
  answer: VendorAnswer,
  clock: Clock,
): ReadJson | Refusal | Extract<Unreadable, { kind: 'tooLarge' }> {
  if (answer.kind === 'unreachable') return { kind: 'unavailable', detail: answer.detail };
  if (answer.kind === 'tooLarge') return { kind: 'tooLarge', detail: `more than ${answer.bytesMax} bytes` };
  const { status } = answer;
  if (status === 401) return { kind: 'unauthorized' };
  if (status === 403) return { kind: 'forbidden' };
  if (status === 404) return { kind: 'notFound' };
  if (status === 429 || status === 503) {
    return { kind: 'limited', status, retryAfterMs: readRetryAfterMs(answer.retryAfter, clock.wall()) };
  }
  if (status >= 400 && status < 500) return { kind: 'rejected', status };
  if (status !== 200) return { kind: 'unavailable', detail: `status ${status}` };
  try {
    // Bytes that are no UTF-8 would be replaced, and forwarded as something else.
    const text = new TextDecoder('utf-8', { fatal: true }).decode(answer.body);
    return { kind: 'json', value: JSON.parse(text), text, vendorNow: answer.vendorNow };
  } catch {
    return { kind: 'unavailable', detail: 'the answer is not JSON' };
  }
}

function pageOf({ value, text, vendorNow }: ReadJson, page: number): ListPage | Refusal {
  const list = listOf(value);
  if (list === null) return { kind: 'unavailable', detail: 'the answer holds no list' };
  const { path, items } = list;
  return {
    kind: 'page',
    items: items.map((item, index) => itemOf(item, () => rawJsonAt(text, [...path, index]) ?? '')),
    ...nextPageOf(value, page, items.length),
    vendorNow,
  };
}

/**
 * Without a word that can be read, any page that holds something may have a successor: its
 * pages may be smaller than was asked for, and not asking loses events.
 */
function nextPageOf(
  value: unknown,
  page: number,
  items: number,
): Pick<ListPage, 'nextPage' | 'isNextGuessed'> {
  const next = member(member(value, 'meta'), 'next_page');
  if (next === null) return { nextPage: null };
  if (typeof next === 'number' && Number.isSafeInteger(next)) return { nextPage: next };
  if (typeof next === 'string' && /^\d{1,9}$/.test(next)) return { nextPage: Number(next) };
  return items === 0 ? { nextPage: null } : { nextPage: page + 1, isNextGuessed: true };
}

/** The documentation shows `events`; any other list beside `meta` is taken for it. */
function listOf(
  value: unknown,
): { readonly path: readonly string[]; readonly items: readonly unknown[] } | null {
  if (Array.isArray(value)) return { path: [], items: value };
  const events = member(value, 'events');
  if (Array.isArray(events)) return { path: ['events'], items: events };
  if (typeof value !== 'object' || value === null) return null;
  for (const [key, items] of Object.entries(value)) {
    if (Array.isArray(items)) return { path: [key], items };
  }
  return null;
}

function itemOf(item: unknown, text: () => string): ListItem {
  const isBare = typeof item === 'string';
  const id = idOf(isBare ? item : member(item, 'id'));
  return {
    id,
    type: isBare ? null : textOf(member(item, 'type')),
    createdAt: isBare ? null : instantOf(member(item, 'created_at')),
    clinicId: isBare ? null : textOf(member(item, 'clinic_id')),
    digest: id === null ? createHash('sha256').update(text()).digest('hex') : '',
  };
}

/** Half a surrogate pair has no form in a URL, and dots alone are a way to another page: neither can be asked for. */
function idOf(value: unknown): string | null {
  const id = textOf(value);
  return id !== null && isWellFormed(id) && id !== '.' && id !== '..' ? id : null;
}

function isWellFormed(text: string): boolean {
  return Buffer.from(text).toString() === text;
}

function eventOf(read: ReadJson, eventId: string): RetrievedEvent | Unreadable {
  const found = eventIn(read, (id) => id === eventId);
  if (found === null) {
    return { kind: 'unreadable', detail: 'the answer does not hold the event that was asked for' };
  }
  const { id: _, ...event } = found;
  return { kind: 'event', ...event };
}

/** An event in its exact text, and what the relay has to know of it. */
export interface EventInText extends Omit<RetrievedEvent, 'kind'> {
  readonly id: string;
}

/** The event that a document holds, with or without an envelope; `null` when it holds none that `isIt`. */
export function eventIn(
  { value, text }: Pick<ReadJson, 'value' | 'text'>,
  isIt: (id: string) => boolean,
): EventInText | null {
  for (const path of [['event'], ['event_payload', 'event'], []]) {
    const event = path.reduce<unknown>(member, value);
    const id = idOf(member(event, 'id'));
    if (id === null || !isIt(id)) continue;
    const body = rawJsonAt(text, path);
    if (body === null) continue;
    return {
      id,
      body,
      type: textOf(member(event, 'type')),
      createdAt: instantOf(member(event, 'created_at')),
      clinicId: textOf(member(event, 'clinic_id')),
    };
  }
  return null;
}

function member(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Record<string, unknown>)[key];
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

function instantOf(value: unknown): number | null {
  if (typeof value !== 'string' || !/^\d{4}-\d{2}-\d{2}T/.test(value)) return null;
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : at;
}
