import { expect, test } from 'vitest';
import { Revocations } from '../../src/source/revocations.ts';
import { simulatedClock } from '../world/clock.ts';
import { keptLog } from '../world/log.ts';

const hour = 3_600_000;
const tokens = { accessToken: 'at-secret', refreshToken: 'rt-secret', expiresAt: 0 };

/** @param fails how many times the vendor does not take it before it does. */
function revoking(fails: number) {
  const clock = simulatedClock(0);
  const { logger, lines } = keptLog();
  const triedAt: number[] = [];
  const revoke = async (): Promise<boolean> => triedAt.push(clock.monotonic() / 60_000) > fails;
  return { clock, lines, triedAt, revocations: new Revocations({ oauth: { revoke }, clock, logger }) };
}

test('what the vendor takes at once is done', async () => {
  const { clock, revocations, triedAt, lines } = revoking(0);
  expect(await revocations.revoke(tokens)).toBe(true);
  await clock.advance(24 * hour);
  expect([triedAt, lines]).toEqual([[0], []]);
});

test('what it does not take is tried again later and later, until it does', async () => {
  const { clock, revocations, triedAt, lines } = revoking(3);
  expect(await revocations.revoke(tokens)).toBe(false);
  await clock.advance(24 * hour);
  expect(triedAt).toEqual([0, 1, 6, 36]);
  expect(lines.at(-1)?.message).toBe('Tokens are revoked after all.');
  expect(clock.waiting).toBe(0);
});

test('in the end it is given up, loudly and without the tokens', async () => {
  const { clock, revocations, triedAt, lines } = revoking(Number.POSITIVE_INFINITY);
  await revocations.revoke(tokens);
  await clock.advance(48 * hour);
  expect(triedAt).toHaveLength(7);
  expect(lines.at(-1)).toMatchObject({
    level: 'error',
    message: expect.stringContaining('end the authorization'),
  });
  expect(JSON.stringify(lines)).not.toContain('secret');
});

test('a stop ends the trying', async () => {
  const { clock, revocations, triedAt } = revoking(Number.POSITIVE_INFINITY);
  await revocations.revoke(tokens);
  revocations.stop();
  await clock.advance(48 * hour);
  expect([triedAt.length, clock.waiting]).toEqual([1, 0]);
});

test('of many that cannot be revoked so many are tried again, and the others are named at once', async () => {
  const { clock, revocations, lines } = revoking(Number.POSITIVE_INFINITY);
  for (let made = 0; made < 1_005; made++) await revocations.revoke(tokens);
  expect(clock.waiting).toBe(1_000);
  expect(lines.filter(({ level }) => level === 'error')).toHaveLength(5);
});
