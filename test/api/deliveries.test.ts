import { beforeEach, describe, expect, test } from 'vitest';
import { deliveryIdOf } from '../../src/domain/delivery.ts';
import { accepted, anEvent, aSubscriber, claim, furnished, record, refused } from '../store/fixtures.ts';
import { eventually } from '../world/eventually.ts';
import { type ApiUnderTest, admin, apiUnderTest, ehrReader, startedAt, stranger } from './relay.ts';

let api: ApiUnderTest;

/** One subscriber of `ehr`, whose schedule is one wait; and another of `stranger`. */
beforeEach(async () => {
  api = await apiUnderTest();
  await furnished(api.store, aSubscriber('sub_1', { owner: 'ehr', retrySeconds: [60] }));
  await api.store.addSubscriber(aSubscriber('sub_2', { owner: 'stranger' }));
});

async function recorded(...ids: readonly string[]): Promise<void> {
  await record(
    api.store,
    ids.map((id) => anEvent(id, { subscriberIds: ['sub_1', 'sub_2'] })),
  );
}

/** Attempts every due delivery of `sub_1`. */
async function attempted(result: typeof accepted | typeof refused): Promise<void> {
  for (const each of await claim(api.store)) await api.store.recordAttempt(each, result);
}

async function failed(...ids: readonly string[]): Promise<void> {
  await recorded(...ids);
  await attempted(refused);
  await api.clock.advance(60_000);
  await attempted(refused);
}

const idOf = (eventId: string, subscriberId = 'sub_1') => deliveryIdOf(eventId, subscriberId);
const eventIds = (body: { data: readonly { eventId: string }[] }) => body.data.map(({ eventId }) => eventId);

describe('the list of deliveries', () => {
  test('is newest first and kept to what the caller owns', async () => {
    await recorded('e1', 'e2');
    const own = (await api.ask('GET', '/v1/deliveries')).body;
    expect(own.data.map((each: { id: string }) => each.id)).toEqual([idOf('e2'), idOf('e1')]);
    expect((await api.ask('GET', '/v1/deliveries', { token: admin })).body.data).toHaveLength(4);
    expect(
      (await api.ask('GET', '/v1/deliveries?subscriberId=sub_1', { token: stranger })).body.data,
    ).toEqual([]);
  });

  test('goes page by page while the log grows', async () => {
    await recorded('e1', 'e2', 'e3');
    const first = (await api.ask('GET', '/v1/deliveries?limit=2')).body;
    await recorded('e4');
    const second = (await api.ask('GET', `/v1/deliveries?limit=2&cursor=${first.nextCursor}`)).body;
    expect([...eventIds(first), ...eventIds(second)]).toEqual(['e3', 'e2', 'e1']);
    expect(second.nextCursor).toBeNull();
  });

  test('is filtered by each of its parameters', async () => {
    await failed('e1');
    await recorded('e2');
    const at = (ms: number) => new Date(startedAt + ms).toISOString();
    for (const { query, found } of [
      { query: 'state=failed', found: ['e1'] },
      { query: 'state=pending', found: ['e2'] },
      { query: 'state=delivered', found: [] },
      { query: 'subscriberId=sub_1', found: ['e2', 'e1'] },
      { query: 'clinicId=clinic-1&eventType=order.placed', found: ['e2', 'e1'] },
      { query: 'clinicId=Washington', found: [] },
      { query: 'eventType=order', found: [] },
      { query: 'eventId=e1', found: ['e1'] },
      { query: `since=${at(60_000)}`, found: ['e2'] },
      { query: `until=${at(60_000)}`, found: ['e1'] },
      { query: `since=${encodeURIComponent('2026-11-22T13:01:00+01:00')}`, found: ['e2'] },
    ]) {
      expect(eventIds((await api.ask('GET', `/v1/deliveries?${query}`)).body), query).toEqual(found);
    }
  });
});

describe('one delivery', () => {
  test('is shown with its attempts, and explained in a line', async () => {
    await failed('e1');
    const { body } = await api.ask('GET', `/v1/deliveries/${idOf('e1')}`);
    expect(body).toMatchObject({
      state: 'failed',
      endReason: 'scheduleUsedUp',
      attemptCount: 2,
      lastOutcome: 'status 503',
    });
    expect(body.attempts).toMatchObject([
      {
        number: 1,
        startedAt: '2026-11-22T12:00:00.000Z',
        outcome: 'status 503',
        status: 503,
        excerpt: 'not now',
      },
      { number: 2, startedAt: '2026-11-22T12:01:00.000Z', outcome: 'status 503', isLate: false },
    ]);
    const explained = await api.ask('GET', `/v1/deliveries/${idOf('e1')}/explain`);
    expect(explained.body).toEqual({
      because: 'failed',
      explanation: expect.stringContaining(
        'after 2 attempts; the last one: status 503 at 2026-11-22T12:01:00.000Z',
      ),
    });
  });

  test('of somebody else does not exist', async () => {
    await recorded('e1');
    for (const [method, path] of [
      ['GET', ''],
      ['GET', '/explain'],
      ['POST', '/replay'],
    ] as const) {
      expect((await api.ask(method, `/v1/deliveries/${idOf('e1')}${path}`, { token: stranger })).status).toBe(
        404,
      );
    }
  });
});

describe('a replay of one delivery', () => {
  const replayed = (id: string) => api.ask('POST', `/v1/deliveries/${id}/replay`);

  test('that failed starts a new round, which is due now', async () => {
    await failed('e1');
    const { status, body } = await replayed(idOf('e1'));
    expect(status).toBe(202);
    expect(body).toEqual({ deliveryId: idOf('e1'), kind: 'newRound', isFetched: false });
    expect((await api.ask('GET', `/v1/deliveries/${idOf('e1')}`)).body).toMatchObject({
      state: 'pending',
      round: 2,
    });
    expect(api.told).toEqual(['dispatcher']);
  });

  test('that was delivered starts one, too', async () => {
    await recorded('e1');
    await attempted(accepted);
    expect((await replayed(idOf('e1'))).body.kind).toBe('newRound');
  });

  test('that waits is due now; one under way or held is left as it is and reported so', async () => {
    await recorded('e1');
    await attempted(refused);
    expect((await replayed(idOf('e1'))).body.kind).toBe('due');
    await claim(api.store);
    expect((await replayed(idOf('e1'))).body.kind).toBe('inFlight');
    await recorded('e2');
    await api.store.pauseSubscriber('sub_1', 'person');
    expect((await replayed(idOf('e2'))).body.kind).toBe('held');
  });

  test('of a deleted subscriber is a conflict, whatever its state', async () => {
    await failed('e1');
    await recorded('e2');
    await api.store.deleteSubscriber('sub_1');
    for (const eventId of ['e1', 'e2']) {
      const { status, body } = await replayed(idOf(eventId));
      expect(status).toBe(409);
      expect(body.code).toBe('delivery_cancelled');
    }
  });

  test('whose event is no longer stored is refused, and says whether Fullscript may have it yet (223)', async () => {
    await failed('e1');
    const { startRounds } = api.store;
    api.store.startRounds = async (ids, fetched) =>
      fetched
        ? startRounds(ids, fetched)
        : ids.map((deliveryId) => ({ deliveryId, kind: 'notKept' as const }));
    for (const { answer, code } of [
      { answer: { kind: 'gone', detail: 'status 404' }, code: 'event_not_kept' },
      { answer: { kind: 'notNow', detail: 'its clinic Washington is paused' }, code: 'event_not_fetched' },
    ] as const) {
      api.vendor.fetch = async () => answer;
      const { status, body } = await replayed(idOf('e1'));
      expect(status).toBe(409);
      expect(body.code).toBe(code);
      if (answer.kind === 'notNow') expect(body.detail).toContain(answer.detail);
      expect((await api.ask('GET', `/v1/deliveries/${idOf('e1')}`)).body.state).toBe('failed');
    }
    api.vendor.fetch = async () => ({ kind: 'event', body: '{"id":"e1","again":true}' });
    expect(await replayed(idOf('e1'))).toMatchObject({
      status: 202,
      body: { kind: 'newRound', isFetched: true },
    });
    const [claimed] = await claim(api.store);
    expect(claimed?.event.body).toBe('{"id":"e1","again":true}');
  });
});

describe('a replay of many', () => {
  const asked = (body: Record<string, unknown>, token?: string) =>
    api.ask('POST', '/v1/replays', { body, ...(token && { token }) });

  test('goes through what failed and leaves out what was skipped', async () => {
    await failed('e1', 'e2');
    await recorded('e3');
    await api.store.pauseSubscriber('sub_1', 'person');
    await api.store.resumeSubscriber('sub_1', { lift: ['person'], backlog: 'skip' });
    const { status, body } = await asked({ state: 'failed' });
    expect(status).toBe(202);
    expect(body).toMatchObject({ state: 'running', matched: 2, done: 0 });
    await eventually(async () => (await api.ask('GET', `/v1/replays/${body.id}`)).body.state === 'done');
    expect((await api.ask('GET', `/v1/replays/${body.id}`)).body).toMatchObject({ matched: 2, done: 2 });
    expect(eventIds((await api.ask('GET', '/v1/deliveries?state=pending')).body)).toEqual(['e2', 'e1']);
    expect((await asked({ state: 'skipped', dryRun: true })).body).toEqual({
      dryRun: true,
      matched: 1,
      toFetch: 0,
    });
  });

  test('with dryRun counts and changes nothing', async () => {
    await failed('e1');
    const { status, body } = await asked({ state: 'failed', dryRun: true });
    expect(status).toBe(202);
    expect(body).toEqual({ dryRun: true, matched: 1, toFetch: 0 });
    expect((await api.ask('GET', '/v1/deliveries?state=failed')).body.data).toHaveLength(1);
    expect(await api.store.jobs()).toEqual([]);
  });

  test('is kept to what the caller owns, and to its filters', async () => {
    await failed('e1');
    expect((await asked({ state: 'failed', dryRun: true }, stranger)).body.matched).toBe(0);
    expect((await asked({ state: 'failed', dryRun: true }, admin)).body.matched).toBe(1);
    for (const filter of [
      { clinicId: 'clinic-2' },
      { eventType: 'patient.created' },
      { since: '2026-11-22T12:00:01Z' },
      { until: '2026-11-22T12:00:00Z' },
    ]) {
      expect(
        (await asked({ state: 'failed', dryRun: true, ...filter })).body.matched,
        JSON.stringify(filter),
      ).toBe(0);
    }
  });

  test('for a subscriber that is not there, is another’s or was deleted says so, and makes no job', async () => {
    await failed('e1');
    for (const dryRun of [true, false]) {
      const body = { state: 'failed', dryRun };
      expect((await asked({ ...body, subscriberId: 'sub_none' })).body).toMatchObject({
        status: 404,
        code: 'not_found',
      });
      expect((await asked({ ...body, subscriberId: 'sub_1' }, stranger)).status).toBe(404);
    }
    expect((await asked({ state: 'failed', subscriberId: 'sub_1', dryRun: true })).body.matched).toBe(1);
    await api.store.deleteSubscriber('sub_1');
    expect((await asked({ state: 'failed', subscriberId: 'sub_1' })).body).toMatchObject({
      status: 409,
      code: 'subscriber_deleted',
    });
    expect(await api.store.jobs()).toEqual([]);
  });

  test('of somebody else does not exist, and an admin may cancel it', async () => {
    await failed('e1');
    const { id } = (await asked({ state: 'failed' })).body;
    for (const method of ['GET', 'DELETE']) {
      expect((await api.ask(method, `/v1/replays/${id}`, { token: stranger })).status).toBe(404);
    }
    expect((await api.ask('DELETE', `/v1/replays/${id}`, { token: admin })).status).toBe(200);
  });

  test('is refused beside five that run already', async () => {
    const running = { kind: 'replay', state: 'running', owner: 'ehr', createdAt: 0, endedAt: null } as const;
    for (const id of ['1', '2', '3', '4', '5'])
      await api.store.saveJob({ id, ...running, ask: {}, progress: {} });
    expect((await asked({ state: 'failed' })).body).toMatchObject({ status: 409, code: 'too_many_replays' });
    expect((await asked({ state: 'failed' }, stranger)).status).toBe(202);
  });

  for (const body of [
    {},
    { state: 'cancelled' },
    { state: 'pending' },
    { state: ['failed'] },
    { state: 'failed', dryRun: 'yes' },
    { state: 'failed', since: 'yesterday' },
    { state: 'failed', since: '2026-11-22T00:00:00Z', until: '2026-11-21T00:00:00Z' },
    { state: 'failed', subscriber: 'sub_1' },
  ]) {
    test(`asked as ${JSON.stringify(body)} is refused`, async () => {
      const { status, body: problem } = await asked(body);
      expect({ status, code: problem.code }).toEqual({ status: 400, code: 'invalid_body' });
    });
  }

  test('needs the scope write, to see it as well', async () => {
    expect((await asked({ state: 'failed' }, ehrReader)).status).toBe(403);
    expect((await api.ask('GET', '/v1/replays/x', { token: ehrReader })).status).toBe(403);
  });
});
