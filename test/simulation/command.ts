import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import type { Violation } from './history.ts';
import { mutants } from './mutants.ts';
import { simulate } from './simulate.ts';

const usage = `npm run simulate -- [--seeds N] [--seed S] [--days D] [--jobs J] [--mutant NAME]

  --seeds N      how many seeds, one after the other (100; 1 when --seed is given)
  --seed S       the first of them (1); alone, it shows all that happened
  --days D       how long everything goes wrong (each seed decides)
  --jobs J       processes at once (one for each core)
  --mutant NAME  with a bug put in on purpose: ${mutants.map(({ name }) => `"${name}"`).join(', ')}
`;

/**
 * Simulates many bad days and says which seeds broke a promise.
 *
 * @param program what to fork for a share of the seeds.
 * @returns the exit code.
 */
export async function command(args: readonly string[], program: string): Promise<number> {
  let asked: Asked;
  try {
    asked = readArguments(args);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n\n${usage}`);
    return 2;
  }
  if (asked.isJob) return workForParent(asked);
  const began = performance.now();
  const { seed, seeds, jobs } = asked;
  let ran = 0;
  let broken = 0;
  const report = ({ seed: of, found }: Result): void => {
    ran += 1;
    if (process.stderr.isTTY) process.stderr.write(`${ran} of ${seeds} seeds, ${broken} broken\r`);
    if (found === null) return;
    broken += 1;
    process.stdout.write(`seed ${of} broke "${found.invariant}": ${found.what}\n`);
  };
  const areWhole =
    seeds === 1 || jobs === 1 ? await runHere(asked, report) : await runInJobs(program, args, asked, report);
  const seconds = Math.round((performance.now() - began) / 1000);
  process.stdout.write(`seeds ${seed} to ${seed + seeds - 1}: ${broken} broken, ${seconds} s\n`);
  return broken === 0 && areWhole ? 0 : 1;
}

interface Asked {
  readonly seed: number;
  readonly seeds: number;
  readonly jobs: number;
  readonly days: number | null;
  readonly mutant: string | null;
  /** Forked for a part of the seeds, it asks for one after the other. */
  readonly isJob: boolean;
}

interface Result {
  readonly seed: number;
  /** The first promise that it broke, if any. */
  readonly found: Violation | null;
}

function readArguments(args: readonly string[]): Asked {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string' },
      days: { type: 'string' },
      jobs: { type: 'string' },
      mutant: { type: 'string' },
      job: { type: 'boolean', default: false },
    },
  });
  const mutant = values.mutant ?? null;
  if (mutant !== null && !mutants.some(({ name }) => name === mutant)) {
    throw new Error(`There is no mutant "${mutant}".`);
  }
  return {
    seed: positive('seed', values.seed) ?? 1,
    seeds: positive('seeds', values.seeds) ?? (values.seed === undefined ? 100 : 1),
    jobs: positive('jobs', values.jobs) ?? availableParallelism(),
    days: positive('days', values.days),
    mutant,
    isJob: values.job,
  };
}

function positive(name: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const number = Number(text);
  if (!(number > 0)) throw new Error(`--${name} takes a number above 0.`);
  return number;
}

async function run(seed: number, { days, mutant: name, seeds }: Asked): Promise<Result> {
  const mutant = mutants.find((each) => each.name === name);
  const { violations, lines, digest } = await simulate({
    seed,
    ...(days !== null && { days }),
    ...(mutant && { mutant }),
  });
  if (seeds === 1) process.stdout.write(`${lines.join('\n')}\n${digest}\n`);
  return { seed, found: violations[0] ?? null };
}

async function runHere(asked: Asked, report: (result: Result) => void): Promise<true> {
  for (const seed of seedsOf(asked)) report(await run(seed, asked));
  return true;
}

function* seedsOf({ seed, seeds }: Asked): Generator<number> {
  for (let next = seed; next < seed + seeds; next++) yield next;
}

/**
 * Some seeds take ten times as long as others: whoever is done takes the next one.
 * @returns whether every process came to its end.
 */
async function runInJobs(
  program: string,
  args: readonly string[],
  asked: Asked,
  report: (result: Result) => void,
): Promise<boolean> {
  const seeds = seedsOf(asked);
  const codes = Array.from({ length: asked.jobs }, () => {
    const job = fork(program, [...args, '--job']);
    job.on('message', (result: Result | 'ready') => {
      if (result !== 'ready') report(result);
      job.send(seeds.next().value ?? 'none');
    });
    return new Promise<number>((resolve) => job.on('exit', (code) => resolve(code ?? 1)));
  });
  return (await Promise.all(codes)).every((code) => code === 0);
}

async function workForParent(asked: Asked): Promise<number> {
  for (let result: Result | 'ready' = 'ready'; ; ) {
    const answer = new Promise<number | 'none'>((resolve) => process.once('message', resolve));
    process.send?.(result);
    const seed = await answer;
    if (seed === 'none') return 0;
    result = await run(seed, asked);
  }
}
