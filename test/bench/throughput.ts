import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { builtProgram, run } from '../world/process.ts';
import type { Bench, BenchResult } from './bench.ts';
import type { Measured } from './throughput/program.ts';

/** What each makes in one round, so that none of them lasts much longer than the others. */
const perRound = { relay: 3_000, bare: 4_000, got: 1_500, lowdb: 150 } as const;
type Kind = keyof typeof perRound;
const kinds = Object.keys(perRound) as Kind[];
/** Until what is called often is compiled, which takes the one with the most code the longest. */
const warmUpRounds = 6;
const rounds = 15;
const idleDeliveries = 300;

const names: Readonly<Record<Kind, string>> = {
  relay: 'relay, file store, every record synced',
  bare: 'bare loop of the same client',
  got: 'bare loop of got',
  lowdb: 'got, and a log in lowdb',
};

/** How fast what was recorded is delivered, against loops that keep less or nothing. */
export const bench: Bench = {
  name: 'throughput',
  about: `deliveries a second, 64 at once, one sink in another process; medians of ${rounds} interleaved rounds after ${warmUpRounds} to warm up`,
  async run(): Promise<BenchResult> {
    const program = await builtProgram('../bench/throughput/program.ts');
    const sinkProgram = await builtProgram('../bench/sink/program.ts');
    const folder = await mkdtemp(join(tmpdir(), 'relay-bench-throughput-'));
    const sink = run(sinkProgram.path, []);
    const children: ChildProcess[] = [];
    try {
      const port = (await sink.line('port ')).slice('port '.length);
      const contender = async (kind: string) => {
        const child = fork(program.path, [kind, join(folder, kind), port]);
        children.push(child);
        await answerOf(child);
        return (count: number) => {
          const answer = answerOf(child) as Promise<Measured>;
          child.send(count);
          return answer;
        };
      };
      const contenders = new Map<Kind, (count: number) => Promise<Measured>>();
      for (const kind of kinds) contenders.set(kind, await contender(kind));

      const measured = new Map<Kind, Measured[]>(kinds.map((kind) => [kind, []]));
      for (let round = -warmUpRounds; round < rounds; round++) {
        // Whoever goes first changes, so that nobody always has the quieter moment.
        const order = kinds.map((_, n) => kinds[(n + round + warmUpRounds) % kinds.length] as Kind);
        for (const kind of order) {
          const result = await contenders.get(kind)?.(perRound[kind]);
          if (result && round >= 0) measured.get(kind)?.push(result);
        }
      }
      const idle = await contender('idle');
      await idle(50);
      const { firstByteMs = [] } = await idle(idleDeliveries);
      return resultOf(measured, firstByteMs);
    } finally {
      for (const child of children) child.kill();
      sink.child.kill();
      await sink.ended;
      await rm(folder, { recursive: true });
      await program.discard();
      await sinkProgram.discard();
    }
  },
};

function resultOf(
  measured: ReadonlyMap<Kind, readonly Measured[]>,
  firstByteMs: readonly number[],
): BenchResult {
  const of = (kind: Kind) => measured.get(kind) ?? [];
  const perSecond = (kind: Kind) => of(kind).map(({ seconds }) => perRound[kind] / seconds);
  const ratioTo = (kind: Kind) => {
    const others = perSecond(kind);
    return median(perSecond('relay').map((own, round) => own / (others[round] ?? 1)));
  };
  const delays = [...firstByteMs].sort((a, b) => a - b);
  const rows = kinds.map((kind) => ({
    what: names[kind],
    'deliveries/s': Math.round(median(perSecond(kind))),
    'CPU of the sender, µs each': Math.round(
      median(of(kind).map(({ cpuSeconds }) => (cpuSeconds / perRound[kind]) * 1_000_000)),
    ),
    'relay against it': kind === 'relay' ? '' : ratioTo(kind).toFixed(2),
  }));
  const withRecording = of('relay').map(({ withRecordingSeconds }) => perRound.relay / withRecordingSeconds);
  return {
    rows: [
      ...rows,
      { what: 'relay, recording of the events included', 'deliveries/s': Math.round(median(withRecording)) },
      { what: `load of the machine meanwhile: ${loadavg()[0]?.toFixed(1)}` },
    ],
    claims: [
      { what: 'deliveries/s against the same client’s bare loop', measured: ratioTo('bare'), atLeast: 0.7 },
      { what: 'deliveries/s against got’s bare loop', measured: ratioTo('got'), atLeast: 2 },
      {
        what: `p99 of ${delays.length} from recorded to first byte when idle, ms`,
        measured: delays[Math.floor(delays.length * 0.99)] ?? Number.NaN,
        atMost: 20,
      },
    ],
  };
}

async function answerOf(child: ChildProcess): Promise<unknown> {
  const gone = new AbortController();
  const ended = once(child, 'exit', { signal: gone.signal }).then(([code]) => {
    throw new Error(`a contender ended with ${code}`);
  });
  try {
    const [answer] = await Promise.race([once(child, 'message', { signal: gone.signal }), ended]);
    return answer;
  } finally {
    gone.abort();
    ended.catch(() => {});
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
