import { expect, test } from 'vitest';
import {
  type DeclaredSubscriber,
  declareSubscribers,
  warnOfFilters,
} from '../../src/delivery/declared-subscribers.ts';
import type { ShakeHands } from '../../src/delivery/handshake.ts';
import { OwedHandshakes } from '../../src/delivery/owed-handshakes.ts';
import { RelayError, StoreUnavailable } from '../../src/domain/errors.ts';
import type { Store } from '../../src/store/store.ts';
import { simulatedClock } from '../world/clock.ts';
import { SimulatedDisk, storeOn } from '../world/disk.ts';
import { keptLog } from '../world/log.ts';

const day = 86_400_000;

async function aStage() {
  const clock = simulatedClock(Date.parse('2026-11-22T12:00:00Z'));
  const { logger, lines } = keptLog();
  const store = await storeOn(new SimulatedDisk(), clock);
  const declare = (declared: readonly DeclaredSubscriber[]) =>
    declareSubscribers(declared, { store, clock, logger });
  const only = async () => {
    const living = (await store.subscribers()).subscribers.filter(({ deletedAt }) => deletedAt === null);
    expect(living).toHaveLength(1);
    return living[0] as (typeof living)[number];
  };
  return { clock, logger, lines, store, declare, only };
}

const ehr: DeclaredSubscriber = {
  name: 'ehr',
  url: 'https://ehr.example/hook',
  profile: 'standard',
  secret: `whsec_${Buffer.alloc(32, 1).toString('base64')}`,
};
const withToken = {
  ...ehr,
  profile: 'fullscript',
  secret: 's'.repeat(40),
  challengeToken: 'the-challenge',
} as const;

test('filters that let nothing through that anybody knows are warned of, by name', () => {
  const { logger, lines } = keptLog();
  const filtered = {
    ...ehr,
    eventTypes: ['order.*', 'ordr.placed'],
    clinicIds: ['Washington', 'c2', 'Nowhere'],
  };
  warnOfFilters([ehr, filtered], [{ name: 'Washington' }, { id: 'c2', name: 'Two' }], logger);
  expect(lines).toMatchObject([
    {
      level: 'warn',
      message: expect.stringContaining('no event type that ordr.placed'),
      facts: { name: 'ehr' },
    },
    { level: 'warn', message: expect.stringContaining('id or name Nowhere yet'), facts: { name: 'ehr' } },
  ]);
});

test('the same file at the next start changes nothing', async () => {
  const { declare, store } = await aStage();
  await declare([ehr]);
  const before = await store.subscribers();
  await declare([ehr]);
  expect(await store.subscribers()).toEqual(before);
});

test('taken out of the file it is paused, never cancelled; back in the file it goes on', async () => {
  const { declare, only } = await aStage();
  await declare([ehr]);
  const { id } = await only();
  await declare([]);
  expect(await only()).toMatchObject({ id, pauseReasons: ['removed'] });
  await declare([ehr]);
  expect(await only()).toMatchObject({ id, pauseReasons: [] });
});

test('deleted and named again it is a new subscriber', async () => {
  const { declare, only, store } = await aStage();
  await declare([ehr]);
  const { id } = await only();
  await store.deleteSubscriber(id);
  await declare([ehr]);
  expect((await only()).id).not.toBe(id);
});

test('a changed secret is a rotation: both sign for a day, except where a receiver refuses two', async () => {
  const { declare, only, clock } = await aStage();
  const next = `whsec_${Buffer.alloc(32, 2).toString('base64')}`;
  await declare([ehr]);
  await declare([{ ...ehr, secret: next }]);
  expect((await only()).secrets).toEqual([
    { value: next, expiresAt: null },
    { value: ehr.secret, expiresAt: clock.now() + day },
  ]);
  await declare([withToken]);
  expect((await only()).secrets).toEqual([{ value: withToken.secret, expiresAt: null }]);
});

test('who has a challenge token is asked for it before anything is sent, and again at another URL', async () => {
  const { declare, only, store } = await aStage();
  await declare([withToken]);
  expect((await only()).pauseReasons).toEqual(['handshake']);
  await store.resumeSubscriber((await only()).id, { lift: ['handshake'], backlog: 'deliver' });
  await declare([{ ...withToken, url: 'https://new.example/hook' }]);
  expect(await only()).toMatchObject({ url: 'https://new.example/hook', pauseReasons: ['handshake'] });
});

test('a handshake that is switched on in the file is asked for', async () => {
  const { declare, only } = await aStage();
  await declare([{ ...withToken, handshake: 'off' }]);
  expect((await only()).pauseReasons).toEqual([]);
  await declare([withToken]);
  expect((await only()).pauseReasons).toEqual(['handshake']);
});

test('killed between the pause and the change, a new URL is not left unasked', async () => {
  const { declare, only, store, clock, logger } = await aStage();
  await declare([withToken]);
  await store.resumeSubscriber((await only()).id, { lift: ['handshake'], backlog: 'deliver' });
  const killed = { ...store, changeSubscriber: () => Promise.reject(new Error('killed')) };
  const moved = { ...withToken, url: 'https://new.example/hook' };
  await expect(declareSubscribers([moved], { store: killed, clock, logger })).rejects.toThrow('killed');
  await declare([moved]);
  expect(await only()).toMatchObject({ url: moved.url, pauseReasons: ['handshake'] });
});

async function handshakes(
  stage: Awaited<ReturnType<typeof aStage>>,
  shakeHands: ShakeHands,
  store: Pick<
    Store,
    'subscribers' | 'addSubscriber' | 'changeSubscriber' | 'pauseSubscriber' | 'resumeSubscriber'
  >,
) {
  const fatal: unknown[] = [];
  const { clock, logger } = stage;
  const onFatal = (error: unknown) => fatal.push(error);
  const owed = new OwedHandshakes({ store, clock, logger, shakeHands, onPassed: () => {}, onFatal });
  owed.start();
  return fatal;
}

const failed = {
  kind: 'failed',
  because: 'status',
  outcome: { kind: 'rejected', status: 500, retryAfterMs: null, because: 'status' },
  message: 'no',
  hint: 'yes',
} as const;

test('a handshake that fails is tried again until it passes', async () => {
  const stage = await aStage();
  await stage.declare([withToken]);
  let asked = 0;
  const answers: ShakeHands = async () => (++asked < 3 ? failed : { kind: 'passed', status: 200 });
  await handshakes(stage, answers, stage.store);
  await stage.clock.advance(60_000);
  expect(asked).toBe(3);
  expect((await stage.only()).pauseReasons).toEqual([]);
});

test('those that answer nothing keep nobody else waiting', async () => {
  const stage = await aStage();
  const names = Array.from({ length: 12 }, (_, n) => `dead-${n}`);
  await stage.declare([...names.map((name) => ({ ...withToken, name })), { ...withToken, name: 'good' }]);
  const answers: ShakeHands = ({ id }) => {
    const isGood = id === goodId;
    return new Promise((resolve) =>
      stage.clock.after(isGood ? 5 : 2_000, () => resolve(isGood ? { kind: 'passed', status: 200 } : failed)),
    );
  };
  const goodId = (await stage.store.subscribers()).subscribers.find(({ name }) => name === 'good')?.id;
  await handshakes(stage, answers, stage.store);
  await stage.clock.advance(1_000);
  const owing = (await stage.store.subscribers()).subscribers.filter(({ pauseReasons }) =>
    pauseReasons.includes('handshake'),
  );
  expect(owing.map(({ name }) => name).toSorted()).toEqual(names.toSorted());
});

test('a secret that cannot sign is its own subscriber’s trouble, and stops nothing', async () => {
  const stage = await aStage();
  await stage.declare([withToken]);
  let asked = 0;
  const unusable: ShakeHands = async () => {
    asked += 1;
    throw new RelayError('signing_secret_unusable', 'There is no key.', { hint: 'Make one.' });
  };
  const fatal = await handshakes(stage, unusable, stage.store);
  await stage.clock.advance(10_000);
  expect(fatal).toEqual([]);
  expect(asked).toBeGreaterThan(1);
  expect(stage.lines.at(-1)?.facts).toMatchObject({ name: 'ehr', hint: 'Make one.' });
});

test('one that came out of a backup is not asked until somebody resumes it', async () => {
  const stage = await aStage();
  await stage.declare([withToken]);
  const { id } = await stage.only();
  await stage.store.pauseSubscriber(id, 'restored');
  let asked = 0;
  const answers: ShakeHands = async () => {
    asked++;
    return failed;
  };
  await handshakes(stage, answers, stage.store);
  await stage.clock.advance(60_000);
  expect(asked).toBe(0);
});

test('a full disk at that moment ends nothing: it is tried again', async () => {
  const stage = await aStage();
  await stage.declare([withToken]);
  let isFull = true;
  const store: Store = {
    ...stage.store,
    resumeSubscriber: (id, how) =>
      isFull
        ? Promise.reject(new StoreUnavailable('disk_full', 'The disk is full.', { hint: '' }))
        : stage.store.resumeSubscriber(id, how),
  };
  const fatal = await handshakes(stage, async () => ({ kind: 'passed', status: 200 }), store);
  await stage.clock.advance(10_000);
  expect(fatal).toEqual([]);
  isFull = false;
  await stage.clock.advance(60_000);
  expect((await stage.only()).pauseReasons).toEqual([]);
});

test('an answer to the old URL says nothing about the new one', async () => {
  const stage = await aStage();
  await stage.declare([withToken]);
  const { id } = await stage.only();
  let answer = (_: { kind: 'passed'; status: number }): void => {};
  const waits: ShakeHands = ({ url }) =>
    url === withToken.url
      ? new Promise((resolve) => {
          answer = resolve;
        })
      : Promise.resolve(failed);
  await handshakes(stage, waits, stage.store);
  await stage.clock.advance(10);
  await stage.store.changeSubscriber(id, { url: 'https://new.example/hook' });
  answer({ kind: 'passed', status: 200 });
  await stage.clock.advance(60_000);
  expect((await stage.only()).pauseReasons).toEqual(['handshake']);
});
