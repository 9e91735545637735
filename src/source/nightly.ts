const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** From midnight to four in the morning in most of North America, in UTC. */
const nightBeginsMs = 7 * hourMs;
const nightLastsMs = 4 * hourMs;

/**
 * When the next nightly audit is due: a moment of the first night that has none yet and
 * is not over, so that the relays of the world do not all begin together.
 *
 * @param now, lastAt epoch milliseconds; `null` when there was none yet.
 * @param random in [0, 1).
 */
export function nextNightAt({
  now,
  lastAt,
  random,
}: {
  readonly now: number;
  readonly lastAt: number | null;
  readonly random: number;
}): number {
  const today = now - (now % dayMs) + nightBeginsMs;
  const tonight = now < today + nightLastsMs ? today : today + dayMs;
  // One in the future was made while the clock was ahead, and says nothing.
  const isDone = lastAt !== null && lastAt >= tonight && lastAt <= now;
  const night = isDone ? tonight + dayMs : tonight;
  const from = Math.max(now, night);
  return Math.floor(from + random * (night + nightLastsMs - from));
}
