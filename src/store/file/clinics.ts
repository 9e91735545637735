import { randomUUID } from 'node:crypto';
import { type Connection, comesFromElsewhere, hasSameTokens } from '../../domain/clinic.ts';
import { ClaimLost, Conflict, NotFound } from '../../domain/errors.ts';
import type { ClinicStore, RefreshClaim } from '../store.ts';
import type { Core } from './core.ts';
import { Leases } from './leases.ts';
import { oweRevocations } from './revocations.ts';
import type { State } from './state.ts';

export function clinicPart(core: Core): ClinicStore {
  const { commits, codec, clock } = core;
  const refreshes = new Leases(clock);

  const connectionIn = (state: State, id: string): Connection => {
    const row = state.connections.get(id);
    if (!row) throw new NotFound('connection', id);
    return codec.connection(row);
  };

  const save = (connection: Connection) =>
    ({ t: 'connection', row: codec.connectionRow(connection) }) as const;

  /** The connection as it is, while its tokens are still those that the claim was given for. */
  const held = (claim: RefreshClaim, state: State): Connection => {
    const { id } = claim.connection;
    const connection = refreshes.isHeld(id, claim.claimId) ? connectionIn(state, id) : null;
    if (connection && hasSameTokens(claim.connection, connection)) return connection;
    throw new ClaimLost(`the refresh of connection ${id}`);
  };

  const end = ({ connection, claimId }: RefreshClaim): void => refreshes.end(connection.id, claimId);

  /** A claim ends with its work, and when there is nothing left to do under it; a store that is full leaves it. */
  const lastUnder = async <Answer>(claim: RefreshClaim, work: Promise<Answer>): Promise<Answer> => {
    try {
      const answer = await work;
      end(claim);
      return answer;
    } catch (error) {
      if (error instanceof ClaimLost || error instanceof NotFound) end(claim);
      throw error;
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

    changeClinic: (clinicId, change) =>
      commits.commit(({ state, record }) => {
        const before = state.clinics.get(clinicId);
        if (!before) throw new NotFound('clinic', clinicId);
        const row = { ...before, ...change };
        record({ t: 'clinic', row });
        return row;
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

    assignClinic: (connectionId, { id: clinicId, name }) =>
      commits.commit(({ state, record }) => {
        const row = state.connections.get(connectionId);
        if (!row || (row.clinicId !== null && row.clinicId !== clinicId)) return false;
        if (row.clinicId !== null) return true;
        const { isUnnamed: _, ...named } = row;
        record({ t: 'connection', row: { ...named, clinicId, name } });
        return true;
      }),

    deleteConnection: (connectionId, { isRevoked }) =>
      commits.commit((decision) => {
        const row = decision.state.connections.get(connectionId);
        if (!row) return [];
        decision.record({ t: 'connectionGone', id: connectionId });
        return isRevoked ? oweRevocations(decision, core, codec.connection(row)) : [];
      }),

    forgetTokens: (connectionId, needsReconnect) =>
      commits.commit((decision) => {
        const row = decision.state.connections.get(connectionId);
        if (!row) return [];
        const before = codec.connection(row);
        const ended = { state: 'needsReconnect', stateReason: needsReconnect } as const;
        decision.record(save({ ...before, ...ended, tokens: null, spareTokens: null }));
        return oweRevocations(decision, core, before);
      }),

    claimRefresh: async (connectionId, leaseMs) => {
      const claimId = refreshes.take(connectionId, randomUUID(), leaseMs);
      if (claimId === null) return null;
      const connection = await commits.read((state) => connectionIn(state, connectionId));
      return { claimId, connection };
    },

    saveTokens: (claim, tokens) =>
      lastUnder(
        claim,
        commits.commit(({ state, record }) => {
          const before = held(claim, state);
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
        }),
      ),

    dropSpareTokens: (connectionId, accessToken) =>
      commits.commit(({ state, record }) => {
        const connection = connectionIn(state, connectionId);
        const isCurrent = connection.tokens?.accessToken === accessToken;
        if (isCurrent && connection.spareTokens) record(save({ ...connection, spareTokens: null }));
      }),

    endRefresh: async (claim, needsReconnect) => {
      if (needsReconnect === null) return end(claim);
      await lastUnder(
        claim,
        commits.commit(({ state, record }) => {
          const connection = held(claim, state);
          record(save({ ...connection, state: 'needsReconnect', stateReason: needsReconnect }));
        }),
      );
    },
  };
}
