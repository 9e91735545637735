import type { Stream, StreamKey } from '../domain/clinic.ts';
import { levelAt } from './poll-level.ts';
import { type Listed, type RateEstimate, RateEstimates } from './rate-estimate.ts';
import { slotMs } from './weekly-counts.ts';

/** Decides when each stream is polled, and which goes first when several are due. */
export interface Schedule {
  /** @param streams all that are polled from now on. @returns the due ones: those at the ceiling, then the longest due first. */
  due(streams: readonly Stream[], now: number): readonly Stream[];
  /** What a poll that went through to the last page has shown. */
  learn(stream: StreamKey, seen: Seen): void;
  /** @param stream as it was before the poll that has just gone well. */
  nextPollAt(stream: Pick<Stream, keyof StreamKey | PollHistory>, now: number): number;
  /** After a failure: further and further apart, and never further than the longest interval. */
  retryAt(stream: Pick<Stream, 'failedInRow'>, now: number): number;
  /** `null` while the budget lets every stream be polled every `pollSecondsMax`. */
  shortfall(now: number): Shortfall | null;
}

type PollHistory = 'polledAt' | 'nextPollAt' | 'failedInRow';

export interface Seen extends Listed {
  /** Requests that the reading took. */
  readonly pages: number;
  readonly isSweep: boolean;
}

/** The budget is too small for `pollSecondsMax`. Either of these would be enough by itself; the second is kept meanwhile. */
export interface Shortfall {
  readonly requestsPerFiveMinutes: number;
  readonly pollSecondsMax: number;
}

export interface ScheduleOptions {
  readonly requestsPerFiveMinutes: number;
  readonly pollSecondsMin: number;
  readonly pollSecondsMax: number;
  readonly sweepHours: number;
}

const fiveMinutesMs = 300_000;
/** Of the budget: for audits, and for what nobody foresaw. */
const spareShare = 0.03;
/** Details, refreshes and sweeps get what they are expected to take, and lists never less than this share. */
const leastShareOfLists = 0.4;
/** Access tokens live two hours; one is renewed somewhat earlier. Source: Fullscript, "Access tokens". */
const renewEveryMs = 110 * 60_000;
const offRetryMs = 3_600_000;
/** Each poll comes up to this share of its interval early, when less is planned there. */
const spreadShare = 0.01;
/** A poll that is the first, or was late, stands where too much is due at once, and looks for a place this far. */
const wideSpreadShare = 0.5;
/** A poll is late from so much after its moment on, or from this share of the ceiling, whichever is more. */
const lateMs = 10_000;
const lateShare = 1 / 90;
/** What is planned is counted by stretches of this length. */
const stretchMs = 5_000;
const placesMax = 64;
/** Nothing waits longer: `pollSecondsMax` is a day at most, and a category that is off is tried hourly. */
const longestWaitMs = 86_400_000;
/** The plan is made anew so often, and when the number of streams has changed by this share. */
const planLastsMs = 2 * fiveMinutesMs;
const planChangeShare = 0.02;

interface Planned {
  readonly rate: RateEstimate;
  /** Requests that one poll takes, and that a sweep takes. */
  pages: number;
  sweepPages: number;
}

interface Plan {
  readonly madeAt: number;
  readonly streams: number;
  /** The level of this half hour, and of the next one and those after it. */
  readonly levels: readonly [number, number];
  /** The ceiling: `pollSecondsMax`, or what the budget can bear. */
  readonly longestMs: number;
  readonly shortfall: Shortfall | null;
  /** Requests that the coming polls of all streams will take, by stretch. */
  readonly ahead: Map<number, number>;
}

/**
 * Polls where the most is to be found. With a given budget the mean delay is least when
 * each stream is polled as soon as its age is `level × √(pages / rate)`, with the one
 * level for all at which they together take just what the budget gives; within floor and
 * ceiling. Where the rate changes, each half hour adds its share of its own interval.
 *
 * Within the last hundredth of its interval a poll takes the moment at which the least is
 * planned: what is spread evenly seldom finds the window full, so little of the budget
 * need be kept free and little of the ceiling kept for waiting.
 *
 * What is expected of the streams changes slowly, so the level is planned for ten
 * minutes; a poll then costs the same however many streams there are.
 *
 * Source: Cho & Garcia-Molina, "Effective page refresh policies for Web crawlers" (2003).
 */
export function freshSchedule(options: ScheduleOptions): Schedule {
  const { requestsPerFiveMinutes, sweepHours } = options;
  const minMs = options.pollSecondsMin * 1000;
  const maxMs = options.pollSecondsMax * 1000;
  const pressingShare = pressingShareOf(requestsPerFiveMinutes);
  const estimates = new RateEstimates();
  let followed: readonly Stream[] = [];
  let known = new Map<string, Planned>();
  let plan: Plan | null = null;

  const plannedOf = (key: StreamKey): Planned => {
    const name = nameOf(key);
    let stream = known.get(name);
    if (stream === undefined) {
      stream = { rate: estimates.of(key), pages: 1, sweepPages: 1 };
      known.set(name, stream);
    }
    return stream;
  };

  const makePlan = (now: number): Plan => {
    const streams = followed.map((stream) => ({ stream, planned: plannedOf(stream) }));
    // What is followed no longer is forgotten.
    known = new Map(streams.map(({ stream, planned }) => [nameOf(stream), planned]));
    const polled = streams.filter(({ stream }) => !stream.isOff).map(({ planned }) => planned);
    const pages = Float64Array.from(polled, (stream) => stream.pages);
    const slot = Math.floor(now / slotMs);
    const [thisHalfHour, nextHalfHour] = [slot, slot + 1].map((each) =>
      Float64Array.from(polled, ({ rate }) => rate.at((each + 0.5) * slotMs)),
    ) as [Float64Array, Float64Array];
    // Per millisecond: what there is, and what goes to everything but the lists of streams that are not off.
    const budget = requestsPerFiveMinutes / fiveMinutesMs;
    const sweeps =
      sum(polled.map((each) => Math.max(0, each.sweepPages - each.pages))) / (sweepHours * 3_600_000);
    const renewals = new Set(followed.map(({ clinicId }) => clinicId)).size / renewEveryMs;
    const off = (followed.length - polled.length) / offRetryMs;
    const othersWith = (rates: Float64Array) => off + sweeps + renewals + sum(rates);
    const listsWith = (rates: Float64Array) =>
      Math.max(budget * (1 - spareShare) - othersWith(rates), budget * leastShareOfLists);
    const round = sum(pages);
    const longestMs = Math.max(maxMs, round / listsWith(thisHalfHour));
    const neededPerMs = (round / maxMs + othersWith(thisHalfHour)) / (1 - spareShare);
    const levelOf = (rates: Float64Array) =>
      levelAt({
        roots: rates.map((rate, index) => Math.sqrt((pages[index] as number) / rate)),
        pages,
        perMs: listsWith(rates),
        minMs,
        maxMs: longestMs * pressingShare,
      });
    const ahead = new Map<number, number>();
    for (const { stream, planned } of streams) addAhead(ahead, stream.nextPollAt, planned.pages);
    return {
      madeAt: now,
      streams: followed.length,
      levels: [levelOf(thisHalfHour), levelOf(nextHalfHour)],
      longestMs,
      shortfall:
        longestMs === maxMs
          ? null
          : {
              requestsPerFiveMinutes: Math.ceil(neededPerMs * fiveMinutesMs),
              pollSecondsMax: Math.ceil(longestMs / 1000),
            },
      ahead,
    };
  };
  const planAt = (now: number): Plan => {
    const isStale =
      plan === null ||
      Math.abs(now - plan.madeAt) >= planLastsMs ||
      Math.abs(followed.length - plan.streams) > plan.streams * planChangeShare;
    if (plan === null || isStale) plan = makePlan(now);
    return plan;
  };

  /** When a stream's age reaches this share of its interval. */
  const dueAt = (
    { levels, longestMs, madeAt }: Plan,
    stream: Planned,
    share: number,
    now: number,
  ): number => {
    const latest = now + longestMs * pressingShare * share;
    const planSlot = Math.floor(madeAt / slotMs);
    let left = share;
    for (let at = now; at < latest; ) {
      const slot = Math.floor(at / slotMs);
      const until = Math.min((slot + 1) * slotMs, latest);
      const level = levels[slot === planSlot ? 0 : 1];
      const intervalMs = level * Math.sqrt(stream.pages / stream.rate.at(at));
      const passed = (until - at) / intervalMs;
      if (passed >= left) return Math.max(now + minMs, at + left * intervalMs);
      left -= passed;
      at = until;
    }
    return Math.max(now + minMs, latest);
  };

  /** Where the least is planned, the latest of several. */
  const calmest = ({ ahead }: Plan, from: number, until: number): number => {
    const stepMs = Math.max(stretchMs, (until - from) / placesMax);
    let calmestAt = until;
    let least = Number.POSITIVE_INFINITY;
    for (let at = until; at >= from && least > 0; at -= stepMs) {
      const requests = ahead.get(Math.floor(at / stretchMs)) ?? 0;
      if (requests < least) [calmestAt, least] = [at, requests];
    }
    return calmestAt;
  };

  return {
    due(streams, now) {
      followed = streams;
      const { longestMs } = planAt(now);
      // A moment that no interval can have given was written under a clock that was ahead.
      const furthestAt = now + Math.max(longestMs, longestWaitMs);
      const pressing: Stream[] = [];
      const others: Stream[] = [];
      // Asked at every poll, about every stream: one pass, in which most are not due.
      for (const stream of streams) {
        const { nextPollAt, polledAt, failedInRow, isOff } = stream;
        if (nextPollAt > now && nextPollAt <= furthestAt) continue;
        // What fails or is off has waits of its own, and must not hold up what can be read.
        const isPressing =
          failedInRow === 0 && !isOff && now - (polledAt ?? now) >= longestMs * pressingShare;
        (isPressing ? pressing : others).push(stream);
      }
      const byTurn = (a: Stream, b: Stream) => a.nextPollAt - b.nextPollAt;
      return [...pressing.sort(byTurn), ...others.sort(byTurn)];
    },
    learn(key, { pages, isSweep, ...listed }) {
      const stream = plannedOf(key);
      stream.rate.learn(listed);
      if (isSweep) stream.sweepPages = pages;
      else stream.pages = pages;
    },
    nextPollAt({ polledAt, nextPollAt, failedInRow, ...key }, now) {
      const plan = planAt(now);
      const stream = plannedOf(key);
      const isLate = now - nextPollAt >= Math.max(lateMs, plan.longestMs * lateShare);
      const isInStep = polledAt !== null && failedInRow === 0 && !isLate;
      const earliest = dueAt(plan, stream, 1 - (isInStep ? spreadShare : wideSpreadShare), now);
      const at = Math.round(calmest(plan, earliest, dueAt(plan, stream, 1, now)));
      addAhead(plan.ahead, at, stream.pages);
      return at;
    },
    retryAt({ failedInRow }, now) {
      return now + Math.min(minMs * 2 ** Math.min(failedInRow, 16), maxMs);
    },
    shortfall: (now) => planAt(now).shortfall,
  };
}

/**
 * Of the ceiling: who reaches it goes before all others, and has the rest of it to wait
 * for its turn. What nobody foresaw is the more of a budget, the smaller that is.
 */
export function pressingShareOf(requestsPerFiveMinutes: number): number {
  return 1 - Math.min(0.1, 0.7 / Math.sqrt(requestsPerFiveMinutes));
}

function nameOf({ clinicId, category }: StreamKey): string {
  return `${category} ${clinicId}`;
}

function addAhead(ahead: Map<number, number>, at: number, requests: number): void {
  const stretch = Math.floor(at / stretchMs);
  ahead.set(stretch, (ahead.get(stretch) ?? 0) + requests);
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const each of numbers) total += each;
  return total;
}
