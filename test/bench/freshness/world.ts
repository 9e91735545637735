/** The simulated week: what clinics do, known to the optimum and hidden from the relay. */
export const dayMs = 86_400_000;
export const slotMs = 1_800_000;
export const playedDays = 7;
/** What a first sweep lists. */
export const historyDays = 30;
export const slots = ((historyDays + playedDays) * dayMs) / slotMs;
/** A Sunday; the week that is played begins 30 days later. */
export const worldFrom = Date.parse('2026-03-01T00:00:00Z');
export const playedFrom = worldFrom + historyDays * dayMs;
export const playedUntil = playedFrom + playedDays * dayMs;

export interface WorldStream {
  readonly clinicId: string;
  readonly category: string;
  /** Expected events in each slot. */
  readonly expected: Float32Array;
  /** Sorted. */
  readonly eventsAt: Float64Array;
  /** How many events came before each slot. */
  readonly before: Uint32Array;
}

const categories = [
  { category: 'patients', share: 0.3, evening: 0.2 },
  { category: 'orders', share: 0.35, evening: 0.7 },
  { category: 'treatment_plans', share: 0.25, evening: 0 },
  { category: 'lab_orders', share: 0.08, evening: 0 },
  { category: 'products', share: 0.019, evening: 0 },
  { category: 'clinic_keys', share: 0.001, evening: 0 },
] as const;

const zones = [-8, -8, -7, -6, -6, -5, -5, -5, -4, -3.5];

/**
 * Clinics that differ in how busy they are (log-normal: the busiest of a thousand has 500
 * times the events of the quietest), where they are, when they open and how they spend
 * Saturdays. What is ordered from home comes in the evening, too.
 *
 * @param random in [0, 1).
 */
export function makeWorld(clinics: number, random: () => number): readonly WorldStream[] {
  const streams: WorldStream[] = [];
  for (let clinic = 0; clinic < clinics; clinic++) {
    const perDay = 8 * Math.exp(1.3 * normal(random));
    const habits = habitsOf(random);
    for (const { category, share, evening } of categories) {
      const mean = perDay * share * Math.exp(0.5 * normal(random) - 0.125);
      streams.push(makeStream(`clinic-${clinic}`, category, mean, evening, habits, random));
    }
  }
  return streams;
}

interface Habits {
  readonly zone: number;
  readonly opens: number;
  readonly closes: number;
  readonly saturday: number;
}

function habitsOf(random: () => number): Habits {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  return {
    zone: pick(zones),
    opens: pick([7.5, 8, 8.5, 9, 10]),
    closes: pick([16, 17, 17.5, 18, 20]),
    saturday: pick([0.05, 0.05, 0.05, 0.5, 0.8]),
  };
}

function makeStream(
  clinicId: string,
  category: string,
  perDay: number,
  evening: number,
  habits: Habits,
  random: () => number,
): WorldStream {
  const expected = new Float32Array(slots);
  const before = new Uint32Array(slots + 1);
  const eventsAt: number[] = [];
  let sum = 0;
  // The mean of a usual week is what `perDay` says.
  for (let slot = 0; slot < 336; slot++) sum += shapeAt(slot, evening, habits);
  for (let slot = 0; slot < slots; slot++) {
    const mean = (shapeAt(slot, evening, habits) * perDay * 7) / sum;
    expected[slot] = mean;
    before[slot] = eventsAt.length;
    const from = worldFrom + slot * slotMs;
    const made = Array.from({ length: poisson(mean, random) }, () => Math.floor(from + random() * slotMs));
    eventsAt.push(...made.sort((a, b) => a - b));
  }
  before[slots] = eventsAt.length;
  return { clinicId, category, expected, eventsAt: Float64Array.from(eventsAt), before };
}

function shapeAt(slot: number, evening: number, { zone, opens, closes, saturday }: Habits): number {
  const local = slot / 2 + zone + 0.25 + 168;
  const hour = local % 24;
  // The world begins on a Sunday.
  const day = Math.floor(local / 24) % 7;
  const dayFactor = day === 0 ? 0.04 : day === 6 ? saturday : 1;
  const isOpen = hour >= opens && hour < (day === 6 ? 13 : closes);
  const office = isOpen ? (hour >= 12 && hour < 13 ? 0.6 : 1) * dayFactor : 0.02;
  const home =
    (hour >= 7 && hour < 23 ? (hour >= 18 ? 1.2 : 0.6) : 0.05) * (day === 0 || day === 6 ? 0.8 : 1);
  return (1 - evening) * office + evening * home;
}

function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

function poisson(mean: number, random: () => number): number {
  let count = 0;
  let passed = -Math.log(1 - random());
  while (passed < mean) {
    count++;
    passed -= Math.log(1 - random());
  }
  return count;
}
