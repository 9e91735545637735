import type { EventView } from '../client/seen.ts';
import type { SeenEvent } from './seen-file.ts';

/** What a script processed and the relay never saw, and the other way round. */
export interface SeenDifference {
  readonly both: number;
  /** Ids that only the script had. */
  readonly missing: readonly string[];
  /** How many only the relay saw. */
  readonly extra: number;
  /** By category and day, those of them in which there is a difference first. */
  readonly days: readonly DayDifference[];
}

export interface DayDifference {
  /** `-` where nobody says. */
  readonly category: string;
  readonly day: string;
  readonly both: number;
  readonly onlyScript: number;
  readonly onlyRelay: number;
}

/**
 * Compares a script's list with what the relay read from the vendor; what it only knows
 * from such a list counts as never seen.
 *
 * @param since what the relay or the list dates earlier is left out; `null` compares all.
 */
export function differenceOf(
  listed: readonly SeenEvent[],
  known: readonly EventView[],
  since: number | null,
): SeenDifference {
  const isLater = (createdAt: string | null) =>
    since === null || createdAt === null || !(Date.parse(createdAt) < since);
  const read = new Map(known.filter(({ category }) => category !== '').map((event) => [event.id, event]));
  const inList = new Set(listed.map(({ id }) => id));
  const days = new Map<string, DayDifference>();
  const count = (category: string, createdAt: string | null, which: 'both' | 'onlyScript' | 'onlyRelay') => {
    const day = createdAt?.slice(0, 10) ?? '-';
    const key = `${category} ${day}`;
    const before = days.get(key) ?? { category, day, both: 0, onlyScript: 0, onlyRelay: 0 };
    days.set(key, { ...before, [which]: before[which] + 1 });
  };
  const missing: string[] = [];
  let both = 0;
  for (const { id, type, createdAt } of listed) {
    const event = read.get(id);
    if (!isLater(event?.createdAt ?? createdAt)) continue;
    if (event) {
      both++;
      count(event.category, event.createdAt, 'both');
    } else {
      missing.push(id);
      count(type ?? '-', createdAt, 'onlyScript');
    }
  }
  let extra = 0;
  for (const { id, category, createdAt } of read.values()) {
    if (inList.has(id) || !isLater(createdAt)) continue;
    extra++;
    count(category, createdAt, 'onlyRelay');
  }
  return { both, missing, extra, days: [...days.values()].sort(byDay) };
}

function byDay(a: DayDifference, b: DayDifference): number {
  return a.category === b.category ? (a.day < b.day ? -1 : 1) : a.category < b.category ? -1 : 1;
}
