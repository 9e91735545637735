import { z } from 'zod';
import type { Subscriber } from '../domain/subscriber.ts';
import type { SubscriberStore } from '../store/store.ts';
import { subscriberFor } from './ownership.ts';
import { type Route, route } from './route.ts';

const findingView = z.object({
  check: z.string().describe('A stable name: handshake, event, duplicate, …'),
  grade: z.enum(['good', 'warning', 'fix', 'skipped']),
  message: z.string(),
  hint: z.string().nullable().describe('What to do about it; null where nothing is to be done.'),
});

const examinationView = z.object({
  passed: z.boolean().describe('Nothing has to be fixed.'),
  findings: z.array(findingView),
});

export interface DoctorDependencies {
  readonly store: Pick<SubscriberStore, 'subscribers'>;
  /** Sends it samples, good and forged, none of which is a delivery. */
  readonly examine: (subscriber: Subscriber) => Promise<{
    readonly passed: boolean;
    readonly findings: readonly z.infer<typeof findingView>[];
  }>;
}

export function doctorRoutes({ store, examine }: DoctorDependencies): readonly Route[] {
  return [
    route({
      method: 'post',
      path: '/v1/subscribers/{id}/doctor',
      scope: 'write',
      summary:
        'Examine its receiver with samples, good and forged, that are no deliveries; takes 45 s at most',
      answers: { status: 200, schema: examinationView },
      isDialling: true,
      async answer({ caller, id }) {
        const { passed, findings } = await examine(await subscriberFor(store, caller, id));
        return { body: { passed, findings } };
      },
    }),
  ];
}
