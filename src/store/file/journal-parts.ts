import { type Clock, wait } from '../../clock.ts';
import type { Bodies } from './bodies.ts';
import { foldedTables, writeCheckpoint } from './checkpoint.ts';
import type { Commits } from './commits.ts';
import { codeOf, type Disk, isFull } from './disk.ts';
import type { Indexer, Range } from './indexer.ts';
import { type HeaderFact, Journal, type Place } from './journal.ts';
import type { KeyRing } from './keys.ts';
import type { State } from './state.ts';

export interface JournalPartsDependencies {
  readonly disk: Disk;
  /** The store's folder, and the journal's in it. */
  readonly path: string;
  readonly folder: string;
  readonly keys: KeyRing;
  readonly bodies: Bodies;
  readonly state: State;
  readonly indexer: Indexer;
  readonly clock: Clock;
  readonly storeId: string;
  /** A part that is longer is closed. */
  readonly partBytes: number;
}

/** Retention changes many rows with few bytes; more than these are not taken down without a pause to be noticed. */
const changedRowsMax = 30_000;
/** More closed parts than these, and their indexes are made without pauses. */
const waitingPartsMax = 3;

/**
 * The part of the journal that is written, and what happens when it is closed: the next
 * one begins, and in the background the folded state is put into the checkpoint, and the
 * rows that changed into an index.
 */
export class JournalParts {
  readonly #on: JournalPartsDependencies;
  readonly #hurry = new AbortController();
  #journal: Journal;
  #commits: Commits | null = null;
  /** What the start read and no index holds, when it is much. */
  readonly #read: Range | null;
  /** Rows that could not be indexed: they alone are no reason to try again at once. */
  #givenBack = 0;
  /** What is done in the background, while it is. */
  #work: Promise<void> | null = null;

  private constructor(dependencies: JournalPartsDependencies, journal: Journal, readUntil: Place) {
    this.#on = dependencies;
    this.#journal = journal;
    const { indexer, partBytes } = dependencies;
    this.#read = indexer.waitingBytes >= partBytes ? indexer.take(readUntil) : null;
  }

  /**
   * Begins the part that this process writes first.
   *
   * @param place after the last line that was read; the state is what was read.
   */
  static async begin(
    dependencies: JournalPartsDependencies,
    place: Place,
    cut: NonNullable<HeaderFact['cut']> | null,
  ): Promise<JournalParts> {
    return new JournalParts(dependencies, await startPart(dependencies, place, cut), place);
  }

  get journal(): Journal {
    return this.#journal;
  }

  /** Writes the first checkpoint; an index of what was read follows in the background. */
  async settle(commits: Commits): Promise<void> {
    await this.saveCheckpoint();
    this.#commits = commits;
    const range = this.#read;
    if (range) this.#inBackground(() => this.#index(range), range);
  }

  /** Closes the part and begins the next one if it is time; awaited between two batches. */
  async turn(): Promise<void> {
    const { bodies, clock, indexer, state, storeId, partBytes } = this.#on;
    const ended = this.#journal;
    const isNewDay = ended.day !== dayOf(clock.now());
    if (!isNewDay && bodies.mustLeave) await bodies.openDay(ended.day);
    const isMuch = !this.#work && indexer.changedRows - this.#givenBack >= changedRowsMax;
    if (!isNewDay && !isMuch && ended.bytes < partBytes) return;
    this.#journal = await startPart(this.#on, ended.place, null);
    await ended.close();
    indexer.closed({ name: ended.name, bytes: ended.bytes });
    // What is under way takes its time; what is closed now goes with the next part.
    if (this.#work || !this.#commits) return;
    const isDue = isMuch || indexer.waitingBytes >= partBytes || (isNewDay && indexer.changedRows > 0);
    const range = isDue ? indexer.take(ended.place) : null;
    const checkpoint = { storeId, sequence: this.#journal.place.sequence, tables: foldedTables(state) };
    this.#inBackground(async () => {
      await writeCheckpoint(this.#on.disk, this.#on.path, checkpoint, this.#on.keys, this.#pause);
      if (range) await this.#index(range);
    }, range);
  }

  async saveCheckpoint(): Promise<void> {
    const { disk, path, state, storeId, keys } = this.#on;
    const { sequence } = this.#journal.place;
    await writeCheckpoint(disk, path, { storeId, sequence, tables: foldedTables(state) }, keys);
  }

  /** Waits for what is done in the background, which hurries from now on. */
  async halt(): Promise<void> {
    this.#hurry.abort();
    await this.#work;
  }

  async close(): Promise<void> {
    await this.#journal.close();
  }

  #index(range: Range): Promise<void> {
    const { indexer, storeId } = this.#on;
    const between = async (work: () => void) => this.#commits?.read(() => work());
    return indexer.write(range, storeId, between, this.#pause);
  }

  #inBackground(work: () => Promise<void>, range: Range | null = null): void {
    const { indexer } = this.#on;
    this.#work = work()
      .then(() => {
        this.#givenBack = 0;
      })
      .catch((error: unknown) => {
        if (range) indexer.giveBack(range);
        this.#givenBack = indexer.changedRows;
        if (!isFull(codeOf(error))) this.#commits?.fail(error);
      })
      .finally(() => {
        this.#work = null;
      });
  }

  /** Lets others go on; not when so much is waiting that memory would fill up with it. */
  readonly #pause = async (): Promise<void> => {
    const { clock, indexer, partBytes } = this.#on;
    if (indexer.waitingBytes < waitingPartsMax * partBytes) await wait(clock, 0, this.#hurry.signal);
  };
}

async function startPart(
  { disk, folder, keys, bodies, clock, storeId }: JournalPartsDependencies,
  place: Place,
  cut: NonNullable<HeaderFact['cut']> | null,
): Promise<Journal> {
  const day = dayOf(clock.now());
  await bodies.openDay(day);
  return Journal.start(disk, folder, keys, { storeId, day, cut }, place);
}

function dayOf(now: number): string {
  return new Date(now).toISOString().slice(0, 10);
}
