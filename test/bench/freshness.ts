import { seededRandom } from '../../src/sandbox/random.ts';
import type { Bench, BenchResult } from './bench.ts';
import { measureCost } from './freshness/cost.ts';
import { playRelay } from './freshness/relay.ts';
import { leftForPolls, type Played, playOptimum, playSteady, type Terms } from './freshness/rules.ts';
import { makeWorld } from './freshness/world.ts';

/** A fifth of a thousand, with a fifth of the requests: who learns from fewer clinics learns less, so the claim is the harder one. */
const clinics = 200;
const seeds = [1, 2];
const settings: readonly { readonly name: string; readonly terms: Terms }[] = [
  {
    name: 'default: 500 requests (2,500 for 1,000 clinics), 30 to 900 s',
    terms: { requestsPerFiveMinutes: 500, pollSecondsMin: 30, pollSecondsMax: 900 },
  },
  {
    name: 'scarce: 250 requests, 30 to 3,600 s',
    terms: { requestsPerFiveMinutes: 250, pollSecondsMin: 30, pollSecondsMax: 3_600 },
  },
];

/** The schedule against fixed intervals, and against the optimum that knows what it has to learn. */
export const bench: Bench = {
  name: 'freshness',
  about: `seconds from an event to its detection, a simulated month of ${clinics} unequal clinics, six categories each`,
  async run(): Promise<BenchResult> {
    const rows: Record<string, string | number>[] = [];
    const claims: BenchResult['claims'][number][] = [];
    for (const seed of seeds) {
      const random = seededRandom(seed);
      const draw = () => random.next();
      const world = makeWorld(clinics, draw);
      for (const { name, terms } of settings) {
        const left = leftForPolls(world, terms);
        const optimum = playOptimum(world, left, terms, draw);
        const relay = playRelay(world, terms, draw);
        const played: Readonly<Record<string, Played>> = {
          'fixed interval': playSteady(world, left, terms, () => 1, draw),
          'proportional to the rate': playSteady(world, left, terms, (rate) => 1 / rate, draw),
          relay,
          'optimum, rates known': optimum,
        };
        const best = optimum.delays.meanSeconds;
        for (const [rule, each] of Object.entries(played)) rows.push(rowOf({ name, seed, rule, best }, each));
        claims.push(
          {
            what: `${name}, seed ${seed}: mean delay against the optimum`,
            measured: relay.delays.meanSeconds / best,
            atMost: 1.05,
          },
          {
            what: `${name}, seed ${seed}: requests for lists against the optimum`,
            measured: relay.lists / optimum.lists,
            atMost: 1.01,
          },
        );
      }
    }
    const cost = measureCost(10_000);
    claims.push(
      {
        what: 'share of a core that scheduling 10,000 clinics takes',
        measured: cost.shareOfCore,
        atMost: 0.05,
      },
      { what: 'memory that scheduling 10,000 clinics takes, MB', measured: cost.megabytes, atMost: 200 },
    );
    return { rows, claims };
  },
};

function rowOf(
  { name, seed, rule, best }: { name: string; seed: number; rule: string; best: number },
  { delays }: Played,
): Record<string, string | number> {
  return {
    setting: name,
    seed,
    rule,
    'mean, s': Number(delays.meanSeconds.toFixed(1)),
    p50: delays.quantileSeconds(0.5),
    p95: delays.quantileSeconds(0.95),
    p99: delays.quantileSeconds(0.99),
    worst: Math.ceil(delays.worstSeconds),
    'against the optimum': Number((delays.meanSeconds / best).toFixed(3)),
  };
}
