import { Delays } from './delays.ts';
import {
  dayMs,
  historyDays,
  playedFrom,
  playedUntil,
  slotMs,
  slots,
  type WorldStream,
  worldFrom,
} from './world.ts';

export interface Terms {
  readonly requestsPerFiveMinutes: number;
  readonly pollSecondsMin: number;
  readonly pollSecondsMax: number;
}

export interface Played {
  readonly delays: Delays;
  /** Requests that lists took, sweeps left out. */
  readonly lists: number;
}

/** Kept free by every rule, as the relay does for its audits. */
const spareShare = 0.03;
const fiveMinutesMs = 300_000;
/** Events of the first and the last hours are left out: at first all is due at once, and at last not every rule would have seen them. */
export const measuredFrom = playedFrom + 7_200_000;
export const measuredUntil = playedUntil - 10_800_000;
const firstSlot = (historyDays * dayMs) / slotMs;
const overlapSlots = (3 * dayMs) / slotMs;
export const renewEveryMs = 110 * 60_000;

/** Requests that one poll takes: the list reaches three days back. */
export function pagesOf({ before }: WorldStream, slot: number): number {
  const listed = (before[slot] ?? 0) - (before[Math.max(0, slot - overlapSlots)] ?? 0);
  return Math.max(1, Math.ceil(listed / 100));
}

/** Pages of a sweep of 30 days. */
export function sweepPagesOf({ before }: WorldStream, slot: number): number {
  const listed = (before[slot] ?? 0) - (before[Math.max(0, slot - 1440)] ?? 0);
  return Math.max(1, Math.ceil(listed / 100));
}

/** Requests per millisecond that are left for polls in each slot, what else there will be known beforehand. */
export function leftForPolls(world: readonly WorldStream[], { requestsPerFiveMinutes }: Terms): Float64Array {
  const left = new Float64Array(slots);
  const clinics = new Set(world.map(({ clinicId }) => clinicId)).size;
  for (let slot = firstSlot; slot < slots; slot++) {
    let others = (clinics * slotMs) / renewEveryMs;
    for (const stream of world) {
      others += (stream.before[slot + 1] ?? 0) - (stream.before[slot] ?? 0);
      others += (sweepPagesOf(stream, slot) - pagesOf(stream, slot)) / 48;
    }
    left[slot] = (requestsPerFiveMinutes * (1 - spareShare)) / fiveMinutesMs - others / slotMs;
  }
  return left;
}

/** The factor by which weights become intervals, so that together they take `perMs` under floor and ceiling. */
function levelFor(weights: Float64Array, pages: Float64Array, perMs: number, terms: Terms): number {
  const taken = (level: number): number => {
    let total = 0;
    for (let index = 0; index < weights.length; index++) {
      total += (pages[index] ?? 0) / clamped(level * (weights[index] ?? 0), terms);
    }
    return total;
  };
  let low = 1e-9;
  let high = 1e15;
  while (high / low > 1.0001) {
    const level = Math.sqrt(low * high);
    if (taken(level) > perMs) low = level;
    else high = level;
  }
  return high;
}

function clamped(intervalMs: number, { pollSecondsMin, pollSecondsMax }: Terms): number {
  return Math.min(pollSecondsMax * 1000, Math.max(pollSecondsMin * 1000, intervalMs));
}

/** Each stream at an interval of its own all week, from its true mean rate: `weigh` makes an interval of it. */
export function playSteady(
  world: readonly WorldStream[],
  left: Float64Array,
  terms: Terms,
  weigh: (perSlot: number) => number,
  random: () => number,
): Played {
  const days = slots - firstSlot;
  const weights = new Float64Array(world.length);
  const pages = new Float64Array(world.length);
  world.forEach((stream, index) => {
    let events = 0;
    for (let slot = firstSlot; slot < slots; slot++) {
      events += (stream.expected[slot] ?? 0) / days;
      pages[index] = (pages[index] ?? 0) + pagesOf(stream, slot) / days;
    }
    weights[index] = weigh(events);
  });
  const leftInMean = left.reduce((total, each) => total + each, 0) / days;
  const level = levelFor(weights, pages, leftInMean, terms);
  return play(world, random, (_stream, index, from, phase) => {
    return from + phase * clamped(level * (weights[index] ?? 0), terms);
  });
}

/**
 * The optimum: the square-root rule with the true rate of every half hour, and each half
 * hour's budget filled to the brim. Each stream is polled when the events that wait there,
 * by the true rates, have reached what its interval would bring, within floor and ceiling.
 */
export function playOptimum(
  world: readonly WorldStream[],
  left: Float64Array,
  terms: Terms,
  random: () => number,
): Played {
  const levels = new Float64Array(slots);
  for (let slot = firstSlot; slot < slots; slot++) {
    const pages = Float64Array.from(world, (stream) => pagesOf(stream, slot));
    const weights = Float64Array.from(world, ({ expected }, index) =>
      Math.sqrt(((pages[index] ?? 1) / Math.max(expected[slot] ?? 0, 1e-9)) * slotMs),
    );
    levels[slot] = levelFor(weights, pages, left[slot] ?? 0, terms);
  }
  const minMs = terms.pollSecondsMin * 1000;
  const maxMs = terms.pollSecondsMax * 1000;
  return play(world, random, (stream, _index, from, phase) => {
    const earliest = from + minMs * phase;
    const latest = Math.min(from + maxMs * phase, playedUntil);
    let waiting = 0;
    for (let at = from; at < latest; ) {
      const slot = Math.floor((at - worldFrom) / slotMs);
      const until = Math.min(worldFrom + (slot + 1) * slotMs, latest);
      const perMs = (stream.expected[slot] ?? 0) / slotMs;
      const enough = phase * (levels[slot] ?? 0) * Math.sqrt(pagesOf(stream, slot) * perMs);
      const more = perMs * (until - at);
      if (perMs > 0 && waiting + more >= enough) {
        return Math.max(earliest, at + Math.max(0, (enough - waiting) / perMs));
      }
      waiting += more;
      at = until;
    }
    return Math.max(earliest, latest);
  });
}

/** @param next when a stream that was polled at `from` is polled again; the first time after a `phase` of an interval. */
function play(
  world: readonly WorldStream[],
  random: () => number,
  next: (stream: WorldStream, index: number, from: number, phase: number) => number,
): Played {
  const delays = new Delays();
  let lists = 0;
  world.forEach((stream, index) => {
    const { eventsAt } = stream;
    let event = eventsAt.findIndex((at) => at >= playedFrom);
    if (event === -1) event = eventsAt.length;
    let at = next(stream, index, playedFrom, random());
    for (; at < playedUntil; at = next(stream, index, at, 1)) {
      lists += pagesOf(stream, Math.floor((at - worldFrom) / slotMs));
      for (; (eventsAt[event] ?? Number.POSITIVE_INFINITY) < at; event++) {
        const createdAt = eventsAt[event] ?? 0;
        if (createdAt >= measuredFrom && createdAt < measuredUntil) delays.add(at - createdAt);
      }
    }
  });
  return { delays, lists };
}
