import { expect, test } from 'vitest';
import type { Connection } from '../../src/domain/clinic.ts';
import { ClaimLost, StoreUnavailable } from '../../src/domain/errors.ts';
import type { OAuth, TokenAnswer } from '../../src/source/oauth.ts';
import { ConnectionTokens, type TokensDependencies } from '../../src/source/tokens.ts';
import { simulatedClock } from '../world/clock.ts';
import { SimulatedDisk, storeOn } from '../world/disk.ts';
import { keptLog } from '../world/log.ts';

const minute = 60_000;
const noon = Date.parse('2026-11-22T12:00:00Z');

const ending: Connection = {
  id: 'con_1',
  clinicId: 'c-1',
  name: 'Elm',
  origin: { kind: 'refreshToken' },
  tokens: { accessToken: 'at-1', refreshToken: 'rt-1', expiresAt: noon + minute },
  spareTokens: null,
  declaredDigest: null,
  state: 'working',
  stateReason: null,
  refreshedAt: null,
  createdAt: noon,
};

const renewedTo = (name: string): TokenAnswer => ({
  kind: 'tokens',
  tokens: { accessToken: `at-${name}`, refreshToken: `rt-${name}`, expiresAt: noon + 120 * minute },
});

function held() {
  let letGo = (): void => {};
  const isLetGo = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  return { isLetGo, letGo: () => letGo() };
}

/** Real tokens and a real store; the vendor answers what `answers` says, the last one for ever. */
async function tokensOf(
  answers: readonly TokenAnswer[],
  onSave: (tries: number) => Promise<void> = async () => {},
) {
  const clock = simulatedClock(noon);
  const real = await storeOn(new SimulatedDisk(), clock);
  await real.saveConnection(ending);
  const asked: string[] = [];
  let saves = 0;
  let whileAsked = async (): Promise<void> => {};
  const store: TokensDependencies['store'] = {
    claimRefresh: (id, leaseMs) => real.claimRefresh(id, leaseMs),
    endRefresh: (claim, reason) => real.endRefresh(claim, reason),
    dropSpareTokens: (id, accessToken) => real.dropSpareTokens(id, accessToken),
    async saveTokens(claim, tokens) {
      saves += 1;
      await onSave(saves);
      return real.saveTokens(claim, tokens);
    },
  };
  const oauth: OAuth = {
    async refresh(refreshToken) {
      asked.push(refreshToken);
      await whileAsked();
      return answers[Math.min(asked.length, answers.length) - 1] as TokenAnswer;
    },
    exchange: () => Promise.reject(new Error('no code here')),
    askTokenUrl: () => Promise.reject(new Error('nobody asked for it')),
    revoke: async () => ({ kind: 'revoked' }),
  };
  const { logger, lines } = keptLog();
  const onAsk = (happens: () => Promise<void>): void => {
    whileAsked = happens;
  };
  const tokens = new ConnectionTokens({ store, oauth, clock, logger });
  return { clock, store: real, asked, lines, onAsk, tokens };
}

test('all who want a new token at once get the one that is asked for', async () => {
  const { tokens, asked } = await tokensOf([renewedTo('2')]);
  const got = await Promise.all([
    tokens.current(ending),
    tokens.renew('con_1', 'at-1'),
    tokens.keepAlive([ending]),
  ]);
  expect(got.slice(0, 2)).toEqual(Array(2).fill({ kind: 'token', accessToken: 'at-2' }));
  expect(asked).toEqual(['rt-1']);
});

test('who comes with a token that was replaced already gets the new one without asking the vendor', async () => {
  const { tokens, asked } = await tokensOf([renewedTo('2'), renewedTo('3')]);
  await tokens.renew('con_1', 'at-1');
  expect(await tokens.renew('con_1', 'at-1')).toEqual({ kind: 'token', accessToken: 'at-2' });
  expect(await tokens.current(ending)).toEqual({ kind: 'token', accessToken: 'at-2' });
  expect(asked).toEqual(['rt-1']);
});

test('case 182: a save that the store cannot take is offered again, told once, and nothing else is done meanwhile', async () => {
  const full = new StoreUnavailable('store_unavailable', 'The disk is full.', { hint: 'Make room.' });
  const { tokens, clock, store, lines } = await tokensOf([renewedTo('2')], async (tries) => {
    if (tries <= 200) throw full;
  });
  let got: unknown = null;
  void tokens.renew('con_1', 'at-1').then((token) => {
    got = token;
  });
  await clock.advance(3 * minute);
  expect(got).toBeNull();
  expect((await store.connections())[0]?.tokens?.accessToken).toBe('at-1');
  await clock.advance(minute);
  expect(got).toEqual({ kind: 'token', accessToken: 'at-2' });
  expect((await store.connections())[0]?.tokens?.accessToken).toBe('at-2');
  expect(lines.filter(({ level }) => level === 'error')).toHaveLength(1);
});

test('a pair whose claim was lost to somebody who did not renew is saved under a new claim', async () => {
  const save = held();
  const { tokens, clock, store } = await tokensOf([renewedTo('2')], () => save.isLetGo);
  const renewal = tokens.renew('con_1', 'at-1');
  await clock.advance(3 * minute);
  const other = await store.claimRefresh('con_1', minute);
  if (!other) throw new Error('the lease has lapsed');
  await store.endRefresh(other, null);
  save.letGo();
  await clock.advance(minute);
  expect(await renewal).toEqual({ kind: 'token', accessToken: 'at-2' });
  expect((await store.connections())[0]?.tokens?.accessToken).toBe('at-2');
});

test('a pair whose claim was lost to somebody who renewed replaces nothing', async () => {
  const save = held();
  const { tokens, clock, store } = await tokensOf([renewedTo('2')], () => save.isLetGo);
  const lost = expect(tokens.renew('con_1', 'at-1')).rejects.toBeInstanceOf(ClaimLost);
  await clock.advance(3 * minute);
  const other = await store.claimRefresh('con_1', minute);
  if (!other) throw new Error('the lease has lapsed');
  const theirs = { accessToken: 'at-theirs', refreshToken: 'rt-theirs', expiresAt: noon + 120 * minute };
  await store.saveTokens(other, theirs);
  save.letGo();
  await clock.advance(minute);
  await lost;
  expect((await store.connections())[0]?.tokens?.accessToken).toBe('at-theirs');
});

test('a refusal of tokens that were replaced meanwhile condemns nothing: the new ones serve', async () => {
  const { tokens, store, lines, onAsk } = await tokensOf([{ kind: 'invalidGrant' }]);
  const theirs = { accessToken: 'at-theirs', refreshToken: 'rt-theirs', expiresAt: noon + 120 * minute };
  onAsk(() => store.saveConnection({ ...ending, tokens: theirs }));
  expect(await tokens.renew('con_1', 'at-1')).toMatchObject({ kind: 'unavailable' });
  expect(await store.connections()).toMatchObject([{ state: 'working', tokens: theirs }]);
  expect(await tokens.renew('con_1', 'at-1')).toEqual({ kind: 'token', accessToken: 'at-theirs' });
  expect(lines.filter(({ level }) => level === 'error')).toEqual([]);
});

test('who worked with a pair that was replaced since drops no spare one: the newest may not have worked yet', async () => {
  const { tokens, store } = await tokensOf([renewedTo('2'), renewedTo('3')]);
  await tokens.renew('con_1', 'at-1');
  const stale = (await store.connections())[0] as Connection;
  await tokens.renew('con_1', 'at-2');
  await tokens.worked(stale);
  expect((await store.connections())[0]?.spareTokens?.accessToken).toBe('at-2');
  await tokens.worked((await store.connections())[0] as Connection);
  expect((await store.connections())[0]?.spareTokens).toBeNull();
});

test('the spare pair is asked for when the current one is refused, and only then', async () => {
  const { tokens, store, asked } = await tokensOf([
    renewedTo('2'),
    { kind: 'invalidGrant' },
    renewedTo('from-spare'),
  ]);
  await tokens.renew('con_1', 'at-1');
  expect(await tokens.renew('con_1', 'at-2')).toEqual({ kind: 'token', accessToken: 'at-from-spare' });
  expect(asked).toEqual(['rt-1', 'rt-2', 'rt-1']);
  expect((await store.connections())[0]?.state).toBe('working');
});

test('case 185: when both pairs are refused a person has to act, and the vendor is asked no more', async () => {
  const { tokens, store, asked } = await tokensOf([renewedTo('2'), { kind: 'invalidGrant' }]);
  await tokens.renew('con_1', 'at-1');
  expect(await tokens.renew('con_1', 'at-2')).toMatchObject({ kind: 'needsReconnect' });
  const [connection] = await store.connections();
  expect(connection).toMatchObject({ state: 'needsReconnect' });
  expect(await tokens.current(connection as Connection)).toMatchObject({ kind: 'needsReconnect' });
  await tokens.keepAlive(await store.connections());
  expect(asked).toHaveLength(3);
});

for (const refusal of [
  { kind: 'unavailable', detail: 'ECONNRESET' },
  { kind: 'limited', status: 429, retryAfterMs: null },
] as const) {
  test(`${refusal.kind}: a token that is still good serves on, one that has ended does not`, async () => {
    const { tokens, clock, asked } = await tokensOf([refusal]);
    expect(await tokens.current(ending)).toEqual({ kind: 'token', accessToken: 'at-1' });
    await clock.advance(minute);
    expect(await tokens.current(ending)).toMatchObject({ kind: 'unavailable' });
    expect(asked).toHaveLength(2);
  });
}

test('a removed connection has no token, and nobody trips over it', async () => {
  const { tokens, store } = await tokensOf([renewedTo('2')]);
  await store.deleteConnection('con_1', { isRevoked: false });
  expect(await tokens.current(ending)).toMatchObject({ kind: 'needsReconnect' });
  await tokens.worked({ ...ending, spareTokens: ending.tokens });
  await tokens.giveUp('con_1', 'at-1', 'refused');
  expect(await store.connections()).toEqual([]);
});

test('a token that was refused speaks against no other: the pair that replaced it meanwhile is kept', async () => {
  const { tokens, store, lines } = await tokensOf([renewedTo('2')]);
  await tokens.giveUp('con_1', 'at-0', 'the vendor refuses a fresh token');
  expect(await store.connections()).toMatchObject([{ state: 'working', tokens: ending.tokens }]);
  expect(lines).toEqual([]);
  await tokens.giveUp('con_1', 'at-1', 'the vendor refuses a fresh token');
  expect(await store.connections()).toMatchObject([{ state: 'needsReconnect' }]);
});

test('a fresh token that expired before it was used, because the machine slept, is renewed and condemns nobody', async () => {
  const { clock, store, asked, tokens } = await tokensOf([renewedTo('3')]);
  await clock.advance(2 * minute);
  await tokens.giveUp('con_1', 'at-1', 'the vendor refuses a fresh token');
  const [connection] = await store.connections();
  expect(connection?.state).toBe('working');
  expect(await tokens.current(connection as Connection)).toEqual({ kind: 'token', accessToken: 'at-3' });
  expect(asked).toEqual(['rt-1']);
});
