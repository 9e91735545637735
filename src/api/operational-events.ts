import { z } from 'zod';
import { Conflict } from '../domain/errors.ts';
import type { OperationalEvent } from '../domain/operational-event.ts';
import { type Route, route } from './route.ts';

const triedView = z.object({
  taken: z.boolean().describe('Its URL answered with 2xx.'),
  answer: z.union([z.number(), z.string()]).describe('The status, or why there was none.'),
});

export interface OperationalEventsDependencies {
  /** One try; resolves to `null` when no URL is configured. */
  readonly tryOperator: (event: OperationalEvent) => Promise<z.infer<typeof triedView> | null>;
}

export function operationalEventRoutes({ tryOperator }: OperationalEventsDependencies): readonly Route[] {
  return [
    route({
      method: 'post',
      path: '/v1/operational-events/test',
      scope: 'admin',
      summary: 'Send a relay.test to the URL for operational events',
      answers: { status: 200, schema: triedView },
      isDialling: true,
      async answer({ caller }) {
        const tried = await tryOperator({ type: 'relay.test', data: { askedBy: caller.subject } });
        if (tried === null) {
          throw new Conflict('not_configured', 'No URL for operational events is configured.', {
            hint: 'Set `operationalEvents.url` in the configuration, and start the relay again.',
          });
        }
        const { taken, answer } = tried;
        return { body: { taken, answer } };
      },
    }),
  ];
}
