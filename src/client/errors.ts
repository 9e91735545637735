import { type Problem, RelayError } from '../domain/errors.ts';

/** Nothing that speaks the relay's API was reached: refused, timed out, or somebody else's server. */
export class RelayUnreachable extends RelayError {}

/** The relay answered and did not do it; `status` is the HTTP status. */
export class RelayRefused extends RelayError {
  readonly status: number;
  readonly problems: readonly Problem[];

  constructor(
    refusal: {
      readonly code: string;
      readonly status: number;
      readonly message: string;
      readonly problems: readonly Problem[];
    },
    options: { hint: string },
  ) {
    super(refusal.code, refusal.message, options);
    this.status = refusal.status;
    this.problems = refusal.problems;
  }
}
