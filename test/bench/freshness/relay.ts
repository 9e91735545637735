import type { Stream } from '../../../src/domain/clinic.ts';
import { freshSchedule, pressingShareOf } from '../../../src/source/schedule.ts';
import { isSweepDue } from '../../../src/source/sweep-turn.ts';
import { Delays } from './delays.ts';
import {
  measuredFrom,
  measuredUntil,
  type Played,
  pagesOf,
  renewEveryMs,
  sweepPagesOf,
  type Terms,
} from './rules.ts';
import { dayMs, playedFrom, playedUntil, slotMs, type WorldStream, worldFrom } from './world.ts';

/** A stream as the relay knows it, and what is hidden from it. */
interface Followed {
  readonly stream: { -readonly [Field in keyof Stream]: Stream[Field] };
  readonly truth: WorldStream;
  /** The first event that was not yet listed. */
  event: number;
}

export interface PlayedByRelay extends Played {
  /** The longest time between two polls of a stream. */
  readonly longestSeconds: number;
}

const secondMs = 1_000;
const planEveryMs = 300_000;

/**
 * The relay's own schedule on a virtual clock, under the hard limit of the rolling window.
 * It knows what the first list of each stream shows, 30 days, and what it finds itself.
 */
export function playRelay(world: readonly WorldStream[], terms: Terms): PlayedByRelay {
  const schedule = freshSchedule({ ...terms, sweepHours: 24 });
  const window = new RollingWindow(terms.requestsPerFiveMinutes);
  const delays = new Delays();
  const followed = world.map(followedOf);
  const streams = followed.map(({ stream }) => stream);
  const clinics = new Set(world.map(({ clinicId }) => clinicId)).size;
  const turns = new Turns(terms.pollSecondsMax * secondMs * pressingShareOf(terms.requestsPerFiveMinutes));
  let renewals = 0;
  let lists = 0;
  let longestMs = 0;

  const poll = (each: Followed, now: number): void => {
    const { truth, stream } = each;
    const { polledAt } = stream;
    const slot = Math.floor((now - worldFrom) / slotMs);
    const isSweep = isSweepDue(stream, 24, now);
    const eventsAt = polledAt === null ? [...truth.eventsAt.subarray(0, each.event)] : [];
    for (let at = truth.eventsAt[each.event]; at !== undefined && at < now; at = truth.eventsAt[each.event]) {
      eventsAt.push(at);
      if (at >= measuredFrom && at < measuredUntil) delays.add(now - at);
      window.add(1);
      each.event++;
    }
    const pages = isSweep ? sweepPagesOf(truth, slot) : pagesOf(truth, slot);
    if (isSweep) stream.sweptAt = now;
    window.add(pages);
    lists += pagesOf(truth, slot);
    if (polledAt !== null && polledAt >= measuredFrom) longestMs = Math.max(longestMs, now - polledAt);
    const from = polledAt === null ? worldFrom : polledAt - 2 * dayMs;
    schedule.learn(stream, { from, until: now, eventsAt, pages, isSweep });
    stream.nextPollAt = schedule.nextPollAt(stream, now);
    stream.polledAt = now;
  };

  schedule.due(streams, playedFrom);
  for (const each of followed) turns.add(each);
  for (let second = playedFrom / secondMs; second < playedUntil / secondMs; second++) {
    const now = second * secondMs;
    window.moveTo(second);
    if (now % planEveryMs === 0) schedule.due(streams, now);
    for (; renewals < ((now - playedFrom) / renewEveryMs) * clinics; renewals++) window.add(1);
    turns.moveTo(second);
    while (window.hasRoom) {
      const each = turns.take();
      if (each === undefined) break;
      poll(each, Math.max(each.stream.nextPollAt, now));
      turns.add(each);
    }
  }
  return { delays, lists, longestSeconds: longestMs / 1000 };
}

/** Who is due, as the schedule orders them: who reaches the ceiling first, then the longest due. */
class Turns {
  readonly #pressingMs: number;
  readonly #due = new Line();
  readonly #pressing = new Line();

  constructor(pressingMs: number) {
    this.#pressingMs = pressingMs;
  }

  add(each: Followed): void {
    const { nextPollAt, polledAt } = each.stream;
    this.#due.add(each, nextPollAt);
    this.#pressing.add(each, Math.max(nextPollAt, (polledAt ?? nextPollAt) + this.#pressingMs));
  }

  /** One second after the other. */
  moveTo(second: number): void {
    this.#due.moveTo(second);
    this.#pressing.moveTo(second);
  }

  take(): Followed | undefined {
    return this.#pressing.take() ?? this.#due.take();
  }
}

interface Place {
  readonly each: Followed;
  /** Whose next poll is another one now was polled meanwhile, and has left the line. */
  readonly nextPollAt: number;
}

/** First come, first served, from a moment on. */
class Line {
  readonly #bySecond = new Map<number, Place[]>();
  #waiting: Place[] = [];
  #first = 0;

  add(each: Followed, from: number): void {
    const second = Math.floor(from / secondMs);
    const place = { each, nextPollAt: each.stream.nextPollAt };
    const others = this.#bySecond.get(second);
    if (others === undefined) this.#bySecond.set(second, [place]);
    else others.push(place);
  }

  moveTo(second: number): void {
    const coming = this.#bySecond.get(second);
    if (coming === undefined) return;
    this.#bySecond.delete(second);
    if (this.#first === this.#waiting.length) {
      this.#waiting = coming;
      this.#first = 0;
    } else this.#waiting.push(...coming);
  }

  take(): Followed | undefined {
    for (let place = this.#waiting[this.#first]; place !== undefined; place = this.#waiting[this.#first]) {
      this.#first++;
      if (place.nextPollAt === place.each.stream.nextPollAt) return place.each;
    }
    return undefined;
  }
}

function followedOf(truth: WorldStream): Followed {
  const { clinicId, category, eventsAt } = truth;
  const first = eventsAt.findIndex((at) => at >= playedFrom);
  const stream: Stream = {
    clinicId,
    category,
    startAt: playedFrom,
    cursor: null,
    polledAt: null,
    sweptAt: null,
    nextPollAt: playedFrom,
    failedInRow: 0,
    problem: null,
    isOff: false,
    recorded: 0,
    newestEventAt: null,
  };
  return { stream, truth, event: first === -1 ? eventsAt.length : first };
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
