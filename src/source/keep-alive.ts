import type { Clock } from '../clock.ts';
import type { ClinicStore } from '../store/store.ts';
import type { ConnectionTokens } from './tokens.ts';

export interface KeepAliveDependencies {
  readonly store: Pick<ClinicStore, 'connections'>;
  readonly tokens: Pick<ConnectionTokens, 'askApps' | 'keepAlive'>;
  readonly clock: Clock;
  /** Hears of what a round threw. */
  readonly onError: (error: unknown) => void;
}

const everyMs = 60_000;

/** Renews the tokens of all connections in time, again and again, those of idle ones too. */
export class KeepAlive {
  readonly #dependencies: KeepAliveDependencies;
  #isRunning = false;
  #cancelTimer = (): void => {};
  #renewing: Promise<void> | null = null;
  #askingApps: Promise<void> | null = null;

  constructor(dependencies: KeepAliveDependencies) {
    this.#dependencies = dependencies;
  }

  start(): void {
    this.#isRunning = true;
    this.#later();
  }

  /** Begins nothing more; resolves when what is under way has ended. */
  async stop(): Promise<void> {
    this.#isRunning = false;
    this.#cancelTimer();
    await Promise.all([this.#renewing, this.#askingApps]);
  }

  #later(): void {
    this.#cancelTimer = this.#dependencies.clock.after(everyMs, () => {
      this.#renewing = this.#told(this.#renew()).finally(() => {
        this.#renewing = null;
        if (this.#isRunning) this.#later();
      });
    });
  }

  /** The operator's apps are asked beside: they may hang. */
  async #renew(): Promise<void> {
    const { store, tokens } = this.#dependencies;
    const connections = await store.connections();
    this.#askingApps ??= this.#told(tokens.askApps(connections)).finally(() => {
      this.#askingApps = null;
    });
    await tokens.keepAlive(connections);
  }

  #told(work: Promise<void>): Promise<void> {
    return work.catch(this.#dependencies.onError);
  }
}
