const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** The vendor's own waits, then on for three more days. Source: Fullscript, "Missed and repeated webhooks". */
const fullscriptWaitsMs = [1, 5, 30, 60, 300].map((minutes) => minutes * minuteMs);

/** Source: Standard Webhooks 1.0.0, the example schedule of "Retries". */
const standardWaitsMs = [5_000, 5 * minuteMs, 30 * minuteMs, 2 * hourMs, 5 * hourMs];

const lastWaitsMs = [10, 14, 20, 24].map((hours) => hours * hourMs);

/** The waits after the first, second … failure of a round, in milliseconds. */
export const defaultWaitsMs = {
  fullscript: [...fullscriptWaitsMs, ...lastWaitsMs],
  standard: [...standardWaitsMs, ...lastWaitsMs],
} as const;

/** A subscriber can ask for air, and cannot park a delivery for a week. */
export const retryAfterMaxMs = 10 * hourMs;

const jitterShare = 0.1;
const jitterMaxMs = 15 * minuteMs;
const jitteredFromMs = 10_000;

/**
 * The wait before the next attempt, in milliseconds, or `null` when the round's schedule
 * is used up.
 *
 * Retry-After may lengthen the wait and never shortens it. Jitter only adds, so that
 * nobody is asked earlier than promised; short waits stay exact.
 *
 * @param waitsMs the subscriber's schedule.
 * @param failures 1-based count of this round's failures, the last one included.
 * @param retryAfterMs what the subscriber asked for, or `null`.
 * @param random in [0, 1).
 */
export function waitBeforeNextMs(
  waitsMs: readonly number[],
  failures: number,
  retryAfterMs: number | null,
  random: number,
): number | null {
  const stepMs = waitsMs[failures - 1];
  if (stepMs === undefined) return null;
  const waitMs = Math.max(stepMs, Math.min(retryAfterMs ?? 0, retryAfterMaxMs));
  return waitMs <= jitteredFromMs ? waitMs : withJitter(waitMs, random);
}

/**
 * A little longer, so that what began together does not come back together.
 *
 * @param random in [0, 1).
 */
export function withJitter(waitMs: number, random: number): number {
  return waitMs + Math.round(Math.min(waitMs * jitterShare, jitterMaxMs) * random);
}

const httpDate =
  /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/**
 * Reads a Retry-After header, seconds or an HTTP date, as milliseconds of at most
 * `retryAfterMaxMs`. `null` when it is absent, past or not to be understood. Source: RFC 9110, 10.2.3.
 *
 * @param wallNow epoch milliseconds, for the date form.
 */
export function readRetryAfterMs(header: string | undefined, wallNow: number): number | null {
  if (header === undefined) return null;
  if (/^\d+$/.test(header)) return Math.min(Number(header) * 1000, retryAfterMaxMs);
  if (!httpDate.test(header)) return null;
  const at = Date.parse(header);
  // A date that does not exist (31 Feb) is normalised by the parser and must not be believed.
  if (Number.isNaN(at) || new Date(at).toUTCString() !== header) return null;
  return at > wallNow ? Math.min(at - wallNow, retryAfterMaxMs) : null;
}
