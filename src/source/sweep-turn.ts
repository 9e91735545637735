import { createHash } from 'node:crypto';
import type { Stream, StreamKey } from '../domain/clinic.ts';

const hourMs = 3_600_000;
/** Streams that were swept together, at a start or after an outage, drift apart by this share of the time between sweeps. */
const spreadShare = 0.25;
/** Of `sweepHours`: what lies between two sweeps of a stream, on the mean of all streams. */
export const meanSweepShare = 1 - spreadShare / 2;

/** Whether a stream's whole 30 days are read again now: each at a pace of its own, at least every `sweepHours`. */
export function isSweepDue(
  stream: StreamKey & Pick<Stream, 'sweptAt'>,
  sweepHours: number,
  now: number,
): boolean {
  if (stream.sweptAt === null) return true;
  // A sweep in the future was made while the clock was ahead, and says nothing.
  const passed = Math.abs(now - stream.sweptAt) / (sweepHours * hourMs);
  // Asked at every poll, and nearly always too early for any stream.
  return passed >= 1 - spreadShare && passed >= 1 - spreadShare * shareOf(stream);
}

/** In [0, 1): the same for a stream at any time. */
function shareOf({ clinicId, category }: StreamKey): number {
  const digest = createHash('sha256').update(`${category} ${clinicId}`).digest();
  return digest.readUInt32BE(0) / 2 ** 32;
}
