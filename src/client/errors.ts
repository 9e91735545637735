import { type Problem, RelayError } from '../domain/errors.ts';

/** Nothing that speaks the relay's API was reached: refused, timed out, or somebody else's server. */
export class RelayUnreachable extends RelayError {}

/** The relay answered and did not do it; `status` is the HTTP status. */
export class RelayRefused extends RelayError {
  readonly status: number;
  readonly problems: readonly Problem[];
  /** How long it asks to be left alone; `null` when it does not. */
  readonly retryAfterMs: number | null;

  constructor(
    refusal: {
      readonly code: string;
      readonly status: number;
      readonly message: string;
      readonly problems: readonly Problem[];
      readonly retryAfterMs: number | null;
    },
    options: { hint: string },
  ) {
    super(refusal.code, refusal.message, options);
    this.status = refusal.status;
    this.problems = refusal.problems;
    this.retryAfterMs = refusal.retryAfterMs;
  }
}
