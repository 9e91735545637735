import { connect } from 'node:net';
import { beforeEach, describe, expect, test } from 'vitest';
import { documentedEventTypes } from '../../src/domain/event.ts';
import { Fullscript } from '../../src/sandbox/fullscript.ts';
import { fullscriptSignature } from '../../src/wire/fullscript.ts';
import { aClinic, anEvent, aSubscriber, record } from '../store/fixtures.ts';
import { type ApiUnderTest, admin, apiUnderTest, ehr, ingestSecret } from './relay.ts';

const path = '/v1/ingest/fullscript';
const event = (changes: object = {}) => ({
  id: 'e1',
  type: 'order.placed',
  created_at: '2026-11-22T12:00:00.000Z',
  clinic_id: 'clinic-1',
  data: {},
  ...changes,
});

let api: ApiUnderTest;

beforeEach(async () => {
  api = await apiUnderTest();
  await api.store.saveClinic(aClinic());
  await api.store.follow('clinic-1', [{ category: 'orders', startAt: Date.parse('2026-11-01T00:00:00Z') }]);
  await api.store.addSubscriber(aSubscriber());
});

/** As Fullscript sends it: its signature, and no token. */
function push(body: unknown, { secret = ingestSecret, ageSeconds = 0 } = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const timestamp = Math.floor(api.clock.wall() / 1000) - ageSeconds;
  const signature = fullscriptSignature(secret, timestamp, Buffer.from(text));
  return api.ask('POST', path, {
    body: text,
    token: null,
    headers: { 'fullscript-signature': signature },
  });
}

const deliveries = async () => (await api.store.deliveries({}, { limit: 100, cursor: null })).items;

describe('a webhook of Fullscript’s own', () => {
  test('is on record and owed when it is acknowledged, with the challenge token and its exact text', async () => {
    const text =
      '{"id":"e1", "type":"order.placed","clinic_id":"clinic-1","n":10.0,"x":12345678901234567890}';
    const answer = await push(`{"event":${text}}`);
    expect([answer.status, answer.body]).toEqual([
      200,
      { challenge: 'a-challenge-token', received: 'first' },
    ]);
    expect(await api.store.eventBody('clinic-1', 'e1')).toBe(text);
    expect(await deliveries()).toHaveLength(1);
    expect(api.told).toContain('dispatcher');
  });

  test('in the other envelope is the same event', async () => {
    expect((await push({ event_payload: { event: event() } })).body.received).toBe('first');
    expect((await push({ event: event() })).body.received).toBe('again');
    expect(await deliveries()).toHaveLength(1);
  });

  test('that a poll found before is owed once, and a differing text is told', async () => {
    await record(api.store, [anEvent('e1')]);
    expect((await push({ event: event() })).body.received).toBe('later');
    expect(await deliveries()).toHaveLength(1);
    const warned = api.logged.filter(({ level }) => level === 'warn');
    expect(warned).toMatchObject([{ facts: { clinicId: 'clinic-1', eventId: 'e1' } }]);
    expect(JSON.stringify(api.logged)).not.toContain('first_name');
  });

  test('of before the start of its stream is known and not owed', async () => {
    expect((await push({ event: event({ created_at: '2026-10-01T00:00:00Z' }) })).status).toBe(200);
    expect(await deliveries()).toHaveLength(0);
    expect((await api.store.event('e1'))[0]?.isPast).toBe(true);
  });

  for (const { type, category } of [
    { type: 'fulfillment.shipment.shipped', category: 'fulfillments' },
    { type: 'two\nlines.\u001b[31m', category: 'unknown' },
    { type: 'x'.repeat(10_000), category: 'unknown' },
    { type: undefined, category: 'unknown' },
  ]) {
    test(`of a type that no list has (${String(type).slice(0, 30)}) is delivered all the same`, async () => {
      expect((await push({ event: event({ type }) })).status).toBe(200);
      expect(await deliveries()).toHaveLength(1);
      expect((await api.store.event('e1'))[0]?.category).toBe(category);
    });
  }

  test('of a clinic whose start is not chosen yet comes again, and is not taken for one of the past', async () => {
    await api.store.saveClinic(aClinic('clinic-2', 'New York'));
    const early = event({ clinic_id: 'clinic-2' });
    const refused = await push({ event: early });
    expect([refused.status, refused.body.code]).toEqual([422, 'clinic_not_read']);
    await api.store.follow('clinic-2', [{ category: 'orders', startAt: Date.parse(early.created_at) }]);
    expect((await push({ event: early })).body.received).toBe('first');
    expect(await deliveries()).toHaveLength(1);
  });

  test('that names no clinic is the only clinic’s, and nobody’s when there are two', async () => {
    expect((await push({ event: event({ clinic_id: undefined }) })).status).toBe(200);
    await api.store.saveClinic(aClinic('clinic-2', 'New York'));
    const refused = await push({ event: event({ id: 'e2', clinic_id: undefined }) });
    expect([refused.status, refused.body.code]).toEqual([422, 'clinic_not_named']);
  });

  test('of every documented type is taken', async () => {
    const vendor = new Fullscript({ clock: api.clock, seed: 1, clinics: ['Washington'] });
    const [clinic] = vendor.clinics;
    await api.store.saveClinic({ ...aClinic(clinic?.id, 'Sandbox') });
    await api.store.follow(String(clinic?.id), [{ category: 'orders', startAt: 0 }]);
    for (const type of documentedEventTypes) {
      const { text } = vendor.addEvent({ clinic: 'Washington', type });
      const { status } = await push(`{"event":${text}}`);
      expect([type, status]).toEqual([type, type === 'product.created' ? 422 : 200]);
    }
  });

  for (const { what, send, status, code } of [
    {
      what: 'of another secret',
      send: () => push({ event: event() }, { secret: 'x' }),
      status: 401,
      code: 'signature_refused',
    },
    {
      what: 'six minutes old',
      send: () => push({ event: event() }, { ageSeconds: 360 }),
      status: 401,
      code: 'signature_refused',
    },
    {
      what: 'six minutes ahead',
      send: () => push({ event: event() }, { ageSeconds: -360 }),
      status: 401,
      code: 'signature_refused',
    },
    {
      what: 'without a signature',
      send: () => api.ask('POST', path, { body: { event: event() }, token: null }),
      status: 401,
      code: 'signature_refused',
    },
    {
      what: 'with a token and no signature',
      send: () => api.ask('POST', path, { body: { event: event() }, token: admin }),
      status: 401,
      code: 'signature_refused',
    },
    { what: 'that is not JSON', send: () => push('{"event":'), status: 400, code: 'event_unreadable' },
    { what: 'without an event', send: () => push({ orders: [] }), status: 400, code: 'event_unreadable' },
    {
      what: 'without an id',
      send: () => push({ event: event({ id: undefined }) }),
      status: 400,
      code: 'event_unreadable',
    },
    {
      what: 'with half a surrogate for an id',
      send: () => push('{"event":{"id":"\\ud800","clinic_id":"clinic-1"}}'),
      status: 400,
      code: 'event_unreadable',
    },
    {
      what: 'with an id of 10,001 characters',
      send: () => push({ event: event({ id: 'x'.repeat(10_001) }) }),
      status: 400,
      code: 'event_unreadable',
    },
    {
      what: 'of a clinic that is not connected',
      send: () => push({ event: event({ clinic_id: 'clinic-9' }) }),
      status: 422,
      code: 'clinic_not_read',
    },
    {
      what: 'of over a megabyte',
      send: () => push({ event: event({ data: 'x'.repeat(1_000_000) }) }),
      status: 413,
      code: 'body_too_large',
    },
    {
      what: 'that is got and not posted',
      send: () => api.ask('GET', path),
      status: 405,
      code: 'method_not_allowed',
    },
  ]) {
    test(`${what} is refused with ${status} ${code}, and nothing is recorded`, async () => {
      const answer = await send();
      expect([answer.status, answer.body.code]).toEqual([status, code]);
      expect(answer.body).toMatchObject({ hint: expect.any(String) });
      expect(answer.text).not.toContain('a-challenge-token');
      expect(await deliveries()).toHaveLength(0);
    });
  }

  test('of a paused clinic is refused: its events wait with Fullscript', async () => {
    await api.store.changeClinic('clinic-1', { isPaused: true });
    expect((await push({ event: event() })).status).toBe(422);
  });

  test('an empty request is answered with the challenge token', async () => {
    const answer = await api.ask('POST', path, { token: null });
    expect([answer.status, answer.body]).toEqual([200, { challenge: 'a-challenge-token' }]);
  });

  test('forged again and again from one address is slowed down', async () => {
    const statuses = new Set<number>();
    for (let tries = 0; tries < 70; tries++) statuses.add((await push({}, { secret: 'x' })).status);
    expect([...statuses]).toEqual([401, 429]);
  });

  test('whose sender hangs up in the middle leaves nothing behind', async () => {
    const { hostname, port } = new URL(api.url);
    const socket = connect(Number(port), hostname);
    socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"ev`);
    socket.resume();
    socket.once('connect', () => socket.end());
    await new Promise((closed) => socket.once('close', closed));
    expect(await deliveries()).toHaveLength(0);
    expect(api.logged.filter(({ level }) => level === 'error')).toEqual([]);
  });
});

describe('the report', () => {
  test('says by day which way was first and what never came by a webhook', async () => {
    await push({ event: event() });
    await record(api.store, [anEvent('e2'), anEvent('e3')]);
    await push({ event: event({ id: 'e2' }) });
    const { body } = await api.ask('GET', '/v1/ingest/report', { token: admin });
    const day = new Date(api.clock.now()).toISOString().slice(0, 10);
    expect(body.data).toEqual([
      { day, events: 3, pushedFirst: 1, polledFirst: 1, neverPushed: 1, differing: 1 },
    ]);
    const never = await api.ask('GET', '/v1/events?pushed=false', { token: admin });
    expect(never.body.data.map(({ id }: { id: string }) => id)).toEqual(['e3']);
  });

  test('is for admins, and of 1 to 90 days', async () => {
    expect((await api.ask('GET', '/v1/ingest/report', { token: ehr })).status).toBe(403);
    for (const days of ['0', '91', 'x', '']) {
      const answer = await api.ask('GET', `/v1/ingest/report?days=${days}`, { token: admin });
      expect([days, answer.status, answer.body.code]).toEqual([days, 400, 'invalid_query']);
    }
  });
});
