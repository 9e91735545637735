import { type Clock, wait } from '../clock.ts';
import { type Outcome, outcomeLabel } from '../domain/attempt.ts';
import { readRetryAfterMs } from '../domain/backoff.ts';
import { ClaimLost, RelayError, StoreUnavailable } from '../domain/errors.ts';
import { owesHandshakePerEvent } from '../domain/subscriber-input.ts';
import type { Logger } from '../logger.ts';
import type { AfterAttempt, AttemptResult, DeliveryClaim, DeliveryStore } from '../store/store.ts';
import { composeAttempt, type SignedRequest, wireFormatOf } from '../wire/compose.ts';
import { createHandshake, type ShakeHands } from './handshake.ts';
import type { Answered, Post } from './post.ts';
import { noTokenKey, type TokenKeyOf } from './token-key-of.ts';

/**
 * Makes one claimed attempt: compose, post, judge the answer; before it the empty request,
 * where the subscriber is to be asked each time, whose failure is the attempt's. Whatever the subscriber does
 * ends in an outcome.
 *
 * @param signal ends the request, and the waiting of `record`, at once and with nothing
 *   recorded: the next start finds the claim and counts the attempt as interrupted.
 */
export type Deliver = (claim: DeliveryClaim, signal: AbortSignal) => Promise<Attempted>;

/** An attempt that was made and is not on record yet. Its slot is free again. */
export interface Attempted {
  /**
   * While the store takes no writes the result waits here for it: a result that is not
   * recorded is an event sent twice.
   *
   * @throws StoreBroken
   */
  record(): Promise<Delivered>;
}

export type Delivered =
  | { readonly kind: 'recorded'; readonly after: AfterAttempt }
  /** The claim was lost before: the result is on record as late and changed nothing. */
  | { readonly kind: 'late' }
  | { readonly kind: 'abandoned' };

export interface DeliverDependencies {
  readonly store: Pick<DeliveryStore, 'recordAttempt'>;
  readonly post: Post;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  readonly userAgent: string;
  /** Default: `noTokenKey`. */
  readonly tokenKeyOf?: TokenKeyOf;
  /** Over one whole exchange. */
  readonly timeoutMs: number;
  /** Hears of each delivery whose round is used up. */
  readonly onFailed?: (after: AfterAttempt) => void;
}

/** Between two tries to record a result. */
const recordAgainMs = 1_000;

export function createDeliver(dependencies: DeliverDependencies): Deliver {
  const { store, clock, random, logger } = dependencies;
  const shakeHands = createHandshake(dependencies);

  const record = async (
    claim: DeliveryClaim,
    result: AttemptResult,
    signal: AbortSignal,
  ): Promise<Delivered> => {
    let isFirstTry = true;
    while (!signal.aborted) {
      try {
        return { kind: 'recorded', after: await store.recordAttempt(claim, result) };
      } catch (error) {
        if (error instanceof ClaimLost) return { kind: 'late' };
        if (!(error instanceof StoreUnavailable)) throw error;
        if (isFirstTry)
          logger.warn('result waits for the store', { deliveryId: claim.delivery.id, code: error.code });
        isFirstTry = false;
        await wait(clock, recordAgainMs, signal);
      }
    }
    return { kind: 'abandoned' };
  };

  return async (claim, signal) => {
    const startedAt = clock.monotonic();
    const { outcome, excerpt } = await attempt(dependencies, shakeHands, claim, signal);
    const durationMs = clock.monotonic() - startedAt;
    return {
      async record() {
        const result = { outcome, durationMs, excerpt, random: random() };
        const delivered = await record(claim, result, signal);
        logAttempt(logger, claim, outcome, durationMs, delivered);
        if (delivered.kind === 'recorded' && delivered.after.delivery.state === 'failed') {
          dependencies.onFailed?.(delivered.after);
        }
        return delivered;
      },
    };
  };
}

interface Judged {
  readonly outcome: Outcome;
  readonly excerpt: string | null;
}

async function attempt(
  { post, clock, logger, userAgent, timeoutMs, tokenKeyOf = noTokenKey }: DeliverDependencies,
  shakeHands: ShakeHands,
  claim: DeliveryClaim,
  signal: AbortSignal,
): Promise<Judged> {
  const { subscriber } = claim;
  let request: SignedRequest;
  try {
    if (owesHandshakePerEvent(subscriber)) {
      const shaken = await shakeHands(subscriber, signal);
      if (shaken.kind === 'failed') return { outcome: shaken.outcome, excerpt: null };
    }
    const tokenKey = await tokenKeyOf(subscriber);
    request = composeAttempt(claim, { now: clock.now(), wall: clock.wall() }, userAgent, tokenKey);
  } catch (error) {
    // A secret that cannot sign is this subscriber's trouble and must stop nobody else.
    if (!(error instanceof RelayError)) throw error;
    logger.error('attempt cannot be composed', {
      deliveryId: claim.delivery.id,
      subscriberId: subscriber.id,
      code: error.code,
      hint: error.hint,
    });
    return { outcome: { kind: 'unreachable', error: 'local', code: error.code }, excerpt: null };
  }
  const needsAnswerBody = wireFormatOf(subscriber).needsAnswerBody(subscriber);
  const result = await post({ url: subscriber.url, ...request, timeoutMs, needsAnswerBody, signal });
  if (result.kind !== 'answered') return { outcome: result, excerpt: null };
  const outcome = outcomeOf(result, claim, clock.wall());
  return { outcome, excerpt: outcome.kind === 'accepted' ? null : excerptOf(result.answer) };
}

function outcomeOf(
  { status, answer, retryAfter }: Answered,
  { subscriber }: DeliveryClaim,
  wall: number,
): Outcome {
  const verdict = wireFormatOf(subscriber).acknowledges(subscriber, status, answer);
  if (verdict === 'accepted') return { kind: 'accepted', status };
  return { kind: 'rejected', status, retryAfterMs: readRetryAfterMs(retryAfter, wall), because: verdict };
}

const excerptBytesMax = 1024;

/** Bytes that are not UTF-8 are replaced; a character that the cut went through is left out. */
function excerptOf(answer: Buffer): string | null {
  if (answer.length === 0) return null;
  const isCut = answer.length > excerptBytesMax;
  return new TextDecoder().decode(answer.subarray(0, excerptBytesMax), { stream: isCut });
}

function logAttempt(
  logger: Logger,
  claim: DeliveryClaim,
  outcome: Outcome,
  durationMs: number,
  delivered: Delivered,
): void {
  const { delivery, subscriber } = claim;
  logger.info('attempt', {
    deliveryId: delivery.id,
    eventId: delivery.eventId,
    clinicId: delivery.clinicId,
    subscriberId: subscriber.id,
    attempt: claim.attempt,
    outcome: outcomeLabel(outcome),
    durationMs: Math.round(durationMs),
    result: delivered.kind === 'recorded' ? delivered.after.delivery.state : delivered.kind,
  });
  const { paused, turned } = delivered.kind === 'recorded' ? delivered.after : { paused: null, turned: null };
  const { id: subscriberId, name } = subscriber;
  if (turned === 'failing') {
    logger.warn('subscriber failing: its deliveries are held, probes go on', {
      subscriberId,
      name,
      because: outcomeLabel(outcome),
    });
  }
  if (turned === 'recovered')
    logger.info('subscriber recovered: what was held is sent', { subscriberId, name });
  if (paused !== null) {
    logger.warn('subscriber paused', {
      subscriberId,
      name,
      reason: paused,
      because: outcomeLabel(outcome),
    });
  }
}
