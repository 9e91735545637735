import { afterEach, describe, expect, test } from 'vitest';
import type { RunningSandbox, SandboxOptions } from '../../src/sandbox/server.ts';
import { startSandbox } from '../../src/sandbox/server.ts';
import { simulatedClock } from '../world/clock.ts';
import { startAt } from './vendor.ts';

const running: RunningSandbox[] = [];
afterEach(async () => {
  for (const sandbox of running.splice(0)) await sandbox.close();
});

async function sandbox(options: SandboxOptions = {}) {
  const clock = simulatedClock(startAt);
  const started = await startSandbox({ clock, seed: 7, ...options });
  running.push(started);
  const get = (path: string) =>
    fetch(started.url + path, {
      headers: { authorization: 'Bearer sandbox-access-washington' },
      redirect: 'manual',
    });
  const post = (path: string, body: unknown, contentType = 'application/json') =>
    fetch(started.url + path, {
      method: 'POST',
      headers: { 'content-type': contentType },
      body: typeof body === 'string' ? body : JSON.stringify(body),
      redirect: 'manual',
    });
  return { ...started, clock, get, post };
}

describe('over HTTP', () => {
  test('a newcomer lists and retrieves with the fixed token, and the bytes are those of the model', async () => {
    const { get, post, fullscript } = await sandbox();
    const made = await post('/sandbox/events', { clinic: 'Washington', type: 'product.created' });
    expect(made.status).toBe(201);
    const listed = await get('/api/events/products?created_at=%3E2026-11-19&page%5Bsize%5D=100');
    expect(listed.headers.get('date')).toBe('Fri, 20 Nov 2026 12:00:00 GMT');
    const { events } = (await listed.json()) as { events: { id: string }[] };
    const retrieved = await get(`/api/events/${events[0]?.id}`);
    expect(Buffer.from(await retrieved.arrayBuffer())).toEqual(
      Buffer.from(`{"event":${fullscript.ledger()[0]?.text}}`),
    );
  });

  test('a person goes from the authorize page to a pair of tokens', async () => {
    const redirect_uri = 'http://127.0.0.1:1/oauth/callback';
    const { post, get } = await sandbox({ redirectUris: [redirect_uri] });
    const asked = { client_id: 'sandbox-client', redirect_uri, response_type: 'code', state: 'abc' };
    const page = await get(`/api/oauth/authorize?${new URLSearchParams(asked)}`);
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
    const form = new URLSearchParams({
      ...asked,
      clinic: 'New York',
      user_type: 'Practitioner',
      decision: 'allow',
    });
    const sentBack = await post('/api/oauth/authorize', form.toString(), 'application/x-www-form-urlencoded');
    expect(sentBack.status).toBe(302);
    const code = new URL(sentBack.headers.get('location') ?? '').searchParams.get('code');
    const client = { client_id: 'sandbox-client', client_secret: 'sandbox-secret' };
    const answer = await post('/api/oauth/token', {
      ...client,
      grant_type: 'authorization_code',
      code,
      redirect_uri,
    });
    expect(((await answer.json()) as { oauth: { expires_in: number } }).oauth.expires_in).toBe(7200);
  });

  for (const point of ['before', 'after', 'during']) {
    test(`a connection that is dropped ${point} breaks for the client`, async () => {
      const { get, fullscript } = await sandbox();
      fullscript.faults.switchOn({ name: 'connection-dropped', point, times: 1 });
      await expect(get('/api/clinic').then((response) => response.text())).rejects.toThrow();
      expect((await get('/api/clinic')).status).toBe(200);
    });
  }

  test('a slow answer comes when its time has come', async () => {
    const { get, fullscript, clock } = await sandbox();
    fullscript.faults.switchOn({ name: 'slow-answer', ms: 12_000 });
    let isAnswered = false;
    const answer = get('/api/clinic').then((response) => {
      isAnswered = true;
      return response.status;
    });
    while (fullscript.requests().all === 0) await clock.advance(0);
    await clock.advance(11_999);
    expect(isAnswered).toBe(false);
    await clock.advance(1);
    expect(await answer).toBe(200);
  });

  test('a body that is too large, or an address that cannot be read, is a 4xx', async () => {
    const { post, get } = await sandbox();
    expect((await post('/api/oauth/token', 'x'.repeat(2_000_000))).status).toBe(413);
    expect((await get('/api/events/%ZZ')).status).toBe(400);
    expect((await get('/api/events/%00')).status).toBe(404);
  });
});

describe('the admin routes', () => {
  test('make events, keep a ledger, count requests', async () => {
    const { get, post } = await sandbox();
    await post('/sandbox/events', { clinic: 'Washington', type: 'order.placed', count: 3 });
    const late = {
      clinic: 'Washington',
      type: 'order.placed',
      id: 'late',
      createdAt: '2026-11-20T10:00:00Z',
      listedLateSeconds: 9000,
    };
    await post('/sandbox/events', late);
    await get('/api/events/orders');
    const ledger = async (query = '') =>
      ((await (await get(`/sandbox/ledger${query}`)).json()) as { events: object[] }).events;
    expect(await ledger('?clinic=Washington')).toHaveLength(4);
    expect(await ledger('?listed=true')).toHaveLength(3);
    expect((await ledger())[3]).toMatchObject({
      id: 'late',
      createdAt: '2026-11-20T10:00:00.000Z',
      listableAt: '2026-11-20T12:30:00.000Z',
      firstListedAt: null,
    });
    expect(await (await get('/sandbox/status')).json()).toMatchObject({
      seed: 7,
      events: 4,
      requests: { all: 1, byOperation: { list: 1 }, violations: 0, limit: 5000 },
      clinics: [{ name: 'Washington', accessToken: 'sandbox-access-washington' }, { name: 'New York' }],
    });
  });

  test('switch faults on and off', async () => {
    const { url, get, post } = await sandbox();
    const fault = (await (await post('/sandbox/faults', { name: 'error-status', status: 503 })).json()) as {
      id: string;
    };
    expect((await get('/api/clinic')).status).toBe(503);
    expect(await (await get('/sandbox/faults')).json()).toEqual({ faults: [fault] });
    expect((await fetch(`${url}/sandbox/faults/${fault.id}`, { method: 'DELETE' })).status).toBe(204);
    expect((await fetch(`${url}/sandbox/faults/${fault.id}`, { method: 'DELETE' })).status).toBe(404);
    expect((await get('/api/clinic')).status).toBe(200);
    await post('/sandbox/faults', { name: 'error-status' });
    await fetch(`${url}/sandbox/faults`, { method: 'DELETE' });
    expect((await get('/api/clinic')).status).toBe(200);
  });

  test('take a clinic’s permission back', async () => {
    const { get, post } = await sandbox();
    expect((await post('/sandbox/revoke', { clinic: 'Washington' })).status).toBe(204);
    expect((await get('/api/clinic')).status).toBe(401);
  });

  for (const { path, body, status, because } of [
    { path: 'events', body: '{', status: 400, because: 'it is not JSON' },
    { path: 'events', body: '', status: 422, because: 'there is nothing in it' },
    { path: 'events', body: [], status: 422, because: 'it is not an object' },
    { path: 'events', body: { clinic: 'Boston' }, status: 404, because: 'there is no such clinic' },
    { path: 'events', body: { clinic: 'Washington', count: 0 }, status: 422, because: 'none is no count' },
    {
      path: 'events',
      body: { clinic: 'Washington', id: 'a', count: 2 },
      status: 422,
      because: 'two events cannot share an id',
    },
    {
      path: 'events',
      body: { clinic: 'Washington', createdAt: 'yesterday' },
      status: 422,
      because: 'it is no instant',
    },
    { path: 'events', body: { clinic: 'Washington', cuont: 2 }, status: 422, because: 'a key is unknown' },
    { path: 'faults', body: { name: 'nonsense' }, status: 422, because: 'there is no such fault' },
    { path: 'faults', body: 'null', status: 400, because: 'null is no fault' },
    { path: 'revoke', body: {}, status: 422, because: 'no clinic is named' },
    { path: 'nonsense', body: {}, status: 404, because: 'there is no such route' },
  ]) {
    test(`answer ${status} to ${JSON.stringify(body)} at ${path}: ${because}`, async () => {
      const { post, fullscript } = await sandbox();
      const answer = await post(`/sandbox/${path}`, body);
      expect(fullscript.ledger()).toEqual([]);
      expect(answer.status).toBe(status);
      expect(await answer.json()).toMatchObject({ code: expect.any(String), message: expect.any(String) });
    });
  }

  test('refuse what a page in a browser could post across sites', async () => {
    const { post, fullscript } = await sandbox();
    expect((await post('/sandbox/events', { clinic: 'Washington' }, 'text/plain')).status).toBe(415);
    expect(fullscript.ledger()).toEqual([]);
  });
});

test('events happen by themselves when asked for, about as many as asked, and stop with the sandbox', async () => {
  const { fullscript, clock, close } = await sandbox({ eventsPerMinute: 6 });
  await clock.advance(60 * 60_000);
  const made = fullscript.ledger().length;
  expect(made).toBeGreaterThan(250);
  expect(made).toBeLessThan(480);
  expect(new Set(fullscript.ledger().map(({ clinicId }) => clinicId)).size).toBe(2);
  running.pop();
  await close();
  await clock.advance(60 * 60_000);
  expect(fullscript.ledger()).toHaveLength(made);
});

test('a port that is taken is said so', async () => {
  const { url } = await sandbox();
  await expect(startSandbox({ port: Number(new URL(url).port) })).rejects.toMatchObject({
    code: 'sandbox_cannot_listen',
  });
});
