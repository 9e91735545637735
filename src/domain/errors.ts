/**
 * Something that a person or a caller must act on. What is merely expected (a
 * subscriber that fails, a poll that finds nothing) is a value, not an error.
 *
 * `code` is for programs and never changes; `message` names the thing; `hint` says what
 * to do about it. Only the edges (API, CLI, main loop) turn it into a status, an exit
 * code or a log line.
 */
export class RelayError extends Error {
  readonly code: string;
  readonly hint: string;

  constructor(code: string, message: string, options: { hint: string; cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.hint = options.hint;
  }
}

/** One mistake in something a person wrote: where it stands and what is wrong with it. */
export interface Problem {
  /** As written there: `subscribers[0].url`. Empty when it is the whole document. */
  readonly path: string;
  readonly message: string;
}

/** The input cannot be taken as it is; `problems` names every mistake at once. */
export class InvalidInput extends RelayError {
  readonly problems: readonly Problem[];

  constructor(
    code: string,
    message: string,
    options: { hint: string; problems?: readonly Problem[]; cause?: unknown },
  ) {
    super(code, message, options);
    this.problems = options.problems ?? [];
  }
}

const idShownMax = 100;

/** No such thing, or none that the caller may see. */
export class NotFound extends RelayError {
  constructor(kind: string, id: string, hint = 'List what there is to see the ids.') {
    const shown = id.length > idShownMax ? `${id.slice(0, idShownMax)}…` : id;
    super('not_found', `There is no ${kind} ${shown}.`, { hint });
  }
}

/** The thing exists and is not in a state that allows this. */
export class Conflict extends RelayError {}

/** The work was recorded by somebody else, or its lease lapsed; the result changed nothing. */
export class ClaimLost extends RelayError {
  constructor(what: string) {
    super('claim_lost', `The claim on ${what} is no longer held.`, {
      hint: 'Somebody else has the work now, or it is done; drop the result.',
    });
  }
}

/** The store cannot take writes at the moment and will go on by itself: nothing was decided. */
export class StoreUnavailable extends RelayError {
  /** Since when, in epoch milliseconds; `null` where it concerns one answer only. */
  readonly since: number | null;

  constructor(
    code: string,
    message: string,
    { since = null, ...options }: { hint: string; cause?: unknown; since?: number | null },
  ) {
    super(code, message, options);
    this.since = since;
  }
}

/** The store cannot go on in this process: exit, and let the next start recover. */
export class StoreBroken extends RelayError {}

/** What is on disk is not what was written; `message` says which line of which file. */
export class StoreCorrupt extends RelayError {}

/** Another process holds the store. */
export class StoreLocked extends RelayError {}
