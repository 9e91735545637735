import { HandledEvents, type KeepOptions } from './handled-events.ts';
import type { InboxStore } from './inbox.ts';

/** Forgets everything when the process ends: for tests, and where handling an event twice does no harm. */
export function memoryInbox(options: KeepOptions = {}): InboxStore {
  const { now = Date.now } = options;
  const handled = new HandledEvents(options);
  return {
    claim: async (copy) => handled.claim(copy),
    settle: async (copy) => handled.add({ ...copy, at: now() }),
    release: async (copy) => handled.release(copy),
  };
}
