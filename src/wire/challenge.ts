import { createHash, timingSafeEqual } from 'node:crypto';

/** What an answer says about the challenge token: that it is there, or what stands in its place. */
export type ChallengeAnswer = 'matches' | 'notJson' | 'noChallenge' | 'otherToken';

/**
 * Looks for `{"challenge": token}` in an answer; other keys and the content type do not
 * matter. The receiver knows the token from its registration: nothing is echoed.
 *
 * Source: Fullscript, technical reference, "Webhooks".
 */
export function readChallenge(answer: Buffer, token: string): ChallengeAnswer {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder().decode(answer));
  } catch {
    return 'notJson';
  }
  const given =
    typeof parsed === 'object' && parsed !== null && 'challenge' in parsed ? parsed.challenge : undefined;
  if (typeof given !== 'string') return 'noChallenge';
  return isSame(given, token) ? 'matches' : 'otherToken';
}

/** Compares digests, which are of one length whatever was sent, in constant time. */
function isSame(a: string, b: string): boolean {
  return timingSafeEqual(digest(a), digest(b));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
