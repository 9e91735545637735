import { z } from 'zod';
import type { SeenStore } from '../store/store.ts';
import { idQuery } from './query.ts';
import { type Route, route } from './route.ts';

export interface SeenDependencies {
  readonly store: SeenStore;
}

const idsMax = 1_000;

const seenInput = z.strictObject({
  clinicId: idQuery,
  eventIds: z
    .array(idQuery)
    .min(1, 'must name one event at least')
    .max(idsMax, `must be ${idsMax} ids at most`),
  dryRun: z.boolean().default(false),
});

const seenView = z.object({
  dryRun: z.boolean(),
  /** The log did not know: they will not be read. */
  recorded: z.number(),
  /** The log knew and nobody was owed: no backfill sends them. */
  withheld: z.number(),
  /** Were imported before. */
  known: z.number(),
  /** Somebody was owed already: left as they are. */
  owed: z.number(),
});

export function seenRoutes({ store }: SeenDependencies): readonly Route[] {
  return [
    route({
      method: 'post',
      path: '/v1/seen',
      scope: 'admin',
      summary: 'Take over ids of events that were handled elsewhere: known from now on, and never sent',
      body: seenInput,
      answers: { status: 200, schema: seenView },
      async answer({ body: { clinicId, eventIds, dryRun } }) {
        return { body: { dryRun, ...(await store.importSeen(clinicId, eventIds, { isDryRun: dryRun })) } };
      },
    }),
  ];
}
