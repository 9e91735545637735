import { z } from 'zod';
import { define } from './fault-kind.ts';

const none = z.strictObject({});

/** Faults of what a list says; the ledger counts an item as listed only if its id can be read. */
export const listFaults = {
  'order-descending': define({
    about: 'Lists come newest first unless `order_by` says otherwise, or `evenIfAsked` for another order.',
    operations: ['list'],
    settings: z.strictObject({ evenIfAsked: z.boolean().default(false) }),
  }),
  'named-day-included': define({
    about: '`created_at=>day` and `<day` take in the named day.',
    operations: ['list'],
    settings: none,
  }),
  'day-zone': define({
    about: 'The days of `created_at` begin `utcOffsetMinutes` from UTC.',
    operations: ['list'],
    settings: z.strictObject({ utcOffsetMinutes: z.int().min(-840).max(840).default(-480) }),
  }),
  'days-ignored': define({
    about: 'Lists are of the whole 30 days, whatever `created_at` asks for.',
    operations: ['list'],
    settings: none,
  }),
  'small-pages': define({
    about: 'No page has more than `size` items, whatever `page[size]` asks for.',
    operations: ['list'],
    settings: z.strictObject({ size: z.int().min(1).max(100).default(5) }),
  }),
  'page-shift': define({
    about: 'Pages after the first leave out `items`, as if so many had left the front of the list meanwhile.',
    operations: ['list'],
    settings: z.strictObject({ items: z.int().min(1).max(100).default(1) }),
  }),
  'item-without-id': define({
    about: 'The first item of a page has no `id`.',
    operations: ['list'],
    settings: none,
    page: (page) => {
      const [first, ...rest] = page.items;
      if (first === undefined) return null;
      const { id: _, ...fields } = typeof first === 'string' ? { id: first } : first;
      return { ...page, items: [fields, ...rest] };
    },
  }),
  'items-only-ids': define({
    about: 'Items have nothing but their `id`.',
    operations: ['list'],
    settings: none,
    page: (page) => ({
      ...page,
      items: page.items.map((item) =>
        typeof item === 'string' ? item : item.id === undefined ? {} : { id: item.id },
      ),
    }),
  }),
  'bare-string-items': define({
    about: 'Items are the ids themselves.',
    operations: ['list'],
    settings: none,
    page: (page) => ({
      ...page,
      items: page.items.map((item) => (typeof item === 'string' ? item : (item.id ?? item))),
    }),
  }),
  'item-twice': define({
    about: 'The first item of a page stands at its end again.',
    operations: ['list'],
    settings: none,
    page: (page) => {
      const [first] = page.items;
      return first === undefined ? null : { ...page, items: [...page.items, first] };
    },
  }),
  'page-cycle': define({
    about: '`next_page` names the page itself.',
    operations: ['list'],
    settings: none,
    page: (page) =>
      page.meta === null ? null : { ...page, meta: { ...page.meta, next_page: page.meta.current_page } },
  }),
  'other-list-key': define({
    about: 'The items stand under `key` instead of `events`.',
    operations: ['list'],
    settings: z.strictObject({ key: z.string().min(1).default('data') }),
    page: (page, { key }) => ({ ...page, key }),
  }),
  'bare-list': define({
    about: 'The answer is the list of items, with nothing round it, and so without `meta`.',
    operations: ['list'],
    settings: none,
    page: (page) => ({ ...page, key: null, meta: null }),
  }),
  'list-without-meta': define({
    about: 'Lists have no `meta`.',
    operations: ['list'],
    settings: none,
    page: (page) => ({ ...page, meta: null }),
  }),
};
