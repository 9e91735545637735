import { expect, test } from 'vitest';
import { RequestBudget } from '../../src/source/budget.ts';
import { createOAuth, withinBudget } from '../../src/source/oauth.ts';
import { Revocations } from '../../src/source/revocations.ts';
import type { Store } from '../../src/store/store.ts';
import { aConnection } from '../store/fixtures.ts';
import { simulatedClock } from '../world/clock.ts';
import { SimulatedDisk, storeOn } from '../world/disk.ts';
import { keptLog } from '../world/log.ts';

const minute = 60_000;
const hour = 60 * minute;
const tokens = { accessToken: 'at-secret', refreshToken: 'rt-secret', expiresAt: 0 };

/** @param fails how many times the vendor does not take a pair before it does. */
async function revoking(fails: number) {
  const clock = simulatedClock(0);
  const { logger, lines } = keptLog();
  const fatal: unknown[] = [];
  const triedAt: number[] = [];
  const ended: string[] = [];
  const revoke = async (token: string) => {
    if (token === tokens.accessToken) triedAt.push(clock.monotonic() / minute);
    if (triedAt.length <= fails) return { kind: 'unavailable', detail: 'status 500' } as const;
    ended.push(token);
    return { kind: 'revoked' } as const;
  };
  const disk = new SimulatedDisk();
  const store = await storeOn(disk, clock);
  await store.saveConnection(aConnection({ tokens, spareTokens: null }));
  const over = (on: Store) =>
    new Revocations({
      store: on,
      oauth: { revoke },
      clock,
      logger,
      onFatal: (error) => void fatal.push(error),
    });
  return {
    clock,
    store,
    lines,
    fatal,
    triedAt,
    ended,
    revocations: over(store),
    disconnect: () => store.deleteConnection('con_1', { isRevoked: true }),
    /** The process is killed, and another one starts on what it left. */
    async killed() {
      const left = await storeOn(disk.kill(), clock);
      const revocations = over(left);
      await revocations.start();
      return { store: left, revocations };
    },
  };
}

test('what the vendor takes at once is done, and on record no more', async () => {
  const { clock, store, revocations, disconnect, triedAt, ended, lines } = await revoking(0);
  expect(await revocations.revoke(await disconnect())).toBe(true);
  await clock.advance(24 * hour);
  expect([triedAt, ended, lines]).toEqual([[0], ['at-secret', 'rt-secret'], []]);
  expect(await store.revocations()).toEqual([]);
});

test('what it does not take is tried again later and later, until it does', async () => {
  const { clock, store, revocations, disconnect, triedAt, lines } = await revoking(3);
  expect(await revocations.revoke(await disconnect())).toBe(false);
  await clock.advance(24 * hour);
  expect(triedAt).toEqual([0, 1, 6, 36]);
  expect(lines.at(-1)?.message).toBe('Tokens that were owed to be revoked are owed no more.');
  expect([clock.waiting, await store.revocations()]).toEqual([0, []]);
});

test('a restart forgets no tokens, and begins none of the waits again', async () => {
  const { clock, revocations, disconnect, killed, triedAt, ended } = await revoking(3);
  await revocations.revoke(await disconnect());
  await clock.advance(2 * minute);
  revocations.stop();
  const { store } = await killed();
  await clock.advance(3 * minute);
  expect(triedAt).toEqual([0, 1]);
  await clock.advance(hour);
  expect(triedAt).toEqual([0, 1, 6, 36]);
  expect([ended, await store.revocations()]).toEqual([['at-secret', 'rt-secret'], []]);
});

test('a process that dies before it has asked at all leaves the tokens to the next one', async () => {
  const { clock, disconnect, killed, ended } = await revoking(0);
  await disconnect();
  const { store } = await killed();
  await clock.advance(1_000);
  expect([ended, await store.revocations()]).toEqual([['at-secret', 'rt-secret'], []]);
});

test('in the end it is given up, loudly and without the tokens', async () => {
  const { clock, store, revocations, disconnect, triedAt, lines } = await revoking(Number.POSITIVE_INFINITY);
  await revocations.revoke(await disconnect());
  await clock.advance(48 * hour);
  expect(triedAt).toHaveLength(7);
  expect(lines.at(-1)).toMatchObject({
    level: 'error',
    message: expect.stringContaining('end the authorization'),
  });
  expect(JSON.stringify(lines)).not.toContain('secret');
  expect(await store.revocations()).toEqual([]);
});

test('a stop ends the trying, and leaves on record what is owed', async () => {
  const { clock, store, revocations, disconnect, triedAt } = await revoking(Number.POSITIVE_INFINITY);
  await revocations.revoke(await disconnect());
  revocations.stop();
  await clock.advance(48 * hour);
  expect([triedAt.length, clock.waiting]).toEqual([1, 0]);
  expect(await store.revocations()).toMatchObject([{ failures: 1, dueAt: minute }]);
});

test('a pair by which somebody has connected a clinic again meanwhile is not ended', async () => {
  const { clock, store, revocations, disconnect, triedAt, ended } = await revoking(1);
  await revocations.revoke(await disconnect());
  await store.saveConnection(aConnection({ id: 'con_2', tokens, spareTokens: null }));
  await clock.advance(24 * hour);
  expect([triedAt, ended, await store.revocations()]).toEqual([[0], [], []]);
});

test('nobody waits long for a vendor that hangs', async () => {
  const { clock, store, disconnect } = await revoking(0);
  const { logger } = keptLog();
  const oauth = { revoke: () => new Promise<never>(() => {}) };
  const revocations = new Revocations({ store, oauth, clock, logger, onFatal: () => {} });
  const revoked = revocations.revoke(await disconnect());
  await clock.advance(15_000);
  expect(await revoked).toBe(false);
  expect(await store.revocations()).toHaveLength(1);
});

test('a revocation counts as a request, and one that is limited has the whole app wait', async () => {
  const clock = simulatedClock(0);
  const { logger } = keptLog();
  const store = await storeOn(new SimulatedDisk(), clock);
  const budget = new RequestBudget({ store, clock, random: () => 0, logger, requestsPerFiveMinutes: 2 });
  const asked: number[] = [];
  const http = async () => {
    asked.push(clock.monotonic());
    const status = asked.length === 2 ? 429 : 200;
    return { kind: 'answered', status, body: Buffer.from('{}'), vendorNow: null, retryAfter: '600' } as const;
  };
  const app = { apiUrl: 'http://vendor/api', clientId: 'c', clientSecret: 's', redirectUri: 'http://r/' };
  const oauth = withinBudget(createOAuth(http, app, clock, http), budget);
  const answers = Promise.all(['1', '2', '3'].map((token) => oauth.revoke(token)));
  await clock.advance(10 * minute - 1);
  expect(asked).toEqual([0, 0]);
  await clock.advance(minute);
  expect((await answers).map(({ kind }) => kind)).toEqual(['revoked', 'limited', 'revoked']);
});
