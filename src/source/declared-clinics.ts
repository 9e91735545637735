import { createHash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Connection, TokenOrigin, Tokens } from '../domain/clinic.ts';
import { assumedTokenLifeMs, type ClinicInput } from '../domain/clinic-input.ts';
import type { Logger } from '../logger.ts';
import type { ClinicStore } from '../store/store.ts';

/**
 * Brings the connections of the store in line with the configuration file. The pair in
 * the file is where a connection begins; from then on the rotated pair lives in the
 * store, and the file's counts again only once it was changed. That also brings a clinic
 * back that was removed through the API.
 *
 * A connection whose clinic is no longer in the file stays as it is: it has tokens that
 * only the relay knows.
 */
export async function declareClinics(
  store: Pick<ClinicStore, 'clinics' | 'changeClinic' | 'connections' | 'saveConnection'>,
  declared: readonly ClinicInput[],
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Promise<void> {
  const known = new Map((await store.connections()).map((connection) => [connection.id, connection]));
  for (const clinic of declared) {
    const id = `con_${digestOf(['declared', clinic.name]).slice(0, 20)}`;
    const declaredDigest = digestOf([
      clinic.accessToken ?? null,
      clinic.refreshToken ?? null,
      clinic.tokenUrl ?? null,
      clinic.tokenUrlSecret ?? null,
    ]);
    const before = known.get(id);
    if (before?.declaredDigest === declaredDigest) continue;
    const connection: Connection = {
      id,
      // Other tokens may be another clinic's: it is asked for before they are used.
      clinicId: null,
      name: clinic.name,
      origin: originOf(clinic),
      tokens: tokensOf(clinic, clock.now()),
      spareTokens: null,
      declaredDigest,
      state: 'working',
      stateReason: null,
      refreshedAt: null,
      createdAt: before?.createdAt ?? clock.now(),
      ...(clinic.startFrom !== undefined && { startFrom: clinic.startFrom }),
    };
    await store.saveConnection(connection);
    if (before) {
      await bringBack(store, before.clinicId);
      logger.info('The connection has changed in the configuration; what stands there counts.', {
        connection: clinic.name,
      });
    }
  }
}

async function bringBack(
  store: Pick<ClinicStore, 'clinics' | 'changeClinic'>,
  clinicId: string | null,
): Promise<void> {
  const removed = (await store.clinics()).find((clinic) => clinic.id === clinicId && clinic.isRemoved);
  if (removed) await store.changeClinic(removed.id, { isRemoved: false });
}

function originOf(clinic: ClinicInput): TokenOrigin {
  if (clinic.tokenUrl === undefined) return { kind: 'refreshToken' };
  return { kind: 'tokenUrl', url: clinic.tokenUrl, secret: clinic.tokenUrlSecret ?? null };
}

function tokensOf(clinic: ClinicInput, now: number): Tokens | null {
  const { accessToken, refreshToken } = clinic;
  if (accessToken === undefined || refreshToken === undefined) return null;
  return { accessToken, refreshToken, expiresAt: now + assumedTokenLifeMs };
}

function digestOf(parts: readonly (string | null)[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}
