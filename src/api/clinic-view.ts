import { z } from 'zod';
import type { Clinic, Connection } from '../domain/clinic.ts';
import { shown } from './query.ts';

/** What everybody may know of a clinic. */
export const namedClinicView = z.object({ id: z.string(), name: z.string() });

export const clinicView = namedClinicView.extend({
  /** `connecting`: its tokens were not used yet, so the vendor's id is not known and `id` is the connection's. */
  state: z.enum(['active', 'paused', 'connecting', 'needsReconnect', 'removed']),
  stateReason: z.string().nullable(),
  connections: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      tokensFrom: z.enum(['refreshToken', 'tokenUrl']),
      state: z.enum(['working', 'needsReconnect', 'restored']),
      stateReason: z.string().nullable(),
      isDeclared: z.boolean(),
      refreshedAt: z.string().nullable(),
      tokenExpiresAt: z.string().nullable(),
    }),
  ),
  createdAt: z.string(),
});

export type ClinicView = z.infer<typeof clinicView>;

/** A clinic with its connections; or a connection whose clinic is not known yet. */
export interface Reading {
  readonly id: string;
  readonly name: string;
  readonly createdAt: number;
  readonly clinic: Clinic | null;
  readonly connections: readonly Connection[];
}

export function readingsOf(
  clinics: readonly Clinic[],
  connections: readonly Connection[],
): readonly Reading[] {
  const known = clinics.map((clinic) => ({
    id: clinic.id,
    name: clinic.name,
    createdAt: clinic.createdAt,
    clinic,
    connections: connections.filter(({ clinicId }) => clinicId === clinic.id),
  }));
  const connecting = connections
    .filter(({ clinicId }) => !clinics.some(({ id }) => id === clinicId))
    .map((connection) => ({
      id: connection.id,
      name: connection.name,
      createdAt: connection.createdAt,
      clinic: null,
      connections: [connection],
    }));
  return [...known, ...connecting];
}

export function viewOfReading(reading: Reading): ClinicView {
  const { id, name, createdAt, connections } = reading;
  return {
    id,
    name,
    ...stateOfReading(reading),
    connections: connections.map((connection) => ({
      id: connection.id,
      name: connection.name,
      tokensFrom: connection.origin.kind,
      state: connection.state,
      stateReason: connection.stateReason,
      isDeclared: connection.declaredDigest !== null,
      refreshedAt: shown(connection.refreshedAt),
      tokenExpiresAt: shown(connection.tokens?.expiresAt ?? null),
    })),
    createdAt: shown(createdAt),
  };
}

function stateOfReading({ clinic, connections }: Reading): Pick<ClinicView, 'state' | 'stateReason'> {
  if (clinic?.isRemoved) return { state: 'removed', stateReason: null };
  if (clinic?.isPaused) return { state: 'paused', stateReason: 'somebody paused it' };
  if (!connections.some(({ state }) => state === 'working')) {
    if (connections.some(({ state }) => state === 'restored')) {
      return { state: 'paused', stateReason: 'it came out of a backup and was not resumed yet' };
    }
    const stateReason = connections[0]?.stateReason ?? 'it has no connection';
    return { state: 'needsReconnect', stateReason };
  }
  return clinic === null
    ? { state: 'connecting', stateReason: 'the vendor has not named its clinic yet' }
    : { state: 'active', stateReason: null };
}
