/** How much busier than in the mean. */
export interface Shape {
  /** The time of day, against the day's mean. */
  readonly byTime: number;
  /** The day, against the week's mean. */
  readonly byDay: number;
}

/** The same all week. */
export const flat: Shape = { byTime: 1, byDay: 1 };

export const slotMs = 1_800_000;
const slotsOfDay = 48;
const dayMs = slotsOfDay * slotMs;
/** Fullscript serves the US and Canada: the small hours in all their time zones, where one weekday ends for all. */
const dayBeginsAtMs = 9 * 3_600_000;
/** Weekdays, Saturdays, Sundays; counted from a Thursday, as the epoch was one. */
const kindOfDay = [0, 0, 1, 2, 0, 0, 0] as const;
/** Early afternoon in the middle of both countries: where a day's events are taken to lie before there are any. */
const usualNoon = (19.5 / 24) * 2 * Math.PI;
/** Of the half hours beside, and of those beside them: what is busy at ten is busy at half past. */
const neighbours = [0.16, 0.4, 1, 0.4, 0.16] as const;

/**
 * When in the week events come, as weighted counts: by half hour for weekdays, Saturdays
 * and Sundays, and by weekday. Laid one upon another with `noonSlot` at 0, the counts of
 * clinics in different time zones add up.
 */
export class WeeklyCounts {
  readonly #byTime = new Float64Array(3 * slotsOfDay);
  readonly #byKind = new Float64Array(3);
  readonly #byDay = new Float64Array(7);
  /** Milliseconds that were read, by weekday. */
  readonly #readByDay = new Float64Array(7);
  #cosines = Math.cos(usualNoon);
  #sines = Math.sin(usualNoon);
  #events = 0;
  #read = 0;

  addEvent(at: number, weight: number, noonSlot = 0): void {
    const day = dayOf(at);
    const kind = kindOfDay[day] ?? 0;
    const slot = slotOfDay(at);
    const angle = ((slot + 0.5) / slotsOfDay) * 2 * Math.PI;
    this.#cosines += weight * Math.cos(angle);
    this.#sines += weight * Math.sin(angle);
    add(this.#byTime, kind * slotsOfDay + turned(slot - noonSlot), weight);
    add(this.#byKind, kind, weight);
    add(this.#byDay, day, weight);
    this.#events += weight;
  }

  /** A time without events tells as much as one with events. */
  addRead(from: number, until: number, weight: number): void {
    for (let at = from; at < until; ) {
      const dayEndsAt = (Math.floor((at - dayBeginsAtMs) / dayMs) + 1) * dayMs + dayBeginsAtMs;
      const next = Math.min(until, dayEndsAt);
      add(this.#readByDay, dayOf(at), (next - at) * weight);
      at = next;
    }
    this.#read += Math.max(0, until - from) * weight;
  }

  /** The half hour round which a day's events lie. */
  get noonSlot(): number {
    return turned(Math.round((Math.atan2(this.#sines, this.#cosines) / (2 * Math.PI)) * slotsOfDay));
  }

  /**
   * The shape at a moment.
   *
   * @param above what holds until these counts have shown more than `doubt` events.
   * @param noonSlot as the counts were made with.
   */
  shapeAt(at: number, above: Shape, doubt: number, noonSlot = 0): Shape {
    const day = dayOf(at);
    const kind = kindOfDay[day] ?? 0;
    const slot = slotOfDay(at) - noonSlot;
    let counted = 0;
    let expected = 0;
    for (let index = 0; index < neighbours.length; index++) {
      const share = neighbours[index] as number;
      counted += share * (this.#byTime[kind * slotsOfDay + turned(slot + index - 2)] ?? 0);
      expected += (share * (this.#byKind[kind] ?? 0)) / slotsOfDay;
    }
    const shareOfDay = this.#read > 0 ? (this.#readByDay[day] ?? 0) / this.#read : 0;
    return {
      byTime: (doubt + counted) / (doubt / above.byTime + expected),
      byDay: (doubt + (this.#byDay[day] ?? 0)) / (doubt / above.byDay + this.#events * shareOfDay),
    };
  }
}

function add(counts: Float64Array, index: number, weight: number): void {
  counts[index] = (counts[index] ?? 0) + weight;
}

function turned(slot: number): number {
  return (slot + 2 * slotsOfDay) % slotsOfDay;
}

function slotOfDay(at: number): number {
  return Math.floor(at / slotMs) % slotsOfDay;
}

function dayOf(at: number): number {
  return Math.floor((at - dayBeginsAtMs) / dayMs) % 7;
}
