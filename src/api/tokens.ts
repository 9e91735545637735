import { z } from 'zod';
import type { Clock } from '../clock.ts';
import type { RevokedTokenStore } from '../store/store.ts';
import { tokenLifeMaxMs } from './auth.ts';
import { type Route, route } from './route.ts';

export interface TokensDependencies {
  readonly store: Pick<RevokedTokenStore, 'revokeToken'>;
  readonly clock: Pick<Clock, 'now'>;
}

export function tokenRoutes({ store, clock }: TokensDependencies): readonly Route[] {
  return [
    route({
      method: 'post',
      path: '/v1/tokens/revoke',
      scope: 'admin',
      summary: 'Refuse a token from now on, by its id',
      body: z.strictObject({
        jti: z.string().min(1, 'must not be empty').max(200, 'must be 200 characters at most'),
      }),
      answers: { status: 204, schema: null },
      async answer({ body }) {
        // No token lives longer, whenever it was made; and the signer's clock may be a minute ahead.
        await store.revokeToken(body.jti, clock.now() + tokenLifeMaxMs + 60_000);
        return { body: null };
      },
    }),
  ];
}
