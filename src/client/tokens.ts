import type { CallApi } from './relay-api.ts';

/** From now on the token with that `jti` is refused. */
export async function revokeToken(call: CallApi, jti: string): Promise<void> {
  await call({ method: 'POST', path: '/v1/tokens/revoke', body: { jti } });
}
