import { basename, join } from 'node:path';
import { RelayError, StoreCorrupt } from '../../domain/errors.ts';
import { Bodies } from './bodies.ts';
import { isNewestWhole, readCheckpoint } from './checkpoint.ts';
import { assertReaches, CommitReader, partsInOrder, readParts, type TornTail } from './commit-reader.ts';
import type { Disk } from './disk.ts';
import type { Fact, SealedRef } from './facts.ts';
import { FoldedRows } from './folded-rows.ts';
import { KeyRing, type MasterKeys } from './keys.ts';
import { eventKey } from './kinds.ts';
import type { SealedFor } from './sealing.ts';
import { dayNumber } from './state.ts';

/** What was seen of a log that fits together. */
export interface VerifiedLog {
  /** `null` when nothing was ever written. */
  readonly storeId: string | null;
  readonly parts: number;
  readonly lines: number;
  readonly commits: number;
  /** Sealed bodies and excerpts that facts refer to and that are there, as they were written. */
  readonly bodies: number;
  /** Those that are gone for good, and on record as gone: with their file, and its key. */
  readonly droppedBodies: number;
  /** Those that should be there and cannot be read, and the first few of them in words. */
  readonly damagedBodies: { readonly count: number; readonly first: readonly string[] };
  /** Of the first and the last fact that carries a time, epoch milliseconds; `null` when none does. */
  readonly from: number | null;
  readonly until: number | null;
  /** Of the last whole commit's last line. */
  readonly sequence: number;
  /** The sequence that the checkpoint stands at; `null` when there is none. */
  readonly checkpoint: number | null;
  /** The newer of the two checkpoints is damaged: the one before it counts. */
  readonly isCheckpointDamaged: boolean;
  /** Bytes behind the last whole commit: being written now, or left by a crash for the next start to cut off. */
  readonly unfinishedBytes: number;
}

const triesMax = 2;
const damagedShownMax = 10;

/**
 * Reads the whole log and changes nothing, while a relay may be writing it: every line,
 * every commit's authentication code, every sealed body that a fact refers to, and that the
 * checkpoint says of clinics, connections, streams and subscribers what the journal leads to.
 * A body that cannot be read is counted, and the rest goes on.
 *
 * Only the holder of the master key can write what passes. What cannot be seen: a log
 * that was put back as a whole, with its checkpoint, to an earlier state of its own.
 *
 * @throws StoreCorrupt naming the first line that does not fit
 * @throws RelayError `wrong_master_key`, `store_missing`
 */
export async function verifyLog(disk: Disk, path: string, masterKeys: MasterKeys): Promise<VerifiedLog> {
  for (let tries = 1; ; tries++) {
    try {
      const log = await verifyOnce(disk, path, masterKeys);
      if (log.damagedBodies.count === 0 || tries === triesMax) return log;
    } catch (error) {
      // A relay that runs may have taken files away, or a batch back, while they were read.
      if (tries === triesMax) throw error;
    }
  }
}

async function verifyOnce(disk: Disk, path: string, masterKeys: MasterKeys): Promise<VerifiedLog> {
  // In this order what is read later covers what was read before it, however much is written meanwhile.
  const before = await KeyRing.read(disk, path, masterKeys);
  const checkpoint = await readCheckpoint(disk, path, before);
  const isCheckpointDamaged = !(await isNewestWhole(disk, path, before));
  const parts = await partsInOrder(disk, join(path, 'journal'));
  const keys = await KeyRing.read(disk, path, masterKeys);
  if (parts.length === 0 && checkpoint === null) {
    throw new RelayError('store_missing', `There is no delivery log in ${path}.`, {
      hint: 'Name the folder of one in store.path; the first `relay serve` makes it.',
    });
  }
  const bodies = new Bodies(disk, join(path, 'bodies'), keys);
  const seen = new Seen(bodies, keys);
  const folded = new FoldedRows();
  const reader = new CommitReader(keys, (facts, sequence) => {
    seen.take(facts, sequence);
    if (sequence <= (checkpoint?.sequence ?? 0)) for (const fact of facts) folded.take(fact);
    return undefined;
  });
  try {
    const { torn } = await readParts(disk, parts, reader, () => seen.openBodies());
    assertReaches(checkpoint?.sequence ?? 0, reader, torn);
    if (checkpoint && checkpoint.storeId !== reader.storeId) {
      throw new StoreCorrupt(
        'checkpoint_corrupt',
        'The checkpoint belongs to another store than the journal.',
        {
          hint: 'Restore the whole data folder from one backup.',
        },
      );
    }
    // Without its first lines a journal does not lead to all that the checkpoint holds.
    if (checkpoint && parts[0]?.firstSequence === 1) folded.assertSame(checkpoint);
    const { sequence } = reader.place;
    return {
      storeId: reader.storeId,
      parts: parts.length,
      lines: sequence - (parts[0]?.firstSequence ?? 1) + 1,
      commits: seen.commits,
      bodies: seen.bodies,
      ...seen.unread(),
      from: seen.from,
      until: seen.until,
      sequence,
      checkpoint: checkpoint?.sequence ?? null,
      isCheckpointDamaged,
      unfinishedBytes: torn ? await bytesFrom(disk, torn) : 0,
    };
  } finally {
    await bodies.close();
  }
}

async function bytesFrom(disk: Disk, torn: TornTail): Promise<number> {
  const file = await disk.openForReading(torn.part.path);
  await file.close();
  return file.length - torn.at;
}

interface Referred {
  readonly ref: SealedRef;
  readonly sealedFor: SealedFor;
  /** In words. */
  readonly what: string;
}

/** Counts what passes, and remembers what a part's facts refer to until it is opened. */
class Seen {
  commits = 0;
  bodies = 0;
  from: number | null = null;
  until: number | null = null;
  readonly #bodies: Bodies;
  readonly #keys: KeyRing;
  #referred: (Referred & { readonly commit: number })[] = [];
  /** By file: what cannot be read of it, and the first few in words. Whether it is on record as gone, a later fact says. */
  readonly #unread = new Map<string, { count: number; readonly first: string[] }>();
  /** On record as gone: single files, and those of the days before this one. */
  readonly #goneFiles = new Set<string>();
  #goneBefore = 0;
  /** The log came out of a backup, and the keys may be newer: a day may have gone since it was taken. */
  #isRestored = false;

  constructor(bodies: Bodies, keys: KeyRing) {
    this.#bodies = bodies;
    this.#keys = keys;
  }

  take(facts: readonly Fact[], sequence: number): void {
    this.commits++;
    for (const fact of facts) {
      if ('at' in fact) {
        this.from ??= fact.at;
        this.until = fact.at;
      }
      if (fact.t === 'fileGone') this.#goneFiles.add(fact.file);
      if (fact.t === 'restored') this.#isRestored = true;
      if (fact.t === 'bodiesGone') this.#goneBefore = Math.max(this.#goneBefore, fact.before);
      const referred = referredBy(fact);
      if (referred) this.#referred.push({ ...referred, commit: sequence });
    }
  }

  async openBodies(): Promise<void> {
    for (const { ref, sealedFor, what, commit } of this.#referred.splice(0)) {
      try {
        await this.#bodies.openOnce(ref, sealedFor);
        this.bodies++;
      } catch (error) {
        if (!(error instanceof StoreCorrupt)) throw error;
        const unread = this.#unread.get(ref.file) ?? { count: 0, first: [] };
        this.#unread.set(ref.file, unread);
        unread.count++;
        if (unread.first.length === damagedShownMax) continue;
        const why = error.cause instanceof Error ? error.cause.message : 'unknown reason';
        unread.first.push(
          `${what}, which the commit that ends with number ${commit} recorded in ${ref.file} at byte ${ref.at}: ${why}`,
        );
      }
    }
  }

  /** After the last fact. */
  unread(): Pick<VerifiedLog, 'droppedBodies' | 'damagedBodies'> {
    const damaged = { count: 0, first: [] as string[] };
    let droppedBodies = 0;
    for (const [file, { count, first }] of this.#unread) {
      const hasNoKey = this.#keys.key(`body-${basename(file, '.sealed')}`) === null;
      const isOnRecord = this.#goneFiles.has(file) || dayNumber(file) < this.#goneBefore;
      if (isOnRecord || (this.#isRestored && hasNoKey)) {
        droppedBodies += count;
        continue;
      }
      damaged.count += count;
      damaged.first.push(...first.slice(0, damagedShownMax - damaged.first.length));
    }
    return { droppedBodies, damagedBodies: damaged };
  }
}

function referredBy(fact: Fact): Referred | null {
  if (fact.t === 'event' && fact.row.body) {
    const record = eventKey(fact.row.bodyOf ?? fact.row.clinicId, fact.row.id);
    const what = `the body of event ${fact.row.id} of clinic ${fact.row.clinicId}`;
    return { ref: fact.row.body, sealedFor: { kind: 'body', record }, what };
  }
  if (fact.t === 'bodyMoved' || fact.t === 'bodyKept') {
    const bodyOf = fact.t === 'bodyMoved' ? fact.bodyOf : undefined;
    const record = eventKey(bodyOf ?? fact.clinic, fact.event);
    const what = `the body of event ${fact.event} of clinic ${fact.clinic}`;
    return { ref: fact.body, sealedFor: { kind: 'body', record }, what };
  }
  if (fact.t === 'excerptMoved') {
    const record = `${fact.delivery}#${fact.n}`;
    const what = `the answer to attempt ${fact.n} of delivery ${fact.delivery}`;
    return { ref: fact.excerpt, sealedFor: { kind: 'excerpt', record }, what };
  }
  if (fact.t === 'attempt' && fact.excerpt) {
    const record = `${fact.delivery}#${fact.n}`;
    const what = `the answer to attempt ${fact.n} of delivery ${fact.delivery}`;
    return { ref: fact.excerpt, sealedFor: { kind: 'excerpt', record }, what };
  }
  return null;
}
