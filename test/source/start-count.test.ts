import { expect, test } from 'vitest';
import { silentLogger } from '../../src/logger.ts';
import { Fullscript } from '../../src/sandbox/fullscript.ts';
import { RequestBudget } from '../../src/source/budget.ts';
import { createEventsApi } from '../../src/source/events-api.ts';
import type { OAuth } from '../../src/source/oauth.ts';
import { createStartCount } from '../../src/source/start-count.ts';
import { simulatedClock } from '../world/clock.ts';
import { httpOf, noon } from './clinic.ts';

const hour = 3_600_000;

function counting(
  askTokenUrl: OAuth['askTokenUrl'] = async () => ({ kind: 'unavailable', detail: 'status 500' }),
) {
  const clock = simulatedClock(noon);
  const fullscript = new Fullscript({ clock, seed: 1, clinics: ['Washington'] });
  const store = {
    reserveRequests: async ({ count }: { count: number }) => ({
      granted: count,
      useWithinMs: 5_000,
      retryInMs: 0,
    }),
  };
  const logged = { clock, random: () => 0, logger: silentLogger };
  const budget = new RequestBudget({ ...logged, store, requestsPerFiveMinutes: 1_000 });
  const api = createEventsApi(httpOf(fullscript), 'http://vendor/api', clock);
  const categories = ['orders', 'patients'];
  const count = createStartCount({
    api,
    oauth: { askTokenUrl },
    budget,
    clock,
    categories,
    startFrom: 'now',
  });
  for (const ago of [1, 2, 30]) {
    fullscript.addEvent({ clinic: 'Washington', type: 'order.placed', createdAt: noon - ago * hour });
  }
  return { clock, count, fullscript, slug: fullscript.clinics[0]?.slug };
}

test('what a start would take is counted by category, and nothing is retrieved', async () => {
  const { count, fullscript, slug } = counting();
  const pair = { accessToken: `sandbox-access-${slug}`, refreshToken: 'never used' };
  expect(await count({ name: 'Washington', ...pair, startFrom: '12h' })).toEqual({
    clinicId: expect.any(String),
    name: 'Washington',
    startAt: noon - 12 * hour,
    categories: [
      { category: 'orders', taken: 2, past: 1, isAtLeast: false, problem: null },
      { category: 'patients', taken: 0, past: 0, isAtLeast: false, problem: null },
    ],
  });
  expect(fullscript.ledger().every(({ timesRetrieved }) => timesRetrieved === 0)).toBe(true);
});

test('a token URL is asked once; without a start of its own the configured one counts', async () => {
  const tokens = { accessToken: '', refreshToken: null, expiresAt: 0 };
  const { count, slug } = counting(async () => ({
    kind: 'tokens',
    tokens: { ...tokens, accessToken: `sandbox-access-${slug}` },
  }));
  const counted = await count({ name: 'Washington', tokenUrl: 'http://app/token' });
  expect(counted.categories[0]).toMatchObject({ taken: 0, past: 3 });
});

for (const { input, because } of [
  { input: { accessToken: 'spent', refreshToken: 'r' }, because: 'Fullscript refuses the token' },
  { input: { tokenUrl: 'http://app/token' }, because: 'the app is away' },
]) {
  test(`it is refused, naming why: ${because}`, async () => {
    await expect(counting().count({ name: 'Washington', ...input })).rejects.toMatchObject({
      code: 'clinic_not_readable',
    });
  });
}

test('a count that is refused for asking too often has the whole app wait', async () => {
  const { clock, count, fullscript, slug } = counting();
  const ask = { name: 'Washington', accessToken: `sandbox-access-${slug}` };
  fullscript.faults.switchOn({ name: 'rate-limited', retryAfterSeconds: 240, times: 1 });
  await expect(count(ask)).rejects.toMatchObject({ code: 'clinic_not_readable' });
  const again = count(ask);
  await clock.advance(239_000);
  expect(fullscript.requests().all).toBe(1);
  await clock.advance(1_000);
  expect((await again).categories).toHaveLength(2);
});
