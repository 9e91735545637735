import { randomUUID } from 'node:crypto';
import type { Connection } from '../../domain/clinic.ts';
import { ClaimLost, Conflict, NotFound } from '../../domain/errors.ts';
import type { ClinicStore, RefreshClaim } from '../store.ts';
import type { Core } from './core.ts';
import { Leases } from './leases.ts';
import type { State } from './state.ts';

export function clinicPart({ commits, codec, clock }: Core): ClinicStore {
  const refreshes = new Leases(clock);

  const connectionIn = (state: State, id: string): Connection => {
    const row = state.connections.get(id);
    if (!row) throw new NotFound('connection', id);
    return codec.connection(row);
  };

  const save = (connection: Connection) =>
    ({ t: 'connection', row: codec.connectionRow(connection) }) as const;

  const held = (claim: RefreshClaim): void => {
    if (!refreshes.isHeld(claim.connection.id, claim.claimId)) {
      throw new ClaimLost(`the refresh of connection ${claim.connection.id}`);
    }
  };

  return {
    clinics: () => commits.read((state) => [...state.clinics.values()]),

    saveClinic: (clinic) =>
      commits.commit(({ state, record }) => {
        for (const other of state.clinics.values()) {
          if (other.name === clinic.name && other.id !== clinic.id) {
            throw new Conflict(
              'clinic_name_taken',
              `Another clinic (${other.id}) has the name ${clinic.name}.`,
              {
                hint: 'Choose a name that no other clinic has.',
              },
            );
          }
        }
        record({ t: 'clinic', row: clinic });
      }),

    connections: () =>
      commits.read((state) => [...state.connections.values()].map((row) => codec.connection(row))),

    saveConnection: (connection) =>
      commits.commit(({ state, record }) => {
        const row = state.connections.get(connection.id);
        const known = row && codec.connection(row);
        const isReplaced = connection.tokens !== null || (known && comesFromElsewhere(known, connection));
        const tokens = isReplaced ? connection.tokens : (known?.tokens ?? null);
        const replaced = isReplaced ? known?.tokens : known?.spareTokens;
        const spareTokens = connection.spareTokens ?? replaced ?? null;
        record(save({ ...connection, tokens, spareTokens }));
      }),

    deleteConnection: (connectionId) =>
      commits.commit(({ state, record }) => {
        if (state.connections.has(connectionId)) record({ t: 'connectionGone', id: connectionId });
      }),

    claimRefresh: async (connectionId, leaseMs) => {
      const claimId = refreshes.take(connectionId, randomUUID(), leaseMs);
      if (claimId === null) return null;
      const connection = await commits.read((state) => connectionIn(state, connectionId));
      return { claimId, connection };
    },

    saveTokens: (claim, tokens) =>
      commits
        .commit(({ state, record }) => {
          held(claim);
          const before = connectionIn(state, claim.connection.id);
          const connection: Connection = {
            ...before,
            tokens,
            spareTokens: before.tokens,
            state: 'working',
            stateReason: null,
            refreshedAt: clock.now(),
          };
          record(save(connection));
          return connection;
        })
        .then((connection) => {
          refreshes.end(claim.connection.id, claim.claimId);
          return connection;
        }),

    dropSpareTokens: (connectionId) =>
      commits.commit(({ state, record }) => {
        const connection = connectionIn(state, connectionId);
        if (connection.spareTokens) record(save({ ...connection, spareTokens: null }));
      }),

    endRefresh: (claim, needsReconnect) =>
      commits
        .commit(({ state, record }) => {
          held(claim);
          if (needsReconnect === null) return;
          const connection = connectionIn(state, claim.connection.id);
          record(save({ ...connection, state: 'needsReconnect', stateReason: needsReconnect }));
        })
        .then(() => refreshes.end(claim.connection.id, claim.claimId)),
  };
}

/** Its tokens come from another place than before, or the file names other ones: the pair that there is counts no more. */
function comesFromElsewhere(before: Connection, after: Connection): boolean {
  if (before.declaredDigest !== after.declaredDigest || before.origin.kind !== after.origin.kind) return true;
  return (
    before.origin.kind === 'tokenUrl' &&
    after.origin.kind === 'tokenUrl' &&
    before.origin.url !== after.origin.url
  );
}
