import { beforeEach, expect, test } from 'vitest';
import { StoreUnavailable } from '../../src/domain/errors.ts';
import { anEvent, aSubscriber, furnished, pollOf, record } from '../store/fixtures.ts';
import { type ApiUnderTest, admin, apiUnderTest, startedAt, stranger, tokenMadeAt } from './relay.ts';

const dayMs = 86_400_000;

let api: ApiUnderTest;
beforeEach(async () => {
  api = await apiUnderTest();
  await furnished(api.store, aSubscriber('sub_1', { owner: 'ehr' }));
  await api.store.follow('clinic-1', [
    { category: 'patients', startAt: startedAt },
    { category: 'lab_orders', startAt: startedAt },
  ]);
});

async function endPoll(category: string, kind: 'failed' | 'off', problem: string): Promise<void> {
  const poll = await pollOf(api.store, 'clinic-1', category);
  await api.store.endPoll(poll, { kind, problem, nextPollAt: api.clock.now() });
}

const adminNow = () => tokenMadeAt(api.clock.now(), 'operator', 'admin');

test('says how far each stream is, which do not advance, and how long the vendor still lists what is missing', async () => {
  await endPoll('patients', 'failed', 'answered 503');
  await endPoll('lab_orders', 'off', 'answered 403');
  await api.clock.advance(10.5 * dayMs);
  const poll = await pollOf(api.store);
  const cursor = api.clock.now() - 60_000;
  await api.store.endPoll(poll, {
    kind: 'completed',
    cursor,
    isSweep: true,
    newestEventAt: null,
    nextPollAt: api.clock.now() + 30_000,
  });
  await api.clock.advance(30_000);
  const { body } = await api.ask('GET', '/v1/status', { token: adminNow() });
  expect(body.streams).toMatchObject([
    { category: 'orders', state: 'reading', readUntil: new Date(cursor).toISOString(), daysLeft: null },
    { category: 'patients', state: 'failing', failedInRow: 1, problem: 'answered 503', daysLeft: 19.4 },
    { category: 'lab_orders', state: 'off', problem: 'answered 403', daysLeft: 19.4 },
  ]);
  expect(body.streams[0]).toMatchObject({
    lagSeconds: 30,
    startAt: '1970-01-01T00:00:00.000Z',
    gap: null,
  });
  await api.clock.advance(40 * dayMs);
  expect((await api.ask('GET', '/v1/status', { token: adminNow() })).body.streams[1].daysLeft).toBe(0);
});

test('a clinic that is not read says for how many days nothing is lost by it', async () => {
  const [clinic] = await api.store.clinics();
  const read = { kind: 'completed', cursor: startedAt, isSweep: true, newestEventAt: null } as const;
  await api.store.endPoll(await pollOf(api.store), { ...read, nextPollAt: startedAt });
  const listed = async () => (await api.ask('GET', '/v1/clinics', { token: adminNow() })).body.data;
  await api.clock.advance(2.5 * dayMs);
  expect(await listed()).toMatchObject([{ state: 'needsReconnect', daysLeft: 27.5 }]);
  const app = {
    id: 'con_app',
    clinicId: clinic?.id ?? '',
    name: clinic?.name ?? '',
    origin: { kind: 'tokenUrl', url: 'http://app/token', secret: null },
    spareTokens: null,
    declaredDigest: null,
    state: 'working',
    stateReason: null,
    refreshedAt: null,
    createdAt: startedAt,
  } as const;
  await api.store.saveConnection({ ...app, tokens: null });
  expect(await listed()).toMatchObject([{ state: 'waiting', daysLeft: 27.5 }]);
  const expiresAt = api.clock.now() + 60_000;
  await api.store.saveConnection({ ...app, tokens: { accessToken: 'at', refreshToken: null, expiresAt } });
  expect(await listed()).toMatchObject([{ state: 'active', daysLeft: null }]);
  await api.clock.advance(60_000);
  expect(await listed()).toMatchObject([{ state: 'waiting' }]);
  await api.ask('POST', `/v1/clinics/${clinic?.id}/pause`, { token: adminNow() });
  await api.clock.advance(40 * dayMs);
  expect(await listed()).toMatchObject([{ state: 'paused', daysLeft: 0 }]);
  const { body } = await api.ask('GET', '/v1/status', { token: adminNow() });
  expect(body.clinics).toMatchObject([{ state: 'paused', daysLeft: 0 }]);
});

test('says what was not read in time, and leaves out categories that are not read any more', async () => {
  await api.store.follow('clinic-1', [{ category: 'fulfillments', startAt: startedAt }]);
  const gap = { from: startedAt - 40 * dayMs, until: startedAt - 30 * dayMs };
  const ended = { kind: 'completed', cursor: startedAt, isSweep: true, newestEventAt: null } as const;
  await api.store.endPoll(await pollOf(api.store), { ...ended, gap, nextPollAt: startedAt });
  await api.store.endPoll(await pollOf(api.store), { ...ended, nextPollAt: startedAt });
  const { body } = await api.ask('GET', '/v1/status', { token: adminNow() });
  expect(body.streams).toMatchObject([
    { category: 'orders', gap: { from: '2026-10-13T12:00:00.000Z', until: '2026-10-23T12:00:00.000Z' } },
    { category: 'patients' },
    { category: 'lab_orders' },
  ]);
});

test('counts deliveries and subscribers, names those that are not active, and says since when work is overdue', async () => {
  await record(api.store, [anEvent('e1')]);
  await api.clock.advance(5_000);
  const due = (await api.ask('GET', '/v1/status', { token: admin })).body;
  expect(due.deliveries).toEqual({
    counts: { pending: 1, held: 0, delivered: 0, failed: 0, cancelled: 0 },
    overdueSince: new Date(startedAt).toISOString(),
  });
  await api.store.pauseSubscriber('sub_1', 'gone');
  const held = (await api.ask('GET', '/v1/status', { token: admin })).body;
  expect(held.deliveries).toMatchObject({ counts: { held: 1, pending: 0 }, overdueSince: null });
  expect(held.subscribers).toEqual({
    counts: { active: 0, failing: 0, paused: 1 },
    notActive: [{ id: 'sub_1', name: 'sub_1', state: 'paused', pauseReasons: ['gone'] }],
  });
});

test('tells the trouble of the store: since when, and what to do', async () => {
  const adminStatus = () => api.ask('GET', '/v1/status', { token: admin });
  expect((await adminStatus()).body.store).toEqual({ trouble: null, restored: null });
  api.store.assertWritable = async () => {
    throw new StoreUnavailable('disk_full', 'The disk is full.', { hint: 'Make room.', since: startedAt });
  };
  expect((await adminStatus()).body.store).toEqual({
    trouble: {
      code: 'disk_full',
      message: 'The disk is full.',
      hint: 'Make room.',
      since: '2026-11-22T12:00:00.000Z',
    },
    restored: null,
  });
});

test('says how many answers came over a connection that was kept alive, to an admin', async () => {
  const connections = async (token: string) =>
    (await api.ask('GET', '/v1/status', { token })).body.connections;
  expect(await connections(admin)).toEqual({ answered: 12, reused: 9 });
  expect(await connections(stranger)).toBeNull();
});

test('says what would be enough where the request budget is not, to an admin', async () => {
  const budget = async (token: string) => (await api.ask('GET', '/v1/status', { token })).body.budget;
  expect(await budget(admin)).toEqual({ shortfall: null, standstill: null });
  api.endpoint.shortfall = { requestsPerFiveMinutes: 4_100, pollSecondsMax: 1_476 };
  expect(await budget(admin)).toEqual({ shortfall: api.endpoint.shortfall, standstill: null });
  expect(await budget(stranger)).toBeNull();
});

test('says since when and until when nothing goes to Fullscript, and why', async () => {
  const now = api.clock.now();
  api.endpoint.standstill = {
    because: 'manyEvents',
    clinicId: 'clinic-1',
    since: now - 60_000,
    until: now + 240_000,
  };
  const { body } = await api.ask('GET', '/v1/status', { token: admin });
  expect(body.budget).toEqual({
    shortfall: null,
    standstill: {
      because: 'manyEvents',
      clinicId: 'clinic-1',
      since: new Date(now - 60_000).toISOString(),
      until: new Date(now + 240_000).toISOString(),
    },
  });
});

test('shows what was set aside', async () => {
  const poll = await pollOf(api.store);
  await api.store.setAside(poll, {
    key: 'k',
    eventId: null,
    reason: 'noId',
    detail: 'an item without an id',
  });
  const { body } = await api.ask('GET', '/v1/status', { token: admin });
  expect(body.setAside).toMatchObject({ count: 1, items: [{ reason: 'noId', isFinal: true, tries: 1 }] });
});

test('without admin it is kept to what the caller owns, and to ids and names of clinics', async () => {
  await record(api.store, [anEvent('e1')]);
  const poll = await pollOf(api.store);
  await api.store.setAside(poll, {
    key: 'k',
    eventId: null,
    reason: 'noId',
    detail: 'an item without an id',
  });
  await api.clock.advance(5_000);
  const { body } = await api.ask('GET', '/v1/status', { token: stranger });
  expect(body.clinics).toEqual([{ id: 'clinic-1', name: 'Washington' }]);
  expect(body.deliveries).toEqual({
    counts: { pending: 0, held: 0, delivered: 0, failed: 0, cancelled: 0 },
    overdueSince: null,
  });
  expect(body.subscribers.notActive).toEqual([]);
  expect(body.setAside).toEqual({ count: 1, items: [] });
});
