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

/**
 * Rows that no index holds are objects in memory, and few bytes may change many of them: at
 * so many an index is begun, and while one is under way each batch waits for it a little …
 */
const changedRowsMax = 30_000;
/** … so long: it gets ahead, and deliveries go on all the while. */
const batchWaitsMs = 50;
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
  /** What the index does to the state, and waits for its turn to do. */
  #onState: (() => void)[] = [];
  #isBatchWaiting = false;

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
    const isMuch = !this.#work && this.#isMuchChanged;
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
    return indexer.write(range, storeId, this.#between, this.#pause);
  }

  /** Between two batches, and so also while one waits to begin. */
  readonly #between = (change: () => void): Promise<void> =>
    new Promise((resolve, reject) => {
      this.#onState.push(() => {
        change();
        resolve();
      });
      if (this.#isBatchWaiting) this.#changeState();
      else this.#commits?.read(() => this.#changeState()).catch(reject);
    });

  #changeState(): void {
    for (const change of this.#onState.splice(0)) change();
  }

  get #isMuchChanged(): boolean {
    return this.#on.indexer.changedRows - this.#givenBack >= changedRowsMax;
  }

  /** Lets an index that is under way get ahead when memory would fill up; awaited between two batches. */
  async makeRoom(): Promise<void> {
    if (!this.#work || !this.#isMuchChanged) return;
    const over = new AbortController();
    this.#isBatchWaiting = true;
    this.#changeState();
    await Promise.race([this.#work, wait(this.#on.clock, batchWaitsMs, over.signal)]);
    over.abort();
    this.#isBatchWaiting = false;
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
    if (this.#isBatchWaiting) return;
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
