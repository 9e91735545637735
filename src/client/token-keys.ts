import type { CallApi } from './relay-api.ts';

/** A key that signs tokens for subscribers. */
export interface TokenKeyView {
  readonly id: string;
  readonly createdAt: string;
  readonly signsFrom: string;
  /** `null` for the newest. */
  readonly listedUntil: string | null;
  readonly isSigning: boolean;
}

export async function listTokenKeys(call: CallApi): Promise<readonly TokenKeyView[]> {
  const { data } = (await call({ method: 'GET', path: '/v1/keys' })) as { data: readonly TokenKeyView[] };
  return data;
}

/** @param overlapSeconds how long the new one is listed before it signs; 0 ends the old ones at once. */
export async function rotateTokenKey(
  call: CallApi,
  overlapSeconds: number | undefined,
): Promise<readonly TokenKeyView[]> {
  const body = overlapSeconds === undefined ? {} : { overlapSeconds };
  const answer = await call({ method: 'POST', path: '/v1/keys/rotate', body });
  return (answer as { data: readonly TokenKeyView[] }).data;
}
