import { NotFound, StoreUnavailable } from '../domain/errors.ts';
import type { DeclareDependencies } from './declared-subscribers.ts';
import type { ShakeHands } from './handshake.ts';

const firstRetryMs = 2_000;
const lastRetryMs = 300_000;

export interface OwedHandshakesDependencies extends DeclareDependencies {
  readonly shakeHands: ShakeHands;
  /** A subscriber became active. */
  readonly onPassed: () => void;
  readonly onFatal: (error: unknown) => void;
}

/** Tries the handshakes that declared subscribers owe, again and again until each has passed. */
export class OwedHandshakes {
  readonly #dependencies: OwedHandshakesDependencies;
  #cancel = (): void => {};
  #isRunning = false;
  #trying: Promise<void> = Promise.resolve();

  constructor(dependencies: OwedHandshakesDependencies) {
    this.#dependencies = dependencies;
  }

  start(): void {
    this.#isRunning = true;
    this.#again(0, firstRetryMs);
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    this.#cancel();
    await this.#trying;
  }

  #again(delayMs: number, nextMs: number): void {
    if (!this.#isRunning) return;
    const { clock, onFatal } = this.#dependencies;
    this.#cancel = clock.after(delayMs, () => {
      this.#trying = this.#tryAll().then(
        (owed) => owed > 0 && this.#again(nextMs, Math.min(nextMs * 2, lastRetryMs)),
        onFatal,
      ) as Promise<void>;
    });
  }

  /** @returns how many are still owed. */
  async #tryAll(): Promise<number> {
    const { store, shakeHands, logger, onPassed } = this.#dependencies;
    const { subscribers } = await store.subscribers();
    let owed = 0;
    for (const subscriber of subscribers) {
      if (!this.#isRunning) break;
      if (subscriber.deletedAt !== null || !subscriber.isDeclared) continue;
      if (!subscriber.pauseReasons.includes('handshake')) continue;
      // Out of a backup: nothing is sent until somebody resumes it, which shakes hands, too.
      if (subscriber.pauseReasons.includes('restored')) continue;
      const result = await shakeHands(subscriber);
      if (result.kind === 'failed') {
        owed++;
        logger.warn('A subscriber does not answer its challenge and stays paused.', {
          subscriberId: subscriber.id,
          name: subscriber.name,
          detail: result.message,
          hint: result.hint,
        });
        continue;
      }
      try {
        const { id, revision } = subscriber;
        await store.resumeSubscriber(id, {
          lift: ['handshake'],
          backlog: 'deliver',
          shookRevision: revision,
        });
        onPassed();
      } catch (error) {
        if (error instanceof StoreUnavailable) owed++;
        else if (!(error instanceof NotFound)) throw error;
      }
    }
    return owed;
  }
}
