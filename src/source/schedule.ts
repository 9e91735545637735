import type { Stream } from '../domain/clinic.ts';

/** Decides when each stream is polled, and which goes first when several are due. */
export interface Schedule {
  /** @param streams how many are polled at all. */
  nextPollAt(stream: Stream, about: { readonly now: number; readonly streams: number }): number;
  /** After a failure: further and further apart, and never further than the longest interval. */
  retryAt(stream: Stream, now: number): number;
  /** The due ones, the most urgent first. */
  due(streams: readonly Stream[], now: number): readonly Stream[];
}

export interface ScheduleOptions {
  readonly requestsPerFiveMinutes: number;
  readonly pollSecondsMin: number;
  readonly pollSecondsMax: number;
  /** In [0, 1). */
  readonly random: () => number;
}

/** The rest of the budget is for details, refreshes and sweeps. */
const shareOfLists = 0.8;
const spreadShare = 0.1;

/** Every stream as often as every other: the shortest interval that the budget can bear. */
export function fairSchedule(options: ScheduleOptions): Schedule {
  const minMs = options.pollSecondsMin * 1000;
  const maxMs = options.pollSecondsMax * 1000;
  return {
    nextPollAt(_stream, { now, streams }) {
      const bearableMs = (streams * 300_000) / (options.requestsPerFiveMinutes * shareOfLists);
      const intervalMs = Math.min(Math.max(minMs, bearableMs), Math.max(maxMs, bearableMs));
      // Polls that begin together would stay together.
      return now + Math.round(intervalMs * (1 + options.random() * spreadShare));
    },
    retryAt(stream, now) {
      return now + Math.min(minMs * 2 ** Math.min(stream.failedInRow, 16), maxMs);
    },
    due(streams, now) {
      return streams.filter((stream) => stream.nextPollAt <= now).sort((a, b) => a.nextPollAt - b.nextPollAt);
    },
  };
}
