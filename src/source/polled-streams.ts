import type { Stream } from '../domain/clinic.ts';
import type { ClinicStore, PollStore } from '../store/store.ts';
import type { ClinicAccess } from './clinic-access.ts';

export interface PolledStreamsDependencies {
  readonly store: Pick<ClinicStore, 'clinics' | 'connections'> & Pick<PollStore, 'streams'>;
  readonly access: Pick<ClinicAccess, 'isUsable'>;
  readonly categories: readonly string[];
}

/** Streams of clinics that are not paused and that some connection can read. */
export async function polledStreams({
  store,
  access,
  categories,
}: PolledStreamsDependencies): Promise<readonly Stream[]> {
  const usable = (await store.connections()).filter((connection) => access.isUsable(connection));
  const readable = new Set(usable.map(({ clinicId }) => clinicId));
  const clinics = (await store.clinics()).filter(
    ({ id, isPaused, isRemoved }) => !isPaused && !isRemoved && readable.has(id),
  );
  const polled = new Set(clinics.map(({ id }) => id));
  const streams = await store.streams();
  return streams.filter(({ clinicId, category }) => polled.has(clinicId) && categories.includes(category));
}
