import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { listedAt, publicJwkOf, signingKeyAt, type TokenKey } from '../domain/token-key.ts';
import type { TokenKeyStore } from '../store/store.ts';
import { shown } from './query.ts';
import { type Route, route } from './route.ts';

export interface TokenKeysDependencies {
  readonly store: TokenKeyStore;
  readonly clock: Pick<Clock, 'now'>;
}

const keysView = z.object({
  data: z.array(
    z.object({
      id: z.string(),
      createdAt: z.string(),
      /** It is listed from its creation on. */
      signsFrom: z.string(),
      listedUntil: z.string().nullable(),
      isSigning: z.boolean(),
    }),
  ),
});

const overlapSecondsDefault = 86_400;
const overlapSecondsMax = 7 * 86_400;

const rotateInput = z.strictObject({
  overlapSeconds: z
    .number()
    .int('must be whole seconds')
    .min(0, 'must not be negative')
    .max(overlapSecondsMax, 'must be 7 days at most')
    .default(overlapSecondsDefault),
});

/** The keys that sign `relay-signature` tokens; their private halves are shown nowhere. */
export function tokenKeyRoutes({ store, clock }: TokenKeysDependencies): readonly Route[] {
  const view = (keys: readonly TokenKey[]): z.infer<typeof keysView> => {
    const now = clock.now();
    const signing = signingKeyAt(keys, now);
    return {
      data: listedAt(keys, now).map(({ id, createdAt, signsFrom, listedUntil }) => ({
        id,
        createdAt: shown(createdAt),
        signsFrom: shown(signsFrom),
        listedUntil: shown(listedUntil),
        isSigning: id === signing?.id,
      })),
    };
  };

  return [
    route({
      method: 'get',
      path: '/v1/keys',
      scope: 'admin',
      summary: 'List the keys that sign tokens for subscribers (jwt)',
      answers: { status: 200, schema: keysView },
      async answer() {
        return { body: view(await store.tokenKeys()) };
      },
    }),
    route({
      method: 'post',
      path: '/v1/keys/rotate',
      scope: 'admin',
      summary:
        'List a new key at once and sign with it when the overlap is over; with 0 the old ones end at once',
      body: rotateInput,
      answers: { status: 200, schema: keysView },
      async answer({ body }) {
        return { body: view(await store.rotateTokenKey(body.overlapSeconds * 1000)) };
      },
    }),
  ];
}

/** What `GET /.well-known/jwks.json` answers. */
export async function keySetOf({ store, clock }: TokenKeysDependencies): Promise<{ readonly keys: unknown }> {
  return { keys: listedAt(await store.tokenKeys(), clock.now()).map(publicJwkOf) };
}
