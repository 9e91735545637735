import type { Clock } from '../clock.ts';
import { type Outcome, outcomeLabel } from '../domain/attempt.ts';
import { readRetryAfterMs } from '../domain/backoff.ts';
import type { Logger } from '../logger.ts';
import { readChallenge } from '../wire/challenge.ts';
import { composeHandshake, wireFormatOf } from '../wire/compose.ts';
import type { Recipient } from '../wire/wire-format.ts';
import type { Answered, Post, Unanswered } from './post.ts';
import { noTokenKey, type TokenKeyOf } from './token-key-of.ts';

/** Source: Fullscript, "Configure your app". */
export const handshakeTimeoutMs = 2_000;

/**
 * Sends the empty request and judges the answer: 200 or 201 with the challenge token; any
 * success where there is no token. Nothing is stored and no pause is lifted here.
 *
 * @param signal ends the request at once, as `interrupted`.
 * @throws RelayError `signing_secret_unusable`
 */
export type ShakeHands = (subscriber: HandshakePartner, signal?: AbortSignal) => Promise<HandshakeResult>;

export type HandshakePartner = Recipient;

export type HandshakeResult =
  | { readonly kind: 'passed'; readonly status: number }
  | {
      readonly kind: 'failed';
      readonly because: HandshakeFailure;
      readonly outcome: Outcome;
      /** What was expected and what came, for the subscriber's developer; holds nothing that was answered. */
      readonly message: string;
      readonly hint: string;
    };

/** Which half of the answer failed, or why there was none. */
export type HandshakeFailure =
  | 'status'
  | 'redirect'
  | 'notJson'
  | 'noChallenge'
  | 'otherToken'
  | Unanswered['kind'];

export interface HandshakeDependencies {
  readonly post: Post;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly userAgent: string;
  /** Default: `noTokenKey`. */
  readonly tokenKeyOf?: TokenKeyOf;
}

export function createHandshake(dependencies: HandshakeDependencies): ShakeHands {
  const { post, clock, logger, userAgent, tokenKeyOf = noTokenKey } = dependencies;
  return async (subscriber, signal) => {
    const tokenKey = await tokenKeyOf(subscriber);
    const moment = { now: clock.now(), wall: clock.wall() };
    const result = await post({
      url: subscriber.url,
      ...composeHandshake(subscriber, moment, userAgent, tokenKey),
      timeoutMs: handshakeTimeoutMs,
      needsAnswerBody: subscriber.challengeToken !== null,
      ...(signal && { signal }),
    });
    const judged =
      result.kind === 'answered' ? judgeAnswer(result, subscriber, clock.wall()) : judgeSilence(result);
    logger.info('handshake', {
      subscriberId: subscriber.id,
      result: judged.kind === 'passed' ? 'passed' : judged.because,
      outcome: judged.kind === 'passed' ? `accepted ${judged.status}` : outcomeLabel(judged.outcome),
    });
    return judged;
  };
}

const answerFirst =
  'Answer an empty body before any signature check or JSON parser sees it, with 200 and {"challenge":"<token>"}.';

function judgeAnswer(answered: Answered, subscriber: HandshakePartner, wall: number): HandshakeResult {
  const { status, answer, isTruncated } = answered;
  const { challengeToken } = subscriber;
  const failed = (
    because: Exclude<HandshakeFailure, Unanswered['kind']>,
    what: string,
    hint: string,
  ): HandshakeResult => ({
    kind: 'failed',
    because,
    outcome: {
      kind: 'rejected',
      status,
      retryAfterMs: readRetryAfterMs(answered.retryAfter, wall),
      because: because === 'status' || because === 'redirect' ? because : 'challenge',
    },
    message: `The answer ${status} to the empty request ${what}.`,
    hint,
  });
  if (challengeToken === null) {
    const verdict = wireFormatOf(subscriber).acknowledges(subscriber, status, answer);
    if (verdict === 'accepted') return { kind: 'passed', status };
  }
  if (status >= 300 && status < 400) {
    return failed(
      'redirect',
      'is a redirect, and redirects are never followed',
      'Register the URL that the redirect points to.',
    );
  }
  if (challengeToken === null) return failed('status', 'is not a success', answerFirst);
  if (status !== 200 && status !== 201) return failed('status', 'is neither 200 nor 201', answerFirst);
  const found = readChallenge(answer, challengeToken);
  switch (found) {
    case 'matches':
      return { kind: 'passed', status };
    case 'notJson':
      return failed(
        found,
        isTruncated ? 'came with a body that broke off' : 'came without JSON',
        answerFirst,
      );
    case 'noChallenge':
      return failed(found, 'came with JSON that has no "challenge" text', answerFirst);
    case 'otherToken':
      return failed(
        found,
        'came with another challenge token',
        'The token is the one registered with the relay, not the signing secret; nothing of the request is to be echoed.',
      );
  }
}

function judgeSilence(outcome: Unanswered): HandshakeResult {
  return { kind: 'failed', because: outcome.kind, outcome, ...inWords(outcome, 'The empty request') };
}

/** @param what was sent, as the beginning of a sentence. */
export function inWords(outcome: Unanswered, what: string): { message: string; hint: string } {
  switch (outcome.kind) {
    case 'timedOut':
      return {
        message: `${what} was not answered within ${outcome.timeoutMs} ms; it ended at: ${outcome.phase}.`,
        hint: 'Answer at once and do the work afterwards.',
      };
    case 'unreachable':
      return {
        message: `The endpoint could not be reached: ${outcome.error} (${outcome.code}).`,
        hint: 'Check that the URL is right and that it can be reached from the relay’s machine.',
      };
    case 'blocked':
      return {
        message: `The relay does not dial this address: ${outcome.reason}.`,
        hint:
          outcome.allowWith === null
            ? 'No setting allows this address; use another one.'
            : `The operator can allow it in relay.config.json: ${outcome.allowWith}`,
      };
    case 'interrupted':
      return { message: 'The relay stopped before an answer came.', hint: 'Try again.' };
  }
}
