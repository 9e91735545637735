import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { type Adapter, Low } from 'lowdb';
import { StoreCorrupt } from '../../domain/errors.ts';
import type { Disk } from './disk.ts';
import { type KeyRing, replaceFile } from './keys.ts';
import { authenticate, type DataKey } from './sealing.ts';
import type { State } from './state.ts';

/** The key that vouches for checkpoints is the one that seals values. */
const keyId = 'value-store';

const folded = [
  'clinics',
  'connections',
  'subscribers',
  'healths',
  'sequences',
  'streams',
  'setAsides',
  'jobs',
  'tokenKeys',
  'links',
  'revocations',
  'revoked',
  'budget',
  'counters',
  'bodyFiles',
] as const satisfies readonly (keyof State)[];

/** The folded state as it was after the journal's line `sequence`. */
export interface Checkpoint {
  readonly format: 1;
  readonly storeId: string;
  readonly sequence: number;
  readonly tables: Readonly<Record<(typeof folded)[number], readonly (readonly [string, unknown])[]>>;
}

/** A checkpoint as it was read. */
export interface FoundCheckpoint extends Checkpoint {
  /**
   * Whoever wrote it had the key. One of a version that put no code into it, or of somebody
   * who took the code out, says only how far the journal has to reach.
   */
  readonly isVouched: boolean;
}

/**
 * lowdb's adapter over our disk: lowdb's own writer renames into place but syncs nothing,
 * and a power cut then loses acknowledged writes. This one syncs the file before the
 * rename and the folder after it, and keeps the checkpoint before it beside it.
 *
 * @param key vouches for what is written, and for what is read; `null` when there is none.
 */
function syncedJsonFile(
  disk: Disk,
  path: string,
  key: DataKey | null,
  pause: () => Promise<void> = async () => {},
): { read(): Promise<FoundCheckpoint | null>; write(checkpoint: Checkpoint): Promise<void> } {
  const previous = `${path}.previous`;
  return {
    async read() {
      for (const candidate of [path, previous]) {
        const bytes = await disk.read(candidate);
        const checkpoint = bytes && parse(bytes, key);
        if (checkpoint) return checkpoint;
      }
      if ((await disk.read(path)) === null) return null;
      throw new StoreCorrupt('checkpoint_corrupt', `${path} and the one before it are damaged.`, {
        hint: 'Restore the whole data folder from one backup.',
      });
    },
    async write(checkpoint) {
      const body = await textOf(checkpoint, pause);
      const mac = key && codeOf(key, body);
      const head = `"sha256":"${digestOf(body)}"${mac ? `,"mac":"${mac}"` : ''}`;
      const bytes = Buffer.from(`{${head},"checkpoint":${body}}\n`);
      await replaceFile(disk, path, bytes, previous);
    },
  };
}

/**
 * @param keys `null` for whoever has none: nobody vouches for what it says then.
 * @returns `null` in a folder that has none. @throws StoreCorrupt
 */
export async function readCheckpoint(
  disk: Disk,
  folder: string,
  keys: KeyRing | null,
): Promise<FoundCheckpoint | null> {
  const file = syncedJsonFile(disk, join(folder, 'checkpoint.json'), keys?.key(keyId) ?? null);
  const low = new Low<FoundCheckpoint | null>(file as Adapter<FoundCheckpoint | null>, null);
  await low.read();
  return low.data;
}

/** False when the newest one is damaged, so that the one before it counts. */
export async function isNewestWhole(disk: Disk, folder: string, keys: KeyRing): Promise<boolean> {
  const bytes = await disk.read(join(folder, 'checkpoint.json'));
  return bytes === null || parse(bytes, keys.key(keyId)) !== null;
}

/** The bytes of the newest one that is whole, and whose store it is. */
export async function wholeCheckpoint(
  disk: Disk,
  folder: string,
): Promise<{ readonly bytes: Buffer; readonly storeId: string } | null> {
  for (const name of ['checkpoint.json', 'checkpoint.json.previous']) {
    const bytes = await disk.read(join(folder, name));
    const checkpoint = bytes && parse(bytes, null);
    if (bytes && checkpoint) return { bytes, storeId: checkpoint.storeId };
  }
  return null;
}

/** The folded tables as they are now: rows are replaced, never changed. */
export function foldedTables(state: State): Checkpoint['tables'] {
  const tables = {} as Record<(typeof folded)[number], readonly (readonly [string, unknown])[]>;
  for (const name of folded) tables[name] = [...state[name].entries()];
  return tables;
}

/**
 * Durable when it resolves.
 *
 * @param pause is awaited between pieces of a few milliseconds.
 */
export async function writeCheckpoint(
  disk: Disk,
  folder: string,
  checkpoint: Omit<Checkpoint, 'format'>,
  keys: KeyRing,
  pause?: () => Promise<void>,
): Promise<void> {
  const key = await keys.keyFor('value', 'store');
  const file = syncedJsonFile(disk, join(folder, 'checkpoint.json'), key, pause);
  await new Low<Checkpoint>(file, { format: 1, ...checkpoint }).write();
}

const rowsPerPiece = 1_000;

/** What `JSON.stringify` gives, without holding up everything else while it does. */
async function textOf({ tables, ...rest }: Checkpoint, pause: () => Promise<void>): Promise<string> {
  const texts: string[] = [];
  for (const name of folded) {
    const pieces: string[] = [];
    for (let from = 0; from < tables[name].length; from += rowsPerPiece) {
      if (from > 0) await pause();
      pieces.push(JSON.stringify(tables[name].slice(from, from + rowsPerPiece)).slice(1, -1));
    }
    texts.push(`"${name}":[${pieces.join(',')}]`);
  }
  return `${JSON.stringify(rest).slice(0, -1)},"tables":{${texts.join(',')}}}`;
}

/** Puts the folded tables of a fresh state to what the checkpoint says. */
export function loadCheckpoint(state: State, checkpoint: Checkpoint): void {
  for (const name of folded) {
    const table = state[name] as { put(key: string, row: unknown): void };
    // A checkpoint of an older version lacks what that version did not know.
    for (const [key, row] of checkpoint.tables[name] ?? []) table.put(key, row);
  }
  state.undo.forget();
}

/** `null` when it is damaged. @throws StoreCorrupt when somebody without the key wrote it */
function parse(bytes: Buffer, key: DataKey | null): FoundCheckpoint | null {
  try {
    const text = bytes.toString();
    const { sha256, mac, checkpoint } = JSON.parse(text) as {
      sha256: string;
      mac?: string;
      checkpoint: Checkpoint;
    };
    const body = text.slice(text.indexOf('"checkpoint":') + '"checkpoint":'.length, text.lastIndexOf('}'));
    if (sha256 !== digestOf(body) || checkpoint.format !== 1) return null;
    if (key !== null && mac !== undefined && mac !== codeOf(key, body)) throw forged;
    return { ...checkpoint, isVouched: key !== null && mac !== undefined };
  } catch (error) {
    if (error === forged) throw error;
    return null;
  }
}

const forged = new StoreCorrupt(
  'checkpoint_corrupt',
  'The checkpoint was not written with this store’s keys.',
  {
    hint: 'Restore the whole data folder from one backup.',
  },
);

function codeOf(key: DataKey, body: string): string {
  return authenticate(key, 'checkpoint', body);
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
