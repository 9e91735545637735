import type { Store } from '../../src/store/store.ts';
import type { History } from './history.ts';
import type { Life } from './life.ts';
import { concurrency } from './relay.ts';

/** See `requestsAtOnce` in src/source/budget.ts. */
const vendorRequestsMax = 16;

/**
 * What a relay may have open at any moment, whatever happened before: it follows from
 * what it may do at once, and not from how long it has run.
 */
const openMax = {
  /** One for each request, poll and result under way, and a few for the actors themselves. */
  timers: 64,
  /** A file of each kind that is written, and one to read for each day of the run. */
  files: 16,
  requests: vendorRequestsMax + concurrency,
  /** Two for each delivery: its request, and the result that waits for the store. */
  listeners: 2 * concurrency,
} as const;

/** At any moment. */
export function checkBounds(life: Life, history: History): void {
  for (const [what, count] of Object.entries(life.leftovers)) {
    const most = openMax[what as keyof typeof openMax];
    if (count > most) history.violate('I9 nothing is left behind', `${count} ${what} are open at once`);
  }
}

/** When all is at rest, whoever comes next can have all the work there is. */
export async function checkClaimsEnded(store: Store, history: History): Promise<void> {
  for (const { id } of await store.connections()) {
    const claim = await store.claimRefresh(id, 1);
    if (claim === null) history.violate('I9 nothing is left behind', `a refresh of connection ${id}`);
  }
}

/** After a tidy stop. */
export function checkEnded(life: Life, history: History): void {
  for (const [what, count] of Object.entries(life.leftovers)) {
    if (count > 0) history.violate('I9 nothing is left behind', `${count} ${what} after a tidy stop`);
  }
}

/** Node itself warns of listeners and the like that only grow. @returns what ends the watching. */
export function watchWarnings(history: History): () => void {
  const hear = ({ name, message }: Error) =>
    history.violate('I9 nothing is left behind', `Node warns: ${name} ${message}`);
  process.on('warning', hear);
  return () => process.off('warning', hear);
}
