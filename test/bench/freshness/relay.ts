import type { Stream } from '../../../src/domain/clinic.ts';
import { freshSchedule, pressingShare } from '../../../src/source/schedule.ts';
import { isSweepDue } from '../../../src/source/sweep-turn.ts';
import { Delays } from './delays.ts';
import { measuredUntil, type Played, pagesOf, renewEveryMs, sweepPagesOf, type Terms } from './rules.ts';
import { dayMs, monthFrom, monthUntil, slotMs, type WorldStream, worldFrom } from './world.ts';

/** A stream as the relay knows it, and what is hidden from it. */
interface Followed {
  readonly stream: Stream;
  readonly truth: WorldStream;
  nextPollAt: number;
  polledAt: number | null;
  /** The first event that was not yet listed. */
  event: number;
  sweptAt: number;
}

export interface PlayedByRelay extends Played {
  /** The longest time between two polls of a stream. */
  readonly longestSeconds: number;
}

const secondMs = 1_000;
/** When the first round, all due at once, is over. */
const settledAt = monthFrom + 2 * 3_600_000;
const planEveryMs = 300_000;

/**
 * The relay's own schedule on a virtual clock, under the hard limit of the rolling window.
 * It knows what the first list of each stream shows, 30 days, and what it finds itself.
 */
export function playRelay(world: readonly WorldStream[], terms: Terms, random: () => number): PlayedByRelay {
  const schedule = freshSchedule({ ...terms, sweepHours: 24, random });
  const window = new RollingWindow(terms.requestsPerFiveMinutes);
  const delays = new Delays();
  const followed = world.map(followedOf);
  const streams = followed.map(({ stream }) => stream);
  const clinics = new Set(world.map(({ clinicId }) => clinicId)).size;
  /** What is due in each second. */
  const bySecond = new Map<number, Followed[]>();
  let renewals = 0;
  let lists = 0;
  let longestMs = 0;

  const poll = (each: Followed, now: number): void => {
    const { truth, polledAt, stream } = each;
    const slot = Math.floor((now - worldFrom) / slotMs);
    const isSweep = polledAt === null || isSweepDue({ ...stream, sweptAt: each.sweptAt }, 24, now);
    const eventsAt = polledAt === null ? [...truth.eventsAt.subarray(0, each.event)] : [];
    for (let at = truth.eventsAt[each.event]; at !== undefined && at < now; at = truth.eventsAt[each.event]) {
      eventsAt.push(at);
      if (at < measuredUntil) delays.add(now - at);
      window.add(1);
      each.event++;
    }
    const pages = isSweep ? sweepPagesOf(truth, slot) : pagesOf(truth, slot);
    if (isSweep) each.sweptAt = now;
    window.add(pages);
    lists += pagesOf(truth, slot);
    if (polledAt !== null && now > settledAt) longestMs = Math.max(longestMs, now - polledAt);
    schedule.learn(stream, {
      from: polledAt === null ? worldFrom : polledAt - 2 * dayMs,
      until: now,
      eventsAt,
      pages,
      isSweep,
    });
    each.polledAt = now;
    each.nextPollAt = schedule.nextPollAt(stream, now);
    later(each, Math.floor(each.nextPollAt / secondMs));
  };
  const later = (each: Followed, second: number): void => {
    const others = bySecond.get(second);
    if (others === undefined) bySecond.set(second, [each]);
    else others.push(each);
  };

  schedule.due(streams, monthFrom);
  bySecond.set(monthFrom / secondMs, followed);
  for (let second = monthFrom / secondMs; second < monthUntil / secondMs; second++) {
    const now = second * secondMs;
    window.moveTo(second);
    if (now % planEveryMs === 0) schedule.due([...streams], now);
    for (; renewals < ((now - monthFrom) / renewEveryMs) * clinics; renewals++) window.add(1);
    const due = inTurn(bySecond.get(second) ?? [], terms, now);
    bySecond.delete(second);
    // Whoever waited for room goes first: `later` put it there before.
    let index = 0;
    for (; index < due.length && window.hasRoom; index++) {
      const each = due[index] as Followed;
      poll(each, Math.max(each.nextPollAt, now));
    }
    const waiting = due.slice(index);
    if (waiting.length > 0) bySecond.set(second + 1, [...waiting, ...(bySecond.get(second + 1) ?? [])]);
  }
  return { delays, lists, longestSeconds: longestMs / 1000 };
}

/** As the schedule orders what is due: who reached the ceiling first, then as they came. */
function inTurn(due: readonly Followed[], { pollSecondsMax }: Terms, now: number): readonly Followed[] {
  const isPressing = ({ polledAt }: Followed) =>
    now - (polledAt ?? now) >= pollSecondsMax * secondMs * pressingShare;
  return [...due.filter(isPressing), ...due.filter((each) => !isPressing(each))];
}

function followedOf(truth: WorldStream): Followed {
  const { clinicId, category, eventsAt } = truth;
  const stream: Stream = {
    clinicId,
    category,
    startAt: monthFrom,
    cursor: null,
    polledAt: null,
    sweptAt: null,
    nextPollAt: monthFrom,
    failedInRow: 0,
    problem: null,
    isOff: false,
    recorded: 0,
    newestEventAt: null,
  };
  const first = eventsAt.findIndex((at) => at >= monthFrom);
  const event = first === -1 ? eventsAt.length : first;
  return { stream, truth, nextPollAt: monthFrom, polledAt: null, event, sweptAt: monthFrom };
}

const secondsOfWindow = 300;

/** The vendor's limit, to the second. */
class RollingWindow {
  readonly #limit: number;
  readonly #bySecond = new Uint32Array(secondsOfWindow);
  #taken = 0;
  #second = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get hasRoom(): boolean {
    return this.#taken < this.#limit;
  }

  add(requests: number): void {
    const index = this.#second % secondsOfWindow;
    this.#bySecond[index] = (this.#bySecond[index] ?? 0) + requests;
    this.#taken += requests;
  }

  /** One second after the other. */
  moveTo(second: number): void {
    this.#second = second;
    this.#taken -= this.#bySecond[second % secondsOfWindow] ?? 0;
    this.#bySecond[second % secondsOfWindow] = 0;
  }
}
