import { describe, expect, test } from 'vitest';
import { StoreUnavailable } from '../../src/domain/errors.ts';
import type { Refusal } from '../../src/source/events-api.ts';
import { poll } from '../../src/source/poll.ts';
import type { VendorHttp } from '../../src/source/vendor-http.ts';
import type { Store } from '../../src/store/store.ts';
import { keptLog } from '../world/log.ts';
import { noon, pollingRelay, recordedIds } from './clinic.ts';

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const categories = ['patients', 'orders', 'treatment_plans', 'lab_orders', 'products', 'clinic_keys'];

/** Requests that `isHeld` are answered only when they are let go. */
function holding(isHeld: (url: string, accessToken: string) => boolean) {
  const waiting: (() => void)[] = [];
  const state = { isHolding: true };
  const http =
    (wire: VendorHttp): VendorHttp =>
    async (request) => {
      if (state.isHolding && isHeld(request.url, request.accessToken ?? '')) {
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
      return wire(request);
    };
  const letGo = () => {
    state.isHolding = false;
    for (const answer of waiting.splice(0)) answer();
  };
  const hold = () => {
    state.isHolding = true;
  };
  return { http, waiting, letGo, hold };
}

/** A store that takes some of its writes only while there is space. */
function refusing(refused: readonly ('recordEvents' | 'endPoll')[]) {
  const full = {
    isFull: false,
    refusals: 0,
    store(real: Store): Store {
      const unlessFull =
        <Asked extends unknown[], Answer>(write: (...asked: Asked) => Promise<Answer>) =>
        async (...asked: Asked): Promise<Answer> => {
          if (!full.isFull) return write(...asked);
          full.refusals += 1;
          throw new StoreUnavailable('disk_full', 'The disk is full.', { hint: 'Free some space.' });
        };
      const { recordEvents, endPoll } = real;
      return {
        ...real,
        ...(refused.includes('recordEvents') && { recordEvents: unlessFull(recordEvents) }),
        ...(refused.includes('endPoll') && { endPoll: unlessFull(endPoll) }),
      };
    },
  };
  return full;
}

describe('the poller', () => {
  test('case 178: clinics that hang at every list leave room for the others', async () => {
    const hung = holding((url, token) => url.includes('created_at') && !token.includes('spokane'));
    const relay = await pollingRelay({
      clinics: ['Washington', 'New York', 'Spokane'],
      categories,
      http: hung.http,
    });
    await relay.clock.advance(minute);
    const event = relay.fullscript.addEvent({ clinic: 'Spokane', type: 'order.placed' });
    await relay.clock.advance(2 * minute);
    expect(await recordedIds(relay.store)).toEqual([event.id]);
    expect(hung.waiting).toHaveLength(4);
  });

  test('a stop waits for a renewal that is under way, and its pair is kept', async () => {
    const hung = holding((url) => url.endsWith('/oauth/token'));
    const relay = await pollingRelay({ http: hung.http });
    await relay.clock.advance(minute);
    const [before] = await relay.store.connections();
    for (const clinic of await relay.store.clinics()) {
      await relay.store.saveClinic({ ...clinic, isPaused: true });
    }
    await relay.clock.advance(2 * hour);
    let isStopped = false;
    const stopped = relay.poller.stop(20 * second).then(() => {
      isStopped = true;
    });
    await relay.clock.advance(5 * second);
    expect(isStopped).toBe(false);
    hung.letGo();
    await relay.clock.advance(1);
    await stopped;
    const [after] = await relay.store.connections();
    expect(after?.tokens?.accessToken).not.toBe(before?.tokens?.accessToken);
    expect(relay.fatal).toEqual([]);
  });

  test('a stop leaves no timer behind', async () => {
    const { clock, poller } = await pollingRelay();
    await clock.advance(minute);
    await poller.stop(20 * second);
    expect(clock.waiting).toBe(0);
  });

  test('a lease that is being renewed when its poll ends is not renewed again', async () => {
    const relay = await pollingRelay();
    await relay.clock.advance(minute);
    await relay.poller.stop(20 * second);
    const [claim] = await relay.store.claimPolls({ streams: await relay.store.streams(), leaseMs: minute });
    if (!claim) throw new Error('no stream is free');
    let answerList = (_: Refusal): void => {};
    let renewed = (): void => {};
    const polled = poll(claim, {
      ...relay,
      ...keptLog(),
      store: { ...relay.store, renewPoll: () => new Promise<void>((resolve) => (renewed = resolve)) },
      list: () => new Promise<Refusal>((resolve) => (answerList = resolve)),
      retrieve: async () => ({ kind: 'notFound' }),
      overlapDays: 2,
      sweepHours: 24,
      isShadow: false,
      isSweepWanted: false,
      signal: new AbortController().signal,
      learn: () => {},
      nextPollAt: () => 0,
      retryAt: () => 0,
      onRecorded: () => {},
    });
    await relay.clock.advance(minute);
    answerList({ kind: 'notFound' });
    await polled;
    renewed();
    await relay.clock.advance(1);
    expect(relay.clock.waiting).toBe(0);
  });

  test('case 37: on a full disk nothing is asked of Fullscript, and it goes on by itself', async () => {
    const { clock, fullscript, store, disk, fatal } = await pollingRelay({
      clinics: ['Washington', 'New York'],
    });
    await clock.advance(minute);
    disk.freeBytes = 0;
    await clock.advance(minute);
    const { all } = fullscript.requests();
    const events = ['Washington', 'New York'].map((clinic) =>
      fullscript.addEvent({ clinic, type: 'order.placed' }),
    );
    await clock.advance(10 * minute);
    expect(fullscript.requests().all).toBe(all);
    disk.freeBytes = Number.POSITIVE_INFINITY;
    await clock.advance(minute);
    expect((await recordedIds(store)).toSorted()).toEqual(events.map(({ id }) => id).sort());
    expect(fatal).toEqual([]);
  });

  for (const { refused, because } of [
    { refused: ['recordEvents', 'endPoll'], because: 'what was read' },
    { refused: ['endPoll'], because: 'how far was read' },
  ] as const) {
    test(`a store that refuses ${because} is asked again, and the stream is not left until its lease lapses`, async () => {
      const full = refusing(refused);
      const { clock, fullscript, store, fatal } = await pollingRelay({ store: full.store });
      await clock.advance(minute);
      full.isFull = true;
      const event = fullscript.addEvent({ clinic: 'Washington', type: 'order.placed' });
      await clock.advance(minute);
      expect(full.refusals).toBeGreaterThan(0);
      full.isFull = false;
      await clock.advance(5 * second);
      expect(await recordedIds(store)).toEqual([event.id]);
      const orders = (await store.streams()).find(({ category }) => category === 'orders');
      expect(orders).toMatchObject({ failedInRow: 0, problem: null });
      expect(orders?.polledAt).toBeGreaterThan(clock.now() - 5 * second);
      expect(fatal).toEqual([]);
    });

    test(`a store that refuses ${because} holds up no stop`, async () => {
      const full = refusing(refused);
      const { clock, fullscript, poller } = await pollingRelay({ store: full.store });
      await clock.advance(minute);
      full.isFull = true;
      fullscript.addEvent({ clinic: 'Washington', type: 'order.placed' });
      await clock.advance(minute);
      const stopped = poller.stop(20 * second);
      await clock.advance(1);
      await stopped;
      expect(clock.waiting).toBe(0);
    });
  }

  test('a vendor that never answers holds up a stop for its grace and no longer', async () => {
    const hung = holding((url) => url.includes('/events/'));
    const relay = await pollingRelay({ http: hung.http });
    await relay.clock.advance(minute);
    let isStopped = false;
    void relay.poller.stop(20 * second).then(() => {
      isStopped = true;
    });
    await relay.clock.advance(19 * second);
    expect(isStopped).toBe(false);
    await relay.clock.advance(2 * second);
    expect(isStopped).toBe(true);
  });

  test('a paused clinic is not polled, its tokens stay alive, and resumed it is caught up', async () => {
    const { clock, fullscript, store, poller } = await pollingRelay();
    await clock.advance(minute);
    const [clinic] = await store.clinics();
    if (!clinic) throw new Error('one was discovered');
    await store.saveClinic({ ...clinic, isPaused: true });
    await clock.advance(minute);
    const { list } = fullscript.requests().byOperation;
    const event = fullscript.addEvent({ clinic: 'Washington', type: 'order.placed' });
    await clock.advance(5 * hour);
    expect(fullscript.requests().byOperation.list).toBe(list);
    expect((await store.connections())[0]?.tokens?.expiresAt).toBeGreaterThan(clock.now());
    await store.saveClinic({ ...clinic, isPaused: false });
    await store.pollSoon(clinic.id);
    poller.wake();
    await clock.advance(10 * second);
    expect(await recordedIds(store)).toEqual([event.id]);
  });

  test('a connection that is removed while its token is renewed stops nothing', async () => {
    const hung = holding((url) => url.endsWith('/oauth/token'));
    const relay = await pollingRelay({ clinics: ['Washington', 'New York'], http: hung.http });
    await relay.clock.advance(minute);
    await relay.clock.advance(2 * hour);
    expect(hung.waiting.length).toBeGreaterThan(0);
    const gone = (await relay.store.connections()).find(({ name }) => name === 'Washington');
    await relay.store.deleteConnection(gone?.id ?? '', { isRevoked: true });
    hung.letGo();
    const event = relay.fullscript.addEvent({ clinic: 'New York', type: 'order.placed' });
    await relay.clock.advance(20 * minute);
    expect(relay.fatal).toEqual([]);
    expect(await recordedIds(relay.store)).toEqual([event.id]);
    expect((await relay.store.connections()).map(({ name }) => name)).toEqual(['New York']);
  });

  test('a revoked authorization ends the polling of its clinic only, loudly; a revoked clinic key ends nothing', async () => {
    const { clock, fullscript, store, lines } = await pollingRelay({
      clinics: ['Washington', 'New York'],
      categories: ['orders', 'clinic_keys'],
    });
    await clock.advance(minute);
    const key = fullscript.addEvent({ clinic: 'Washington', type: 'clinic_key.revoked' });
    await clock.advance(20 * minute);
    expect(await recordedIds(store)).toEqual([key.id]);
    expect(lines.filter(({ level }) => level === 'warn')).toMatchObject([
      { message: expect.stringContaining('revoked its key'), facts: { eventId: key.id } },
    ]);
    expect((await store.connections()).map(({ state }) => state)).toEqual(['working', 'working']);

    fullscript.revokeClinic('Washington');
    const lost = fullscript.addEvent({ clinic: 'Washington', type: 'order.placed' });
    const kept = fullscript.addEvent({ clinic: 'New York', type: 'order.placed' });
    await clock.advance(20 * minute);
    expect(await recordedIds(store)).toEqual([key.id, kept.id]);
    expect(lost.id).not.toBe(kept.id);
    expect((await store.connections()).map(({ name, state }) => [name, state])).toEqual([
      ['Washington', 'needsReconnect'],
      ['New York', 'working'],
    ]);
    expect(lines.filter(({ level }) => level === 'error')).toMatchObject([
      {
        message: 'A connection needs to be authorized again.',
        facts: { reason: expect.stringContaining('invalid_grant') },
      },
    ]);
  });

  describe('a spare connection takes over', () => {
    for (const { because, end } of [
      {
        because: 'the first ends in invalid_grant',
        end: { tokens: { accessToken: 'revoked', refreshToken: 'revoked', expiresAt: 0 } },
      },
      {
        because: 'the first is refused with a fresh token, too',
        end: {
          origin: { kind: 'tokenUrl', url: 'http://app/token', secret: null },
          tokens: { accessToken: 'revoked', refreshToken: null, expiresAt: noon + 24 * hour },
        },
      },
      {
        because: 'the app of the first is away',
        end: {
          origin: { kind: 'tokenUrl', url: 'http://away/token', secret: null },
          tokens: { accessToken: 'spent', refreshToken: null, expiresAt: 0 },
        },
      },
    ] as const) {
      test(`when ${because}`, async () => {
        const { clock, fullscript, store } = await pollingRelay({
          clinics: ['Washington', 'New York'],
          categories: ['orders'],
          http: (http) => async (asked) => {
            if (asked.url === 'http://away/token') return { kind: 'unreachable', detail: 'ECONNREFUSED' };
            if (asked.url !== 'http://app/token') return http(asked);
            const body = Buffer.from(
              JSON.stringify({ accessToken: 'also revoked', expiresAt: noon + 24 * hour }),
            );
            return { kind: 'answered', status: 200, body, vendorNow: null, retryAfter: undefined };
          },
        });
        await clock.advance(minute);
        const first = (await store.connections()).find(({ name }) => name === 'Washington');
        if (!first?.tokens) throw new Error('it was declared');
        await store.saveConnection({ ...first, id: 'con_spare', declaredDigest: null, createdAt: noon + 1 });
        await store.saveConnection({ ...first, ...end });
        // What was replaced would serve as the first one's own spare pair.
        await store.dropSpareTokens(first.id, end.tokens.accessToken);
        const event = fullscript.addEvent({ clinic: 'Washington', type: 'order.placed' });
        await clock.advance(16 * minute);
        expect(await recordedIds(store)).toEqual([event.id]);
        const streams = await store.streams();
        expect(streams.map(({ failedInRow, problem }) => [failedInRow, problem])).toEqual([
          [0, null],
          [0, null],
        ]);
        const states = (await store.connections()).map(({ id, name, state }) => [
          id === first.id,
          name,
          state,
        ]);
        expect(states).toContainEqual([
          true,
          'Washington',
          because.includes('away') ? 'working' : 'needsReconnect',
        ]);
        expect(states).toContainEqual([false, 'Washington', 'working']);
        expect(states).toContainEqual([false, 'New York', 'working']);
      });
    }
  });

  test('tokens under suspicion are not used while another connection reads the same clinic', async () => {
    const hung = holding((url) => url.endsWith('/clinic'));
    const { clock, fullscript, store, poller } = await pollingRelay({
      clinics: ['Washington', 'New York'],
      http: hung.http,
    });
    hung.letGo();
    await clock.advance(minute);
    hung.hold();
    const [washington, newYork] = await store.connections();
    if (!washington || !newYork) throw new Error('two were declared');
    await store.saveConnection({ ...washington, id: 'con_spare', declaredDigest: null });
    await store.saveConnection({ ...washington, tokens: newYork.tokens });
    poller.forget(washington.id);
    fullscript.faults.switchOn({ name: 'without-clinic-id' });
    const foreign = fullscript.addEvent({ clinic: 'New York', type: 'order.placed' });
    const own = fullscript.addEvent({ clinic: 'Washington', type: 'order.placed' });
    await clock.advance(2 * minute);
    const { items } = await store.events({ state: 'recorded' }, { limit: 10, cursor: null });
    expect(items.map(({ id, clinicId }) => [id, clinicId]).sort()).toEqual(
      [
        [foreign.id, newYork.clinicId],
        [own.id, washington.clinicId],
      ].sort(),
    );
    hung.letGo();
    await clock.advance(minute);
    expect((await store.connections()).find(({ id }) => id === washington.id)).toMatchObject({
      state: 'needsReconnect',
    });
  });

  test('an answer about tokens that were replaced meanwhile makes nobody trust the new ones', async () => {
    const hung = holding((url) => url.endsWith('/clinic'));
    const { clock, store, poller } = await pollingRelay({
      clinics: ['Washington', 'New York'],
      http: hung.http,
    });
    hung.letGo();
    await clock.advance(minute);
    const [washington, newYork] = await store.connections();
    if (!washington || !newYork) throw new Error('two were declared');
    hung.hold();
    poller.forget(washington.id);
    await clock.advance(second);
    expect(hung.waiting).toHaveLength(1);
    await store.saveConnection({ ...washington, tokens: newYork.tokens });
    poller.forget(washington.id);
    hung.letGo();
    await clock.advance(minute);
    expect((await store.connections()).find(({ id }) => id === washington.id)).toMatchObject({
      clinicId: washington.clinicId,
      state: 'needsReconnect',
    });
  });

  test('tokens that are replaced while the streams of a clinic begin are not trusted by the old answer', async () => {
    let beforeFollowing = async (): Promise<void> => {};
    const { clock, store, poller } = await pollingRelay({
      clinics: ['Washington', 'New York'],
      store: (real) => ({
        ...real,
        follow: async (clinicId, streams) => {
          await beforeFollowing();
          return real.follow(clinicId, streams);
        },
      }),
    });
    await clock.advance(minute);
    const [washington, newYork] = await store.connections();
    if (!washington || !newYork) throw new Error('two were declared');
    beforeFollowing = async () => {
      beforeFollowing = async () => {};
      await store.saveConnection({ ...washington, tokens: newYork.tokens });
      poller.forget(washington.id);
    };
    poller.forget(washington.id);
    await clock.advance(minute);
    expect((await store.connections()).find(({ id }) => id === washington.id)).toMatchObject({
      clinicId: washington.clinicId,
      state: 'needsReconnect',
    });
  });

  test('a connection whose clinic could not be asked for wakes nobody once it has to reconnect', async () => {
    let looks = 0;
    const { clock, store, fullscript } = await pollingRelay({
      store: (real) => ({
        ...real,
        streams: () => {
          looks += 1;
          return real.streams();
        },
      }),
    });
    fullscript.faults.switchOn({ name: 'unauthorized' });
    await clock.advance(minute);
    expect(await store.connections()).toMatchObject([{ state: 'needsReconnect' }]);
    looks = 0;
    await clock.advance(10 * minute);
    expect(looks).toBeLessThan(100);
  });

  test('a connection that is removed while its clinic is saved is not brought back', async () => {
    const { clock, store } = await pollingRelay({
      store: (real) => ({
        ...real,
        saveClinic: async (clinic) => {
          await real.saveClinic(clinic);
          for (const { id } of await real.connections()) await real.deleteConnection(id, { isRevoked: true });
        },
      }),
    });
    await clock.advance(minute);
    expect(await store.connections()).toEqual([]);
  });

  test('a poll that is asked for begins after it was asked for, and soon, though one is under way', async () => {
    const hung = holding((url) => url.includes('/events/orders'));
    const relay = await pollingRelay({ http: hung.http, pollSecondsMin: 900 });
    await relay.clock.advance(minute);
    const [clinic] = await relay.store.clinics();
    const stream = { clinicId: clinic?.id ?? '', category: 'orders' };
    const ends: string[] = [];
    const asked = relay.poller.pollAgain(stream, { isSweep: false, signal: new AbortController().signal });
    void asked.then(({ kind }) => ends.push(kind));
    await relay.clock.advance(second);
    const lists = () => relay.fullscript.requests().byOperation.list ?? 0;
    const before = lists();
    hung.letGo();
    await relay.clock.advance(10 * second);
    expect(ends).toEqual(['completed']);
    expect(lists()).toBe(before + 2);
    expect((await relay.store.streams()).every(({ nextPollAt }) => nextPollAt > relay.clock.now())).toBe(
      true,
    );
  });

  test('whoever asked for a poll is not kept waiting for one that does not come', async () => {
    const relay = await pollingRelay();
    await relay.clock.advance(minute);
    const [clinic] = await relay.store.clinics();
    const stream = { clinicId: clinic?.id ?? '', category: 'orders' };
    await relay.store.changeClinic(stream.clinicId, { isPaused: true });
    const leaving = new AbortController();
    const patient = relay.poller.pollAgain(stream, { isSweep: true, signal: new AbortController().signal });
    const impatient = relay.poller.pollAgain(stream, { isSweep: true, signal: leaving.signal });
    leaving.abort();
    await relay.clock.advance(1);
    expect(await impatient).toEqual({ kind: 'notYet' });
    await relay.clock.advance(15 * minute);
    expect(await patient).toEqual({ kind: 'notYet' });
  });

  for (const { what, change } of [
    { what: 'removed', change: 'delete' },
    { what: 'disconnected', change: 'disconnect' },
  ] as const) {
    test(`a connection that is ${what} while its clinic is asked for is not brought back`, async () => {
      const hung = holding((url) => url.endsWith('/clinic'));
      const { clock, store } = await pollingRelay({ http: hung.http });
      await clock.advance(second);
      const [connection] = await store.connections();
      if (!connection) throw new Error('it was declared');
      const left = { ...connection, tokens: null, state: 'needsReconnect' } as const;
      if (change === 'delete') await store.deleteConnection(connection.id, { isRevoked: true });
      else await store.saveConnection(left);
      hung.letGo();
      await clock.advance(minute);
      expect(await store.clinics()).toEqual([]);
      expect(await store.connections()).toMatchObject(
        change === 'delete' ? [] : [{ state: 'needsReconnect', clinicId: null }],
      );
    });
  }
});
