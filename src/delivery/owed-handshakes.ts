import { NotFound, RelayError, StoreUnavailable } from '../domain/errors.ts';
import type { Subscriber } from '../domain/subscriber.ts';
import type { DeclareDependencies } from './declared-subscribers.ts';
import type { ShakeHands } from './handshake.ts';

const firstRetryMs = 2_000;
const lastRetryMs = 300_000;
const atOnce = 16;

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
    const { subscribers } = await this.#dependencies.store.subscribers();
    const owing = subscribers.filter(owesHandshake);
    let owed = 0;
    // One that answers nothing keeps those in its group waiting for two seconds, and not for one another.
    for (let first = 0; first < owing.length && this.#isRunning; first += atOnce) {
      const group = owing.slice(first, first + atOnce);
      const passed = await Promise.all(group.map((subscriber) => this.#tryOne(subscriber)));
      owed += passed.filter((isPassed) => !isPassed).length;
    }
    return owed;
  }

  /** @returns whether nothing is owed any more. */
  async #tryOne(subscriber: Subscriber): Promise<boolean> {
    const { store, onPassed } = this.#dependencies;
    const { id, revision } = subscriber;
    const failure = await this.#shake(subscriber);
    if (failure !== null) {
      this.#dependencies.logger.warn('A subscriber does not answer its challenge and stays paused.', {
        subscriberId: id,
        name: subscriber.name,
        detail: failure.message,
        hint: failure.hint,
      });
      return false;
    }
    try {
      await store.resumeSubscriber(id, { lift: ['handshake'], backlog: 'deliver', shookRevision: revision });
      onPassed();
    } catch (error) {
      if (error instanceof StoreUnavailable) return false;
      if (!(error instanceof NotFound)) throw error;
    }
    return true;
  }

  /** What is wrong with the answer, or with the secret: that is this subscriber's trouble and stops nobody else. */
  async #shake(subscriber: Subscriber): Promise<{ readonly message: string; readonly hint: string } | null> {
    try {
      const result = await this.#dependencies.shakeHands(subscriber);
      return result.kind === 'failed' ? result : null;
    } catch (error) {
      if (error instanceof RelayError && error.code === 'signing_secret_unusable') return error;
      throw error;
    }
  }
}

/** What came out of a backup is asked when somebody resumes it: nothing is sent before. */
function owesHandshake({ deletedAt, isDeclared, pauseReasons }: Subscriber): boolean {
  return (
    deletedAt === null &&
    isDeclared &&
    pauseReasons.includes('handshake') &&
    !pauseReasons.includes('restored')
  );
}
