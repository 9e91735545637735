import type { Clock } from '../clock.ts';
import type { Moment } from './fault-kind.ts';
import type { Faults } from './faults.ts';
import type { Random } from './random.ts';
import type { RollingLimit } from './rate-limit.ts';
import { apiError, type Reply } from './reply.ts';

/** What was asked of the vendor so far. */
export interface RequestCounts {
  readonly all: number;
  readonly byOperation: Readonly<Record<string, number>>;
  /** In the rolling window that ends now. */
  readonly inWindow: number;
  readonly limit: number;
  readonly windowMs: number;
  /** Requests beyond the limit, each answered 429. */
  readonly violations: number;
}

/** What the vendor did for a request. */
export interface Work {
  readonly reply: Reply;
  /** Takes effect only when the answer went out as it was made. */
  readonly sent?: () => void;
}

/** What every request goes through: the count, the limit, the faults, and the headers of its answer. */
export class Exchange {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #faults: Faults;
  readonly #limit: RollingLimit;
  readonly #random: Random;
  readonly #byOperation: Record<string, number> = {};
  #violations = 0;

  constructor(parts: { clock: Pick<Clock, 'now'>; faults: Faults; limit: RollingLimit; random: Random }) {
    this.#clock = parts.clock;
    this.#faults = parts.faults;
    this.#limit = parts.limit;
    this.#random = parts.random;
  }

  /** @param work not called when the limit or a fault answers in its place. */
  run(moment: Moment, work: () => Work): Reply {
    this.#byOperation[moment.operation] = (this.#byOperation[moment.operation] ?? 0) + 1;
    if (!this.#limit.admit(this.#clock.now())) {
      this.#violations += 1;
      return this.headed(apiError(429, 'rate_limited', 'Too many requests.'), moment.now);
    }
    const refusal = this.#faults.instead(moment);
    const done: Work = refusal === null ? work() : { reply: refusal };
    const reply = this.#faults.reply(done.reply, moment);
    if (reply.drop === undefined && reply.body === done.reply.body) done.sent?.();
    return this.headed(reply, moment.now);
  }

  /** Adds what every answer carries. */
  headed(reply: Reply, now: number = this.#clock.now()): Reply {
    const common = { date: new Date(now).toUTCString(), 'x-request-id': this.#random.uuid() };
    return { ...reply, headers: { ...common, ...reply.headers } };
  }

  requests(): RequestCounts {
    return {
      all: Object.values(this.#byOperation).reduce((sum, count) => sum + count, 0),
      byOperation: { ...this.#byOperation },
      inWindow: this.#limit.inWindow(this.#clock.now()),
      limit: this.#limit.requests,
      windowMs: this.#limit.windowMs,
      violations: this.#violations,
    };
  }
}
