import type { Clock } from '../../clock.ts';
import { RelayError, StoreBroken, type StoreUnavailable } from '../../domain/errors.ts';
import { apply } from './apply.ts';
import type { Bodies } from './bodies.ts';
import { codeOf, isFull, isOutOf } from './disk.ts';
import { diskBroken, diskFull, outOfResources } from './disk-trouble.ts';
import type { Fact, SealedRef } from './facts.ts';
import type { Journal } from './journal.ts';
import { lineBytesMax } from './journal-line.ts';
import { NotInMemory } from './log-rows.ts';
import type { SealedFor } from './sealing.ts';
import type { State } from './state.ts';

/** What a decision may do: read the state, put facts on record, keep sealed bytes. */
export interface Decision {
  readonly state: State;
  /** Puts a fact on record; the state shows it at once, to this decision and to those after it. */
  record(fact: Fact): void;
  /** Seals bytes into the day's file. */
  keep(plain: Buffer, sealedFor: SealedFor): SealedRef;
}

/** The current part, and how to begin the next one when the day changes. */
export interface Parts {
  readonly bodies: Bodies;
  readonly journal: () => Journal;
  /** Begins the next part when the day or the size of the current one calls for it. */
  readonly turn: () => Promise<void>;
  /** May let rows leave memory, and takes a moment when there are many. */
  readonly makeRoom: () => Promise<void>;
  /** Reads rows that are not in memory; the answer puts them there. */
  readonly fetch: (missing: NotInMemory) => Promise<() => void>;
}

/** Hears of a full disk, of its end (`null`), and of a store that cannot go on. */
export type OnTrouble = (trouble: StoreUnavailable | StoreBroken | null) => void;

const retryFullDiskMs = 2_000;
/** Leaves room for what a line carries beside its fact. */
const factBytesMax = lineBytesMax - 200;

/**
 * Group commit: decisions queue up while a sync is under way, then all of them are taken
 * serially over the state, written as one batch, synced once, and only then answered.
 * Between batches the state is exactly what is durable, and that is when reads look at it.
 *
 * - The disk is full at a write: the batch is taken back, from the file and from the
 *   state, and tried again every few seconds; until one succeeds, new decisions are
 *   refused with `StoreUnavailable` and reads are answered.
 * - Any other error of the disk: nobody can say what is on it, so everything is refused
 *   with `StoreBroken` and the process has to end. A failed sync is never tried again:
 *   the kernel may report success for pages that it dropped.
 */
export class Commits {
  readonly #state: State;
  readonly #parts: Parts;
  readonly #clock: Clock;
  readonly #onTrouble: OnTrouble;
  #queue: Command[] = [];
  #reads: (() => void)[] = [];
  /** Rows that come into memory for decisions, which are taken right after. */
  #admissions: (() => void)[] = [];
  #isRunning = false;
  /** Decisions that wait for rows to come into memory. */
  #fetching = 0;
  #broken: StoreBroken | null = null;
  #full: StoreUnavailable | null = null;
  #closing: StoreBroken | null = null;
  #idle: (() => void)[] = [];

  constructor(state: State, parts: Parts, clock: Clock, onTrouble: OnTrouble) {
    this.#state = state;
    this.#parts = parts;
    this.#clock = clock;
    this.#onTrouble = onTrouble;
  }

  /**
   * Resolves with the decision's answer once it is durable; what it throws rejects, and
   * nothing of it is kept. One that meets rows that are not in memory is taken again.
   */
  commit<Answer>(decide: (decision: Decision) => Answer): Promise<Answer> {
    const refusal = this.#broken ?? this.#full ?? this.#closing;
    if (refusal) return Promise.reject(refusal);
    return new Promise((resolve, reject) => {
      this.#queue.push({ decide, resolve: resolve as (answer: unknown) => void, reject });
      this.#run();
    });
  }

  /** Looks at what is durable. */
  read<Answer>(look: (state: State) => Answer): Promise<Answer> {
    if (this.#broken) return Promise.reject(this.#broken);
    return new Promise((resolve, reject) => {
      this.#reads.push(() => {
        try {
          resolve(look(this.#state));
        } catch (error) {
          reject(error);
        }
      });
      this.#run();
    });
  }

  /** What the store does for itself met an error of the disk: unless the disk is full, it cannot go on. */
  fail(error: unknown): void {
    if (!this.#broken && !isFull(codeOf(error))) this.#break(diskBroken(error));
  }

  /**
   * Runs what works on the disk beside the batches; trouble of the disk becomes what it is
   * in a batch.
   *
   * @throws StoreUnavailable when the disk is full, or the process has no more files, which
   *   passes; StoreBroken, and the store with it, for any other trouble
   */
  async besideBatches<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    try {
      return await work();
    } catch (error) {
      const code = codeOf(error);
      if (error instanceof RelayError || code === undefined) throw error;
      if (isFull(code)) throw diskFull(this.#clock.now(), error);
      if (isOutOf(code)) throw outOfResources('The delivery log cannot be written', error);
      this.fail(error);
      throw diskBroken(error);
    }
  }

  /** @throws StoreUnavailable, StoreBroken */
  assertWritable(): void {
    const refusal = this.#broken ?? this.#full;
    if (refusal) throw refusal;
  }

  /**
   * Refuses new decisions and resolves when those under way are durable or refused.
   *
   * @param lastReader what may still look at the state until it ends.
   */
  async stop(lastReader: () => Promise<void>): Promise<void> {
    if (this.#full) {
      this.#break(
        new StoreBroken('store_closed', 'The store was closed while its disk was full.', closedHint),
      );
    }
    this.#closing = new StoreBroken('store_closed', 'The store is closed.', closedHint);
    while (this.#isRunning || this.#fetching > 0) {
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    }
    await lastReader();
    this.#broken ??= this.#closing;
  }

  #run(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    // Whoever asks in the same turn gets into the same batch.
    queueMicrotask(() => void this.#loop());
  }

  async #loop(): Promise<void> {
    for (;;) {
      const isCalledFor = this.#queue.length + this.#admissions.length > 0;
      if (isCalledFor && !this.#full && !this.#broken) await this.#parts.makeRoom();
      for (const read of this.#reads.splice(0)) read();
      // Last: what is read may also let rows leave memory, and the decision would wait for ever.
      for (const admit of this.#admissions.splice(0)) admit();
      if (this.#queue.length === 0 || this.#full || this.#broken) break;
      await this.#batch(this.#queue.splice(0));
    }
    this.#isRunning = false;
    for (const resume of this.#idle.splice(0)) resume();
  }

  async #batch(commands: Command[]): Promise<void> {
    const { bodies } = this.#parts;
    const settle: (() => void)[] = [];
    try {
      await this.#parts.turn();
    } catch (error) {
      this.#fail(error, commands);
      return;
    }
    const facts: string[] = [];
    for (const command of commands) settle.push(this.#decide(command, facts));
    if (facts.length > 0) {
      const journal = this.#parts.journal();
      try {
        await bodies.write();
        await bodies.sync();
        await journal.append(facts);
        await journal.sync();
      } catch (error) {
        this.#state.undo.rollBackTo(0);
        await this.#takeBack(error, commands);
        return;
      }
    }
    this.#state.undo.forget();
    for (const answer of settle) answer();
  }

  /** @param facts the batch's, to which those of this decision are added. */
  #decide(command: Command, facts: string[]): () => void {
    const { undo } = this.#state;
    const mark = undo.mark;
    const keptMark = this.#parts.bodies.mark;
    const factsMark = facts.length;
    try {
      const value = command.decide({
        state: this.#state,
        record: (fact) => {
          const json = JSON.stringify(fact);
          if (json.length * 3 > factBytesMax && Buffer.byteLength(json) > factBytesMax) {
            throw new RelayError('record_too_large', 'The record is too large for the delivery log.', {
              hint: 'Shorten names, filters or headers.',
            });
          }
          facts.push(json);
          apply(this.#state, fact);
        },
        keep: (plain, sealedFor) => this.#parts.bodies.keep(plain, sealedFor),
      });
      return () => command.resolve(value);
    } catch (error) {
      facts.length = factsMark;
      undo.rollBackTo(mark);
      this.#parts.bodies.dropQueuedAfter(keptMark);
      if (!(error instanceof NotInMemory)) return () => command.reject(error);
      return () => void this.#fetch(command, error);
    }
  }

  async #fetch(command: Command, missing: NotInMemory): Promise<void> {
    this.#fetching++;
    try {
      const admit = await this.#parts.fetch(missing);
      this.#admissions.push(() => {
        admit();
        if (this.#broken) command.reject(this.#broken);
        else this.#queue.unshift(command);
      });
    } catch (error) {
      command.reject(error);
    }
    this.#fetching--;
    this.#run();
  }

  async #takeBack(error: unknown, commands: Command[]): Promise<void> {
    if (!isFull(codeOf(error))) {
      this.#break(diskBroken(error), commands);
      return;
    }
    try {
      await this.#parts.journal().takeBack();
      await this.#parts.bodies.takeBack();
    } catch (cause) {
      this.#break(diskBroken(cause), commands);
      return;
    }
    this.#fail(error, commands);
  }

  #fail(error: unknown, commands: Command[]): void {
    if (!isFull(codeOf(error))) {
      this.#break(diskBroken(error), commands);
      return;
    }
    this.#queue.unshift(...commands);
    if (!this.#full) {
      this.#full = diskFull(this.#clock.now(), error);
      this.#onTrouble(this.#full);
    }
    this.#clock.after(retryFullDiskMs, () => void this.#tryAgain());
  }

  /** The kept batch goes first; only when it is durable is anything new taken. */
  async #tryAgain(): Promise<void> {
    if (this.#broken || !this.#full) return;
    while (this.#isRunning) await new Promise<void>((resolve) => this.#idle.push(resolve));
    this.#isRunning = true;
    await this.#batch(this.#queue.splice(0));
    if (this.#queue.length === 0 && !this.#broken) {
      this.#full = null;
      this.#onTrouble(null);
    }
    await this.#loop();
  }

  #break(error: StoreBroken, commands: readonly Command[] = []): void {
    this.#broken = error;
    for (const command of [...commands, ...this.#queue.splice(0)]) command.reject(error);
    this.#onTrouble(error);
  }
}

interface Command {
  readonly decide: (decision: Decision) => unknown;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
}

const closedHint = { hint: 'Start the relay again.' };
