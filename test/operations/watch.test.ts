import { expect, onTestFinished, test } from 'vitest';
import type { Connection, Stream } from '../../src/domain/clinic.ts';
import { StoreUnavailable } from '../../src/domain/errors.ts';
import type { OperationalEvent } from '../../src/domain/operational-event.ts';
import { type Subscriber, untriedHealth } from '../../src/domain/subscriber.ts';
import { type AuditMissing, Watch } from '../../src/operations/watch.ts';
import { simulatedClock } from '../world/clock.ts';
import { keptLog } from '../world/log.ts';
import { recipient } from '../world/recipient.ts';

const start = Date.UTC(2026, 10, 20, 9);
const minuteMs = 60_000;
const washington = { id: 'w', name: 'Washington', isPaused: false, isRemoved: false, createdAt: start };

function connection(changes: Partial<Connection> = {}): Connection {
  return {
    id: 'con_1',
    clinicId: 'w',
    name: 'Washington',
    origin: { kind: 'refreshToken' },
    tokens: null,
    spareTokens: null,
    declaredDigest: null,
    state: 'working',
    stateReason: null,
    refreshedAt: null,
    createdAt: start,
    ...changes,
  };
}

function stream(category: string, changes: Partial<Stream> = {}): Stream {
  return {
    clinicId: 'w',
    category,
    startAt: start,
    cursor: start,
    polledAt: start,
    sweptAt: null,
    nextPollAt: start,
    failedInRow: 0,
    problem: null,
    isOff: false,
    recorded: 0,
    newestEventAt: null,
    ...changes,
  };
}

const failing = recipient({ health: { ...untriedHealth, isFailing: true, firstFailureAt: start } });
const gone = recipient({ pauseReasons: ['gone'], pausedAt: start });

function watched() {
  const clock = simulatedClock(start);
  const { logger, lines } = keptLog();
  const told: OperationalEvent[] = [];
  const world = {
    subscribers: [recipient()] as Subscriber[],
    clinics: [washington],
    connections: [connection()],
    streams: [] as Stream[],
    audits: [] as AuditMissing[],
    isFull: false,
  };
  const watch = new Watch({
    store: {
      async subscribers() {
        if (world.isFull)
          throw new StoreUnavailable('disk_full', 'The disk is full.', { hint: 'Free some.' });
        return { version: 1, subscribers: world.subscribers };
      },
      clinics: async () => world.clinics,
      connections: async () => world.connections,
      streams: async () => world.streams,
    },
    auditsMissing: async () => world.audits,
    tell: (event) => told.push(event),
    clock,
    logger,
    behindAfterMs: 45 * minuteMs,
    overlapDays: 2,
    categories: ['orders', 'patients', 'products', 'lab_orders'],
  });
  watch.start();
  onTestFinished(() => watch.stop());
  const types = () => told.map(({ type }) => type.slice('relay.'.length));
  return { clock, lines, told, types, world, watch };
}

test('what goes wrong is told once, and once more when it is over', async () => {
  const { clock, types, told, world } = watched();
  await clock.advance(5 * minuteMs);
  expect(types()).toEqual([]);
  world.subscribers = [failing];
  await clock.advance(5 * minuteMs);
  expect(told).toEqual([
    {
      type: 'relay.subscriber.failing',
      data: { subscriberId: 'sub_1', name: 'ehr', since: '2026-11-20T09:00:00.000Z' },
    },
  ]);
  world.subscribers = [gone];
  await clock.advance(5 * minuteMs);
  world.subscribers = [recipient()];
  await clock.advance(5 * minuteMs);
  expect(types()).toEqual(['subscriber.failing', 'subscriber.paused', 'subscriber.recovered']);
  world.subscribers = [failing];
  await clock.advance(5 * minuteMs);
  expect(types()).toHaveLength(4);
});

test('one that is deleted while it fails has not recovered', async () => {
  const { clock, types, world } = watched();
  world.subscribers = [failing];
  await clock.advance(5 * minuteMs);
  world.subscribers = [{ ...failing, deletedAt: start }];
  await clock.advance(5 * minuteMs);
  expect(types()).toEqual(['subscriber.failing']);
});

test('whoever pauses a subscriber by hand is not told of it', async () => {
  const { clock, types, world } = watched();
  world.subscribers = [recipient({ pauseReasons: ['person'], pausedAt: start })];
  await clock.advance(5 * minuteMs);
  world.subscribers = [recipient()];
  await clock.advance(5 * minuteMs);
  expect(types()).toEqual([]);
});

test('a relay that starts tells what is still wrong, after it had time to come back', async () => {
  const { clock, types, world } = watched();
  world.subscribers = [failing];
  world.streams = [stream('orders', { polledAt: start - 86_400_000 })];
  await clock.advance(minuteMs);
  expect(types()).toEqual([]);
  world.streams = [stream('orders', { polledAt: start + minuteMs })];
  await clock.advance(2 * minuteMs);
  expect(types()).toEqual(['subscriber.failing']);
});

test('a connection that has to be authorized again is told, and whether a spare reads the clinic', async () => {
  const { clock, told, world } = watched();
  const ended = connection({ state: 'needsReconnect', stateReason: 'invalid_grant' });
  world.connections = [ended, connection({ id: 'con_2' }), { ...ended, id: 'con_3', clinicId: null }];
  world.streams = [stream('orders', { polledAt: start - minuteMs, cursor: start - minuteMs })];
  await clock.advance(5 * minuteMs);
  expect(told).toMatchObject([
    { data: { connectionId: 'con_1', reason: 'invalid_grant', hasSpare: true, daysLeft: 29 } },
    { data: { connectionId: 'con_3', hasSpare: false, daysLeft: null } },
  ]);
});

test('a clinic is behind when categories of it were not read for long, with the days that are left', async () => {
  const { clock, told, world } = watched();
  const old = { polledAt: start - 10 * 86_400_000, cursor: start - 10 * 86_400_000 };
  world.streams = [
    stream('orders', old),
    stream('patients', { polledAt: start - 3_600_000 }),
    stream('products', { ...old, isOff: true }),
    stream('lab_orders'),
  ];
  await clock.advance(5 * minuteMs);
  expect(told).toEqual([
    {
      type: 'relay.stream.behind',
      data: {
        clinicId: 'w',
        name: 'Washington',
        categories: ['orders', 'patients'],
        readAt: '2026-11-10T09:00:00.000Z',
        daysLeft: 19,
      },
    },
  ]);
});

test('a clinic that stays behind is told of again when few days are left, and one that was paused only then', async () => {
  for (const [isPaused, expected] of [
    [false, [29, 7, 3, 1, 0]],
    [true, [7, 3, 1, 0]],
  ] as const) {
    const { clock, told, world } = watched();
    world.clinics = [{ ...washington, isPaused }];
    world.streams = [stream('orders')];
    for (let hours = 0; hours < 31 * 24; hours += 6) await clock.advance(6 * 60 * minuteMs);
    expect(told.map(({ data }) => ('daysLeft' in data ? data.daysLeft : null))).toEqual(expected);
  }
});

test('what was not read in time is told once, with its ends', async () => {
  const { clock, told, world } = watched();
  await clock.advance(5 * minuteMs);
  const until = start - 30 * 86_400_000;
  const gap = { from: until - 86_400_000, until };
  world.streams = [stream('orders', { gap, polledAt: start + 86_400_000 })];
  await clock.advance(60 * minuteMs);
  expect(told).toEqual([
    {
      type: 'relay.stream.gap',
      data: {
        clinicId: 'w',
        name: 'Washington',
        category: 'orders',
        from: '2026-10-20T09:00:00.000Z',
        until: '2026-10-21T09:00:00.000Z',
      },
    },
  ]);
});

for (const { hours, isTold, because } of [
  { hours: 23, isTold: false, because: 'two days of overlap are far away' },
  { hours: 30, isTold: true, because: 'that is more than half of two days' },
]) {
  test(`events that were listed ${hours} h late are ${isTold ? 'told of once' : 'not told of'}: ${because}`, async () => {
    const { clock, told, world } = watched();
    const lateness = { ms: hours * 3_600_000, at: start };
    world.streams = [stream('orders', { lateness, polledAt: start + 86_400_000 })];
    await clock.advance(60 * minuteMs);
    const data = { clinicId: 'w', name: 'Washington', category: 'orders', lateHours: hours, overlapDays: 2 };
    expect(told).toEqual(isTold ? [{ type: 'relay.stream.late', data }] : []);
  });
}

test('a clinic that was just connected, with a start long ago, is not behind yet', async () => {
  const { clock, told, world } = watched();
  world.streams = [stream('orders', { startAt: start - 30 * 86_400_000, cursor: null, polledAt: null })];
  await clock.advance(40 * minuteMs);
  expect(told).toEqual([]);
  await clock.advance(10 * minuteMs);
  expect(told).toMatchObject([{ data: { readAt: null, daysLeft: 0 } }]);
});

test('a category that was taken out of the configuration is behind nothing', async () => {
  const { clock, told, world } = watched();
  world.streams = [stream('fulfillments', { polledAt: start - 86_400_000 })];
  await clock.advance(5 * minuteMs);
  expect(told).toEqual([]);
});

test('a clinic that is paused or removed is not behind', async () => {
  for (const change of [{ isPaused: true }, { isRemoved: true }]) {
    const { clock, told, world } = watched();
    world.clinics = [{ ...washington, ...change }];
    world.streams = [stream('orders', { polledAt: start - 86_400_000 })];
    await clock.advance(5 * minuteMs);
    expect(told).toEqual([]);
  }
});

test('an audit that found events missing is told once', async () => {
  const { clock, told, world } = watched();
  world.audits = [{ auditId: 'aud_1', missing: 3, repaired: 2 }];
  await clock.advance(10 * minuteMs);
  expect(told).toEqual([
    { type: 'relay.audit.missing', data: { auditId: 'aud_1', missing: 3, repaired: 2 } },
  ]);
});

test('a store that answers nothing for a while is looked at again, and no message is lost or sent twice', async () => {
  const { clock, types, lines, world } = watched();
  world.subscribers = [failing];
  await clock.advance(5 * minuteMs);
  world.isFull = true;
  await clock.advance(5 * minuteMs);
  world.isFull = false;
  await clock.advance(5 * minuteMs);
  expect(types()).toEqual(['subscriber.failing']);
  expect(lines).toEqual([]);
});
