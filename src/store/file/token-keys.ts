import { makeTokenKey, rolledOver, type TokenKey } from '../../domain/token-key.ts';
import type { TokenKeyStore } from '../store.ts';
import type { Decision } from './commits.ts';
import type { Core } from './core.ts';
import type { State } from './state.ts';

export function tokenKeyPart({ commits, codec, clock }: Core): TokenKeyStore {
  const all = (state: State): readonly TokenKey[] =>
    [...state.tokenKeys.values()].map((row) => codec.tokenKey(row));

  return {
    tokenKeys: () => commits.read(all),
    rotateTokenKey: (overlapMs) =>
      commits.commit(({ state, record }) => {
        const keys = rolledOver(all(state), overlapMs, clock.now());
        const kept = new Set(keys.map(({ id }) => id));
        for (const id of [...state.tokenKeys.keys()]) if (!kept.has(id)) record({ t: 'tokenKeyGone', id });
        for (const key of keys) record({ t: 'tokenKey', row: codec.tokenKeyRow(key) });
        return keys;
      }),
  };
}

/** Whoever is sent tokens has a key to check them with, from the same commit on. */
export function ensureTokenKey({ state, record }: Decision, { codec, clock }: Core): void {
  if (state.tokenKeys.size > 0) return;
  const now = clock.now();
  record({ t: 'tokenKey', row: codec.tokenKeyRow(makeTokenKey(now, now)) });
}
