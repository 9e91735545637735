import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Stream } from '../../../src/domain/clinic.ts';
import { seededRandom } from '../../../src/sandbox/random.ts';
import { freshSchedule } from '../../../src/source/schedule.ts';

const categories = ['patients', 'orders', 'treatment_plans', 'lab_orders', 'products', 'clinic_keys'];
const dayMs = 86_400_000;
const from = Date.parse('2026-03-31T00:00:00Z');
/** The vendor's whole limit. */
const requestsPerFiveMinutes = 5_000;
const measuredSeconds = 3_600;

/**
 * What the schedule alone costs: an hour in which it looks every second for what is due,
 * at the most polls that the vendor allows, every tenth of which finds something.
 */
export function measureCost(clinics: number): { readonly shareOfCore: number; readonly megabytes: number } {
  const random = seededRandom(1);
  const memoryBefore = memoryInUse();
  const streams = streamsOf(clinics);
  const streamsTake = memoryInUse() - memoryBefore;
  const schedule = freshSchedule({
    requestsPerFiveMinutes,
    pollSecondsMin: 30,
    pollSecondsMax: 900,
    sweepHours: 24,
  });
  for (const stream of streams) {
    const eventsAt = Array.from({ length: random.int(0, 100) }, () => from - random.next() * 30 * dayMs);
    schedule.learn(stream, { from: from - 30 * dayMs, until: from, eventsAt, pages: 1, isSweep: false });
  }
  const cpuBefore = process.cpuUsage();
  const pollsPerSecond = Math.floor(requestsPerFiveMinutes / 300);
  for (let second = 1; second <= measuredSeconds; second++) {
    const now = from + second * 1_000;
    for (const stream of schedule.due(streams, now).slice(0, pollsPerSecond)) {
      const eventsAt = random.int(1, 10) === 1 ? [now - 1] : [];
      schedule.learn(stream, { from: now - 2 * dayMs, until: now, eventsAt, pages: 1, isSweep: false });
      (stream as Changing).nextPollAt = schedule.nextPollAt(stream, now);
    }
  }
  const { user, system } = process.cpuUsage(cpuBefore);
  const took = memoryInUse() - memoryBefore - streamsTake;
  // The schedule has to live until here, or it would be collected before it is measured.
  if (schedule.shortfall(from) === undefined) throw new Error('The schedule said nothing.');
  return { shareOfCore: (user + system) / 1e6 / measuredSeconds, megabytes: took / 2 ** 20 };
}

/** In bytes, without what is garbage already: when that is collected depends on what ran before. */
function memoryInUse(): number {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect === 'function') collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

type Changing = { -readonly [Field in keyof Stream]: Stream[Field] };

function streamsOf(clinics: number): Changing[] {
  return Array.from({ length: clinics * categories.length }, (_, index) => ({
    clinicId: `clinic-${Math.floor(index / categories.length)}`,
    category: categories[index % categories.length] as string,
    startAt: from,
    cursor: null,
    polledAt: null,
    sweptAt: null,
    nextPollAt: from + Math.floor((index / clinics / categories.length) * 900_000),
    failedInRow: 0,
    problem: null,
    isOff: false,
    recorded: 0,
    newestEventAt: null,
  }));
}
