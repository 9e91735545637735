import { type Random, seededRandom, seedOf } from '../../src/sandbox/random.ts';
import { inspect, type Prepared, prepare, type Scene } from './deeds.ts';
import type { Doom } from './doom.ts';
import { pause } from './pause.ts';
import { RelayLife } from './relay.ts';
import { Town } from './town.ts';
import { full, type Trial } from './trials.ts';

/** One line of the printed matrix. */
export interface Row {
  readonly trial: Trial;
  tried: number;
  met: number;
  lost: number;
  wrong: number;
  repeats: number;
  readonly recoverMs: number[];
}

export interface Ask {
  readonly program: string;
  readonly seed: number;
  readonly trials: readonly Trial[];
  readonly onTried: (row: Row, faults: readonly string[]) => void;
  /** Lives on one data folder. */
  readonly livesPerTown?: number;
}

/**
 * Goes through the trials on data folders that grow older with every crash. Each life
 * begins with the recovery from the one before; when all that is owed has arrived, the
 * books of everybody outside are held against what happened, and the next doom is armed.
 */
export async function runTrials({ program, seed, trials, onTried, livesPerTown = 20 }: Ask): Promise<void> {
  for (let from = 0; from < trials.length; from += livesPerTown) {
    const random = seededRandom(seedOf(seed, `town ${from}`));
    const town = await Town.open(seedOf(seed, `vendor ${from}`), random);
    const lives = new Lives(program, town, random);
    try {
      for (const trial of trials.slice(from, from + livesPerTown)) {
        const row: Row = { trial, tried: 1, met: 0, lost: 0, wrong: 0, repeats: 0, recoverMs: [] };
        const faults = await lives.live(trial, row);
        onTried(row, faults);
      }
    } finally {
      await lives.end();
      await town.close();
    }
  }
}

const dayMs = 86_400_000;
/** The relay starts within it, and fills it quickly. */
const smallHeapMb = 96;
/** How long a deed is waited for. */
const deedMs = 5_000;

class Lives {
  readonly #program: string;
  readonly #town: Town;
  readonly #random: Random;
  #life = 0;
  #repeatsBefore = 0;
  /** Recovered from the life before, and what the next doom is for. */
  #relay: RelayLife | null = null;

  constructor(program: string, town: Town, random: Random) {
    this.#program = program;
    this.#town = town;
    this.#random = random;
  }

  /** @returns what was wrong, in words. */
  async live(trial: Trial, row: Row): Promise<readonly string[]> {
    this.#life += 1;
    const faults: string[] = [];
    try {
      if (this.#life === 1) await this.#recover(row);
      const isAtStart = trial.deed === 'start' || trial.deed === 'key rotation';
      const prepared = await (isAtStart ? this.#dieAtStart(trial, row) : this.#dieAtWork(trial, row));
      await this.#recover(row, prepared);
    } catch (error) {
      row.wrong += 1;
      faults.push(error instanceof Error ? error.message : String(error));
    }
    return faults;
  }

  async end(): Promise<void> {
    await this.#relay?.kill();
  }

  async #dieAtWork(trial: Trial, row: Row): Promise<Prepared> {
    const heapMb = trial.deed === 'memory' ? smallHeapMb : null;
    if (heapMb !== null) await this.end();
    const isAlive = this.#relay !== null && this.#relay.exit === null;
    const relay = isAlive && this.#relay ? this.#relay : new RelayLife(this.#program, this.#town, { heapMb });
    try {
      const call = await relay.up();
      if (!call) throw new Error(`did not start: ${relay.failed} ${relay.output.slice(-3).join('')}`);
      const scene: Scene = { town: this.#town, relay, call, life: this.#life };
      const prepared = await prepare(trial.deed, scene);
      if (trial.step !== 'any') await relay.arm(this.#doomOf(trial, trial.step));
      // Whatever was asked when the process ended was not told to be done.
      const performed = prepared.perform().catch(() => {});
      if (trial.point === 'any moment') await pause(this.#random.int(1, 600));
      else await Promise.race([relay.ends(deedMs), performed.then(() => relay.ends(1_000))]);
      row.met += isMet(trial, relay) ? 1 : 0;
      if (relay.isMet) expectEnd(trial, relay);
      const refused = this.#town.refusals.splice(0);
      if (trial.error === null && refused.length > 0) throw new Error(refused.join('; '));
      await relay.kill();
      await performed;
      await inspect(trial.deed, scene);
      return prepared;
    } finally {
      await relay.kill();
    }
  }

  async #dieAtStart(trial: Trial, row: Row): Promise<null> {
    if (trial.step === 'any') return null;
    await this.end();
    if (trial.deed === 'key rotation') this.#town.changeMasterKey();
    // Otherwise keys are made, and written, once a day.
    else if (trial.point === 'keys') this.#town.advance(dayMs);
    const relay = new RelayLife(this.#program, this.#town, { doom: this.#doomOf(trial, trial.step) });
    try {
      await relay.up();
      row.met += isMet(trial, relay) ? 1 : 0;
      return null;
    } finally {
      await relay.kill();
    }
  }

  /** The next process finds everything that the world outside knows. */
  async #recover(row: Row, prepared: Prepared | null = null): Promise<void> {
    const began = performance.now();
    await this.end();
    const relay = new RelayLife(this.#program, this.#town);
    this.#relay = relay;
    const call = await relay.up();
    if (!call) throw new Error(`did not recover: ${relay.failed} ${relay.output.slice(-3).join('')}`);
    row.recoverMs.push(performance.now() - began);
    this.#town.forgetPreviousMasterKey();
    await this.#town.settle(call);
    const { lost, wrong, repeats } = await this.#town.verdict(call);
    const untrue = (await prepared?.check?.(call)) ?? [];
    row.lost += lost.length;
    row.wrong += wrong.length + untrue.length;
    row.repeats += repeats - this.#repeatsBefore;
    this.#repeatsBefore = repeats;
    const found = [...lost.map((each) => `lost: ${each}`), ...wrong, ...untrue];
    if (found.length > 0) throw new Error(found.slice(0, 5).join('; '));
  }

  #doomOf({ point, when, error, since, ...trial }: Trial, step: Doom['step']): Doom {
    const isFrequent = ['record', 'claim', 'attempt', 'poll', 'bodies'].includes(point) && error === null;
    const isAtWork = trial.deed === 'work' && isFrequent;
    const isFull = error !== null && full.includes(error);
    return {
      point,
      step,
      when,
      ...(since !== undefined && { since }),
      nth: trial.nth ?? (isAtWork ? this.#random.int(1, 3) : 1),
      error: error === null ? null : { code: error, times: isFull ? this.#random.int(1, 3) : 1 },
    };
  }
}

function isMet(trial: Trial, { isMet, exit }: RelayLife): boolean {
  if (trial.point === 'any moment') return true;
  if (trial.point === 'memory') return exit?.signal === 'SIGABRT' || exit?.code === 134;
  return isMet || exit?.signal === 'SIGKILL';
}

/** A full disk is waited for; after nearly anything else that a disk says, the process ends by itself. */
function expectEnd({ error, step, then }: Trial, { exit, failed }: RelayLife): void {
  if (error === null) return;
  const goesOn = then === 'goes on' || (full.includes(error) && step === 'write');
  if (goesOn && exit !== null) throw new Error(`ended after ${error}: ${failed}`);
  if (!goesOn && exit?.code !== 1) throw new Error(`went on after ${error}: ${JSON.stringify(exit)}`);
}
