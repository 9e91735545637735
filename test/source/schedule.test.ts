import { describe, expect, test } from 'vitest';
import type { Stream } from '../../src/domain/clinic.ts';
import { freshSchedule, type Schedule, type ScheduleOptions } from '../../src/source/schedule.ts';

const now = Date.parse('2026-11-23T17:00:00Z');
const second = 1_000;
const hour = 3_600_000;
const day = 24 * hour;
/** What is learned now counts from then on. */
const replanned = now + 600 * second;

function aStream(changes: Partial<Stream> = {}): Stream {
  return {
    clinicId: 'clinic-1',
    category: 'orders',
    startAt: 0,
    cursor: null,
    polledAt: now - 300 * second,
    sweptAt: null,
    nextPollAt: now,
    failedInRow: 0,
    problem: null,
    isOff: false,
    recorded: 0,
    newestEventAt: null,
    ...changes,
  };
}

function streamsOf(count: number, changes: Partial<Stream> = {}): readonly Stream[] {
  return Array.from({ length: count }, (_, index) => aStream({ clinicId: `clinic-${index}`, ...changes }));
}

function aSchedule(streams: readonly Stream[], changes: Partial<ScheduleOptions> = {}): Schedule {
  const schedule = freshSchedule({
    requestsPerFiveMinutes: 2_500,
    pollSecondsMin: 30,
    pollSecondsMax: 900,
    sweepHours: 24,
    ...changes,
  });
  schedule.due(streams, now);
  return schedule;
}

/** What a first list shows: 30 days in which the events came at these moments. */
function learnMonth(schedule: Schedule, stream: Stream, eventsAt: readonly number[], until = now): void {
  schedule.learn(stream, { from: until - 30 * day, until, eventsAt, pages: 1, isSweep: false });
}

/** So many a day over the 30 days before, and about as many at any hour. */
function evenly(perDay: number, until = now, phase = 0.5): readonly number[] {
  const count = 30 * perDay + 7;
  return Array.from({ length: count }, (_, index) => until - ((index + phase) * 30 * day) / count);
}

/** After a poll that came when it was due. */
function waitSeconds(schedule: Schedule, stream: Stream, at = now): number {
  return (schedule.nextPollAt({ ...stream, nextPollAt: at }, at) - at) / second;
}

describe('floor and ceiling', () => {
  test('with room for all, every stream is polled every pollSecondsMin', () => {
    const streams = streamsOf(100);
    const schedule = aSchedule(streams);
    expect(streams.map((stream) => waitSeconds(schedule, stream))).toEqual(streams.map(() => 30));
  });

  test('however busy a stream is, it is polled no sooner; however quiet, no later', () => {
    const streams = streamsOf(1_200);
    const schedule = aSchedule(streams, { requestsPerFiveMinutes: 600 });
    streams.forEach((stream, index) => {
      learnMonth(schedule, stream, index === 0 ? evenly(3_000) : index < 400 ? evenly(3) : []);
    });
    schedule.due([...streams], replanned);
    const waits = streams.map((stream) => waitSeconds(schedule, stream, replanned));
    expect(Math.min(...waits)).toBe(30);
    expect(waits[0]).toBe(30);
    // The rest of the 900 is for waiting until it is its turn.
    expect(Math.max(...waits)).toBe(874.28);
    expect(Math.min(...waits.slice(400))).toBeGreaterThan(874.28 * 0.985);
  });

  test('what was due together, at a start or after an outage, is spread evenly, and never beyond the ceiling', () => {
    for (const changes of [
      { polledAt: null },
      { nextPollAt: now - 11 * second },
      { failedInRow: 1 },
    ] satisfies Partial<Stream>[]) {
      const streams = streamsOf(700, changes);
      const schedule = aSchedule(streams, { requestsPerFiveMinutes: 300 });
      const waits = streams.map((stream) => (schedule.nextPollAt(stream, now) - now) / second);
      const longest = Math.max(...waits);
      expect(longest).toBeLessThanOrEqual(900);
      // From half of the interval on, a tenth of them in each tenth of the time.
      const tenths = Array.from({ length: 10 }, (_, tenth) => {
        const [from, until] = [tenth, tenth + 1].map((each) => (longest / 2) * (1 + each / 10));
        return waits.filter((wait) => wait > (from as number) && wait <= (until as number)).length;
      });
      expect(Math.min(...tenths)).toBeGreaterThan(50);
      expect(Math.max(...tenths)).toBeLessThan(90);
    }
  });

  test('in step, a poll comes at most a hundredth of its interval early, where the least is planned', () => {
    const streams = streamsOf(700);
    const schedule = aSchedule(streams, { requestsPerFiveMinutes: 300 });
    const waits = streams.map((stream) => waitSeconds(schedule, stream));
    expect(new Set(waits).size).toBeGreaterThan(1);
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(Math.max(...waits) * 0.99);
  });
});

describe('where the most is to be found', () => {
  test('four times the events are polled twice as often, and no one is starved', () => {
    const streams = streamsOf(400);
    const schedule = aSchedule(streams, { requestsPerFiveMinutes: 300, pollSecondsMax: 86_400 });
    streams.forEach((stream, index) => {
      learnMonth(schedule, stream, evenly(index < 200 ? 16 : 4));
    });
    schedule.due([...streams], replanned);
    const at = replanned;
    const [busy = 0, quiet = 0] = [streams[0], streams[399]].map((each) =>
      waitSeconds(schedule, each as Stream, at),
    );
    expect(quiet / busy).toBeGreaterThan(1.8);
    expect(quiet / busy).toBeLessThan(2.2);
    // 200 / busy + 200 / quiet is what a budget of 300 leaves beside details and renewals.
    expect(200 / busy + 200 / quiet).toBeGreaterThan(0.8);
    expect(200 / busy + 200 / quiet).toBeLessThan(1);
  });

  test('a list of four pages costs four requests, and is read half as often as one of a page', () => {
    const streams = streamsOf(400);
    const schedule = aSchedule(streams, { requestsPerFiveMinutes: 300, pollSecondsMax: 86_400 });
    streams.forEach((stream, index) => {
      const pages = index === 0 ? 4 : 1;
      schedule.learn(stream, {
        from: now - 30 * day,
        until: now,
        eventsAt: evenly(8),
        pages,
        isSweep: false,
      });
    });
    const ratio = waitSeconds(schedule, streams[0] as Stream) / waitSeconds(schedule, streams[1] as Stream);
    expect(ratio).toBeGreaterThan(1.9);
    expect(ratio).toBeLessThan(2.1);
  });

  test('the hours of a clinic are learned: it is polled more often while it is open', () => {
    const streams = streamsOf(100);
    const schedule = aSchedule(streams, { requestsPerFiveMinutes: 60, pollSecondsMax: 7_200 });
    // Half of them work in one half of the day, half of them in the other.
    const midnight = Date.parse('2026-11-23T00:00:00Z');
    streams.forEach((stream, index) => {
      const opensAt = index % 2 === 0 ? 14 : 2;
      const eventsAt = Array.from({ length: 30 * 16 }, (_, event) => {
        return midnight - Math.floor(event / 16) * day + (opensAt + (event % 16) / 2) * hour;
      });
      learnMonth(
        schedule,
        stream,
        eventsAt.filter((at) => at < now),
      );
    });
    const at = Date.parse('2026-11-24T17:00:00Z');
    schedule.due([...streams], at);
    const [open = 0, closed = 0] = [streams[0], streams[1]].map((each) =>
      waitSeconds(schedule, each as Stream, at),
    );
    expect(closed / open).toBeGreaterThan(3);
  });

  test('old habits fade: a clinic that fell silent is polled ever less often', () => {
    const streams = streamsOf(200);
    const schedule = aSchedule(streams, { requestsPerFiveMinutes: 100, pollSecondsMax: 86_400 });
    for (const stream of streams) learnMonth(schedule, stream, evenly(8));
    const waits = [1, 3, 10, 30].map((days) => {
      const at = now + days * day;
      streams.forEach((stream, index) => {
        const eventsAt = index === 0 ? [] : evenly(8, at).filter((each) => each > now);
        schedule.learn(stream, { from: now - day, until: at, eventsAt, pages: 1, isSweep: false });
      });
      schedule.due([...streams], at);
      return (
        waitSeconds(schedule, streams[0] as Stream, at) / waitSeconds(schedule, streams[1] as Stream, at)
      );
    });
    expect(waits).toEqual([...waits].sort((a, b) => a - b));
    expect(waits[0]).toBeGreaterThan(1.1);
    expect(waits[3]).toBeGreaterThan(1.8);
  });

  test('a burst is followed at once, and forgotten in a few days', () => {
    const streams = streamsOf(200);
    const schedule = aSchedule(streams, { requestsPerFiveMinutes: 100, pollSecondsMax: 86_400 });
    for (const stream of streams) learnMonth(schedule, stream, evenly(4));
    const [usual, other] = streams as readonly [Stream, Stream];
    const before = waitSeconds(schedule, usual) / waitSeconds(schedule, other);
    const burst = Array.from({ length: 100 }, (_, index) => now + index * second);
    const ratioAt = (at: number, eventsAt: readonly number[]) => {
      schedule.learn(usual, { from: now - day, until: at, eventsAt, pages: 1, isSweep: false });
      schedule.due([...streams], at);
      return waitSeconds(schedule, usual, at) / waitSeconds(schedule, other, at);
    };
    expect(before).toBeGreaterThan(0.95);
    expect(ratioAt(replanned, burst)).toBeLessThan(0.4);
    expect(ratioAt(now + 10 * day + 5 * hour, burst)).toBeGreaterThan(0.5);
  });

  test('a new clinic is taken for one like the others of its category', () => {
    const streams = [...streamsOf(200), aStream({ clinicId: 'new' })];
    const schedule = aSchedule(streams, { requestsPerFiveMinutes: 100, pollSecondsMax: 86_400 });
    streams.slice(0, 200).forEach((stream, index) => {
      learnMonth(schedule, stream, evenly(8, now, (index * 0.618) % 1));
    });
    schedule.due([...streams], replanned);
    const [known = 0, fresh = 1] = [streams[0], streams[200]].map((each) =>
      waitSeconds(schedule, each as Stream, replanned),
    );
    expect(fresh / known).toBeGreaterThan(0.8);
    expect(fresh / known).toBeLessThan(1.25);
  });

  test('what was not read in an outage does not count as a time without events', () => {
    const streams = streamsOf(200);
    const schedule = aSchedule(streams, { requestsPerFiveMinutes: 100, pollSecondsMax: 86_400 });
    for (const stream of streams) learnMonth(schedule, stream, evenly(8));
    const at = now + 20 * day;
    streams.forEach((stream, index) => {
      const from = index === 0 ? at - 2 * day : now;
      const eventsAt = evenly(8, at).filter((each) => each > from);
      schedule.learn(stream, { from, until: at, eventsAt, pages: 1, isSweep: false });
    });
    schedule.due([...streams], at);
    const [back = 0, other = 1] = [streams[0], streams[1]].map((each) =>
      waitSeconds(schedule, each as Stream, at),
    );
    expect(back / other).toBeGreaterThan(0.85);
    expect(back / other).toBeLessThan(1.15);
  });
});

describe('a budget that is too small', () => {
  test('is named with either remedy, and each of them is enough', () => {
    const streams = streamsOf(2_000);
    const short = aSchedule(streams, { requestsPerFiveMinutes: 400 }).shortfall(now);
    expect(short).toEqual({ requestsPerFiveMinutes: expect.any(Number), pollSecondsMax: expect.any(Number) });
    // 2,000 streams every 900 s are 667 requests, and what else there is comes on top.
    expect(short?.requestsPerFiveMinutes).toBeGreaterThan(667);
    expect(short?.requestsPerFiveMinutes).toBeLessThan(900);
    expect(short?.pollSecondsMax).toBeGreaterThan(1_500);
    const { requestsPerFiveMinutes, pollSecondsMax } = short ?? {
      requestsPerFiveMinutes: 0,
      pollSecondsMax: 0,
    };
    expect(aSchedule(streams, { requestsPerFiveMinutes }).shortfall(now)).toBeNull();
    expect(aSchedule(streams, { requestsPerFiveMinutes: 400, pollSecondsMax }).shortfall(now)).toBeNull();
  });

  test('stretches the ceiling for all alike, so that none is left out', () => {
    const streams = streamsOf(2_000);
    const schedule = aSchedule(streams, { requestsPerFiveMinutes: 400 });
    const waits = streams.map((stream) => waitSeconds(schedule, stream));
    expect(Math.max(...waits)).toBeLessThanOrEqual((schedule.shortfall(now)?.pollSecondsMax ?? 0) + 1);
    expect(2_000 / Math.max(...waits)).toBeLessThan(400 / 300);
  });

  test('is no shortfall because of categories that are off: they are tried hourly', () => {
    const streams = [...streamsOf(100), ...streamsOf(2_000, { category: 'products', isOff: true })];
    expect(aSchedule(streams, { requestsPerFiveMinutes: 400 }).shortfall(now)).toBeNull();
  });
});

test('a failing stream is tried further and further apart, up to pollSecondsMax', () => {
  const schedule = aSchedule([]);
  const waits = [0, 1, 2, 5, 50].map((failedInRow) => schedule.retryAt(aStream({ failedInRow }), now) - now);
  expect(waits).toEqual([30_000, 60_000, 120_000, 900_000, 900_000]);
});

test('what is longest due goes first, and what is not due does not go', () => {
  const streams = [
    aStream({ category: 'later', nextPollAt: now + 1 }),
    aStream({ category: 'second', nextPollAt: now - 1 }),
    aStream({ category: 'first', nextPollAt: now - 5 }),
  ];
  expect(
    aSchedule([])
      .due(streams, now)
      .map(({ category }) => category),
  ).toEqual(['first', 'second']);
});

test('who reaches the ceiling goes before whoever is longer due', () => {
  const streams = [
    aStream({ category: 'busy', nextPollAt: now - 300 * second, polledAt: now - 330 * second }),
    aStream({ category: 'quiet', nextPollAt: now - second, polledAt: now - 889 * second }),
  ];
  expect(
    aSchedule([])
      .due(streams, now)
      .map(({ category }) => category),
  ).toEqual(['quiet', 'busy']);
});

test('what fails or is off has waits of its own, and holds up nothing that can be read', () => {
  const old = { polledAt: now - day, nextPollAt: now - second };
  const streams = [
    aStream({ category: 'failing', failedInRow: 3, ...old }),
    aStream({ category: 'off', isOff: true, ...old }),
    aStream({ category: 'healthy', nextPollAt: now - 5 * second, polledAt: now - 35 * second }),
  ];
  expect(aSchedule([]).due(streams, now)[0]?.category).toBe('healthy');
});

test('case 192: a moment that a stepped clock left days ahead is due', () => {
  expect(aSchedule([]).due([aStream({ nextPollAt: now + 2 * day })], now)).toHaveLength(1);
});
