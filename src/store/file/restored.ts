import { join } from 'node:path';
import { StoreCorrupt } from '../../domain/errors.ts';
import type { Restoration, RestorationStore } from '../store.ts';
import { loadCheckpoint, readCheckpoint } from './checkpoint.ts';
import type { Core } from './core.ts';
import type { Disk } from './disk.ts';
import { State } from './state.ts';

/** Where a store came from, until its first start has taken note. */
export interface RestoredFrom {
  /** When the backup was taken, epoch milliseconds. */
  readonly takenAt: number;
  readonly restoredAt: number;
}

const underWay = 'restoring.json';
const done = 'restored.json';

export async function beginRestore(disk: Disk, folder: string, from: RestoredFrom): Promise<void> {
  await disk.writeNew(join(folder, underWay), Buffer.from(`${JSON.stringify(from)}\n`));
  await disk.syncFolder(folder);
}

export async function endRestore(disk: Disk, folder: string): Promise<void> {
  await disk.rename(join(folder, underWay), join(folder, done));
  await disk.syncFolder(folder);
}

/**
 * What a restore left for the first start; `null` when there was none since.
 * @throws StoreCorrupt `restore_unfinished`
 */
export async function readRestored(disk: Disk, folder: string): Promise<RestoredFrom | null> {
  const names = await disk.list(folder);
  if (names.includes(underWay)) {
    throw new StoreCorrupt('restore_unfinished', `The restore into ${folder} was cut off.`, {
      hint: 'Empty the folder and run `relay restore` again.',
    });
  }
  const text = names.includes(done) ? await disk.read(join(folder, done)) : null;
  return text === null ? null : (JSON.parse(text.toString()) as RestoredFrom);
}

/** What is held since a store came out of a backup, as it can be seen from outside. */
export interface RestoredHold extends RestoredFrom {
  /** At the newest checkpoint; `null` before the first start. */
  readonly held: { readonly subscribers: number; readonly connections: number } | null;
}

/**
 * Looks without opening the store: a relay that runs may know of more that was resumed.
 * @returns `null` when nothing is held.
 * @throws StoreCorrupt `restore_unfinished`, `checkpoint_corrupt`
 */
export async function restoredHold(disk: Disk, folder: string): Promise<RestoredHold | null> {
  const left = await readRestored(disk, folder);
  if (left) return { ...left, held: null };
  const checkpoint = await readCheckpoint(disk, folder, null);
  if (!checkpoint) return null;
  const state = new State();
  loadCheckpoint(state, checkpoint);
  const restoration = restorationIn(state);
  if (!restoration) return null;
  const { takenAt, restoredAt, subscribers, connections } = restoration;
  return { takenAt, restoredAt, held: { subscribers, connections } };
}

/**
 * Pauses every subscriber and holds every connection of a store that came out of a
 * backup, until somebody resumes each: the relay that the backup was taken from may still
 * run, what was open then may have been delivered since, and a refresh token that was
 * spent since must not be offered (a vendor may end the whole authorization for it).
 *
 * Whole or not at all, and doing it twice does no more than once.
 */
export async function holdRestored({ commits, clock }: Core, from: RestoredFrom): Promise<void> {
  await commits.commit(({ state, record }) => {
    record({ t: 'restored', ...from });
    for (const row of [...state.subscribers.values()]) {
      if (row.deletedAt !== null || row.pauseReasons.includes('restored')) continue;
      const pauseReasons = [...row.pauseReasons, 'restored'] as const;
      const pausedAt = row.pausedAt ?? clock.now();
      record({ t: 'subscriber', row: { ...row, pauseReasons, pausedAt }, bumped: false });
    }
    for (const row of [...state.connections.values()]) {
      if (row.state === 'working') record({ t: 'connection', row: { ...row, state: 'restored' } });
    }
  });
}

/** The first start has taken note, durably. */
export async function forgetRestored(disk: Disk, folder: string): Promise<void> {
  await disk.remove(join(folder, done));
  await disk.syncFolder(folder);
}

export function restorationPart({ commits }: Core): RestorationStore {
  return { restoration: () => commits.read(restorationIn) };
}

function restorationIn(state: State): Restoration | null {
  const subscribers = [...state.subscribers.values()].filter(
    ({ deletedAt, pauseReasons }) => deletedAt === null && pauseReasons.includes('restored'),
  );
  const connections = [...state.connections.values()].filter((row) => row.state === 'restored');
  if (subscribers.length === 0 && connections.length === 0) return null;
  return {
    takenAt: state.counters.get('restoredFrom') ?? 0,
    restoredAt: state.counters.get('restoredAt') ?? 0,
    subscribers: subscribers.length,
    connections: connections.length,
    openDeliveries: subscribers.reduce((sum, { id }) => sum + (state.counts.get(id)?.pending ?? 0), 0),
  };
}
