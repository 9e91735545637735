/**
 * What came of one POST. `interrupted` is not an answer: the relay stopped, or its lease
 * lapsed, before it could record one, so the subscriber may or may not have taken it.
 */
export type Outcome =
  | { readonly kind: 'accepted'; readonly status: number }
  | {
      readonly kind: 'rejected';
      readonly status: number;
      readonly retryAfterMs: number | null;
      /** `status`: not a success. `challenge`: a success without the challenge token. `redirect`: never followed. */
      readonly because: 'status' | 'challenge' | 'redirect';
    }
  | { readonly kind: 'timedOut'; readonly phase: Phase; readonly timeoutMs: number }
  | { readonly kind: 'unreachable'; readonly error: NetworkError; readonly code: string }
  /** The address guard refused to dial; `allowWith` is the config line that would allow it, if one can. */
  | { readonly kind: 'blocked'; readonly reason: string; readonly allowWith: string | null }
  | { readonly kind: 'interrupted' };

/** The part of the exchange that was under way. */
export type Phase = 'dns' | 'connect' | 'tls' | 'send' | 'headers' | 'body';

/** Classes of failure below HTTP; `code` beside it is Node's own word (`ECONNREFUSED`). */
export type NetworkError = 'dns' | 'refused' | 'reset' | 'tls' | 'unreachable' | 'badResponse' | 'local';

export interface Attempt {
  readonly deliveryId: string;
  /** Counted from 1 over all rounds of the delivery. */
  readonly number: number;
  readonly round: number;
  readonly startedAt: number;
  readonly durationMs: number;
  readonly outcome: Outcome;
  /** The subscriber's revision that it was sent under. */
  readonly revision: number;
  /** The subscriber's breaker was open: a failure consumed no step of the schedule. */
  readonly isProbe: boolean;
  /** The result came after its claim was lost, so it changed nothing. */
  readonly isLate: boolean;
  /** At most 1 KiB of the answer, as text; `null` for accepted ones and where there was none. */
  readonly excerpt: string | null;
}

/** One word for an outcome, for tables, metrics and filters: `accepted`, `status 503`, `timeout:connect`, `dns`. */
export function outcomeLabel(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'accepted':
      return `accepted ${outcome.status}`;
    case 'rejected':
      return outcome.because === 'status'
        ? `status ${outcome.status}`
        : `${outcome.because} ${outcome.status}`;
    case 'timedOut':
      return `timeout:${outcome.phase}`;
    case 'unreachable':
      return outcome.error;
    case 'blocked':
      return 'blocked';
    case 'interrupted':
      return 'interrupted';
  }
}

/** The status line's code, or `null` when no status line was read. */
export function statusOf(outcome: Outcome): number | null {
  return outcome.kind === 'accepted' || outcome.kind === 'rejected' ? outcome.status : null;
}

/**
 * Judges an outcome. 410 is the subscriber saying "stop", and a refused address will
 * still be refused next time: both hold the subscriber until somebody resumes it. Every
 * other failure may pass by itself.
 *
 * Source: Standard Webhooks 1.0.0, "Delivery success and failure".
 */
export function judge(outcome: Outcome): 'delivered' | 'retry' | 'hold' | 'again' {
  switch (outcome.kind) {
    case 'accepted':
      return 'delivered';
    case 'rejected':
      return outcome.status === 410 ? 'hold' : 'retry';
    case 'timedOut':
    case 'unreachable':
      return 'retry';
    case 'blocked':
      return 'hold';
    case 'interrupted':
      return 'again';
  }
}
