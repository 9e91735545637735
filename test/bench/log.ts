import { spawn } from 'node:child_process';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { builtProgram } from '../world/process.ts';
import type { Bench, BenchResult } from './bench.ts';

const sizes = [1_000, 10_000, 100_000, 200_000, 1_000_000];
/** Whose deliveries retention deletes at once. */
const retainedSize = 200_000;
const rounds = 11;
const deliveriesPerRound = 6_000;

interface Looked {
  readonly deliveries: number;
  readonly startSeconds: number;
  readonly rssMb: number;
  readonly firstPageMs: Readonly<Record<string, number>>;
}

interface Retained {
  readonly deliveries: number;
  readonly longestMs: number;
}

interface Delivered {
  readonly perSecond: number;
}

/** How the delivery log grows: a log of each size, filled by the store itself, then opened by a fresh process. */
export const bench: Bench = {
  name: 'log',
  about: 'memory, start, first pages and throughput with 1,000 to 1,000,000 ended deliveries in the log',
  async run(): Promise<BenchResult> {
    const program = await builtProgram('../bench/log/program.ts');
    const folder = await mkdtemp(join(tmpdir(), 'relay-bench-log-'));
    const rows: Record<string, string | number>[] = [];
    const claims: BenchResult['claims'][number][] = [];
    try {
      const full = join(folder, 'full');
      let filled = 0;
      for (const size of sizes) {
        await answerOf(program.path, ['fill', full, String(size - filled)]);
        filled = size;
        const looked = (await answerOf(program.path, ['open', full])) as Looked;
        if (looked.deliveries !== size) throw new Error(`${looked.deliveries} deliveries, not ${size}`);
        const slowest = Object.entries(looked.firstPageMs).sort(([, a], [, b]) => b - a)[0] ?? ['none', 0];
        const row = {
          deliveries: size,
          'RSS, MB': looked.rssMb,
          'start, s': Number(looked.startSeconds.toFixed(2)),
          'slowest first page, ms': Math.round(slowest[1]),
          'which is': slowest[0],
        };
        rows.push(row);
        if (size === retainedSize) await cp(full, join(folder, 'retained'), { recursive: true });
      }
      const last = rows.at(-1) as Record<string, number>;
      claims.push(
        {
          what: 'RSS after a start with 1,000,000 deliveries, MB',
          measured: last['RSS, MB'] ?? 0,
          atMost: 300,
        },
        { what: 'start with 1,000,000 deliveries, s', measured: last['start, s'] ?? 0, atMost: 3 },
        {
          what: 'slowest first page of seven filters, ms',
          measured: last['slowest first page, ms'] ?? 0,
          atMost: 100,
        },
      );
      const ratio = await ratioOf(program.path, { full, empty: join(folder, 'empty') });
      rows.push({
        deliveries: `throughput against an empty log`,
        'start, s': '',
        'RSS, MB': Number(ratio.toFixed(2)),
      });
      claims.push({ what: 'deliveries/s against an empty log', measured: ratio, atLeast: 0.95 });
      const retained = (await answerOf(program.path, ['retain', join(folder, 'retained')])) as Retained;
      rows.push({
        deliveries: `longest pause while retention deletes ${retained.deliveries}, ms`,
        'RSS, MB': Math.round(retained.longestMs),
      });
      return { rows, claims };
    } finally {
      await rm(folder, { recursive: true });
      await program.discard();
    }
  },
};

/** The median of the rounds' ratios: each round measures both, one after the other. */
async function ratioOf(program: string, { full, empty }: { full: string; empty: string }): Promise<number> {
  const ratios: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await rm(empty, { recursive: true, force: true });
    const perSecond = async (path: string) =>
      ((await answerOf(program, ['deliver', path, String(deliveriesPerRound)])) as Delivered).perSecond;
    const [first, second] = round % 2 === 0 ? [full, empty] : [empty, full];
    const measured = new Map([[first, await perSecond(first)]]);
    measured.set(second, await perSecond(second));
    ratios.push((measured.get(full) ?? 0) / (measured.get(empty) ?? 1));
  }
  return ratios.sort((a, b) => a - b)[Math.floor(rounds / 2)] ?? 0;
}

function answerOf(program: string, args: readonly string[]): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
    });
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(text));
      else reject(new Error(`${args[0]} ended with ${code}`));
    });
  });
}
