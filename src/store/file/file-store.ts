import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '../../clock.ts';
import type { StoreBroken, StoreUnavailable } from '../../domain/errors.ts';
import type { Store } from '../store.ts';
import { Bodies } from './bodies.ts';
import { type Checkpoint, loadCheckpoint, readCheckpoint, writeCheckpoint } from './checkpoint.ts';
import { clinicPart } from './clinics.ts';
import { Commits } from './commits.ts';
import type { Core } from './core.ts';
import { deliveryPart } from './deliveries.ts';
import type { Disk } from './disk.ts';
import { budgetPart, jobPart, revokedTokenPart } from './jobs.ts';
import { Journal } from './journal.ts';
import { KeyRing, type MasterKeys } from './keys.ts';
import type { TakeLock } from './lock.ts';
import { logPart } from './log.ts';
import { pollPart } from './polls.ts';
import { type Recovered, recover } from './recovery.ts';
import { Codec } from './rows.ts';
import { State } from './state.ts';
import { subscriberPart } from './subscribers.ts';

export interface FileStoreOptions {
  /** The data folder; made if it is not there. */
  readonly path: string;
  readonly masterKeys: MasterKeys;
  readonly disk: Disk;
  readonly lock: TakeLock;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  /** Hears of a full disk, of its end (`null`), and of a store that cannot go on. */
  readonly onTrouble: (trouble: StoreUnavailable | StoreBroken | null) => void;
}

export interface FileStore extends Store {
  /** What the start found and did. */
  readonly recovery: {
    /** A torn tail that was cut off, and kept aside in the journal's folder. */
    readonly cut: Recovered['cut'];
    readonly events: number;
    readonly deliveries: number;
    /** Attempts that the process before this one left under way. */
    readonly interrupted: number;
  };
}

/**
 * Opens the JSON-file delivery log for this process alone:
 *
 * ```
 * <path>/lock               held by the kernel while the process lives
 *        keys.json          data keys, sealed by the master key
 *        checkpoint.json    the small folded state at a sequence number
 *        journal/<day>.jsonl, <day>.2.jsonl …   every change, in order: the truth
 *        bodies/<day>.sealed                    event bodies and excerpts, encrypted
 * ```
 *
 * @throws StoreLocked, StoreCorrupt, RelayError `wrong_master_key`
 */
export async function openFileStore(options: FileStoreOptions): Promise<FileStore> {
  const { path, disk, clock, random } = options;
  const folders = { journal: join(path, 'journal'), bodies: join(path, 'bodies') };
  await disk.makeFolder(path);
  const unlock = options.lock(join(path, 'lock'));
  try {
    await disk.makeFolder(folders.journal);
    await disk.makeFolder(folders.bodies);
    const keys = await KeyRing.open(disk, path, options.masterKeys);
    const state = new State();
    const checkpoint = await readCheckpoint(disk, path);
    if (checkpoint) loadCheckpoint(state, checkpoint);
    const recovered = await readJournal({ disk, folder: folders.journal, keys }, checkpoint, state);
    clampDueTimes(state, clock.now());

    const storeId = recovered.storeId ?? randomUUID();
    const bodies = new Bodies(disk, folders.bodies, keys);
    const today = () => new Date(clock.now()).toISOString().slice(0, 10);
    await bodies.openDay(today());
    const start = (cut: Recovered['cut'], place: Recovered['place']) =>
      Journal.start(disk, folders.journal, keys, { storeId, day: today(), cut }, place);
    let journal = await start(recovered.cut, recovered.place);

    const saveCheckpoint = () =>
      writeCheckpoint(disk, path, state, { storeId, sequence: journal.place.sequence });
    const openDay = async (): Promise<void> => {
      if (today() === journal.day) return;
      await bodies.openDay(today());
      const next = await start(null, journal.place);
      await journal.close();
      journal = next;
      await saveCheckpoint();
    };

    const commits = new Commits(state, { bodies, journal: () => journal, openDay }, clock, options.onTrouble);
    const codec = new Codec(keys, await keys.keyFor('value', 'store'));
    const core: Core = { commits, bodies, codec, clock, random };
    const { interruptLapsed, ...deliveries } = deliveryPart(core);
    const interrupted = state.openAttempts.size;
    await interruptLapsed();
    await saveCheckpoint();

    return {
      ...clinicPart(core),
      ...pollPart(core),
      ...subscriberPart(core),
      ...deliveries,
      ...logPart(core),
      ...jobPart(core),
      ...budgetPart(core),
      ...revokedTokenPart(core),
      recovery: {
        cut: recovered.cut,
        events: state.events.size,
        deliveries: state.deliveries.size,
        interrupted,
      },
      assertWritable: async () => commits.assertWritable(),
      close: async () => {
        const isWhole = isWritable(commits);
        await commits.stop();
        if (isWhole) await saveCheckpoint();
        await journal.close();
        await bodies.close();
        unlock();
      },
    };
  } catch (error) {
    unlock();
    throw error;
  }
}

async function readJournal(
  from: { readonly disk: Disk; readonly folder: string; readonly keys: KeyRing },
  checkpoint: Checkpoint | null,
  state: State,
): Promise<Recovered> {
  const covered = checkpoint?.sequence ?? 0;
  return recover(from, covered, (facts, sequence) => {
    for (const fact of facts) state.apply(fact, sequence <= covered);
    state.undo.forget();
  });
}

/** A due time that a stepped clock left far ahead is no further away than the wait it came from. */
function clampDueTimes(state: State, now: number): void {
  for (const delivery of [...state.deliveries.values()]) {
    if (delivery.dueAt !== null && delivery.dueAt > now + delivery.waitMs) {
      state.deliveries.put(delivery.id, { ...delivery, dueAt: now + delivery.waitMs });
    }
  }
  state.undo.forget();
}

function isWritable(commits: Commits): boolean {
  try {
    commits.assertWritable();
    return true;
  } catch {
    return false;
  }
}
