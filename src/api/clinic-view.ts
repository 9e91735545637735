import { z } from 'zod';
import {
  byClinic,
  type Clinic,
  type Connection,
  listedForMs,
  type Stream,
  waitsForApp,
} from '../domain/clinic.ts';
import { shown } from './query.ts';

/** What everybody may know of a clinic. */
export const namedClinicView = z.object({ id: z.string(), name: z.string() });

export const clinicView = namedClinicView.extend({
  /** `connecting`: its tokens were not used yet, so the vendor's id is not known and `id` is the connection's. */
  state: z.enum(['active', 'paused', 'connecting', 'waiting', 'needsReconnect', 'removed']),
  stateReason: z.string().nullable(),
  /** While it is not read: when this is 0, the vendor no longer lists all that is missing. `null` while it is read, and before it ever was. */
  daysLeft: z.number().nullable(),
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
  const ofClinics = byClinic(connections);
  const known = clinics.map((clinic) => ({
    id: clinic.id,
    name: clinic.name,
    createdAt: clinic.createdAt,
    clinic,
    connections: ofClinics.get(clinic.id) ?? [],
  }));
  const ids = new Set(clinics.map(({ id }) => id));
  const connecting = connections
    .filter(({ clinicId }) => clinicId === null || !ids.has(clinicId))
    .map((connection) => ({
      id: connection.id,
      name: connection.name,
      createdAt: connection.createdAt,
      clinic: null,
      connections: [connection],
    }));
  return [...known, ...connecting];
}

/** How far the clinics are read. */
export interface Progress {
  /** By clinic. */
  readonly streams: ReadonlyMap<string, readonly Stream[]>;
  /** Those that are read. */
  readonly categories: readonly string[];
  readonly now: number;
}

export function viewOfReading(reading: Reading, progress: Progress): ClinicView {
  const { id, name, createdAt, connections } = reading;
  const state = stateOfReading(reading, progress.now);
  return {
    id,
    name,
    ...state,
    daysLeft: ['active', 'removed'].includes(state.state) ? null : daysLeftOf(id, progress),
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

/** To a tenth of a day. */
export function daysLeft(stream: Stream, now: number): number {
  return Math.floor((listedForMs(stream, now) / 86_400_000) * 10) / 10;
}

/** Of the category that is furthest behind. */
function daysLeftOf(clinicId: string, { streams, categories, now }: Progress): number | null {
  const known = streams.get(clinicId) ?? [];
  const read = known.filter((stream) => !stream.isOff && categories.includes(stream.category));
  return read.length === 0 ? null : Math.min(...read.map((stream) => daysLeft(stream, now)));
}

function stateOfReading(
  { clinic, connections }: Reading,
  now: number,
): Pick<ClinicView, 'state' | 'stateReason'> {
  if (clinic?.isRemoved) return { state: 'removed', stateReason: null };
  if (clinic?.isPaused) return { state: 'paused', stateReason: 'somebody paused it' };
  if (!connections.some(({ state }) => state === 'working')) {
    if (connections.some(({ state }) => state === 'restored')) {
      return { state: 'paused', stateReason: 'it came out of a backup and was not resumed yet' };
    }
    const stateReason = connections[0]?.stateReason ?? 'it has no connection';
    return { state: 'needsReconnect', stateReason };
  }
  if (connections.every((connection) => connection.state !== 'working' || waitsForApp(connection, now))) {
    return { state: 'waiting', stateReason: 'its app (tokenUrl) has not handed out an access token yet' };
  }
  return clinic === null
    ? { state: 'connecting', stateReason: 'the vendor has not named its clinic yet' }
    : { state: 'active', stateReason: null };
}
