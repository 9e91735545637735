import { beforeEach, describe, expect, test } from 'vitest';
import { anEvent, furnished, record } from '../store/fixtures.ts';
import { type ApiUnderTest, admin, apiUnderTest, ehr } from './relay.ts';

let api: ApiUnderTest;
beforeEach(async () => {
  api = await apiUnderTest();
  await furnished(api.store);
  await api.store.saveConnection({
    id: 'con_1',
    clinicId: 'clinic-1',
    name: 'Washington',
    origin: { kind: 'refreshToken' },
    tokens: null,
    spareTokens: null,
    declaredDigest: null,
    state: 'working',
    stateReason: null,
    refreshedAt: null,
    createdAt: 0,
  });
  await record(api.store, [anEvent('evt_1')]);
});

const item = (id: string | null) => ({
  id,
  type: 'order.placed',
  createdAt: Date.parse('2026-11-20T08:00:00Z'),
  clinicId: 'clinic-1',
  digest: 'd',
});

const ask = (method: string, path: string, body?: unknown) =>
  api.ask(method, path, { token: admin, ...(body !== undefined && { body }) });

/** Lets the audit under way come to its end, by looking at it as a caller would. */
async function ended(id: string) {
  for (let looks = 0; looks < 1_000; looks++) {
    const { body } = await ask('GET', `/v1/audits/${id}`);
    if (body.state !== 'running') return body;
    await api.clock.advance(1_000);
  }
  throw new Error('it did not end');
}

/** The vendor answers when it is let go. */
function holdVendor(): () => void {
  let letGo = (): void => {};
  const isLetGo = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  api.vendor.list = async () => {
    await isLetGo;
    return { kind: 'page', items: [], nextPage: null, vendorNow: null };
  };
  return () => letGo();
}

test('an audit is begun with 202, and shows its books once it has ended', async () => {
  const items = [item('evt_1'), item('evt_2'), item(null)];
  api.vendor.list = async () => ({ kind: 'page', items, nextPage: null, vendorNow: null });
  const begun = await ask('POST', '/v1/audits', {});
  expect(begun.status).toBe(202);
  expect(begun.body).toMatchObject({ state: 'running', balanced: null, progress: { streams: 1, done: 0 } });
  const counts = { listed: 2, missing: 1, pending: 1, setAside: 0, delivered: 0, filtered: 0 };
  expect(await ended(begun.body.id)).toMatchObject({
    state: 'done',
    repair: false,
    isNightly: false,
    clinicId: null,
    balanced: false,
    ...counts,
    withoutId: 1,
    repaired: 0,
    missingIds: ['evt_2'],
    unlisted: [],
    streams: [
      {
        clinicId: 'clinic-1',
        category: 'orders',
        balanced: false,
        ...counts,
        missingIds: ['evt_2'],
        days: [{ day: '2026-11-20', ...counts }],
      },
    ],
  });
});

test('the status tells of the last audit and of the one under way, to admins', async () => {
  expect((await ask('GET', '/v1/status')).body.audits).toEqual({ last: null, running: null });
  const { id } = (await ask('POST', '/v1/audits', {})).body;
  await ended(id);
  holdVendor();
  const second = (await ask('POST', '/v1/audits', {})).body;
  expect((await ask('GET', '/v1/status')).body.audits).toEqual({
    last: {
      id,
      endedAt: expect.any(String),
      balanced: true,
      listed: 0,
      missing: 0,
      repaired: 0,
      unlisted: 0,
      unlistedInNeed: 0,
    },
    running: { id: second.id, streams: 1, done: 0 },
  });
  expect((await api.ask('GET', '/v1/status', { token: ehr })).body.audits).toBeNull();
});

test('one runs at a time; cancelled it makes room', async () => {
  holdVendor();
  const { id } = (await ask('POST', '/v1/audits', {})).body;
  expect(await ask('POST', '/v1/audits', {})).toMatchObject({
    status: 409,
    body: { code: 'audit_running', detail: `The audit ${id} is under way.` },
  });
  const cancelled = await ask('DELETE', `/v1/audits/${id}`);
  expect(cancelled).toMatchObject({ status: 200, body: { id, state: 'cancelled', balanced: null } });
  expect((await ask('DELETE', `/v1/audits/${id}`)).body.state).toBe('cancelled');
  expect((await ask('POST', '/v1/audits', {})).status).toBe(202);
});

test('a clinic is meant by its id or its name', async () => {
  for (const clinicId of ['clinic-1', 'Washington']) {
    const { status, body } = await ask('POST', '/v1/audits', { clinicId, repair: true });
    expect({ status, clinicId: body.clinicId, repair: body.repair }).toEqual({
      status: 202,
      clinicId: 'clinic-1',
      repair: true,
    });
    await ended(body.id);
  }
});

describe('what is not to be had', () => {
  for (const { what, method, path, body, status, code } of [
    {
      what: 'an unknown clinic',
      method: 'POST',
      path: '',
      body: { clinicId: 'x' },
      status: 404,
      code: 'not_found',
    },
    { what: 'an unknown audit', method: 'GET', path: '/aud_x', status: 404, code: 'not_found' },
    { what: 'the end of an unknown audit', method: 'DELETE', path: '/aud_x', status: 404, code: 'not_found' },
    {
      what: 'another field',
      method: 'POST',
      path: '',
      body: { clinic: 'x' },
      status: 400,
      code: 'invalid_body',
    },
    {
      what: 'an empty id',
      method: 'POST',
      path: '',
      body: { clinicId: '' },
      status: 400,
      code: 'invalid_body',
    },
    {
      what: 'a repair of "yes"',
      method: 'POST',
      path: '',
      body: { repair: 'yes' },
      status: 400,
      code: 'invalid_body',
    },
  ]) {
    test(`${what}: ${status}`, async () => {
      expect(await ask(method, `/v1/audits${path}`, body)).toMatchObject({ status, body: { code } });
    });
  }

  test('a clinic that was removed: 409', async () => {
    await api.store.changeClinic('clinic-1', { isRemoved: true });
    expect(await ask('POST', '/v1/audits', { clinicId: 'clinic-1' })).toMatchObject({
      status: 409,
      body: { code: 'clinic_not_connected' },
    });
  });

  test('a replay under the name of an audit: 404', async () => {
    const replay = (await ask('POST', '/v1/replays', { state: 'failed' })).body;
    expect((await ask('GET', `/v1/audits/${replay.id}`)).status).toBe(404);
    expect((await ask('DELETE', `/v1/audits/${replay.id}`)).status).toBe(404);
  });

  for (const [method, path] of [
    ['POST', '/v1/audits'],
    ['GET', '/v1/audits/aud_x'],
    ['DELETE', '/v1/audits/aud_x'],
  ] as const) {
    test(`${method} ${path} without admin: 403`, async () => {
      expect((await api.ask(method, path, { token: ehr })).status).toBe(403);
    });
  }
});
