import { z } from 'zod';

export const categoryName = z
  .string()
  .regex(/^[a-z0-9_]{1,64}$/, 'must be the name of a list, such as orders');

/** What the relay says itself in every list. */
const ownParameters = ['created_at', 'sort_by', 'order_by', 'page[number]', 'page[size]'];

/** By category: where its list is and what has to be said there, when it is not `/events/<category>`. */
export const listsInput = z
  .record(
    categoryName,
    z.strictObject({
      path: z
        .string()
        .regex(/^(\/[A-Za-z0-9_~.-]+)+$/, 'must be a path below apiUrl, such as /events/orders')
        .refine(
          (path) => !path.split('/').some((part) => part === '.' || part === '..'),
          'must not hold dots alone',
        )
        .optional(),
      query: z
        .record(
          z
            .string()
            .refine((name) => !ownParameters.includes(name), 'is a parameter that the relay sets itself'),
          z.string(),
        )
        .default({}),
    }),
  )
  .default({});

export type ListPlace = z.infer<typeof listsInput>[string];
