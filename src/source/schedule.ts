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
/** Nothing waits longer: `pollSecondsMax` is a day at most, and a category that is off is tried hourly. */
const longestRetryMs = 86_400_000;

/** Every stream as often as every other: the shortest interval that the budget can bear. */
export function fairSchedule(options: ScheduleOptions): Schedule {
  const minMs = options.pollSecondsMin * 1000;
  const maxMs = options.pollSecondsMax * 1000;
  /** Longer than the longest interval only where the budget cannot bear that: a poll late is better than none allowed. */
  const intervalMs = (streams: number): number =>
    Math.max(minMs, (streams * 300_000) / (options.requestsPerFiveMinutes * shareOfLists));
  return {
    nextPollAt(_stream, { now, streams }) {
      // Polls that begin together would stay together.
      return now + Math.round(intervalMs(streams) * (1 + options.random() * spreadShare));
    },
    retryAt(stream, now) {
      return now + Math.min(minMs * 2 ** Math.min(stream.failedInRow, 16), maxMs);
    },
    due(streams, now) {
      // A moment that no interval can have given was written under a clock that was ahead.
      const furthestAt = now + Math.max(intervalMs(streams.length), longestRetryMs) * (1 + spreadShare);
      return streams
        .filter(({ nextPollAt }) => nextPollAt <= now || nextPollAt > furthestAt)
        .sort((a, b) => a.nextPollAt - b.nextPollAt);
    },
  };
}
