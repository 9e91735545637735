import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '../../clock.ts';
import { RelayError, type StoreBroken, type StoreUnavailable } from '../../domain/errors.ts';
import type { Store } from '../store.ts';
import { backfillPart } from './backfills.ts';
import { Bodies } from './bodies.ts';
import { BodyFiles } from './body-files.ts';
import { loadCheckpoint, readCheckpoint } from './checkpoint.ts';
import { clinicPart } from './clinics.ts';
import { ColdRows } from './cold-rows.ts';
import { Commits } from './commits.ts';
import type { Core } from './core.ts';
import { deliveryPart } from './deliveries.ts';
import type { Disk } from './disk.ts';
import { erasurePart } from './erasure.ts';
import { Indexer } from './indexer.ts';
import { budgetPart, jobPart, revokedTokenPart } from './jobs.ts';
import { JournalParts } from './journal-parts.ts';
import { KeyRing, type MasterKeys } from './keys.ts';
import { linkPart } from './links.ts';
import type { TakeLock } from './lock.ts';
import { logPart } from './log.ts';
import { oneAtATime } from './one-at-a-time.ts';
import { pollPart } from './polls.ts';
import { pushPart } from './pushes.ts';
import { readLog } from './read-log.ts';
import type { Recovered } from './recovery.ts';
import { forgetRestored, holdRestored, readRestored, restorationPart } from './restored.ts';
import { Retention, type RetentionDays, type RetentionDependencies } from './retention.ts';
import { revocationPart } from './revocations.ts';
import { Codec } from './rows.ts';
import { seenPart } from './seen.ts';
import { State } from './state.ts';
import { subscriberPart } from './subscribers.ts';
import { tokenKeyPart } from './token-keys.ts';
import { unusable } from './unusable.ts';

export interface FileStoreOptions {
  /** The data folder; made if it is not there. */
  readonly path: string;
  readonly masterKeys: MasterKeys;
  readonly disk: Disk;
  readonly lock: TakeLock;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  /** A part of the journal that is longer is closed, and indexed. */
  readonly partBytes?: number;
  /** Without it nothing is ever deleted. */
  readonly retention?: RetentionDays & Pick<RetentionDependencies, 'onRetained'>;
  /** Hears of a full disk, of its end (`null`), and of a store that cannot go on. */
  readonly onTrouble: (trouble: StoreUnavailable | StoreBroken | null) => void;
}

/** Small enough that what is changed in one is taken down, and read again, without a pause to be noticed. */
const defaultPartBytes = 8 * 1024 * 1024;

export interface FileStore extends Store {
  /** What the start found and did. */
  readonly recovery: {
    /** A torn tail that was cut off, and kept aside in the journal's folder. */
    readonly cut: Recovered['cut'];
    readonly events: number;
    readonly deliveries: number;
    /** Attempts that the process before this one left under way. */
    readonly interrupted: number;
    /** The data keys were sealed anew: the previous master key opens nothing any more. */
    readonly isResealed: boolean;
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
 *        index/<from>-<to>.index                rows as closed parts of the journal left them
 * ```
 *
 * @throws StoreLocked, StoreCorrupt, RelayError `wrong_master_key`, `store_unusable`
 */
export async function openFileStore(options: FileStoreOptions): Promise<FileStore> {
  const { path, disk } = options;
  /** What is open, to be closed again: last first. */
  const opened: (() => unknown)[] = [];
  try {
    await disk.makeFolder(path);
    opened.push(options.lock(join(path, 'lock')));
    return await openLocked(options, opened);
  } catch (error) {
    await closeAll(opened);
    if (error instanceof RelayError) throw error;
    throw unusable(path, error);
  }
}

async function openLocked(options: FileStoreOptions, opened: (() => unknown)[]): Promise<FileStore> {
  const { path, disk, clock, random, partBytes = defaultPartBytes } = options;
  const folders = {
    journal: join(path, 'journal'),
    bodies: join(path, 'bodies'),
    index: join(path, 'index'),
  };
  for (const folder of Object.values(folders)) await disk.makeFolder(folder);
  const restored = await readRestored(disk, path);
  const keys = await KeyRing.open(disk, path, options.masterKeys);
  // A process that was killed may have left names that the disk does not have yet.
  await disk.syncFolder(path);
  const state = new State();
  const coldRows = new ColdRows(disk);
  const indexer = new Indexer({ disk, folder: folders.index, keys, state, coldRows, clock });
  const checkpoint = await readCheckpoint(disk, path, keys);
  if (checkpoint?.isVouched) loadCheckpoint(state, checkpoint);
  const from = { disk, folder: folders.journal, keys };
  const recovered = await readLog(from, checkpoint, { state, indexer, partBytes, now: clock.now() });

  const storeId = recovered.storeId ?? randomUUID();
  const bodies = new Bodies(disk, folders.bodies, keys, (file) => state.bodyFiles.has(file));
  opened.push(() => bodies.close());
  // The kernel's lock is on a file; under the same name there could be another one, and another holder.
  const lock = await disk.openForAppend(join(path, 'lock'));
  opened.push(() => lock.close());
  const parts = await JournalParts.begin(
    { disk, path, folder: folders.journal, keys, bodies, state, indexer, clock, storeId, partBytes },
    recovered.place,
    recovered.cut,
  );
  opened.push(() => parts.close());
  const commits = new Commits(
    state,
    {
      bodies,
      journal: () => parts.journal,
      turn: () => {
        lock.assertUntouched();
        return parts.turn();
      },
      makeRoom: () => parts.makeRoom(),
      fetch: (missing) => indexer.fetch(missing),
    },
    clock,
    options.onTrouble,
  );
  const codec = new Codec(keys, await keys.keyFor('value', 'store'));
  const core: Core = { commits, bodies, codec, coldRows, clock, random };
  const { interruptLapsed, ...deliveries } = deliveryPart(core);
  const interrupted = state.openAttempts.size;
  await interruptLapsed();
  if (restored) await holdRestored(core, restored);
  await parts.settle(commits);
  if (restored) await forgetRestored(disk, path);
  const inTurn = oneAtATime();
  const bodyFiles = new BodyFiles({ disk, folder: folders.bodies, commits, bodies, coldRows, keys, clock });
  const retention =
    options.retention &&
    new Retention({
      commits,
      bodies,
      bodyFiles,
      coldRows,
      inTurn,
      clock,
      days: options.retention,
      onRetained: options.retention.onRetained,
    });
  retention?.start();

  return {
    ...clinicPart(core),
    ...linkPart(core),
    ...revocationPart(core),
    ...pollPart(core),
    ...pushPart(core),
    ...subscriberPart(core),
    ...deliveries,
    ...backfillPart(core),
    ...seenPart(core),
    ...logPart(core),
    ...jobPart(core),
    ...budgetPart(core),
    ...revokedTokenPart(core),
    ...tokenKeyPart(core),
    ...restorationPart(core),
    ...erasurePart({ commits, bodies, coldRows, bodyFiles, keys, clock, inTurn }),
    recovery: {
      cut: recovered.cut,
      events: state.events.size,
      deliveries: state.deliveries.size,
      interrupted,
      isResealed: keys.neededPrevious,
    },
    assertWritable: async () => commits.assertWritable(),
    close: async () => {
      const isWhole = isWritable(commits);
      try {
        const looked = retention?.stop();
        await commits.stop(async () => {
          await looked;
          await parts.halt();
        });
        if (isWhole) await parts.saveCheckpoint();
      } finally {
        await closeAll(opened);
      }
    },
  };
}

/** Last opened first; what does not close is left to the end of the process. */
async function closeAll(opened: (() => unknown)[]): Promise<void> {
  for (const close of opened.splice(0).reverse()) {
    try {
      await close();
    } catch {
      // The files were synced or given up before; a failing close changes neither.
    }
  }
}

function isWritable(commits: Commits): boolean {
  try {
    commits.assertWritable();
    return true;
  } catch {
    return false;
  }
}
