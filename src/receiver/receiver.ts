import type { ServerResponse } from 'node:http';
import { InvalidInput, RelayError } from '../domain/errors.ts';
import { Inbox, type InboxStore, type Receipt } from './inbox.ts';
import { memoryInbox } from './memory-inbox.ts';
import { type IncomingRequest, readRawBody } from './raw-body.ts';
import type { ReceivedEvent } from './received-event.ts';
import { type Gap, SequenceWatch } from './sequence-watch.ts';
import {
  checkVerifyOptions,
  type RefusalReason,
  type Verified,
  type VerifyOptions,
  verify,
} from './verify.ts';

export interface ReceiverOptions extends VerifyOptions {
  /**
   * Your work, once for each event. What it returns is awaited, and only then is the
   * event acknowledged; when it throws or rejects, the relay sends the event again. The
   * relay waits for 15 s: put what takes longer into a queue of your own.
   */
  readonly onEvent: (event: ReceivedEvent, about: Verified) => unknown;
  /** The challenge token of the registration: it stands in every acknowledgement, and answers the empty request. */
  readonly challengeToken?: string | undefined;
  /** Remembers what was handled. Default: `memoryInbox()`, which forgets with the process. */
  readonly inbox?: InboxStore;
  /** Handles an event once more in each replay that somebody asked the relay for. Default: no. */
  readonly handleReplays?: boolean;
  /**
   * Hears of deliveries that did not come although later ones did, each gap once. For one
   * subscriber and one process; looked at whenever an event comes.
   */
  readonly onGap?: (gap: Gap) => void;
  /** How long later ones have to be there before it is a gap. Default: ten minutes. */
  readonly gapAfterMs?: number;
  /** Hears why an event could not be handled; its sender is told `500` and nothing else. Default: standard error. */
  readonly onError?: (error: unknown, event: ReceivedEvent | null) => void;
  /** Default: 12 MiB; the relay takes events of up to 10 MiB. */
  readonly bodyBytesMax?: number;
}

/**
 * Receives what a relay (or Fullscript itself) sends: for Express, Connect and
 * `node:http`, before any body parser. Answers every request by itself and never calls
 * `next`.
 *
 * @throws InvalidInput `receiver_options_invalid`
 */
export type Receiver = (request: IncomingRequest, response: ServerResponse) => Promise<void>;

const bodyBytesMaxDefault = 12 * 1024 * 1024;
const gapAfterMsDefault = 10 * 60_000;
/** After so long somebody else is done with it, or has failed. */
const busyRetrySeconds = 5;

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

export function createReceiver(options: ReceiverOptions): Receiver {
  checkOptions(options);
  const { onGap, challengeToken, bodyBytesMax = bodyBytesMaxDefault, now = Date.now } = options;
  const inbox = new Inbox(options.inbox ?? memoryInbox({ now }));
  const watch = new SequenceWatch(options.gapAfterMs ?? gapAfterMsDefault);
  const tell = (error: unknown, event: ReceivedEvent | null) => {
    try {
      (options.onError ?? report)(error, event);
    } catch (cause) {
      report(cause, event);
    }
  };
  const acknowledgement = challengeToken === undefined ? {} : { challenge: challengeToken };

  async function answerTo(request: IncomingRequest): Promise<Answer | null> {
    if (request.method !== 'POST') {
      return { ...refusal(405, 'notPost', 'Events come as POST.'), headers: { allow: 'POST' } };
    }
    const body = await readRawBody(request, bodyBytesMax);
    switch (body.kind) {
      case 'aborted':
        return null;
      case 'tooLarge':
        return {
          ...refusal(413, 'tooLarge', `The body is larger than ${bodyBytesMax} bytes.`),
          headers: { connection: 'close' },
        };
      case 'consumed':
        throw consumedBefore();
      case 'read':
        return body.bytes.length === 0 ? answerToChallenge() : answerToEvent(request, body.bytes);
    }
  }

  /** The vendor gives it two seconds and may not sign it, so nothing stands before it. */
  function answerToChallenge(): Answer {
    if (challengeToken !== undefined) return { status: 200, body: acknowledgement };
    return refusal(
      400,
      'noChallengeToken',
      'An empty request asks for the challenge token; none is set here.',
    );
  }

  async function answerToEvent({ headers }: IncomingRequest, body: Buffer): Promise<Answer> {
    const verdict = verify({ headers, body }, options);
    if (verdict.kind === 'refused') {
      return refusal(statusOf[verdict.reason], verdict.reason, verdict.message);
    }
    const { event, round, signedAt } = verdict;
    tellGaps(verdict);
    const copy = { eventId: event.id, round: options.handleReplays ? round : 1, signedAt };
    let receipt: Receipt;
    try {
      receipt = await inbox.receive(copy, () => options.onEvent(event, verdict));
    } catch (error) {
      tell(error, event);
      return failure;
    }
    return receipt === 'busy' ? busy : { status: 200, body: { ...acknowledgement, received: receipt } };
  }

  /** What somebody does about a gap decides nothing about the event that made it known. */
  function tellGaps({ event, sequence, attempt, round }: Verified): void {
    if (sequence === null || onGap === undefined) return;
    const isFirstAttempt = (attempt ?? 1) === 1 && round === 1;
    try {
      watch.note({ sequence, isFirstAttempt }, now()).forEach(onGap);
    } catch (error) {
      tell(error, event);
    }
  }

  return async (request, response) => {
    try {
      const answer = await answerTo(request);
      if (answer !== null) send(response, answer);
    } catch (error) {
      send(response, failure);
      tell(error, null);
    }
  };
}

const failure = refusal(500, 'failed', 'The event could not be handled; its receiver knows why.');

const busy: Answer = {
  ...refusal(503, 'busy', 'Another process is handling this event.'),
  headers: { 'retry-after': String(busyRetrySeconds) },
};

const statusOf: Readonly<Record<RefusalReason, number>> = {
  unsigned: 401,
  malformed: 401,
  mismatch: 401,
  expired: 401,
  fromFuture: 401,
  secretUnusable: 500,
  bodyNotRaw: 500,
  notAnEvent: 400,
};

function refusal(status: number, error: string, message: string): Answer {
  return { status, body: { error, message } };
}

function send(response: ServerResponse, { status, body, headers = {} }: Answer): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

function consumedBefore(): RelayError {
  return new RelayError(
    'body_consumed',
    'A body parser ran before the receiver, and the signed bytes are gone.',
    {
      hint: 'Mount the receiver before express.json(), or give its path express.raw({ type: "*/*" }).',
    },
  );
}

function report(error: unknown, event: ReceivedEvent | null): void {
  console.error(
    `fullscript-relay/receiver: ${event === null ? 'a request' : `event ${event.id}`} failed:`,
    error,
  );
}

function checkOptions(options: ReceiverOptions): void {
  checkVerifyOptions(options);
  const { onEvent, challengeToken, bodyBytesMax = 1, gapAfterMs = 0 } = options;
  if (typeof onEvent !== 'function') throw invalid('onEvent', 'is no function');
  if (challengeToken === '') throw invalid('challengeToken', 'is empty: leave it out if there is none');
  if (!(bodyBytesMax > 0)) throw invalid('bodyBytesMax', 'is no number of bytes');
  if (!(gapAfterMs >= 0)) throw invalid('gapAfterMs', 'is no number of milliseconds');
}

function invalid(path: string, problem: string): InvalidInput {
  return new InvalidInput('receiver_options_invalid', `${path} ${problem}.`, {
    hint: 'Correct the options of the receiver.',
    problems: [{ path, message: problem }],
  });
}
