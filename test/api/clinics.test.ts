import { beforeEach, describe, expect, test } from 'vitest';
import type { Connection } from '../../src/domain/clinic.ts';
import { aClinic } from '../store/fixtures.ts';
import { type ApiUnderTest, admin, apiUnderTest, ehr, ehrReader } from './relay.ts';

let api: ApiUnderTest;
beforeEach(async () => {
  api = await apiUnderTest();
});

const pair = { accessToken: 'the-access-token', refreshToken: 'the-refresh-token' };
const asAdmin = (method: string, path: string, body?: unknown) =>
  api.ask(method, path, { token: admin, body });

async function connected(name = 'Washington') {
  const answer = await asAdmin('POST', '/v1/clinics', { name, ...pair });
  expect(answer.status, answer.text).toBe(201);
  return answer.body;
}

/** What the poller does once it has asked for the clinic. */
async function discovered(name = 'Washington', id = 'clinic-1'): Promise<void> {
  const connection = (await api.store.connections()).find((each) => each.name === name);
  if (!connection) throw new Error('there is no such connection');
  await api.store.saveClinic(aClinic(id, name));
  await api.store.saveConnection({ ...connection, tokens: null, clinicId: id });
  await api.store.follow(id, [{ category: 'orders', startAt: api.clock.now() }]);
}

describe('where a clinic starts', () => {
  test('is kept with its connection, and counted beforehand with dryRun, which keeps nothing', async () => {
    const counted = await asAdmin('POST', '/v1/clinics', { name: 'Washington', ...pair, dryRun: true });
    expect(counted).toMatchObject({ status: 200, body: { dryRun: true, categories: [{ taken: 3 }] } });
    expect(counted.text).not.toContain('the-access-token');
    expect(await api.store.connections()).toEqual([]);
    const body = { name: 'Washington', ...pair, startFrom: '7d' };
    expect((await asAdmin('POST', '/v1/clinics', body)).status).toBe(201);
    expect(await api.store.connections()).toMatchObject([{ startFrom: '7d' }]);
  });

  test('is chosen once: a clinic that was read before is refused another one', async () => {
    await connected();
    await discovered();
    await asAdmin('DELETE', '/v1/clinics/clinic-1');
    const body = { name: 'Washington', ...pair };
    const answer = await asAdmin('POST', '/v1/clinics', { ...body, startFrom: '30d' });
    expect(answer).toMatchObject({ status: 409, body: { code: 'clinic_started' } });
    expect((await asAdmin('POST', '/v1/clinics', body)).status).toBe(201);
  });

  test('has to be a moment', async () => {
    const answer = await asAdmin('POST', '/v1/clinics', { name: 'Washington', ...pair, startFrom: 'soon' });
    expect(answer).toMatchObject({ status: 400, body: { problems: [{ path: 'startFrom' }] } });
  });
});

describe('a clinic is connected', () => {
  test('by a pair of tokens, which nothing shows and nothing logs', async () => {
    const made = await connected();
    expect(made).toMatchObject({
      name: 'Washington',
      state: 'connecting',
      connections: [{ tokensFrom: 'refreshToken' }],
    });
    expect(api.told).toEqual(['connection con_', 'poller']);
    await discovered();
    const list = await asAdmin('GET', '/v1/clinics');
    expect(list.body.data).toMatchObject([{ id: 'clinic-1', name: 'Washington', state: 'active' }]);
    for (const text of [JSON.stringify(made), list.text, JSON.stringify(api.logged)]) {
      expect(text).not.toMatch(/the-(access|refresh)-token/);
    }
    expect((await api.store.connections())[0]?.tokens).toMatchObject(pair);
  });

  test('by a URL that hands tokens out, which the guard has to allow', async () => {
    const body = { name: 'New York', tokenUrl: 'https://app.example/token', tokenUrlSecret: 'the-secret' };
    const made = await asAdmin('POST', '/v1/clinics', body);
    expect(made.body).toMatchObject({
      state: 'waiting',
      stateReason: 'its app (tokenUrl) has not handed out an access token yet',
      connections: [{ tokensFrom: 'tokenUrl' }],
    });
    expect(made.text).not.toContain('the-secret');
    const refused = await asAdmin('POST', '/v1/clinics', {
      ...body,
      name: 'Boston',
      tokenUrl: 'http://app.example',
    });
    expect(refused.body).toMatchObject({ code: 'url_refused', problems: [{ path: 'tokenUrl' }] });
  });

  test('again, with new tokens, once its connection does not work any more', async () => {
    await connected();
    await discovered();
    const taken = await asAdmin('POST', '/v1/clinics', { name: 'Washington', ...pair });
    expect(taken.body).toMatchObject({ status: 409, code: 'clinic_name_taken' });
    const [connection] = await api.store.connections();
    const claim = await api.store.claimRefresh(connection?.id ?? '', 1_000);
    if (claim) await api.store.endRefresh(claim, 'invalid_grant');
    expect((await asAdmin('GET', '/v1/clinics')).body.data[0]).toMatchObject({
      state: 'needsReconnect',
      stateReason: 'invalid_grant',
    });
    const again = await asAdmin('POST', '/v1/clinics', {
      name: 'Washington',
      ...pair,
      accessToken: 'another',
    });
    expect(again.body).toMatchObject({ id: connection?.id, state: 'connecting' });
    expect((await api.store.connections()).map(({ id, tokens }) => [id, tokens?.accessToken])).toEqual([
      [connection?.id, 'another'],
    ]);
    expect((await api.store.connections())[0]?.clinicId, 'whose they are is not known yet').toBeNull();
    const twice = await asAdmin('POST', '/v1/clinics', { name: 'Washington', ...pair });
    expect(twice.body).toMatchObject({ status: 409, code: 'clinic_name_taken' });
    await discovered();
    expect((await asAdmin('GET', '/v1/clinics')).body.data).toMatchObject([
      { id: 'clinic-1', state: 'active' },
    ]);
  });

  for (const body of [
    {},
    { name: 'Washington' },
    { name: '', ...pair },
    { name: 'a\nb', ...pair },
    { name: 'Washington', accessToken: 'a' },
    { name: 'Washington', refreshToken: 'r' },
    { name: 'Washington', ...pair, tokenUrl: 'https://app.example' },
    { name: 'Washington', tokenUrl: 'https://user:pw@app.example' },
    { name: 'Washington', tokenUrl: 'ftp://app.example' },
    { name: 'Washington', ...pair, tokenUrlSecret: 'x' },
    { name: 'Washington', accessToken: '', refreshToken: '' },
    { name: 'Washington', ...pair, id: 'clinic-1' },
  ]) {
    test(`is refused: ${JSON.stringify(body)}`, async () => {
      const answer = await asAdmin('POST', '/v1/clinics', body);
      expect(answer.status).toBe(400);
      expect(answer.text).not.toContain('the-access-token');
    });
  }
});

describe('a clinic is told', () => {
  beforeEach(async () => {
    await connected();
    await discovered();
    api.told.length = 0;
  });

  test('to be polled: its streams are due now', async () => {
    const before = (await api.store.streams())[0]?.nextPollAt;
    await api.clock.advance(5_000);
    expect((await asAdmin('POST', '/v1/clinics/clinic-1/poll')).status).toBe(202);
    expect((await api.store.streams())[0]?.nextPollAt).not.toBeGreaterThan(api.clock.now());
    expect(before).toBeDefined();
    expect(api.told).toEqual(['poller']);
  });

  test('to pause and to resume', async () => {
    expect((await asAdmin('POST', '/v1/clinics/clinic-1/pause')).body.state).toBe('paused');
    expect((await asAdmin('POST', '/v1/clinics/clinic-1/resume')).body.state).toBe('active');
  });

  test('to disconnect: it says when Fullscript has not taken that yet, and keeps no token', async () => {
    api.vendor.isRevoking = false;
    const gone = await asAdmin('DELETE', '/v1/clinics/clinic-1');
    expect([gone.status, gone.body]).toEqual([200, { id: 'clinic-1', areTokensRevoked: false }]);
    expect(await api.store.connections()).toEqual([]);
  });

  test('to disconnect: its tokens are revoked and forgotten, it stays removed, and can be connected again', async () => {
    const gone = await asAdmin('DELETE', '/v1/clinics/clinic-1');
    expect([gone.status, gone.body]).toEqual([200, { id: 'clinic-1', areTokensRevoked: true }]);
    expect(api.told).toEqual(['revoked the-access-token', 'poller']);
    expect(await api.store.connections()).toEqual([]);
    expect((await asAdmin('GET', '/v1/clinics')).body.data).toMatchObject([
      { id: 'clinic-1', state: 'removed' },
    ]);
    expect((await api.ask('GET', '/v1/clinics')).body.data).toEqual([]);
    expect((await asAdmin('DELETE', '/v1/clinics/clinic-1')).status).toBe(404);
    expect((await asAdmin('POST', '/v1/clinics/clinic-1/pause')).body).toMatchObject({ status: 409 });
    await connected();
    expect((await api.store.clinics())[0]?.isRemoved).toBe(false);
  });

  test('to disconnect one of the configuration file: it is remembered, so that it does not come back by itself', async () => {
    const [connection] = await api.store.connections();
    if (connection) await api.store.saveConnection({ ...connection, declaredDigest: 'digest' });
    await asAdmin('DELETE', '/v1/clinics/clinic-1');
    expect(await api.store.connections()).toMatchObject([
      { declaredDigest: 'digest', state: 'needsReconnect' },
    ]);
    const again = await asAdmin('POST', '/v1/clinics', { name: 'Washington', ...pair });
    expect(again.body).toMatchObject({ status: 409, code: 'clinic_declared' });
  });
});

describe('when a clinic is disconnected', () => {
  const connectionsWhileRevoking: Connection[][] = [];
  beforeEach(async () => {
    await connected();
    await discovered();
    connectionsWhileRevoking.length = 0;
    api.told.length = 0;
    api.vendor.whileRevoking = async () => {
      connectionsWhileRevoking.push([...(await api.store.connections())]);
    };
  });

  test('no connection has a token any more when the vendor is asked to revoke it', async () => {
    await asAdmin('DELETE', '/v1/clinics/clinic-1');
    expect(connectionsWhileRevoking).toEqual([[]]);
  });

  test('nor is one of a clinic that stands in the configuration file', async () => {
    const [connection] = await api.store.connections();
    if (connection) await api.store.saveConnection({ ...connection, declaredDigest: 'digest' });
    await asAdmin('DELETE', '/v1/clinics/clinic-1');
    const bare = { tokens: null, spareTokens: null, declaredDigest: 'digest', state: 'needsReconnect' };
    expect(connectionsWhileRevoking).toMatchObject([[bare]]);
    expect((await asAdmin('DELETE', '/v1/clinics/clinic-1')).status).toBe(404);
  });

  test('its spare pair is revoked, too, and what waits under its name to be found the clinic’s', async () => {
    const [connection] = await api.store.connections();
    if (!connection) throw new Error('there is no connection');
    const tokens = { accessToken: 'newer', refreshToken: 'r', expiresAt: 1 };
    await api.store.saveConnection({ ...connection, tokens });
    await api.store.saveConnection({
      ...connection,
      id: 'con_2',
      clinicId: null,
      tokens: { ...tokens, accessToken: 'waiting' },
    });
    await asAdmin('DELETE', '/v1/clinics/clinic-1');
    expect(api.told).toEqual(['revoked newer', 'revoked the-access-token', 'revoked waiting', 'poller']);
  });

  test('and that was cut off, asking again ends it', async () => {
    await api.store.changeClinic('clinic-1', { isRemoved: true });
    expect((await asAdmin('DELETE', '/v1/clinics/clinic-1')).status).toBe(200);
    expect(api.told).toEqual(['revoked the-access-token', 'poller']);
    expect((await asAdmin('DELETE', '/v1/clinics/clinic-1')).status).toBe(404);
  });
});

test('a connection whose clinic is not known yet can be disconnected, and not paused', async () => {
  const { id } = await connected();
  expect((await asAdmin('POST', `/v1/clinics/${id}/pause`)).body).toMatchObject({
    status: 409,
    code: 'clinic_not_connected',
  });
  expect((await asAdmin('POST', `/v1/clinics/${id}/poll`)).status).toBe(202);
  expect((await asAdmin('DELETE', `/v1/clinics/${id}`)).status).toBe(200);
  expect((await asAdmin('GET', '/v1/clinics')).body.data).toEqual([]);
});

describe('without the scope admin', () => {
  test('ids and names are all there is to see', async () => {
    await connected();
    await discovered();
    await connected('Boston');
    for (const token of [ehr, ehrReader]) {
      expect((await api.ask('GET', '/v1/clinics', { token })).body).toEqual({
        data: [{ id: 'clinic-1', name: 'Washington' }],
        nextCursor: null,
      });
    }
  });

  test('nothing can be done', async () => {
    for (const [method, path] of [
      ['POST', ''],
      ['POST', '/clinic-1/poll'],
      ['POST', '/clinic-1/pause'],
      ['POST', '/clinic-1/resume'],
      ['DELETE', '/clinic-1'],
    ] as const) {
      expect((await api.ask(method, `/v1/clinics${path}`)).status).toBe(403);
    }
  });
});
