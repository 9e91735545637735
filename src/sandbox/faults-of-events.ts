import { z } from 'zod';
import type { EventDraft } from './event-maker.ts';
import { define } from './fault-kind.ts';
import { RawJson } from './json-text.ts';

const none = z.strictObject({});

export function ofNoClinic(draft: EventDraft): EventDraft {
  const { clinic_id: _, ...members } = draft.members;
  return { ...draft, members };
}

/** Faults of the events themselves; those of `make` stay with the events that they struck. */
export const eventFaults = {
  'bare-event': define({
    about: 'A retrieval answers the event without `{"event":…}` round it.',
    operations: ['retrieve'],
    settings: none,
    wrap: (eventText) => eventText,
  }),
  'event-payload-wrapper': define({
    about: 'A retrieval answers `{"event_payload":{"event":…}}`.',
    operations: ['retrieve'],
    settings: none,
    wrap: (eventText) => `{"event_payload":{"event":${eventText}}}`,
  }),
  'changed-event': define({
    about: 'A retrieval answers an event with one key more than its text has.',
    operations: ['retrieve'],
    settings: none,
    wrap: (eventText) => `{"event":${eventText.slice(0, -1)},"revision":2}}`,
  }),
  'unknown-keys': define({
    about: 'New events have keys that nobody documents, `__proto__` among them.',
    operations: ['make'],
    settings: none,
    draft: (draft) => ({
      ...draft,
      members: {
        schema_version: new RawJson('2.0'),
        ...draft.members,
        meta: { attempt: 1, 'x/y': null },
        ['__proto__']: { isAdmin: true },
        constructor: 'none',
      },
    }),
  }),
  'reordered-keys': define({
    about: 'New events have their keys in reverse order.',
    operations: ['make'],
    settings: none,
    draft: (draft) => ({ ...draft, members: Object.fromEntries(Object.entries(draft.members).reverse()) }),
  }),
  'missing-keys': define({
    about: 'New events lack `keys` when they are retrieved; lists still have them.',
    operations: ['make'],
    settings: z.strictObject({ keys: z.array(z.string()).default(['type', 'created_at', 'data']) }),
    draft: (draft, { keys }) => ({ ...draft, untold: keys }),
  }),
  'shared-products': define({
    about: 'New events of products are listed at every clinic under one id, and have no `clinic_id`.',
    operations: ['make'],
    settings: none,
  }),
  'without-clinic-id': define({
    about: 'New events have no `clinic_id`.',
    operations: ['make'],
    settings: none,
    draft: ofNoClinic,
  }),
  'item-of-other-clinic': define({
    about: 'New events carry another clinic’s `clinic_id`, in the list and retrieved.',
    operations: ['make'],
    settings: none,
    draft: (draft, _settings, moment) => ({
      ...draft,
      members: { ...draft.members, clinic_id: moment.otherClinicId },
    }),
  }),
  'unknown-type': define({
    about: 'New events are of `type`, in the category where they would have been anyway.',
    operations: ['make'],
    settings: z.strictObject({ type: z.string().min(1).default('practitioner.archived') }),
    draft: (draft, { type }) => ({ ...draft, members: { ...draft.members, type } }),
  }),
  'odd-ids': define({
    about: 'New events have long ids with spaces, slashes, dots and letters outside ASCII.',
    operations: ['make'],
    settings: none,
    draft: (draft) => ({
      ...draft,
      members: { ...draft.members, id: `evt/../ü %2F?#${String(draft.members.id)}${'0'.repeat(300)}` },
    }),
  }),
  'late-listed': define({
    about: 'New events are listed `seconds` after their `created_at`.',
    operations: ['make'],
    settings: z.strictObject({
      seconds: z
        .int()
        .min(1)
        .default(3 * 3600),
    }),
    draft: (draft, { seconds }) => ({ ...draft, listableAt: draft.listableAt + seconds * 1000 }),
  }),
  'equal-timestamps': define({
    about: 'New events share a `created_at`: the last full multiple of `seconds`.',
    operations: ['make'],
    settings: z.strictObject({ seconds: z.int().min(1).max(86_400).default(60) }),
    draft: (draft, { seconds }) => ({
      ...draft,
      createdAt: draft.createdAt - (draft.createdAt % (seconds * 1000)),
    }),
  }),
  'deep-event': define({
    about: 'New events carry lists within lists, `depth` of them.',
    operations: ['make'],
    settings: z.strictObject({ depth: z.int().min(1).max(1_000_000).default(10_000) }),
    draft: (draft, { depth }) => {
      const deep = new RawJson('['.repeat(depth) + ']'.repeat(depth));
      return { ...draft, members: { ...draft.members, deep } };
    },
  }),
  'huge-event': define({
    about: 'New events carry about `bytes` bytes more.',
    operations: ['make'],
    settings: z.strictObject({ bytes: z.int().min(1).max(64_000_000).default(5_000_000) }),
    draft: (draft, { bytes }) => ({ ...draft, members: { ...draft.members, filler: 'x'.repeat(bytes) } }),
  }),
};
