import { createHash } from 'node:crypto';
import type { Stream, StreamKey } from '../domain/clinic.ts';

const hourMs = 3_600_000;

/**
 * Whether a stream's whole 30 days are read again now: every `sweepHours`, each at a time
 * of its own. Streams that were swept together, at a start or after an outage, are thus
 * far apart from their next sweep on, and sweeps take about as much of every hour's budget.
 */
export function isSweepDue(
  stream: StreamKey & Pick<Stream, 'sweptAt'>,
  sweepHours: number,
  now: number,
): boolean {
  if (stream.sweptAt === null) return true;
  const share = shareOf(stream);
  const turnAt = (at: number) => Math.floor(at / (sweepHours * hourMs) + share);
  // A sweep in the future was made while the clock was ahead, and says nothing.
  return turnAt(now) !== turnAt(stream.sweptAt);
}

/** In [0, 1): the same for a stream at any time. */
function shareOf({ clinicId, category }: StreamKey): number {
  const digest = createHash('sha256').update(`${category} ${clinicId}`).digest();
  return digest.readUInt32BE(0) / 2 ** 32;
}
