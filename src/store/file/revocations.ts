import { randomUUID } from 'node:crypto';
import type { Connection } from '../../domain/clinic.ts';
import type { Revocation, RevocationStore } from '../store.ts';
import type { Decision } from './commits.ts';
import type { Core } from './core.ts';

export function revocationPart({ commits, codec }: Core): RevocationStore {
  return {
    revocations: () =>
      commits.read((state) => [...state.revocations.values()].map((row) => codec.revocation(row))),

    saveRevocation: (revocation) =>
      commits.commit(({ record }) => record({ t: 'revocation', row: codec.revocationRow(revocation) })),

    endRevocation: (id) =>
      commits.commit(({ state, record }) => {
        if (state.revocations.has(id)) record({ t: 'revocationGone', id });
      }),
  };
}

/** Puts on record that the pairs of a connection are to be ended; an operator's app ends its own. */
export function oweRevocations(
  { record }: Decision,
  { codec, clock }: Pick<Core, 'codec' | 'clock'>,
  { origin, tokens, spareTokens }: Connection,
): readonly Revocation[] {
  if (origin.kind !== 'refreshToken') return [];
  const owed = [tokens, spareTokens]
    .filter((pair) => pair !== null)
    .map((pair) => ({ id: `rev_${randomUUID()}`, tokens: pair, failures: 0, dueAt: clock.now() }));
  for (const revocation of owed) record({ t: 'revocation', row: codec.revocationRow(revocation) });
  return owed;
}
