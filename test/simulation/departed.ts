import { historyMs } from '../../src/sandbox/event-log.ts';
import type { Fullscript } from '../../src/sandbox/fullscript.ts';
import type { RetentionDays } from '../../src/store/file/retention.ts';
import type { Witness } from './witness.ts';

const dayMs = 86_400_000;
/** What a slow disk was told of may have been so for some time. */
const slackMs = 60_000;

/** What may be gone from the log because its days are over: nothing else may. */
export class Departed {
  readonly #days: RetentionDays | null;
  readonly #witness: Witness;
  readonly #fullscript: Fullscript;
  readonly #now: () => number;

  constructor(
    days: RetentionDays | null,
    { witness, fullscript, now }: { witness: Witness; fullscript: Fullscript; now: () => number },
  ) {
    this.#days = days;
    this.#witness = witness;
    this.#fullscript = fullscript;
    this.#now = now;
  }

  /** Something may be: sequences have gaps then. */
  get isPossible(): boolean {
    return this.#days !== null;
  }

  /** @param key see `keyOf`. Recorded long ago, and not listed any more. */
  mayBeEvent(key: string): boolean {
    const recordedAt = this.#witness.recordedAt.get(key);
    if (this.#days === null || recordedAt === undefined) return false;
    const isListed = this.#fullscript
      .ledger()
      .some(
        ({ clinicId, id, createdAt }) => `${clinicId} ${id}` === key && createdAt > this.#now() - historyMs,
      );
    return !isListed && recordedAt < this.#now() - this.#days.ids * dayMs;
  }

  /** Ended long ago: one that is open never may. */
  mayBeDelivery(id: string): boolean {
    const endedAt = this.#witness.endedAt(id);
    if (this.#days === null || endedAt === null) return false;
    return endedAt < this.#now() + slackMs - Math.max(this.#days.deliveries, this.#days.ids) * dayMs;
  }
}
