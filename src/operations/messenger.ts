import { randomUUID } from 'node:crypto';
import { type Clock, wait } from '../clock.ts';
import type { OperationalEvent } from '../domain/operational-event.ts';
import type { Logger } from '../logger.ts';
import type { SignedRequest } from '../wire/compose.ts';
import {
  composeOperational,
  type OperationalMessage,
  type OperationalRecipient,
} from '../wire/operational.ts';

/** One POST to the operator's URL. Never rejects. @returns the status of the answer, or why there is none. */
export type PostOperational = (request: SignedRequest, signal: AbortSignal) => Promise<number | string>;

export interface Tried {
  readonly taken: boolean;
  /** The status of the answer, or why there is none. */
  readonly answer: number | string;
}

export interface MessengerDependencies {
  readonly post: PostOperational;
  readonly recipient: OperationalRecipient;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly userAgent: string;
}

const minuteMs = 60_000;
/** The last one is repeated. */
const waitsMs = [5_000, 30_000, 2 * minuteMs, 10 * minuteMs, 30 * minuteMs, 60 * minuteMs];
const triedForMs = 24 * 60 * minuteMs;
/** What a chat takes; a thousand clinics that lose their access at once are a thousand messages. */
const betweenMs = 1_000;
const waitingMax = 1_000;

/**
 * Sends operational events to the operator's URL, one after the other in the order they
 * were told, each again until it is taken or a day old. Trouble with that URL is logged,
 * and told to nobody: that is where it would have to go.
 */
export class Messenger {
  readonly #on: MessengerDependencies;
  readonly #waiting: OperationalMessage[] = [];
  readonly #ending = new AbortController();
  #sending: Promise<void> | null = null;
  #dropped = 0;

  constructor(dependencies: MessengerDependencies) {
    this.#on = dependencies;
  }

  /** Returns at once. Beyond a thousand that wait, the oldest gives way. */
  tell(event: OperationalEvent): void {
    if (this.#ending.signal.aborted) return;
    this.#waiting.push({ id: `op_${randomUUID()}`, at: this.#on.clock.now(), event });
    if (this.#waiting.length > waitingMax) {
      this.#waiting.shift();
      this.#dropped++;
    }
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = null;
    });
  }

  /** One try, at once and beside those that wait. */
  async try(event: OperationalEvent): Promise<Tried> {
    const answer = await this.#post({ id: `op_${randomUUID()}`, at: this.#on.clock.now(), event });
    return { taken: isTaken(answer), answer };
  }

  /** What was not taken yet is not sent any more; what still holds is told after the next start. */
  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#sending;
  }

  async #sendAll(): Promise<void> {
    const { clock, logger } = this.#on;
    const { signal } = this.#ending;
    for (let next = this.#waiting[0]; next && !signal.aborted; next = this.#waiting[0]) {
      await this.#sendUntilTaken(next);
      // It may have given way to newer ones meanwhile.
      if (this.#waiting[0] === next) this.#waiting.shift();
      if (this.#dropped > 0) {
        logger.error('Operational events were dropped: too many waited.', { dropped: this.#dropped });
        this.#dropped = 0;
      }
      if (this.#waiting.length > 0) await wait(clock, betweenMs, signal);
    }
  }

  async #sendUntilTaken(message: OperationalMessage): Promise<void> {
    const { clock, logger } = this.#on;
    const { signal } = this.#ending;
    for (let tries = 1; !signal.aborted; tries++) {
      const answer = await this.#post(message);
      if (isTaken(answer) || signal.aborted) return;
      const type = message.event.type;
      if (clock.now() - message.at >= triedForMs) {
        logger.error('An operational event was not taken for a day and is given up.', { type, answer });
        return;
      }
      if (tries === 1) {
        logger.warn('The URL for operational events does not take them; they wait.', { type, answer });
      }
      await wait(clock, waitsMs[Math.min(tries, waitsMs.length) - 1] ?? minuteMs, signal);
    }
  }

  #post(message: OperationalMessage): Promise<number | string> {
    const { post, recipient, clock, userAgent } = this.#on;
    return post(composeOperational(message, recipient, clock.wall(), userAgent), this.#ending.signal);
  }
}

function isTaken(answer: number | string): boolean {
  return typeof answer === 'number' && answer >= 200 && answer < 300;
}
