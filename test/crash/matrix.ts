import { type Random, seededRandom, seedOf } from '../../src/sandbox/random.ts';
import type { Doom, Step } from './doom.ts';
import { RelayLife } from './relay.ts';
import { pause, Town } from './town.ts';

const dayMs = 86_400_000;

/** What is tried: a point of the matrix, and how the process fails there. */
export interface Trial {
  readonly point: string;
  readonly step: Step | 'any';
  readonly when: Doom['when'];
  readonly error: string | null;
  /** The doom waits from the process's first step on, and not only while it works. */
  readonly isAtStart: boolean;
}

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

const inJournal = [
  'record',
  'claim',
  'attempt',
  'poll',
  'refresh',
  'registration',
  'replay',
  'job',
  'budget',
  'token revoked',
  'set aside',
] as const;

function kills(point: string, steps: readonly (readonly [Step, Doom['when']])[], isAtStart = false): Trial[] {
  return steps.map(([step, when]) => ({ point, step, when, error: null, isAtStart }));
}

const aroundWriteAndSync = [
  ['write', 'before'],
  ['write', 'torn'],
  ['write', 'after'],
  ['sync', 'after'],
] as const;
const aroundReplacing = [
  ['write', 'before'],
  ['write', 'torn'],
  ['write', 'after'],
  ['rename', 'before'],
  ['rename', 'after'],
] as const;

/** Every durable step, killed before it, in the middle of it and after it. */
export const killTrials: readonly Trial[] = [
  ...inJournal.flatMap((point) => kills(point, aroundWriteAndSync)),
  ...kills('bodies', aroundWriteAndSync),
  ...kills('new part', aroundWriteAndSync, true),
  ...kills('checkpoint', aroundReplacing, true),
  ...kills('keys', aroundReplacing, true),
  ...kills(
    'rewritten tail',
    [
      ['write', 'before'],
      ['write', 'after'],
    ],
    true,
  ),
  ...kills(
    'folder',
    [
      ['sync folder', 'before'],
      ['sync folder', 'after'],
    ],
    true,
  ),
  ...kills('day cut', aroundWriteAndSync),
  { point: 'any moment', step: 'any', when: 'after', error: null, isAtStart: false },
];

const full = ['ENOSPC', 'EDQUOT'] as const;
const broken = ['EIO', 'EROFS', 'EMFILE'] as const;

/** Every kind of error at each kind of step. */
export const errorTrials: readonly Trial[] = [
  ...['record', 'attempt', 'claim', 'poll', 'registration', 'bodies'].flatMap((point) => [
    ...full.map((error) => ({ point, step: 'write', when: 'before', error, isAtStart: false }) as const),
    { point, step: 'write', when: 'torn', error: 'ENOSPC', isAtStart: false } as const,
    ...broken.map((error) => ({ point, step: 'write', when: 'before', error, isAtStart: false }) as const),
    { point, step: 'sync', when: 'before', error: 'EIO', isAtStart: false } as const,
    { point, step: 'sync', when: 'before', error: 'ENOSPC', isAtStart: false } as const,
  ]),
  ...['checkpoint', 'keys', 'new part'].flatMap((point) =>
    [...full, 'EIO' as const].map(
      (error) => ({ point, step: 'write', when: 'torn', error, isAtStart: true }) as const,
    ),
  ),
  { point: 'checkpoint', step: 'rename', when: 'before', error: 'EIO', isAtStart: true },
  { point: 'folder', step: 'sync folder', when: 'before', error: 'EIO', isAtStart: true },
];

export function nameOf({ point, step, when, error }: Trial): string {
  if (step === 'any') return point;
  return `${point}: ${error === null ? '' : `${error} `}${when === 'torn' ? 'half of' : when} ${step}`;
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
    try {
      const lives = new Lives(program, town, random);
      for (const trial of trials.slice(from, from + livesPerTown)) {
        const row: Row = { trial, tried: 1, met: 0, lost: 0, wrong: 0, repeats: 0, recoverMs: [] };
        const faults = await lives.live(trial, row);
        onTried(row, faults);
      }
    } finally {
      await town.close();
    }
  }
}

class Lives {
  readonly #program: string;
  readonly #town: Town;
  readonly #random: Random;
  #life = 0;
  #clockAheadMs = 0;
  #repeatsBefore = 0;

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
      await (trial.isAtStart ? this.#dieAtStart(trial, row) : this.#dieAtWork(trial, row));
      await this.#recover(row);
    } catch (error) {
      row.wrong += 1;
      faults.push(error instanceof Error ? error.message : String(error));
    }
    return faults;
  }

  async #dieAtWork(trial: Trial, row: Row): Promise<void> {
    const relay = this.#start();
    try {
      const call = await relay.up(this.#town);
      if (!call) throw new Error(`did not start: ${relay.failed} ${relay.output.slice(-3).join('')}`);
      if (trial.step !== 'any') await relay.arm(this.#doomOf(trial, trial.step));
      if (trial.point === 'day cut') {
        this.#clockAheadMs += dayMs;
        relay.putClockAhead(this.#clockAheadMs);
      }
      // Whatever was asked when the process ended was not told to be done.
      const stirring = this.#town.stir(call, this.#life).catch(() => {});
      if (trial.step === 'any') await pause(this.#random.int(1, 600));
      else if (trial.error === null) await relay.ends(3_000);
      else await Promise.race([relay.ends(3_000), stirring.then(() => pause(300))]);
      row.met += relay.isMet || relay.exit?.signal === 'SIGKILL' || trial.step === 'any' ? 1 : 0;
      this.#expectEnd(trial, relay);
      const refused = this.#town.refusals.splice(0);
      if (trial.error === null && refused.length > 0) throw new Error(refused.join('; '));
    } finally {
      await relay.kill();
    }
  }

  async #dieAtStart(trial: Trial, row: Row): Promise<void> {
    if (trial.step === 'any') return;
    // Keys are made, and written, once a day.
    if (trial.point === 'keys') this.#clockAheadMs += dayMs;
    const relay = this.#start(this.#doomOf(trial, trial.step));
    try {
      await relay.up(this.#town);
      row.met += relay.isMet || relay.exit?.signal === 'SIGKILL' ? 1 : 0;
    } finally {
      await relay.kill();
    }
  }

  /** A full disk is waited for; after anything else that a disk says, the process ends by itself. */
  #expectEnd({ error, step }: Trial, relay: RelayLife): void {
    if (error === null || !relay.isMet) return;
    const isFull = (full as readonly string[]).includes(error) && step === 'write';
    if (isFull && relay.exit !== null) throw new Error(`ended on a full disk: ${relay.failed}`);
    if (!isFull && relay.exit?.code !== 1)
      throw new Error(`went on after ${error}: ${JSON.stringify(relay.exit)}`);
  }

  /** The next process finds everything that the world outside knows. */
  async #recover(row: Row): Promise<void> {
    const began = performance.now();
    const relay = this.#start();
    try {
      const call = await relay.up(this.#town);
      if (!call) throw new Error(`did not recover: ${relay.failed} ${relay.output.slice(-3).join('')}`);
      row.recoverMs.push(performance.now() - began);
      await this.#town.settle(call);
      const { lost, wrong, repeats } = await this.#town.verdict(call);
      row.lost += lost.length;
      row.wrong += wrong.length;
      row.repeats += repeats - this.#repeatsBefore;
      this.#repeatsBefore = repeats;
      const found = [...lost.map((each) => `lost: ${each}`), ...wrong];
      if (found.length > 0) throw new Error(found.slice(0, 5).join('; '));
    } finally {
      await relay.kill();
    }
  }

  #start(doom: Doom | null = null): RelayLife {
    return new RelayLife(this.#program, this.#town, { doom, clockAheadMs: this.#clockAheadMs });
  }

  #doomOf({ point, when, error }: Trial, step: Step): Doom {
    const isFrequent = ['record', 'claim', 'attempt', 'poll', 'bodies'].includes(point) && error === null;
    const isFull = error !== null && (full as readonly string[]).includes(error);
    return {
      point: point === 'day cut' ? 'new part' : point,
      step,
      when,
      nth: isFrequent ? this.#random.int(1, 3) : 1,
      error: error === null ? null : { code: error, times: isFull ? this.#random.int(1, 3) : 1 },
    };
  }
}
