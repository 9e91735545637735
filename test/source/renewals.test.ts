import { describe, expect, test } from 'vitest';
import type { Connection } from '../../src/domain/clinic.ts';
import type { VendorHttp, VendorRequest } from '../../src/source/vendor-http.ts';
import { pollingRelay, recordedIds } from './clinic.ts';

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const orders = { clinic: 'Washington', type: 'order.placed' } as const;

const isRenewal = ({ url }: VendorRequest): boolean => url.endsWith('/oauth/token');

describe('a renewal', () => {
  test('case 182: whose pair cannot be saved uses it for nothing, keeps it, and saves it when it can', async () => {
    const used = new Set<string>();
    let fillsDisk = true;
    const relay = await pollingRelay({
      pollSecondsMin: 300,
      http: (wire) => async (request) => {
        if (request.accessToken !== undefined) used.add(request.accessToken);
        const answer = await wire(request);
        if (fillsDisk && isRenewal(request)) relay.disk.freeBytes = 0;
        return answer;
      },
    });
    relay.fullscript.faults.switchOn({ name: 'strict-rotation' });
    await relay.clock.advance(2 * hour);
    expect(relay.disk.freeBytes).toBe(0);
    await relay.clock.advance(hour);
    expect([...used]).toEqual(['sandbox-access-washington']);
    fillsDisk = false;
    relay.disk.freeBytes = Number.POSITIVE_INFINITY;
    await relay.clock.advance(10 * minute);
    const event = relay.fullscript.addEvent(orders);
    await relay.clock.advance(10 * minute);
    expect(await recordedIds(relay.store)).toEqual([event.id]);
    expect((await relay.store.connections())[0]?.state).toBe('working');
    expect(relay.fatal).toEqual([]);
    const waits = relay.lines.filter(({ message }) => message.includes('wait for the store'));
    expect(waits.length).toBeLessThanOrEqual(1);
  });

  test('case 184: is asked for once, however many requests want it', async () => {
    let underWay = 0;
    let most = 0;
    const counting =
      (wire: VendorHttp): VendorHttp =>
      async (request) => {
        if (!isRenewal(request)) return wire(request);
        underWay += 1;
        most = Math.max(most, underWay);
        await relay.store.connections();
        const answer = await wire(request);
        underWay -= 1;
        return answer;
      };
    const relay = await pollingRelay({ http: counting });
    await relay.clock.advance(6 * hour);
    expect(most).toBe(1);
    expect(relay.fullscript.requests().byOperation.token).toBeLessThanOrEqual(4);
  });

  test('case 187: of a token that ends at once is made once a minute at most, and events flow', async () => {
    const { clock, fullscript, store } = await pollingRelay();
    fullscript.faults.switchOn({ name: 'odd-expires-in', expiresIn: 0 });
    await clock.advance(2 * hour);
    const { token = 0 } = fullscript.requests().byOperation;
    const event = fullscript.addEvent(orders);
    await clock.advance(30 * minute);
    expect((fullscript.requests().byOperation.token ?? 0) - token).toBeLessThanOrEqual(31);
    expect(await recordedIds(store)).toEqual([event.id]);
  });

  test('case 189: from an endpoint that is away is tried less and less often', async () => {
    const { clock, fullscript, store } = await pollingRelay();
    await clock.advance(minute);
    fullscript.faults.switchOn({ name: 'error-status', status: 500, operation: 'token' });
    await clock.advance(2 * hour + minute);
    const { token = 0 } = fullscript.requests().byOperation;
    await clock.advance(hour);
    expect((fullscript.requests().byOperation.token ?? 0) - token).toBeLessThanOrEqual(12);
    fullscript.faults.switchAllOff();
    const event = fullscript.addEvent(orders);
    await clock.advance(30 * minute);
    expect(await recordedIds(store)).toEqual([event.id]);
  });

  test('whose turn comes after its lease has lapsed is not asked for: somebody else may be at it', async () => {
    let limitsUntil = 0;
    const relay = await pollingRelay({
      http: (wire) => async (request) =>
        !isRenewal(request) && relay.clock.now() < limitsUntil
          ? { kind: 'answered', status: 429, body: Buffer.alloc(0), vendorNow: null, retryAfter: '600' }
          : wire(request),
    });
    await relay.clock.advance(minute);
    const [connection] = await relay.store.connections();
    if (!connection?.tokens) throw new Error('it was declared');
    // It is about to be renewed when the vendor asks the whole app for ten minutes of air.
    const tokens = { ...connection.tokens, expiresAt: relay.clock.now() + 10 * minute + 45 * second };
    await relay.store.saveConnection({ ...connection, tokens });
    const { token = 0 } = relay.fullscript.requests().byOperation;
    limitsUntil = relay.clock.now() + 40 * second;
    await relay.clock.advance(5 * minute);
    const other = await relay.store.claimRefresh(connection.id, hour);
    expect(other).not.toBeNull();
    await relay.clock.advance(10 * minute);
    expect(relay.fullscript.requests().byOperation.token ?? 0).toBe(token);
    if (other) await relay.store.endRefresh(other, null);
    await relay.clock.advance(5 * minute);
    expect(relay.fullscript.requests().byOperation.token).toBe(token + 1);
  });

  test('case 190: in the middle of a list goes on from the same page', async () => {
    const pages: (string | null)[] = [];
    let refuses = false;
    const relay = await pollingRelay({
      startFromMs: hour,
      http: (wire) => async (request) => {
        const { pathname, searchParams } = new URL(request.url);
        if (pathname.endsWith('/events/orders')) {
          pages.push(searchParams.get('page[number]'));
          if (refuses && pages.at(-1) === '2') {
            refuses = false;
            return {
              kind: 'answered',
              status: 401,
              body: Buffer.alloc(0),
              vendorNow: null,
              retryAfter: undefined,
            };
          }
        }
        return wire(request);
      },
    });
    for (let index = 0; index < 250; index++) relay.fullscript.addEvent(orders);
    refuses = true;
    await relay.clock.advance(20 * second);
    expect(pages).toEqual(['1', '2', '2', '3']);
    expect(await recordedIds(relay.store)).toHaveLength(250);
  });
});

describe('a token URL', () => {
  /** The operator's own app hands out what it is told to; the connection asks nobody else. */
  async function withTokenUrl(handedOut: () => object | Promise<object>) {
    const asked: VendorRequest[] = [];
    const url = 'http://my-app.internal/token';
    const relay = await pollingRelay({
      http: (wire) => async (request) => {
        if (request.url !== url) return wire(request);
        asked.push(request);
        const body = Buffer.from(JSON.stringify(await handedOut()));
        return { kind: 'answered', status: 200, body, vendorNow: null, retryAfter: undefined };
      },
    });
    await relay.clock.advance(minute);
    const [connection] = await relay.store.connections();
    if (!connection?.tokens) throw new Error('it was declared');
    const tokens = { accessToken: 'spent', refreshToken: null, expiresAt: 0 };
    const origin = { kind: 'tokenUrl', url, secret: 'app-secret' } as const;
    await relay.store.saveConnection({ ...connection, origin, tokens });
    relay.poller.forget(connection.id);
    return { ...relay, asked };
  }

  test('is asked with its secret, and never the vendor’s token endpoint', async () => {
    const { clock, fullscript, store, asked } = await withTokenUrl(() => ({
      accessToken: 'sandbox-access-washington',
      expiresAt: new Date(clock.now() + hour).toISOString(),
    }));
    const { token } = fullscript.requests().byOperation;
    const event = fullscript.addEvent(orders);
    await clock.advance(5 * minute);
    expect(await recordedIds(store)).toEqual([event.id]);
    expect(fullscript.requests().byOperation.token).toBe(token);
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({ method: 'GET', accessToken: 'app-secret' });
  });

  test('is asked in time for a connection that nobody uses, and its being away holds up no other', async () => {
    let isAway = false;
    let letGo = (): void => {};
    const { clock, store, asked, fullscript } = await withTokenUrl(async () => {
      if (isAway) await new Promise<void>((resolve) => (letGo = resolve));
      return { accessToken: 'sandbox-access-washington', expiresAt: clock.now() + hour };
    });
    await clock.advance(minute);
    const [first] = await store.connections();
    const idle = { ...first, id: 'con_idle', clinicId: first?.clinicId ?? null } as Connection;
    const origin = { kind: 'refreshToken' } as const;
    const tokens = { accessToken: 'x', refreshToken: 'sandbox-refresh-washington', expiresAt: 0 };
    await store.changeClinic(first?.clinicId ?? '', { isPaused: true });
    const before = asked.length;
    await clock.advance(3 * hour);
    expect(asked.length - before).toBe(3);

    isAway = true;
    await clock.advance(hour);
    await store.saveConnection({ ...idle, origin, tokens: { ...tokens, expiresAt: clock.now() } });
    const { token = 0 } = fullscript.requests().byOperation;
    await clock.advance(3 * minute);
    expect(fullscript.requests().byOperation.token).toBe(token + 1);
    letGo();
  });

  test('that hands out a token which ends soon is asked once a minute at most', async () => {
    const { clock, asked } = await withTokenUrl(() => ({
      accessToken: 'sandbox-access-washington',
      expiresAt: clock.now() + 90 * second,
    }));
    await clock.advance(30 * minute);
    expect(asked.length).toBeGreaterThan(5);
    expect(asked.length).toBeLessThanOrEqual(31);
  });

  test('that hands out a refused token again is asked later, and nobody has to reconnect', async () => {
    let accessToken = 'refused-by-the-vendor';
    const { clock, store, asked, fullscript } = await withTokenUrl(() => ({
      accessToken,
      expiresAt: clock.now() + hour,
    }));
    await clock.advance(hour);
    expect(asked.length).toBeLessThanOrEqual(20);
    expect((await store.connections())[0]?.state).toBe('working');
    accessToken = 'sandbox-access-washington';
    const event = fullscript.addEvent(orders);
    await clock.advance(20 * minute);
    expect(await recordedIds(store)).toEqual([event.id]);
  });
});
