import { describe, expect, test } from 'vitest';
import type { FaultAsk } from '../../src/sandbox/faults.ts';
import { type AuditedStream, isBalanced } from '../../src/source/audit-book.ts';
import { asAuditJob, auditStreamsOf, newAuditJob, turned } from '../../src/source/audit-job.ts';
import { nextNightAt } from '../../src/source/nightly.ts';
import { audited, ended, everything, latest, polled, repairing, unseenEvent } from './auditing.ts';
import { noon, type PollingRelay, pollingRelay, recordedIds } from './clinic.ts';

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;
const orders = { clinic: 'Washington', type: 'order.placed' } as const;
const twoClinics = ['Washington', 'New York'];

async function audits({ store }: PollingRelay) {
  return (await store.jobs()).map(asAuditJob).filter((job) => job !== null);
}

describe('a day of faults', () => {
  const faults: readonly FaultAsk[] = [
    { name: 'rate-limited', retryAfterSeconds: 120, times: 2 },
    { name: 'error-status', status: 503, times: 3 },
    { name: 'html-error', status: 200, times: 2 },
    { name: 'connection-dropped', times: 3 },
    { name: 'truncated-json', times: 2 },
    { name: 'unauthorized', times: 1 },
    { name: 'late-listed', seconds: 4 * 3600 },
    { name: 'item-twice' },
    { name: 'order-descending' },
    { name: 'items-only-ids' },
    { name: 'retrieval-fails', status: 500, times: 5 },
    { name: 'retrieval-fails', status: 404, times: 3 },
    { name: 'category-forbidden', category: 'patients', times: 1 },
    { name: 'item-without-id', times: 2 },
    { name: 'item-of-other-clinic', times: 1 },
    { name: 'odd-ids' },
    { name: 'equal-timestamps' },
    { name: 'without-clinic-id' },
    { name: 'day-zone', utcOffsetMinutes: -480 },
    { name: 'page-cycle', times: 2 },
    { name: 'strict-rotation' },
    { name: 'tokens-expire-early', seconds: 600 },
  ];

  test('and every listed event stands in its bucket', async () => {
    const relay = await polled({ clinics: twoClinics, startFromMs: hour, pollSecondsMin: 300 });
    const types = ['order.placed', 'patient.created', 'patient.updated'];
    for (const [index, fault] of faults.entries()) {
      const { id } = relay.fullscript.faults.switchOn(fault);
      for (let made = 0; made < 12; made++) {
        const clinic = twoClinics[made % 2] ?? '';
        relay.fullscript.addEvent({ clinic, type: types[(made + index) % 3] ?? '' });
        await relay.clock.advance(5 * minute);
      }
      if (relay.fullscript.faults.list().some((each) => each.id === id))
        relay.fullscript.faults.switchOff(id);
    }
    await relay.clock.advance(6 * hour);
    const job = await audited(relay);
    const { counts } = job.progress;
    expect(job.progress).toMatchObject({ streams: 4, unlisted: 0, withoutId: 0 });
    expect(counts.listed).toBe(relay.fullscript.ledger().length);
    expect(counts).toMatchObject({ listed: faults.length * 12, missing: 0, setAside: 1 });
    expect(isBalanced(counts)).toBe(true);
    expect(relay.fatal).toEqual([]);
  });

  test('is audited while it lasts, too: what is listed then is never called missing when it was polled', async () => {
    const relay = await polled({ clinics: twoClinics, startFromMs: hour });
    relay.fullscript.faults.switchOn({ name: 'late-listed', seconds: 1800 });
    relay.fullscript.faults.switchOn({ name: 'item-twice' });
    for (let round = 0; round < 20; round++) {
      relay.fullscript.addEvent({ clinic: twoClinics[round % 2] ?? '', type: 'order.placed' });
      if (round % 5 === 0) relay.fullscript.faults.switchOn({ name: 'error-status', status: 502, times: 2 });
      const { counts } = (await audited(relay)).progress;
      expect(isBalanced(counts)).toBe(true);
      await relay.clock.advance(7 * minute);
    }
  });
});

describe('a restart', () => {
  test('goes on with the streams that are left, and counts nothing twice', async () => {
    const relay = await polled({ clinics: twoClinics });
    for (const clinic of twoClinics) relay.fullscript.addEvent({ ...orders, clinic });
    await relay.clock.advance(minute);
    relay.fullscript.faults.switchOn({ name: 'error-status', operation: 'list', category: 'patients' });
    const begun = await relay.auditor.begin(everything, 'operator');
    await relay.clock.advance(10 * second);
    expect((await relay.auditor.find(begun.id))?.progress.done).toBe(1);
    await relay.restart();
    expect(await latest(relay, begun)).toMatchObject({ state: 'running', progress: { done: 1 } });
    relay.fullscript.faults.switchAllOff();
    await relay.auditor.start();
    expect(await ended(relay, begun)).toMatchObject({
      state: 'done',
      progress: { streams: 4, done: 4, counts: { listed: 2, pending: 2 } },
    });
  });

  test('between a finding and its repair ends the repair, and the finding is not lost', async () => {
    const relay = await polled();
    const id = await unseenEvent(relay);
    relay.fullscript.faults.switchOn({ name: 'retrieval-fails', status: 500, eventId: id });
    const begun = await relay.auditor.begin(repairing, 'operator');
    await relay.clock.advance(10 * second);
    // On record while it is being repaired: a crash would not hide it.
    expect((await latest(relay, begun)).progress).toMatchObject({ counts: { missing: 1 }, repaired: 0 });
    await relay.restart();
    relay.fullscript.faults.switchAllOff();
    await relay.auditor.start();
    expect((await ended(relay, begun)).progress).toMatchObject({ counts: { missing: 1 }, repaired: 1 });
    expect(await recordedIds(relay.store)).toEqual([id]);
  });
});

describe('one audit at a time', () => {
  test('a second one is refused, also when both are begun at once', async () => {
    const relay = await polled();
    const both = await Promise.allSettled([
      relay.auditor.begin(everything, 'operator'),
      relay.auditor.begin(everything, 'operator'),
    ]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(both.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { code: 'audit_running' },
    });
  });

  test('cancelled it ends at once, though the vendor lets it wait, and keeps what it found', async () => {
    const relay = await polled({ clinics: twoClinics });
    for (const clinic of twoClinics) relay.fullscript.addEvent({ ...orders, clinic });
    await relay.clock.advance(minute);
    relay.fullscript.faults.switchOn({
      name: 'rate-limited',
      retryAfterSeconds: 36_000,
      category: 'patients',
    });
    const { id } = await relay.auditor.begin(everything, 'operator');
    await relay.clock.advance(5 * second);
    const cancelling = relay.auditor.cancel(id);
    await relay.clock.advance(1);
    expect(await cancelling).toMatchObject({
      state: 'cancelled',
      progress: { done: 1, counts: { listed: 1 } },
    });
    await relay.restart();
    await relay.auditor.start();
    expect((await latest(relay, { id })).state).toBe('cancelled');
  });

  test('the newest five are kept, of the older three no pages, and no pages of one that is gone', async () => {
    const relay = await polled();
    const gone = newAuditJob(everything, { owner: 'operator', streams: 0, now: noon - day });
    const page = { ...gone, state: 'done', progress: { streams: [] } } as const;
    await relay.store.saveJob({ ...page, id: `${gone.id}.0`, ask: { pageOf: gone.id } });
    const begun: string[] = [];
    for (let made = 0; made < 7; made++) {
      const job = await audited(relay);
      begun.push(job.id);
      await relay.store.saveJob({ ...page, id: `${job.id}.0`, ask: { pageOf: job.id } });
      await relay.store.saveJob({ ...job, progress: { ...job.progress, pages: 1 } });
      await relay.clock.advance(minute);
    }
    const kept = begun.slice(-5);
    // Each audit forgets what is old when it begins: the last two have their pages.
    const pages = begun.slice(-2).map((id) => `${id}.0`);
    expect((await relay.store.jobs()).map(({ id }) => id).sort()).toEqual([...kept, ...pages].sort());
    for (const [index, { progress }] of (await audits(relay)).entries()) {
      const isWhole = kept.indexOf((await audits(relay))[index]?.id ?? '') >= 3;
      expect({ pages: progress.pages, open: progress.open.length }).toEqual(
        isWhole ? { pages: 1, open: 2 } : { pages: 0, open: 0 },
      );
    }
  });
});

test('the books of many streams lie on pages, so that no row of the store grows without end', async () => {
  const relay = await polled();
  const days = Object.fromEntries(
    Array.from({ length: 31 }, (_, index) => [`2026-10-${index + 1}`, { listed: 1_000, delivered: 1_000 }]),
  );
  const stream = (index: number): AuditedStream => ({
    kind: 'listed',
    clinicId: `clinic-${index}`,
    category: 'orders',
    days,
    withoutId: 0,
    missingIds: [],
    repaired: 0,
    problem: null,
  });
  let job = newAuditJob(everything, { owner: 'operator', streams: 600, now: noon });
  const streams = Array.from({ length: 600 }, (_, index) => stream(index));
  for (const each of streams) {
    job = { ...job, progress: { ...job.progress, open: [...job.progress.open, each] } };
    const turn = turned(job);
    if (turn === null) continue;
    await relay.store.saveJob(turn.page);
    job = turn.job;
  }
  await relay.store.saveJob(job);
  expect(job.progress.pages).toBeGreaterThan(2);
  expect(await auditStreamsOf(job, relay.store)).toEqual(streams);
});

describe('every night', () => {
  test('the relay audits itself and takes in what is missing', async () => {
    const relay = await polled({ pollSecondsMin: 900 });
    await relay.auditor.start();
    await relay.clock.advance(18 * hour);
    expect(await audits(relay)).toEqual([]);
    const id = await unseenEvent(relay);
    await relay.clock.advance(2 * hour);
    const [first] = await audits(relay);
    expect(first).toMatchObject({ state: 'done', ask: { isNightly: true }, owner: 'relay' });
    expect(first?.progress).toMatchObject({ counts: { missing: 1 }, repaired: 1 });
    expect(await recordedIds(relay.store)).toEqual([id]);
    await relay.clock.advance(2 * day);
    expect(await audits(relay)).toHaveLength(3);
  });

  test('a relay without clinics audits nothing', async () => {
    const relay = await pollingRelay({ pollSecondsMin: 900 });
    await relay.clock.advance(minute);
    const [clinic] = await relay.store.clinics();
    await relay.store.changeClinic(clinic?.id ?? '', { isRemoved: true });
    await relay.auditor.start();
    await relay.clock.advance(2 * day);
    expect(await audits(relay)).toEqual([]);
  });

  const at = (text: string) => Date.parse(`2026-11-${text}:00Z`);
  for (const { now, lastAt, random, next, because } of [
    { now: '22T12:00', lastAt: null, random: 0, next: '23T07:00', because: 'this night is over' },
    {
      now: '22T12:00',
      lastAt: null,
      random: 0.5,
      next: '23T09:00',
      because: 'the relays of the world spread',
    },
    { now: '22T02:00', lastAt: null, random: 0, next: '22T07:00', because: 'the night is still to come' },
    { now: '22T08:00', lastAt: null, random: 0, next: '22T08:00', because: 'it is night' },
    {
      now: '22T08:00',
      lastAt: '22T07:30',
      random: 0,
      next: '23T07:00',
      because: 'this night has had its audit',
    },
    {
      now: '22T08:00',
      lastAt: '21T10:59',
      random: 0.5,
      next: '22T09:30',
      because: 'the last was of the night before',
    },
    {
      now: '22T08:00',
      lastAt: '30T08:00',
      random: 0,
      next: '22T08:00',
      because: 'one in the future says nothing',
    },
  ]) {
    test(`at ${now}, after one of ${lastAt}, the next is at ${next}: ${because}`, () => {
      const asked = { now: at(now), lastAt: lastAt === null ? null : at(lastAt), random };
      expect(new Date(nextNightAt(asked)).toISOString()).toBe(new Date(at(next)).toISOString());
    });
  }
});

describe('beside the polls', () => {
  test('an audit takes a tenth of the limit at most, and no event comes later for it', async () => {
    const requestsPerFiveMinutes = 200;
    let spare = 0;
    const relay = await polled({
      requestsPerFiveMinutes,
      limit: { requests: requestsPerFiveMinutes, windowMs: 5 * minute },
      http: (wire) => (request) => {
        // So far back only a sweep reads besides.
        if (request.url.includes('created_at=%3E2026-10-22')) spare += 1;
        return wire(request);
      },
    });
    for (let index = 0; index < 3_000; index++) {
      relay.fullscript.addEvent({ ...orders, createdAt: relay.clock.now() - 19 * day });
    }
    await relay.clock.advance(minute);
    const begun = await relay.auditor.begin(everything, 'operator');
    spare = 0;
    const late: number[] = [];
    for (let made = 0; made < 9; made++) {
      const { id, createdAt } = relay.fullscript.addEvent(orders);
      await relay.clock.advance(33 * second);
      const [event] = await relay.store.event(id);
      late.push((event?.recordedAt ?? Number.POSITIVE_INFINITY) - createdAt);
    }
    expect(spare).toBe(20);
    expect(Math.max(...late)).toBeLessThanOrEqual(33 * second);
    expect(await ended(relay, begun)).toMatchObject({ progress: { counts: { missing: 3_000 } } });
    expect(relay.fullscript.requests().violations).toBe(0);
  });

  test('an audit gets what little the polls leave when they could take all of the limit', async () => {
    // Two streams every 30 s would take 20.
    const relay = await polled({ requestsPerFiveMinutes: 20, limit: { requests: 20, windowMs: 5 * minute } });
    await relay.clock.advance(5 * minute);
    const begun = await relay.auditor.begin(everything, 'operator');
    await relay.clock.advance(60 * minute);
    expect((await latest(relay, begun)).state).toBe('done');
    expect(relay.fullscript.requests().violations).toBe(0);
  });
});
