import type { CallApi } from './relay-api.ts';
import type { StatusView } from './views.ts';

export async function showStatus(call: CallApi): Promise<StatusView> {
  return (await call({ method: 'GET', path: '/v1/status' })) as StatusView;
}

/** From now on the token with that `jti` is refused. */
export async function revokeToken(call: CallApi, jti: string): Promise<void> {
  await call({ method: 'POST', path: '/v1/tokens/revoke', body: { jti } });
}
