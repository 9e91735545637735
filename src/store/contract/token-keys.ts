import type { TokenKey } from '../../domain/token-key.ts';

export interface TokenKeyStore {
  /** Those that sign or signed tokens for subscribers; one is made with the first subscriber that is sent any. */
  tokenKeys(): Promise<readonly TokenKey[]>;
  /** @see rolledOver @returns all that are kept */
  rotateTokenKey(overlapMs: number): Promise<readonly TokenKey[]>;
}
