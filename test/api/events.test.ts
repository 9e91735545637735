import { beforeEach, describe, expect, test } from 'vitest';
import { anEvent, aSubscriber, furnished, pollOf, record } from '../store/fixtures.ts';
import { type ApiUnderTest, admin, apiUnderTest, stranger } from './relay.ts';

let api: ApiUnderTest;
beforeEach(async () => {
  api = await apiUnderTest();
  await furnished(api.store, aSubscriber('sub_1', { owner: 'ehr', eventTypes: ['order.*'] }));
});

const exact = '{"id":"e1", "type":"order.placed","n":12345678901234567890,"x":1.0}';

test('an event is shown with the exact text that came, and the list holds no text', async () => {
  await record(api.store, [anEvent('e1', { body: exact })]);
  const { body } = await api.ask('GET', '/v1/events/e1');
  expect(body).toMatchObject({
    id: 'e1',
    state: 'recorded',
    createdAt: '1970-01-01T00:00:01.000Z',
    clinicIds: ['clinic-1'],
    deliveries: [{ subscriberId: 'sub_1', state: 'pending' }],
    body: exact,
  });
  const list = await api.ask('GET', '/v1/events');
  expect(list.body.data).toHaveLength(1);
  expect(list.text).not.toContain('1234567890');
  expect(JSON.stringify(api.logged)).not.toContain('1234567890');
});

test('an event that somebody is not owed does not exist for it, and an admin sees it', async () => {
  await record(api.store, [anEvent('e1'), anEvent('e2', { subscriberIds: [] })]);
  expect((await api.ask('GET', '/v1/events/e1', { token: stranger })).status).toBe(404);
  expect((await api.ask('GET', '/v1/events', { token: stranger })).body.data).toEqual([]);
  expect((await api.ask('GET', '/v1/events/e2')).status).toBe(404);
  expect((await api.ask('GET', '/v1/events/e2', { token: admin })).body.deliveries).toEqual([]);
  expect((await api.ask('GET', '/v1/events', { token: admin })).body.data).toHaveLength(2);
});

test('events of the past are known and have no body', async () => {
  await record(api.store, [anEvent('e1', { isPast: true, body: null, subscriberIds: [] })]);
  expect((await api.ask('GET', '/v1/events/e1', { token: admin })).body).toMatchObject({
    state: 'past',
    body: null,
  });
  const of = async (query: string) =>
    (await api.ask('GET', `/v1/events?${query}`, { token: admin })).body.data.length;
  expect([await of('state=past'), await of('state=recorded'), await of('eventType=order.placed')]).toEqual([
    1, 0, 1,
  ]);
});

describe('why an event has not come', () => {
  const explained = async (id: string, token?: string) =>
    api.ask('GET', `/v1/events/${id}/explain?subscriberId=sub_1`, token ? { token } : {});

  test('is told of one that has a delivery, one that was filtered, one set aside and one never listed', async () => {
    await record(api.store, [
      anEvent('e1'),
      anEvent('e2', { type: 'patient.created', subscriberIds: [] }),
      anEvent('e3', { isPast: true, body: null, subscriberIds: [] }),
    ]);
    const poll = await pollOf(api.store);
    const item = { key: 'e4', eventId: 'e4', reason: 'retrievalFailed', detail: 'answered 422' } as const;
    await api.store.setAside(poll, item);
    for (const [id, because] of [
      ['e1', 'due'],
      ['e2', 'filtered'],
      ['e3', 'past'],
      ['e4', 'setAside'],
      ['e5', 'notListed'],
    ] as const) {
      const { body } = await explained(id);
      expect(body.because).toBe(because);
      expect(body.explanation).not.toContain('\n');
    }
  });

  test('is not told of somebody else’s subscriber', async () => {
    expect((await explained('e1', stranger)).status).toBe(404);
  });

  test('needs the subscriber to be named', async () => {
    expect((await api.ask('GET', '/v1/events/e1/explain')).status).toBe(400);
  });
});
