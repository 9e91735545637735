import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
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
  if (asked.seeds === 1 || asked.jobs === 1) return runSeeds(asked);
  const share = Math.ceil(asked.seeds / asked.jobs);
  const codes: Promise<number>[] = [];
  for (let done = 0; done < asked.seeds; done += share) {
    const seeds = Math.min(share, asked.seeds - done);
    codes.push(runShare(program, { ...asked, seed: asked.seed + done, seeds }));
  }
  return Math.max(...(await Promise.all(codes)));
}

interface Asked {
  readonly seed: number;
  readonly seeds: number;
  readonly jobs: number;
  readonly days: number | null;
  readonly mutant: string | null;
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
  };
}

function positive(name: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const number = Number(text);
  if (!(number > 0)) throw new Error(`--${name} takes a number above 0.`);
  return number;
}

async function runSeeds({ seed: first, seeds, days, mutant: name }: Asked): Promise<number> {
  const mutant = mutants.find((each) => each.name === name);
  const began = performance.now();
  let broken = 0;
  for (let seed = first; seed < first + seeds; seed++) {
    const run = await simulate({ seed, ...(days !== null && { days }), ...(mutant && { mutant }) });
    if (seeds === 1) process.stdout.write(`${run.lines.join('\n')}\n${run.digest}\n`);
    if (run.violations.length === 0) continue;
    broken += 1;
    const [found] = run.violations;
    process.stdout.write(`seed ${seed} broke "${found?.invariant}": ${found?.what}\n`);
  }
  const seconds = Math.round((performance.now() - began) / 1000);
  process.stdout.write(`seeds ${first} to ${first + seeds - 1}: ${broken} broken, ${seconds} s\n`);
  return broken > 0 ? 1 : 0;
}

function runShare(program: string, { seed, seeds, days, mutant }: Asked): Promise<number> {
  const args = ['--jobs', '1', '--seed', String(seed), '--seeds', String(seeds)];
  if (days !== null) args.push('--days', String(days));
  if (mutant !== null) args.push('--mutant', mutant);
  return new Promise((resolve) => {
    fork(program, args).on('exit', (code) => resolve(code ?? 1));
  });
}
