import type { Clock } from '../clock.ts';
import type { Stream, StreamKey } from '../domain/clinic.ts';

/** How a poll that somebody waited for ended. */
export type AskedPollEnd =
  | { readonly kind: 'completed' }
  | { readonly kind: 'failed'; readonly problem: string }
  /** Its turn did not come in time, or nobody waits any more. */
  | { readonly kind: 'notYet' };

export const brokenOff: AskedPollEnd = { kind: 'failed', problem: 'it was broken off' };

interface Asker {
  readonly isSweep: boolean;
  readonly tell: (end: AskedPollEnd) => void;
}

/** A busy relay gives every stream its turn long before. */
const patienceMs = 15 * 60_000;

/** Who waits for which stream to be polled. */
export class AskedPolls {
  readonly #clock: Pick<Clock, 'after'>;
  readonly #askers = new Map<string, readonly Asker[]>();

  constructor(clock: Pick<Clock, 'after'>) {
    this.#clock = clock;
  }

  /** Resolves when a poll that begins after this call has ended. */
  ask(stream: StreamKey, how: { isSweep: boolean; signal: AbortSignal }): Promise<AskedPollEnd> {
    const key = keyOf(stream);
    return new Promise((resolve) => {
      const tell = (end: AskedPollEnd): void => {
        cancel();
        how.signal.removeEventListener('abort', leave);
        resolve(end);
      };
      const asker = { isSweep: how.isSweep, tell };
      const leave = (): void => {
        this.#put(
          key,
          this.#of(key).filter((each) => each !== asker),
        );
        tell({ kind: 'notYet' });
      };
      const cancel = this.#clock.after(patienceMs, leave);
      how.signal.addEventListener('abort', leave, { once: true });
      this.#put(key, [...this.#of(key), asker]);
      if (how.signal.aborted) leave();
    });
  }

  isAskedFor(stream: StreamKey): boolean {
    return this.#askers.has(keyOf(stream));
  }

  /** A poll of the stream begins: whoever asks from now on waits for the next one. */
  take(stream: StreamKey): Asker {
    const key = keyOf(stream);
    const askers = this.#of(key);
    this.#put(key, []);
    return {
      isSweep: askers.some(({ isSweep }) => isSweep),
      tell: (end) => {
        for (const asker of askers) asker.tell(end);
      },
    };
  }

  #of(key: string): readonly Asker[] {
    return this.#askers.get(key) ?? [];
  }

  #put(key: string, askers: readonly Asker[]): void {
    if (askers.length === 0) this.#askers.delete(key);
    else this.#askers.set(key, askers);
  }
}

/** What the stream says about the poll that it was just given by. */
export function endOf({ isOff, failedInRow, problem }: Stream): AskedPollEnd {
  if (!isOff && failedInRow === 0) return { kind: 'completed' };
  return { kind: 'failed', problem: problem ?? 'it failed' };
}

function keyOf({ clinicId, category }: StreamKey): string {
  return JSON.stringify([clinicId, category]);
}
