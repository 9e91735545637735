import type { StreamKey } from '../domain/clinic.ts';
import { flat, slotMs, WeeklyCounts } from './weekly-counts.ts';

/** A list as it was read: every event created from `from` up to `until` is in it. */
export interface Listed {
  readonly from: number;
  readonly until: number;
  /** When the events were created, in any order; those outside of `from` to `until` do not count. */
  readonly eventsAt: readonly number[];
}

const dayMs = 86_400_000;
/** What happened so long ago counts half: six weeks, because each weekday comes once a week. */
const halfLifeMs = 42 * dayMs;
const weightsFrom = Date.parse('2026-01-01T00:00:00Z');
/** The same for what is unusual of late: an import is over tomorrow, and a holiday is noticed by then. */
const lateHalfLifeMs = dayMs;
/** What is older counts no more as late. */
const lateMs = 4 * lateHalfLifeMs;
/** In events: so many more or less than usual are nothing unusual yet. */
const lateDoubt = 8;
/** In events: so many of a stream's own outweigh the mean of its category, from which streams differ widely. */
const meanDoubt = 0.25;
/** In events: so many outweigh the shape of the level above. */
const shapeDoubt = 2;
/** Before anything was read. */
const rateOfUnknown = 1 / dayMs;

/** What streams have in common. */
interface Similar {
  /** These two with each clinic's noon at slot 0. */
  readonly all: WeeklyCounts;
  readonly category: WeeklyCounts;
  readonly meanOfCategory: Mean;
  readonly clinic: WeeklyCounts;
}

/** Weighted events, and the milliseconds in which they came. */
interface Mean {
  events: number;
  read: number;
}

/**
 * How many events each stream has, learned from what its lists show: its mean rate, the
 * hours and weekdays of its clinic and category, and whether it is unusually busy or
 * quiet of late. All are Gamma-Poisson estimates, which lean on what is similar until
 * enough was seen: a stream's mean on its category; hours and weekdays of a clinic on
 * all clinics with their days laid one upon another. Nothing is stored: after a restart
 * a stream's first list shows its last days, and its next sweep 30 of them.
 */
export class RateEstimates {
  readonly #all = new WeeklyCounts();
  readonly #clinics = new Map<string, WeeklyCounts>();
  readonly #categories = new Map<string, { readonly counts: WeeklyCounts; readonly mean: Mean }>();

  /** An estimate that leans on all others that this made. */
  of({ clinicId, category }: StreamKey): RateEstimate {
    const ofCategory = madeOnce(this.#categories, category, () => ({
      counts: new WeeklyCounts(),
      mean: { events: 0, read: 0 },
    }));
    return new RateEstimate({
      all: this.#all,
      clinic: madeOnce(this.#clinics, clinicId, () => new WeeklyCounts()),
      category: ofCategory.counts,
      meanOfCategory: ofCategory.mean,
    });
  }
}

/** One stream's. */
export class RateEstimate {
  readonly #similar: Similar;
  readonly #own: Mean = { events: 0, read: 0 };
  #readFrom = 0;
  /** 0: nothing was read yet. */
  #readUntil = 0;
  /** Events of late, and how many were expected, both fading with `lateHalfLifeMs`. */
  #late = 0;
  #lateExpected = 0;
  /** The usual rates of two half hours, this one and the next, which are asked for again and again. */
  readonly #usual = [
    { slot: -1, rate: 0 },
    { slot: -1, rate: 0 },
  ];

  constructor(similar: Similar) {
    this.#similar = similar;
  }

  /** Takes in what a list shows that no earlier one has shown. A list without news is left to a later one for a while. */
  learn({ from, until, eventsAt }: Listed): void {
    if (until <= from) return;
    // What lies between two lists that do not meet was not read.
    const isApart = this.#readUntil < from || until < this.#readFrom;
    if (isApart) {
      this.#learnAnew({ from, until, eventsAt });
      return;
    }
    const readFrom = this.#readFrom;
    const readUntil = this.#readUntil;
    const before = eventsAt.filter((at) => at >= from && at < readFrom);
    const after = eventsAt.filter((at) => at >= readUntil && at < until);
    if (from < readFrom) {
      this.#add(before, from, readFrom);
      this.#readFrom = from;
    }
    if (until > readUntil && (after.length > 0 || until - readUntil >= slotMs)) {
      this.#add(after, readUntil, until);
      this.#noteLate(after, readUntil, until);
      this.#readUntil = until;
    }
  }

  /** Events per millisecond that are to be expected around `at`. */
  at(at: number): number {
    const faded = this.#readUntil < at ? 2 ** ((this.#readUntil - at) / lateHalfLifeMs) : 1;
    return (this.#usualAt(at) * (lateDoubt + this.#late * faded)) / (lateDoubt + this.#lateExpected * faded);
  }

  #learnAnew({ from, until, eventsAt }: Listed): void {
    const seen = eventsAt.filter((at) => at >= from && at < until);
    this.#add(seen, from, until);
    this.#noteLate(seen, from, until);
    this.#readFrom = from;
    this.#readUntil = until;
  }

  #usualAt(at: number): number {
    const slot = Math.floor(at / slotMs);
    const known = this.#usual[slot % 2] as { slot: number; rate: number };
    // Before its first list a stream goes by its category, which learns meanwhile.
    if (known.slot !== slot || this.#readUntil === 0) {
      known.slot = slot;
      known.rate = this.#computeUsual(at);
    }
    return known.rate;
  }

  #computeUsual(at: number): number {
    const { all, clinic, category, meanOfCategory } = this.#similar;
    const weight = weightAt(this.#readUntil === 0 ? at : this.#readUntil);
    const doubt = shapeDoubt * weight;
    const noon = clinic.noonSlot;
    const ofAll = all.shapeAt(at, flat, doubt, noon);
    const ofCategory = category.shapeAt(at, ofAll, doubt, noon);
    const ofClinic = clinic.shapeAt(at, ofAll, doubt);
    const byTime = (ofClinic.byTime * ofCategory.byTime) / ofAll.byTime;
    const byDay = (ofClinic.byDay * ofCategory.byDay) / ofAll.byDay;
    const mean = (weight + meanOfCategory.events) / (weight / rateOfUnknown + meanOfCategory.read);
    const own = (meanDoubt * weight + this.#own.events) / ((meanDoubt * weight) / mean + this.#own.read);
    return own * byTime * byDay;
  }

  #noteLate(eventsAt: readonly number[], from: number, until: number): void {
    const faded = 2 ** ((from - until) / lateHalfLifeMs);
    this.#late *= faded;
    this.#lateExpected *= faded;
    const lateFrom = Math.max(from, until - lateMs);
    for (const at of eventsAt) if (at >= lateFrom) this.#late += 2 ** ((at - until) / lateHalfLifeMs);
    for (let at = lateFrom; at < until; ) {
      const next = Math.min(until, (Math.floor(at / slotMs) + 1) * slotMs);
      this.#lateExpected += this.#usualAt(at) * (next - at) * 2 ** ((at - until) / lateHalfLifeMs);
      at = next;
    }
  }

  #add(eventsAt: readonly number[], from: number, until: number): void {
    const { all, clinic, category, meanOfCategory } = this.#similar;
    for (const usual of this.#usual) usual.slot = -1;
    for (const at of eventsAt) clinic.addEvent(at, weightAt(at));
    // Only now: a clinic's first events say where its noon is.
    const noon = clinic.noonSlot;
    for (const at of eventsAt) {
      category.addEvent(at, weightAt(at), noon);
      all.addEvent(at, weightAt(at), noon);
    }
    const weight = weightAt((from + until) / 2);
    for (const counts of [clinic, category, all]) counts.addRead(from, until, weight);
    for (const mean of [this.#own, meanOfCategory]) {
      for (const at of eventsAt) mean.events += weightAt(at);
      mean.read += (until - from) * weight;
    }
  }
}

function madeOnce<Each>(made: Map<string, Each>, name: string, make: () => Each): Each {
  let found = made.get(name);
  if (found === undefined) {
    found = make();
    made.set(name, found);
  }
  return found;
}

/** Grows with time, where old counts would have to shrink: only ratios matter, and a number holds a century of it. */
function weightAt(at: number): number {
  return 2 ** ((at - weightsFrom) / halfLifeMs);
}
