import { expect, test } from 'vitest';
import { anEvent, furnished, record } from '../store/fixtures.ts';
import { eventually } from '../world/eventually.ts';
import { type ApiUnderTest, admin, apiUnderTest, startedAt, stranger } from './relay.ts';

const hourMs = 3_600_000;

async function withPast(): Promise<ApiUnderTest> {
  const api = await apiUnderTest();
  await furnished(api.store);
  await record(
    api.store,
    [1, 2, 30].map((ago) => anEvent(`e-${ago}`, { createdAt: startedAt - ago * hourMs })),
  );
  return api;
}

const newcomer = { name: 'new', url: 'https://new.example/hook' };

test('a new subscriber with startFrom gets the events since then, and its answer names the backfill', async () => {
  const { ask, store, clock } = await withPast();
  const added = await ask('POST', '/v1/subscribers', { body: { ...newcomer, startFrom: '12h' } });
  expect(added.status).toBe(201);
  expect(added.body.backfill).toMatchObject({ state: 'running', matched: 2, subscriberId: added.body.id });
  const path = `/v1/backfills/${added.body.backfill.id}`;
  await eventually(async () => {
    await clock.advance(250);
    return (await ask('GET', path)).body.state === 'done';
  });
  const { items } = await store.deliveries({ subscriberIds: [added.body.id] }, { limit: 10, cursor: null });
  expect(items.map(({ eventId }) => eventId)).toEqual(['e-1', 'e-2']);
  expect((await ask('GET', path, { token: stranger })).status).toBe(404);
  expect((await ask('GET', path, { token: admin })).body).toMatchObject({ enqueued: 2, done: 2 });
  const listed = async (token: string | undefined, query = '') =>
    (await ask('GET', `/v1/backfills${query}`, token === undefined ? {} : { token })).body.data;
  expect(await listed(undefined)).toMatchObject([{ id: added.body.backfill.id, state: 'done' }]);
  expect(await listed(admin, `?subscriberId=${added.body.id}`)).toHaveLength(1);
  expect(await listed(admin, '?subscriberId=sub_other')).toEqual([]);
  expect(await listed(stranger)).toEqual([]);
  const again = await ask('POST', '/v1/backfills', { body: { subscriberId: added.body.id, from: '2d' } });
  expect(again).toMatchObject({ status: 202, body: { matched: 1 } });
});

test('what a backfill would take is counted by stream, for a subscriber and for filters, and nothing is enqueued', async () => {
  const { ask, store } = await withPast();
  const { body: added } = await ask('POST', '/v1/subscribers', { body: newcomer });
  const streams = [{ clinicId: 'clinic-1', category: 'orders', events: 2 }];
  for (const body of [
    { subscriberId: added.id, from: '12h', dryRun: true },
    { from: '12h', eventTypes: ['order.*'], clinicIds: ['Washington'], dryRun: true },
  ]) {
    expect((await ask('POST', '/v1/backfills', { body })).body).toEqual({
      dryRun: true,
      from: new Date(startedAt - 12 * hourMs).toISOString(),
      matched: 2,
      streams,
    });
  }
  const none = { from: '12h', eventTypes: ['patient.*'], dryRun: true };
  expect((await ask('POST', '/v1/backfills', { body: none })).body).toMatchObject({
    matched: 0,
    streams: [],
  });
  expect(await store.jobs()).toEqual([]);
});

test('of backfills that are asked for at once, one begins', async () => {
  const { ask, store } = await withPast();
  const { body: added } = await ask('POST', '/v1/subscribers', { body: newcomer });
  // It has something to wait for, and is not over before the others ask.
  await store.follow('clinic-1', [{ category: 'patients', startAt: 0 }]);
  const body = { subscriberId: added.id, from: '30d' };
  const answers = await Promise.all([1, 2, 3].map(() => ask('POST', '/v1/backfills', { body })));
  expect(answers.map(({ status }) => status).sort()).toEqual([202, 409, 409]);
  expect(await store.jobs()).toHaveLength(1);
});

test('one backfill of a subscriber runs at a time, and can be cancelled', async () => {
  const { ask, store } = await withPast();
  const { body: added } = await ask('POST', '/v1/subscribers', { body: newcomer });
  await store.follow('clinic-1', [{ category: 'patients', startAt: 0 }]);
  const body = { subscriberId: added.id, from: '30d' };
  const { body: begun } = await ask('POST', '/v1/backfills', { body });
  expect(await ask('POST', '/v1/backfills', { body })).toMatchObject({
    status: 409,
    body: { code: 'backfill_running' },
  });
  expect((await ask('DELETE', `/v1/backfills/${begun.id}`, { token: stranger })).status).toBe(404);
  expect((await ask('DELETE', `/v1/backfills/${begun.id}`)).body).toMatchObject({ state: 'cancelled' });
  expect(await ask('POST', '/v1/backfills', { body })).toMatchObject({ status: 202 });
});

for (const { path, body, problem, because } of [
  { path: '/v1/backfills', body: { from: '30d' }, problem: 'subscriberId', because: 'nobody is named' },
  { path: '/v1/backfills', body: { from: 'soon', dryRun: true }, problem: 'from', because: 'no moment' },
  {
    path: '/v1/backfills',
    body: { from: '2030-01-01T00:00:00Z', dryRun: true },
    problem: 'from',
    because: 'a moment of the future',
  },
  { path: '/v1/backfills', body: { from: '99999d', dryRun: true }, problem: 'from', because: 'before 1970' },
  {
    path: '/v1/backfills',
    body: { subscriberId: 'sub_1', eventTypes: [], from: '1d' },
    problem: 'eventTypes',
    because: 'filters beside a subscriber',
  },
  {
    path: '/v1/subscribers',
    body: { ...newcomer, startFrom: '2030-01-01T00:00:00Z' },
    problem: 'startFrom',
    because: 'a start in the future',
  },
  {
    path: '/v1/subscribers',
    body: { ...newcomer, startFrom: 30 },
    problem: 'startFrom',
    because: 'a number',
  },
]) {
  test(`a backfill is refused: ${because}`, async () => {
    const { ask, store } = await withPast();
    const answer = await ask('POST', path, { body });
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_body' } });
    expect(answer.body.problems).toMatchObject([{ path: problem }]);
    expect(await store.jobs()).toEqual([]);
  });
}

test('startFrom is for a new subscriber: a change is told what to do instead', async () => {
  const { ask } = await withPast();
  const { body: added } = await ask('POST', '/v1/subscribers', { body: newcomer });
  const answer = await ask('PATCH', `/v1/subscribers/${added.id}`, { body: { startFrom: '1d' } });
  expect(answer.status).toBe(400);
  expect(JSON.stringify(answer.body.problems)).toContain('/v1/backfills');
});

test('somebody else’s subscriber is not found, and neither is a deleted one', async () => {
  const { ask } = await withPast();
  const { body: added } = await ask('POST', '/v1/subscribers', { body: newcomer });
  const body = { subscriberId: added.id, from: '1d' };
  expect((await ask('POST', '/v1/backfills', { body, token: stranger })).status).toBe(404);
  await ask('DELETE', `/v1/subscribers/${added.id}`);
  expect((await ask('POST', '/v1/backfills', { body })).status).toBe(404);
});
