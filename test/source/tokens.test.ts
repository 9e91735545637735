import { describe, expect, test } from 'vitest';
import { wait } from '../../src/clock.ts';
import { lifeSecondsOf } from '../../src/source/oauth.ts';
import { pollingRelay, recordedIds } from './clinic.ts';

const minute = 60_000;
const hour = 60 * minute;
const orders = { clinic: 'Washington', type: 'order.placed' } as const;

describe('tokens', () => {
  for (const rotation of ['graceful', 'strict'] as const) {
    test(`are renewed in time for days on end, with ${rotation} rotation`, async () => {
      const { clock, fullscript, store } = await pollingRelay({ pollSecondsMin: 600 });
      if (rotation === 'strict') fullscript.faults.switchOn({ name: 'strict-rotation' });
      await clock.advance(49 * hour);
      const event = fullscript.addEvent(orders);
      await clock.advance(hour);
      expect(await recordedIds(store)).toEqual([event.id]);
      const [connection] = await store.connections();
      expect(connection).toMatchObject({ state: 'working', stateReason: null });
      expect(fullscript.requests().byOperation.token).toBeLessThan(40);
    });
  }

  test('case 152: one that ends early is renewed once, and the request repeated', async () => {
    const { clock, fullscript, store } = await pollingRelay();
    await clock.advance(minute);
    const before = fullscript.requests().byOperation.token ?? 0;
    fullscript.faults.switchOn({ name: 'unauthorized', operation: 'list', times: 1 });
    const event = fullscript.addEvent(orders);
    await clock.advance(2 * minute);
    expect(await recordedIds(store)).toEqual([event.id]);
    expect(fullscript.requests().byOperation.token).toBe(before + 1);
  });

  test('case 153: refused with a fresh token, too, the connection needs to reconnect, and nobody loops', async () => {
    const { clock, fullscript, store, lines } = await pollingRelay();
    await clock.advance(minute);
    fullscript.faults.switchOn({ name: 'unauthorized' });
    await clock.advance(hour);
    expect((await store.connections())[0]).toMatchObject({ state: 'needsReconnect' });
    const { all } = fullscript.requests();
    await clock.advance(6 * hour);
    expect(fullscript.requests().all).toBe(all);
    expect(lines.filter(({ level }) => level === 'error')).toHaveLength(1);
  });

  test('case 185: invalid_grant ends in "needs to reconnect" after the spare pair was tried', async () => {
    const { clock, fullscript, store } = await pollingRelay();
    await clock.advance(minute);
    fullscript.faults.switchOn({ name: 'invalid-grant' });
    await clock.advance(3 * hour);
    const [connection] = await store.connections();
    expect(connection).toMatchObject({
      state: 'needsReconnect',
      stateReason: expect.stringContaining('invalid_grant'),
    });
  });

  test('case 186: an answer without a refresh token keeps the old one', async () => {
    const { clock, fullscript, store } = await pollingRelay();
    fullscript.faults.switchOn({ name: 'refresh-token-missing' });
    await clock.advance(5 * hour);
    expect((await store.connections())[0]).toMatchObject({
      state: 'working',
      tokens: { refreshToken: 'sandbox-refresh-washington' },
    });
  });

  test('case 189: while the token endpoint is away, a token that is still valid serves on', async () => {
    const { clock, fullscript, store } = await pollingRelay();
    await clock.advance(minute);
    fullscript.faults.switchOn({ name: 'error-status', status: 500, operation: 'token' });
    await clock.advance(hour + 54 * minute);
    const event = fullscript.addEvent(orders);
    await clock.advance(2 * minute);
    expect(await recordedIds(store)).toEqual([event.id]);
    fullscript.faults.switchAllOff();
    await clock.advance(hour);
    expect((await store.connections())[0]?.state).toBe('working');
  });

  test('the new pair is durable before it is used, and the old one is dropped once it has worked', async () => {
    const uses: string[] = [];
    const relay = await pollingRelay({
      http: (http) => async (request) => {
        if (request.accessToken !== undefined) {
          const [connection] = await relay.store.connections();
          if (connection?.tokens?.accessToken !== request.accessToken) uses.push(request.accessToken);
        }
        return http(request);
      },
    });
    await relay.clock.advance(5 * hour);
    expect(uses).toEqual([]);
    expect((await relay.store.connections())[0]?.spareTokens).toBeNull();
  });

  test('case 183: a renewal whose answer never came is made again with the old refresh token, one at a time', async () => {
    let isSwallowing = true;
    let underWay = 0;
    let most = 0;
    const relay = await pollingRelay({
      http: (http) => async (request) => {
        if (!request.url.endsWith('/oauth/token')) return http(request);
        most = Math.max(most, ++underWay);
        const answer = await http(request);
        if (isSwallowing) await wait(relay.clock, 30_000);
        underWay -= 1;
        if (!isSwallowing) return answer;
        isSwallowing = false;
        return { kind: 'unreachable', detail: 'timed out' };
      },
    });
    await relay.clock.advance(3 * hour);
    expect((await relay.store.connections())[0]?.state).toBe('working');
    expect(most).toBe(1);
    const event = relay.fullscript.addEvent(orders);
    await relay.clock.advance(5 * minute);
    expect(await recordedIds(relay.store)).toEqual([event.id]);
  });

  test('case 181: killed between the renewal and its save, the old refresh token is tried and works', async () => {
    const dying = await pollingRelay({
      http: (http) => async (request) => {
        const answer = await http(request);
        return request.url.endsWith('/oauth/token') ? new Promise<never>(() => {}) : answer;
      },
    });
    await dying.clock.advance(2 * hour);
    expect(dying.fullscript.requests().byOperation.token).toBe(1);
    const { store, clock, fullscript } = await pollingRelay({ killed: dying });
    const [before] = await store.connections();
    expect(before?.tokens?.refreshToken).toBe('sandbox-refresh-washington');
    await clock.advance(10 * minute);
    const [after] = await store.connections();
    expect(after).toMatchObject({ state: 'working', stateReason: null });
    expect(after?.tokens?.accessToken).not.toBe(before?.tokens?.accessToken);
    const event = fullscript.addEvent(orders);
    await clock.advance(2 * minute);
    expect(await recordedIds(store)).toEqual([event.id]);
  });

  test('case 188: an answer that names less scope is taken, and what it cannot read shows as a category that is off', async () => {
    const { clock, fullscript, store } = await pollingRelay();
    await clock.advance(minute);
    fullscript.faults.switchOn({ name: 'scope-reduced' });
    fullscript.faults.switchOn({ name: 'category-forbidden', category: 'orders' });
    await clock.advance(3 * hour);
    const patient = fullscript.addEvent({ clinic: 'Washington', type: 'patient.created' });
    await clock.advance(2 * minute);
    expect(await recordedIds(store)).toEqual([patient.id]);
    expect((await store.connections())[0]?.state).toBe('working');
    const streams = await store.streams();
    expect(streams.find(({ category }) => category === 'orders')).toMatchObject({
      isOff: true,
      problem: 'the token may not read it',
    });
    expect(streams.find(({ category }) => category === 'patients')).toMatchObject({ isOff: false });
  });

  test('tokens of another clinic under a known name are not used', async () => {
    const { clock, store, poller, fullscript } = await pollingRelay({ clinics: ['Washington', 'New York'] });
    await clock.advance(minute);
    const [washington, newYork] = await store.connections();
    if (!washington || !newYork) throw new Error('two were declared');
    await store.saveConnection({ ...washington, tokens: newYork.tokens });
    poller.forget(washington.id);
    fullscript.addEvent({ clinic: 'New York', type: 'order.placed' });
    await clock.advance(2 * minute);
    const after = (await store.connections()).find(({ id }) => id === washington.id);
    expect(after).toMatchObject({
      state: 'needsReconnect',
      stateReason: expect.stringContaining('another clinic'),
      clinicId: washington.clinicId,
    });
    expect(await recordedIds(store)).toHaveLength(1);
  });

  test('case 189: a token endpoint that asks for air gets it', async () => {
    const { clock, fullscript } = await pollingRelay();
    await clock.advance(hour + 49 * minute);
    fullscript.faults.switchOn({ name: 'rate-limited', operation: 'token', retryAfterSeconds: 60 });
    const before = fullscript.requests().byOperation.token ?? 0;
    await clock.advance(5 * minute);
    const asked = (fullscript.requests().byOperation.token ?? 0) - before;
    expect(asked).toBeGreaterThan(0);
    expect(asked).toBeLessThanOrEqual(5);
  });
});

for (const { given, seconds, because } of [
  { given: 7200, seconds: 7200, because: 'it is what the vendor documents' },
  { given: '3600', seconds: 3600, because: 'a number in quotes is a number' },
  { given: 0, seconds: 60, because: 'a token that has ended already would be renewed without end' },
  { given: -5, seconds: 60, because: 'it is negative' },
  { given: 1e12, seconds: 86_400, because: 'nobody believes a token that outlives the vendor' },
  { given: undefined, seconds: 7200, because: 'it is missing' },
  { given: 'soon', seconds: 7200, because: 'it is no number' },
]) {
  test(`case 187: expires_in ${given} counts as ${seconds} s: ${because}`, () => {
    expect(lifeSecondsOf(given)).toBe(seconds);
  });
}
