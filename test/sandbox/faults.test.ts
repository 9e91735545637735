import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { FaultKind } from '../../src/sandbox/fault-kind.ts';
import { type FaultName, faultKinds } from '../../src/sandbox/fault-kinds.ts';
import type { FaultAsk } from '../../src/sandbox/faults.ts';
import { newYork, oauthIn, startAt, type Vendor, vendor, washington } from './vendor.ts';

/** A vendor with one order and the fault, the order made after the fault was switched on. */
function struck(ask: FaultAsk, listed = 1): Vendor {
  const v = vendor();
  v.fullscript.faults.switchOn(ask);
  for (let i = 0; i < listed; i += 1) v.fullscript.addEvent({ clinic: 'Washington', type: 'order.placed' });
  return v;
}

const orderIn = (v: Vendor) => v.fullscript.ledger()[0] ?? expect.fail('no event was made');
const listText = (v: Vendor) => v.get('/api/events/orders').body;
const retrieved = (v: Vendor) => v.get(`/api/events/${encodeURIComponent(orderIn(v).id)}`);

/** What shows that a fault struck; every fault has to have its line. */
const shown: Readonly<Record<FaultName, (name: FaultName) => void>> = {
  'rate-limited': (name) => {
    const reply = (ask: object) => struck({ name, ...ask }).get('/api/clinic');
    expect([reply({}).status, reply({}).headers['retry-after']]).toEqual([429, undefined]);
    expect(reply({ retryAfterSeconds: 30 }).headers['retry-after']).toBe('30');
    expect(reply({ retryAfterSeconds: 30, retryAfterAsDate: true }).headers['retry-after']).toBe(
      'Fri, 20 Nov 2026 12:00:30 GMT',
    );
  },
  'error-status': (name) => {
    expect(struck({ name }).get('/api/clinic').status).toBe(500);
    expect(struck({ name, status: 503, retryAfterSeconds: 9 }).refresh('x')).toMatchObject({
      status: 503,
      headers: { 'retry-after': '9' },
    });
  },
  'html-error': (name) => {
    const reply = struck({ name, status: 200 }).get('/api/events/orders');
    expect([reply.status, reply.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
  },
  redirect: (name) => {
    const { status, headers } = struck({ name, location: 'http://127.0.0.1:9/x' }).get('/api/clinic');
    expect([status, headers.location]).toEqual([302, 'http://127.0.0.1:9/x']);
  },
  'connection-dropped': (name) => {
    const dropped = (point: string) => {
      const v = struck({ name, point, times: 1 });
      const { drop } = v.refresh('sandbox-refresh-washington');
      return [drop, v.fullscript.faults.list().length];
    };
    expect([dropped('before'), dropped('after'), dropped('during')]).toEqual([
      ['beforeAnswer', 0],
      ['beforeAnswer', 0],
      ['duringBody', 0],
    ]);
  },
  'slow-answer': (name) =>
    expect(struck({ name, ms: 700 }).get('/api/clinic')).toMatchObject({ status: 200, delayMs: 700 }),
  'truncated-json': (name) => {
    const { status, body } = struck({ name }).get('/api/clinic');
    expect(status).toBe(200);
    expect(() => JSON.parse(body)).toThrow();
  },
  'invalid-utf8': (name) => {
    const { body, encoding } = struck({ name }).get('/api/clinic');
    const bytes = Buffer.from(body, encoding);
    expect(() => new TextDecoder('utf-8', { fatal: true }).decode(bytes)).toThrow();
  },
  'clock-skewed': (name) => {
    const v = struck({ name, seconds: -600 });
    expect(v.get('/api/clinic').headers.date).toBe('Fri, 20 Nov 2026 11:50:00 GMT');
    expect(orderIn(v).createdAt).toBe(startAt - 600_000);
  },
  unauthorized: (name) => {
    const v = struck({ name });
    const { access_token } = oauthIn(v.refresh('sandbox-refresh-washington'));
    expect(v.get('/api/clinic', access_token).status).toBe(401);
  },
  'tokens-expire-early': (name) => {
    const v = struck({ name, seconds: 0 });
    expect(v.get('/api/clinic').status).toBe(401);
    expect(oauthIn(v.refresh('sandbox-refresh-washington')).expires_in).toBe(7200);
  },
  'invalid-grant': (name) => {
    const { status, body } = struck({ name }).refresh('sandbox-refresh-washington');
    expect([status, JSON.parse(body).error]).toEqual([400, 'invalid_grant']);
  },
  'strict-rotation': (name) => {
    const v = struck({ name });
    v.refresh('sandbox-refresh-washington');
    expect(v.refresh('sandbox-refresh-washington').status).toBe(400);
  },
  'refresh-token-missing': (name) => {
    const v = struck({ name });
    const oauth = oauthIn(v.refresh('sandbox-refresh-washington'));
    expect(oauth).not.toHaveProperty('refresh_token');
    expect(v.get('/api/clinic', oauth.access_token).status).toBe(200);
    expect(v.refresh('sandbox-refresh-washington').status).toBe(200);
  },
  'refresh-tokens-expire': (name) => {
    const v = struck({ name, seconds: 60 });
    expect(v.refresh('sandbox-refresh-washington').status).toBe(200);
    v.fullscript.faults.switchAllOff();
    v.fullscript.faults.switchOn({ name, seconds: 0 });
    expect(v.refresh('sandbox-refresh-washington').status).toBe(400);
  },
  'second-authorization-ends-first': (name) => {
    const statusAfter = (isOn: boolean) => {
      const v = vendor();
      if (isOn) v.fullscript.faults.switchOn({ name });
      const pair = v.authorize('Washington');
      return [v.get('/api/clinic').status, v.get('/api/clinic', pair.access_token).status];
    };
    expect([statusAfter(false), statusAfter(true)]).toEqual([
      [200, 200],
      [401, 200],
    ]);
  },
  'particular-token-endpoint': (name) => {
    const v = struck({ name });
    const fields = { grant_type: 'refresh_token', refresh_token: 'sandbox-refresh-washington' };
    const redirect_uri = 'http://127.0.0.1:8080/oauth/callback';
    expect([v.token(fields).status, v.token({ ...fields, redirect_uri }).status]).toEqual([400, 200]);
  },
  'revokes-one-token': (name) => {
    const v = struck({ name });
    v.revoke(washington);
    expect(v.get('/api/clinic').status).toBe(401);
    const { access_token, refresh_token } = oauthIn(v.refresh('sandbox-refresh-washington'));
    v.revoke(refresh_token);
    expect([v.get('/api/clinic', access_token).status, v.refresh(refresh_token).status]).toEqual([200, 400]);
  },
  'odd-expires-in': (name) => {
    const v = struck({ name, expiresIn: '7200' });
    expect(oauthIn(v.refresh('sandbox-refresh-washington')).expires_in).toBe('7200');
  },
  'scope-reduced': (name) => {
    expect(oauthIn(struck({ name }).refresh('sandbox-refresh-washington')).scope).toBe('clinic:read');
  },
  'category-missing': (name) => expect(struck({ name }).get('/api/events/orders').status).toBe(404),
  'category-forbidden': (name) => expect(struck({ name }).get('/api/events/orders').status).toBe(403),
  'category-unauthorized': (name) => {
    const v = struck({ name });
    expect([v.get('/api/events/orders').status, v.get('/api/clinic').status]).toEqual([401, 200]);
  },
  'retrieval-fails': (name) => expect(retrieved(struck({ name, status: 503 })).status).toBe(503),
  'order-descending': (name) => {
    const v = struck({ name }, 2);
    const [first, second] = v.fullscript.ledger();
    const ids = (order_by?: string) =>
      v.list('orders', order_by === undefined ? {} : { order_by }).events.map(({ id }) => id);
    expect(ids()).toEqual([second?.id, first?.id]);
    expect(ids('ASC')).toEqual([first?.id, second?.id]);
    v.fullscript.faults.switchAllOff();
    v.fullscript.faults.switchOn({ name, evenIfAsked: true });
    expect(ids('ASC')).toEqual([second?.id, first?.id]);
  },
  'days-ignored': (name) =>
    expect(struck({ name }).list('orders', { created_at: '>2026-11-25' }).events).toHaveLength(1),
  'small-pages': (name) => {
    const { events, meta } = struck({ name, size: 2 }, 3).list('orders', { 'page[size]': '100' });
    expect([events.length, meta.next_page]).toEqual([2, 2]);
  },
  'page-shift': (name) => {
    const v = struck({ name }, 4);
    const page = (number: string) =>
      v.list('orders', { 'page[size]': '2', 'page[number]': number }).events.map(({ id }) => id);
    const [first, second, , fourth] = v.fullscript.ledger();
    expect([page('1'), page('2')]).toEqual([[first?.id, second?.id], [fourth?.id]]);
  },
  'named-day-included': (name) => {
    expect(struck({ name }).list('orders', { created_at: '>2026-11-20' }).events).toHaveLength(1);
  },
  'day-zone': (name) => {
    const v = struck({ name, utcOffsetMinutes: 840 });
    expect(v.list('orders', { created_at: '2026-11-21' }).events).toHaveLength(1);
  },
  'item-without-id': (name) => {
    const { events } = struck({ name }, 2).list('orders');
    expect(events.map((item) => 'id' in item)).toEqual([false, true]);
  },
  'items-only-ids': (name) => {
    const v = struck({ name });
    expect(v.list('orders').events).toEqual([{ id: orderIn(v).id }]);
  },
  'bare-string-items': (name) => {
    const v = struck({ name });
    expect(v.list('orders').events).toEqual([orderIn(v).id]);
    expect(orderIn(v).timesListed).toBe(1);
  },
  'item-twice': (name) => {
    const { events } = struck({ name }).list('orders');
    expect(events).toEqual([events[0], events[0]]);
  },
  'page-cycle': (name) => expect(struck({ name }).list('orders').meta.next_page).toBe(1),
  'other-list-key': (name) =>
    expect(Object.keys(JSON.parse(listText(struck({ name }))))).toEqual(['data', 'meta']),
  'bare-list': (name) => expect(JSON.parse(listText(struck({ name })))).toHaveLength(1),
  'list-without-meta': (name) =>
    expect(Object.keys(JSON.parse(listText(struck({ name }))))).toEqual(['events']),
  'bare-event': (name) => {
    const v = struck({ name });
    expect(retrieved(v).body).toBe(orderIn(v).text);
    expect(orderIn(v).timesRetrieved).toBe(1);
  },
  'event-payload-wrapper': (name) => {
    const v = struck({ name });
    expect(retrieved(v).body).toBe(`{"event_payload":{"event":${orderIn(v).text}}}`);
  },
  'changed-event': (name) => {
    const v = struck({ name });
    expect(JSON.parse(retrieved(v).body).event).toEqual({ ...JSON.parse(orderIn(v).text), revision: 2 });
  },
  'unknown-keys': (name) =>
    expect(retrieved(struck({ name })).body).toContain('"__proto__":{"isAdmin":true}'),
  'reordered-keys': (name) => expect(orderIn(struck({ name })).text).toMatch(/^\{"data":/),
  'missing-keys': (name) => {
    const v = struck({ name });
    expect(v.list('orders').events[0]?.type).toBe('order.placed');
    expect(Object.keys(JSON.parse(orderIn(v).text))).toEqual(['id', 'clinic_id']);
  },
  'shared-products': (name) => {
    const v = struck({ name }, 0);
    const { id } = v.fullscript.addEvent({ clinic: 'Washington', type: 'product.updated' });
    for (const token of [washington, newYork]) {
      expect(v.list('products', {}, token).events.map((item) => [item.id, item.clinic_id])).toEqual([
        [id, undefined],
      ]);
    }
    expect(new Set(v.fullscript.ledger().map(({ text }) => text)).size).toBe(1);
  },
  'without-clinic-id': (name) => {
    const v = struck({ name });
    expect(v.list('orders').events[0]).not.toHaveProperty('clinic_id');
    expect(JSON.parse(retrieved(v).body).event).not.toHaveProperty('clinic_id');
  },
  'item-of-other-clinic': (name) => {
    const v = struck({ name });
    const other = v.fullscript.clinics[1]?.id;
    expect(v.list('orders').events[0]?.clinic_id).toBe(other);
    expect(JSON.parse(retrieved(v).body).event.clinic_id).toBe(other);
  },
  'unknown-type': (name) =>
    expect(struck({ name }).list('orders').events[0]?.type).toBe('practitioner.archived'),
  'odd-ids': (name) => {
    const v = struck({ name });
    expect(orderIn(v).id).toContain('/../ü %2F?#');
    expect(retrieved(v).body).toBe(`{"event":${orderIn(v).text}}`);
  },
  'late-listed': (name) => {
    const v = struck({ name, seconds: 5 });
    expect(v.list('orders').events).toHaveLength(0);
    expect(orderIn(v).listableAt - orderIn(v).createdAt).toBe(5000);
  },
  'equal-timestamps': (name) =>
    expect(orderIn(struck({ name, seconds: 86_400 })).createdAt).toBe(startAt - 12 * 3_600_000),
  'deep-event': (name) => {
    expect(retrieved(struck({ name, depth: 50 })).body).toContain('['.repeat(50) + ']'.repeat(50));
  },
  'huge-event': (name) =>
    expect(retrieved(struck({ name, bytes: 2_000_000 })).body.length).toBeGreaterThan(2_000_000),
};

describe('every fault', () => {
  for (const [name, show] of Object.entries(shown)) {
    test(`${name} can be seen`, () => show(name as FaultName));
  }

  test('stands in the README with its settings', () => {
    const readme = readFileSync(new URL('../../src/sandbox/README.md', import.meta.url), 'utf8');
    const rows = Object.entries<FaultKind<unknown>>(faultKinds).map(([name, kind]) => {
      const { properties = {} } = z.toJSONSchema(kind.settings, { io: 'input' });
      const settings = Object.entries(properties).map(
        ([key, shape]) => `\`${key}\` = ${JSON.stringify((shape as { default?: unknown }).default)}`,
      );
      return `| \`${name}\` | ${kind.operations.join(', ')} | ${settings.join(', ')} | ${kind.about} |`;
    });
    const written = readme
      .split('\n')
      .filter((line) => line.startsWith('| `') && line.split('|').length === 6)
      .map((line) => line.replaceAll(/ +/g, ' '));
    expect(written).toEqual(rows.map((row) => row.replaceAll(/ +/g, ' ')));
  });
});

describe('a fault', () => {
  test('strikes as often as `times` says, and is gone then', () => {
    const v = struck({ name: 'error-status', times: 2 });
    const statuses = [1, 2, 3].map(() => v.get('/api/clinic').status);
    expect([statuses, v.fullscript.faults.list()]).toEqual([[500, 500, 200], []]);
  });

  test('is not used up where there was nothing to change', () => {
    const v = struck({ name: 'item-without-id', times: 1 }, 0);
    v.list('orders');
    expect(v.fullscript.faults.list()).toHaveLength(1);
  });

  for (const { scope, hit, missed } of [
    { scope: { clinic: 'New York' }, hit: ['/api/clinic', newYork], missed: ['/api/clinic', washington] },
    {
      scope: { category: 'orders' },
      hit: ['/api/events/orders', washington],
      missed: ['/api/events/patients', washington],
    },
    {
      scope: { operation: 'clinic' },
      hit: ['/api/clinic', washington],
      missed: ['/api/events/orders', washington],
    },
    {
      scope: { eventId: 'one' },
      hit: ['/api/events/one', washington],
      missed: ['/api/events/two', washington],
    },
  ] as const) {
    test(`strikes only in its scope ${JSON.stringify(scope)}`, () => {
      const v = struck({ name: 'error-status', ...scope }, 0);
      for (const id of ['one', 'two'])
        v.fullscript.addEvent({ clinic: 'Washington', type: 'patient.created', id });
      expect([v.get(hit[0], hit[1]).status, v.get(missed[0], missed[1]).status]).toEqual([500, 200]);
    });
  }

  test('of a category strikes the retrieval of its events too', () => {
    const v = struck({ name: 'retrieval-fails', category: 'orders' });
    const patient = v.fullscript.addEvent({ clinic: 'Washington', type: 'patient.created' });
    expect([retrieved(v).status, v.get(`/api/events/${patient.id}`).status]).toEqual([500, 200]);
  });

  test('drops the answer of a refresh that took place, or the request before it', () => {
    const isSpent = (point: string) => {
      const v = struck({ name: 'connection-dropped', point, times: 1 });
      v.fullscript.faults.switchOn({ name: 'strict-rotation' });
      v.refresh('sandbox-refresh-washington');
      return v.refresh('sandbox-refresh-washington').status === 400;
    };
    expect([isSpent('before'), isSpent('after')]).toEqual([false, true]);
  });

  test('can be switched off alone, or all of them', () => {
    const { faults } = vendor().fullscript;
    const first = faults.switchOn({ name: 'bare-event' });
    const second = faults.switchOn({ name: 'late-listed' });
    faults.switchOff(first.id);
    expect(faults.list()).toEqual([second]);
    expect(() => faults.switchOff(first.id)).toThrow('There is no fault');
    faults.switchAllOff();
    expect(faults.list()).toEqual([]);
  });

  for (const ask of [
    null,
    'rate-limited',
    {},
    { name: 'nonsense' },
    { name: 'constructor' },
    { name: 'bare-event', times: 0 },
    { name: 'bare-event', tmies: 1 },
    { name: 'bare-event', operation: 'token' },
    { name: 'bare-event', category: 'practitioners' },
    { name: 'slow-answer', ms: '5' },
    { name: 'redirect', location: 'http://x/\r\nset-cookie: a=b' },
    { name: 'error-status', status: 99 },
  ]) {
    test(`is refused as ${JSON.stringify(ask)}`, () => {
      expect(() => vendor().fullscript.faults.switchOn(ask)).toThrow(
        expect.objectContaining({ code: 'fault_invalid' }),
      );
    });
  }

  test('for a clinic that is not there is refused', () => {
    const { faults } = vendor().fullscript;
    expect(() => faults.switchOn({ name: 'bare-event', clinic: 'Boston' })).toThrow(
      'There is no clinic Boston',
    );
  });
});
