import { describe, expect, test } from 'vitest';
import { latenessAfter } from '../../src/domain/clinic.ts';
import { readListQuery } from '../../src/sandbox/list-query.ts';
import { pollingRelay, recordedIds } from './clinic.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const orders = { clinic: 'Washington', type: 'order.placed' } as const;

describe('how late an event was listed', () => {
  const relay = () => pollingRelay({ categories: ['orders'], pollSecondsMin: 600 });
  const warnings = (lines: readonly { level: string; message: string }[]) =>
    lines.filter(({ message }) => message.includes('lists events late'));

  test('is kept, and told when it nears the overlap', async () => {
    const { clock, fullscript, store, lines } = await relay();
    await clock.advance(hour);
    fullscript.addEvent({ ...orders, listedLateMs: 3 * hour });
    await clock.advance(4 * hour);
    const [soon] = await store.streams();
    expect((soon?.lateness?.ms ?? 0) / hour).toBeGreaterThan(2.7);
    expect((soon?.lateness?.ms ?? 0) / hour).toBeLessThan(3);
    expect(warnings(lines)).toEqual([]);
    fullscript.addEvent({ ...orders, listedLateMs: 26 * hour });
    await clock.advance(27 * hour);
    expect(warnings(lines)).toMatchObject([{ level: 'warn', facts: { category: 'orders', lateHours: 26 } }]);
    expect((await store.streams())[0]?.lateness?.ms).toBeGreaterThan(day);
  });

  test('counts neither the relay’s own absence nor an event that was listed and could not be read', async () => {
    const { clock, fullscript, store, poller, restart } = await relay();
    await clock.advance(hour);
    const stopped = poller.stop(1_000);
    await clock.advance(2_000);
    await stopped;
    const missed = fullscript.addEvent(orders);
    await clock.advance(2 * day);
    await restart();
    await clock.advance(hour);
    const broken = fullscript.addEvent(orders);
    fullscript.faults.switchOn({ name: 'retrieval-fails', status: 404, eventId: broken.id });
    await clock.advance(5 * hour);
    fullscript.faults.switchAllOff();
    await clock.advance(2 * day);
    expect(await recordedIds(store)).toEqual([missed.id, broken.id]);
    expect((await store.streams())[0]?.lateness?.ms ?? 0).toBeLessThan(minute);
  });
});

for (const { before, ms, after, because } of [
  { before: undefined, ms: 0, after: undefined, because: 'nothing was late yet' },
  { before: undefined, ms: 5, after: { ms: 5, at: 40 * day }, because: 'it is the first' },
  { before: { ms: 9, at: 39 * day }, ms: 5, after: { ms: 9, at: 39 * day }, because: 'one was later' },
  { before: { ms: 9, at: 39 * day }, ms: 10, after: { ms: 10, at: 40 * day }, because: 'none was as late' },
  { before: { ms: 9, at: 9 * day }, ms: 5, after: { ms: 5, at: 40 * day }, because: '30 days are over' },
  { before: { ms: 9, at: 9 * day }, ms: 0, after: undefined, because: '30 days are over, and nothing came' },
]) {
  test(`of ${before?.ms ?? 'none'} and ${ms}, ${after?.ms ?? 'none'} is kept: ${because}`, () => {
    expect(latenessAfter(before, ms, 40 * day)).toEqual(after);
  });
}

describe('days', () => {
  for (const { start, because } of [
    { start: '2028-02-27T23:50:00Z', because: 'over a leap day' },
    { start: '2027-02-27T23:50:00Z', because: 'over the end of a February without one' },
    { start: '2026-12-30T23:50:00Z', because: 'over the end of a year' },
    {
      start: '2100-02-27T23:50:00Z',
      because: 'over a February that has no leap day though its year is divisible by four',
    },
  ]) {
    for (const utcOffsetMinutes of [-840, 840]) {
      for (const isIncluded of [false, true]) {
        const how = `${utcOffsetMinutes} minutes from UTC, the named day ${isIncluded ? 'in' : 'out'}`;
        test(`${because}, ${how}: each event comes once`, async () => {
          const { clock, fullscript, store } = await pollingRelay({
            categories: ['orders'],
            pollSecondsMin: 3_600,
            startAtMs: Date.parse(start),
          });
          fullscript.faults.switchOn({ name: 'day-zone', utcOffsetMinutes });
          if (isIncluded) fullscript.faults.switchOn({ name: 'named-day-included' });
          await clock.advance(minute);
          const made: string[] = [];
          for (let rounds = 0; rounds < 12; rounds++) {
            const listedLateMs = rounds % 3 === 0 ? 30 * hour : 0;
            made.push(fullscript.addEvent({ ...orders, listedLateMs }).id);
            await clock.advance(6 * hour);
          }
          await clock.advance(31 * hour);
          expect([...(await recordedIds(store))].sort()).toEqual(made.sort());
        });
      }
    }
  }
});

test('case 197: whatever zone the vendor’s days are of, a list begins before all that the overlap wants, at any time of day', async () => {
  const asked: { readonly at: number; readonly query: URLSearchParams }[] = [];
  const { clock } = await pollingRelay({
    categories: ['orders'],
    pollSecondsMin: 900,
    startAtMs: Date.parse('2028-02-27T00:05:00Z'),
    http: (http) => (request) => {
      const { pathname, searchParams } = new URL(request.url);
      if (pathname.endsWith('/events/orders')) asked.push({ at: clock.now(), query: searchParams });
      return http(request);
    },
  });
  await clock.advance(2 * day);
  expect(asked.length).toBeGreaterThan(150);
  const tooLate: string[] = [];
  for (const [index, { at, query }] of asked.entries()) {
    const polledAt = asked[index - 1]?.at ?? at;
    for (let utcOffsetMinutes = -12 * 60; utcOffsetMinutes <= 14 * 60; utcOffsetMinutes += 30) {
      for (const includesNamedDay of [true, false]) {
        const dialect = { isDescending: false, ignoresDays: false, pageSizeMax: 100 } as const;
        const read = readListQuery(query, { ...dialect, includesNamedDay, utcOffsetMinutes });
        const wantedFrom = index === 0 ? at - 30 * day : polledAt - 2 * day;
        const isEarly = typeof read !== 'string' && read.from <= wantedFrom;
        if (!isEarly)
          tooLate.push(`${query.get('created_at')} at ${new Date(at).toISOString()}, ${utcOffsetMinutes}`);
      }
    }
  }
  expect(tooLate).toEqual([]);
});
