import type { Clock } from '../clock.ts';
import type { Subscriber } from '../domain/subscriber.ts';
import { signingKeyAt, type TokenKey } from '../domain/token-key.ts';
import type { TokenKeyStore } from '../store/store.ts';

/** The key that signs tokens for a subscriber at this moment; `null` when it is sent none. */
export type TokenKeyOf = (subscriber: Pick<Subscriber, 'jwt'>) => Promise<TokenKey | null>;

export function createTokenKeyOf(store: Pick<TokenKeyStore, 'tokenKeys'>, clock: Clock): TokenKeyOf {
  return async ({ jwt }) => (jwt ? signingKeyAt(await store.tokenKeys(), clock.now()) : null);
}

/** Where there is no store, there are no tokens. */
export const noTokenKey: TokenKeyOf = async () => null;
