import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { builtProgram, run } from '../world/process.ts';
import type { Bench, BenchResult } from './bench.ts';
import type { Slice } from './isolation/program.ts';

const pairs = 15;
const secondsEach = 4;

type Others = 'bad' | 'good';

/** Whether subscribers that hang, drip, fail and flood delay those that do not. */
export const bench: Bench = {
  name: 'isolation',
  about: `100 events a second to eight subscribers; four of them hang, drip, fail and answer 200 MB, or do not; ${pairs} interleaved pairs of ${secondsEach} s`,
  async run(): Promise<BenchResult> {
    const program = await builtProgram('../bench/isolation/program.ts');
    const sinkProgram = await builtProgram('../bench/sink/program.ts');
    const folder = await mkdtemp(join(tmpdir(), 'relay-bench-isolation-'));
    const sinks = [run(sinkProgram.path, []), run(sinkProgram.path, [])];
    try {
      const ports = await Promise.all(
        sinks.map(async (sink) => (await sink.line('port ')).slice('port '.length)),
      );
      const slices: Record<Others, Slice[]> = { bad: [], good: [] };
      for (let pair = 0; pair < pairs; pair++) {
        for (const others of pair % 2 === 0 ? (['good', 'bad'] as const) : (['bad', 'good'] as const)) {
          const path = join(folder, `${others}-${pair}`);
          const relay = run(program.path, [others, path, ...ports, String(secondsEach)]);
          slices[others].push(JSON.parse(await relay.line('{')) as Slice);
          await relay.ended;
        }
      }
      return resultOf(slices);
    } finally {
      for (const sink of sinks) sink.child.kill();
      await Promise.all(sinks.map(({ ended }) => ended));
      await rm(folder, { recursive: true });
      await program.discard();
      await sinkProgram.discard();
    }
  },
};

function resultOf(slices: Readonly<Record<Others, readonly Slice[]>>): BenchResult {
  const rowOf = (what: string, some: readonly Slice[]) => ({
    what,
    'mean delay of the good ones, ms': Number(median(some.map(meanOf)).toFixed(2)),
    'p99, ms': Number(median(some.map(({ delaysMs }) => quantile(delaysMs, 0.99))).toFixed(1)),
    'RSS at most, MB': Math.max(...some.map(({ rssMb }) => rssMb)),
    'attempts at the others': median(some.map(({ attemptsOfOthers }) => attemptsOfOthers)),
  });
  const ratios = slices.bad.map((slice, pair) => meanOf(slice) / meanOf(slices.good[pair] as Slice));
  const rss = (others: Others) => Math.max(...slices[others].map(({ rssMb }) => rssMb));
  return {
    rows: [
      rowOf('all eight behave', slices.good),
      rowOf('four hang, drip, fail, flood', slices.bad),
      { what: `load of the machine meanwhile: ${loadavg()[0]?.toFixed(1)}` },
    ],
    claims: [
      {
        what: 'mean delay of the good ones while four misbehave, against none doing so',
        measured: median(ratios),
        atMost: 1.1,
      },
      { what: 'memory (RSS) while four misbehave, MB more', measured: rss('bad') - rss('good'), atMost: 64 },
    ],
  };
}

function meanOf({ delaysMs }: Slice): number {
  return delaysMs.reduce((sum, delay) => sum + delay, 0) / delaysMs.length;
}

function quantile(values: readonly number[], part: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length * part)] ?? Number.NaN;
}

function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}
