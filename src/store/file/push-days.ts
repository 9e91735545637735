import type { PushDay } from '../store.ts';
import { doesPushDiffer, isPast, isPushed, isPushedFirst } from './kinds.ts';
import type { State } from './state.ts';

type Counts = { -readonly [K in keyof PushDay]: PushDay[K] };

const dayMs = 86_400_000;

/** Counted from the columns: no row is read. */
export function pushDaysOf({ events }: State, since: number): readonly PushDay[] {
  const days = new Map<number, Counts>();
  const { flags, recordedAt } = events.columns;
  for (let number = events.before(events.end); number !== null; number = events.before(number)) {
    const at = recordedAt.get(number);
    const flag = flags.get(number);
    if (at < since || isPast(flag)) continue;
    const day = countsOf(days, Math.floor(at / dayMs));
    day.events += 1;
    if (!isPushed(flag)) day.neverPushed += 1;
    else if (isPushedFirst(flag)) day.pushedFirst += 1;
    else day.polledFirst += 1;
    if (doesPushDiffer(flag)) day.differing += 1;
  }
  return [...days.values()];
}

function countsOf(days: Map<number, Counts>, number: number): Counts {
  const known = days.get(number);
  if (known) return known;
  const day = new Date(number * dayMs).toISOString().slice(0, 10);
  const counts = { day, events: 0, pushedFirst: 0, polledFirst: 0, neverPushed: 0, differing: 0 };
  days.set(number, counts);
  return counts;
}
