import { seededRandom } from '../../src/sandbox/random.ts';
import type { Bench, BenchResult } from './bench.ts';
import { measureCost } from './freshness/cost.ts';
import { playRelay } from './freshness/relay.ts';
import { leftForPolls, type Played, playOptimum, playSteady, type Terms } from './freshness/rules.ts';
import { makeWorld } from './freshness/world.ts';

const clinics = 1_000;
/** One: a second takes as long again. */
const seed = 1;
const settings: readonly { readonly name: string; readonly terms: Terms }[] = [
  {
    name: 'default: 2,500 requests, 30 to 900 s',
    terms: { requestsPerFiveMinutes: 2_500, pollSecondsMin: 30, pollSecondsMax: 900 },
  },
  {
    name: 'scarce: 1,250 requests, 30 to 3,600 s',
    terms: { requestsPerFiveMinutes: 1_250, pollSecondsMin: 30, pollSecondsMax: 3_600 },
  },
];

/** The schedule against fixed intervals, and against the optimum that knows what it has to learn. */
export const bench: Bench = {
  name: 'freshness',
  about: `seconds from an event to its detection, a simulated week (seed ${seed}) of ${clinics} unequal clinics, six categories each`,
  async run(): Promise<BenchResult> {
    const rows: Record<string, string | number>[] = [];
    const claims: BenchResult['claims'][number][] = [];
    const random = seededRandom(seed);
    const draw = () => random.next();
    const world = makeWorld(clinics, draw);
    for (const { name, terms } of settings) {
      const relay = playRelay(world, terms);
      const planned = leftForPolls(world, terms);
      // The others get as many list requests as the relay took: a few more shorten the delay much.
      const share = relay.lists / playOptimum(world, planned, terms, draw).lists;
      const left = planned.map((perMs) => perMs * share);
      const optimum = playOptimum(world, left, terms, draw);
      const played: Readonly<Record<string, Played>> = {
        'fixed interval': playSteady(world, left, terms, () => 1, draw),
        'proportional to the rate': playSteady(world, left, terms, (rate) => 1 / rate, draw),
        relay,
        'optimum, rates known': optimum,
      };
      for (const [rule, each] of Object.entries(played)) rows.push(rowOf({ name, rule, optimum }, each));
      claims.push(
        {
          what: `${name}: mean delay against the optimum with as many requests`,
          measured: relay.delays.meanSeconds / optimum.delays.meanSeconds,
          atMost: 1.05,
        },
        {
          what: `${name}: longest time between two polls of a stream, against pollSecondsMax`,
          measured: relay.longestSeconds / terms.pollSecondsMax,
          atMost: 1,
        },
      );
    }
    const cost = measureCost(10_000);
    claims.push(
      {
        what: 'share of a core that scheduling 10,000 clinics takes',
        measured: cost.shareOfCore,
        atMost: 0.05,
      },
      { what: 'memory that the schedule of 10,000 clinics holds, MB', measured: cost.megabytes, atMost: 200 },
    );
    return { rows, claims };
  },
};

function rowOf(
  { name, rule, optimum }: { name: string; rule: string; optimum: Played },
  { delays, lists }: Played,
): Record<string, string | number> {
  return {
    setting: name,
    rule,
    'mean, s': Number(delays.meanSeconds.toFixed(1)),
    p50: delays.quantileSeconds(0.5),
    p95: delays.quantileSeconds(0.95),
    p99: delays.quantileSeconds(0.99),
    worst: Math.ceil(delays.worstSeconds),
    'against the optimum': Number((delays.meanSeconds / optimum.delays.meanSeconds).toFixed(3)),
    'its lists': Number((lists / optimum.lists).toFixed(3)),
  };
}
