import { expect, test } from 'vitest';
import type { Fullscript } from '../../src/sandbox/fullscript.ts';
import { createOAuth } from '../../src/source/oauth.ts';
import { httpOf, pollingRelay, recordedIds } from '../source/clinic.ts';

const minute = 60_000;
const app = {
  apiUrl: 'http://vendor/api',
  clientId: 'sandbox-client',
  clientSecret: 'sandbox-secret',
  redirectUri: 'http://127.0.0.1:8080/oauth/callback',
};

/** The clinic's user, the same as before, allows the app to read it once more. */
function codeOf(fullscript: Fullscript): string {
  const form = {
    client_id: app.clientId,
    redirect_uri: app.redirectUri,
    response_type: 'code',
    decision: 'allow',
    clinic: 'Washington',
  };
  const { headers } = fullscript.answer({
    method: 'POST',
    path: '/api/oauth/authorize',
    contentType: 'application/x-www-form-urlencoded',
    body: new URLSearchParams(form).toString(),
  });
  return new URL(headers.location ?? '').searchParams.get('code') ?? '';
}

for (const doesEndFirst of [true, false]) {
  const ends = doesEndFirst ? 'ends' : 'leaves';
  test(`point 21: a second authorization by one user ${ends} the first pair, and the clinic is read on`, async () => {
    const { clock, fullscript, store, poller } = await pollingRelay({ categories: ['orders'] });
    await clock.advance(minute);
    if (doesEndFirst) fullscript.faults.switchOn({ name: 'second-authorization-ends-first' });
    const http = httpOf(fullscript);
    const granted = await createOAuth(http, app, clock, http).exchange(
      codeOf(fullscript),
      Number.POSITIVE_INFINITY,
    );
    const [first] = await store.connections();
    if (granted.kind !== 'tokens' || !first) throw new Error('it was allowed');
    const second = { ...first, id: 'con_second', declaredDigest: null, tokens: granted.tokens };
    await store.saveConnection({ ...second, spareTokens: null });
    poller.wake();
    const event = fullscript.addEvent({ clinic: 'Washington', type: 'order.placed' });
    await clock.advance(5 * minute);
    expect(await recordedIds(store)).toEqual([event.id]);
    const states = Object.fromEntries((await store.connections()).map(({ id, state }) => [id, state]));
    expect(states).toEqual({
      [first.id]: doesEndFirst ? 'needsReconnect' : 'working',
      con_second: 'working',
    });
  });
}

for (const isAlone of [true, false]) {
  test(`point 27: disconnecting ends both tokens${isAlone ? ', also where a revocation ends only one' : ''}`, async () => {
    const { clock, fullscript } = await pollingRelay();
    if (isAlone) fullscript.faults.switchOn({ name: 'revokes-one-token' });
    const http = httpOf(fullscript);
    const oauth = createOAuth(http, app, clock, http);
    const tokens = { accessToken: 'sandbox-access-washington', refreshToken: 'sandbox-refresh-washington' };
    for (const token of Object.values(tokens)) await oauth.revoke(token);
    fullscript.faults.switchAllOff();
    expect((await oauth.refresh(tokens.refreshToken, Number.POSITIVE_INFINITY)).kind).toBe('invalidGrant');
    const used = await http({ method: 'GET', url: `${app.apiUrl}/clinic`, accessToken: tokens.accessToken });
    expect(used).toMatchObject({ kind: 'answered', status: 401 });
  });
}
