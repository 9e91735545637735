import { describe, expect, test } from 'vitest';
import { sandboxRedirectUri } from '../../src/sandbox/fullscript.ts';
import { newYork, oauthIn, vendor, washington } from './vendor.ts';

const asked = {
  client_id: 'sandbox-client',
  redirect_uri: sandboxRedirectUri,
  response_type: 'code',
  state: 's<1',
};

function consent(v: ReturnType<typeof vendor>, fields: Record<string, string>) {
  const form = new URLSearchParams({ ...asked, ...fields });
  return v.fullscript.answer({ method: 'POST', path: '/api/oauth/authorize', body: form.toString() });
}

function codeFor(v: ReturnType<typeof vendor>, fields: Record<string, string> = {}): string {
  const { location } = consent(v, { clinic: 'New York', decision: 'allow', ...fields }).headers;
  return new URL(location ?? '').searchParams.get('code') ?? '';
}

describe('the authorize page', () => {
  test('offers every clinic and carries the state without letting it break out of the page', () => {
    const v = vendor();
    const page = v.get(`/api/oauth/authorize?${new URLSearchParams(asked)}`);
    expect(page.status).toBe(200);
    expect(page.body).toContain('>Washington</option>');
    expect(page.body).toContain('value="s&#60;1"');
    expect(page.body).not.toContain('s<1');
  });

  test('sends the user back with a code and the state, or with access_denied', () => {
    const v = vendor();
    const allowed = new URL(consent(v, { clinic: 'New York', decision: 'allow' }).headers.location ?? '');
    expect(allowed.origin + allowed.pathname).toBe(sandboxRedirectUri);
    expect(allowed.searchParams.get('state')).toBe('s<1');
    expect(allowed.searchParams.get('code')).toMatch(/^sandbox-code-/);
    const denied = new URL(consent(v, { decision: 'deny' }).headers.location ?? '');
    expect(Object.fromEntries(denied.searchParams)).toEqual({ error: 'access_denied', state: 's<1' });
  });

  for (const { change, status, because } of [
    {
      change: { redirect_uri: `${sandboxRedirectUri}/` },
      status: 404,
      because: 'the redirect URI must match exactly',
    },
    { change: { client_id: 'other' }, status: 401, because: 'the app is unknown' },
    { change: { response_type: 'token' }, status: 302, because: 'the app is told of a wrong response type' },
  ]) {
    test(`answers ${status} when ${because}`, () => {
      const v = vendor();
      const query = new URLSearchParams({ ...asked, ...change });
      expect(v.get(`/api/oauth/authorize?${query}`).status).toBe(status);
      expect(consent(v, { ...change, clinic: 'New York', decision: 'allow' }).status).toBe(status);
    });
  }
});

describe('the token endpoint', () => {
  test('wraps the pair in oauth, for two hours, and the pair reads the clinic that was chosen', () => {
    const v = vendor();
    const code = codeFor(v, { user_type: 'Staff' });
    const oauth = oauthIn(
      v.token({ grant_type: 'authorization_code', code, redirect_uri: sandboxRedirectUri }),
    );
    expect(oauth).toMatchObject({
      token_type: 'Bearer',
      expires_in: 7200,
      created_at: '2026-11-20T12:00:00.000Z',
      resource_owner: { type: 'Staff' },
    });
    expect(JSON.parse(v.get('/api/clinic', oauth.access_token).body).clinic.name).toBe('New York');
  });

  test('takes a code once, and for ten minutes', async () => {
    const v = vendor();
    const exchange = (code: string) =>
      v.token({ grant_type: 'authorization_code', code, redirect_uri: sandboxRedirectUri });
    const code = codeFor(v);
    expect(exchange(code).status).toBe(200);
    expect(JSON.parse(exchange(code).body).error).toBe('invalid_grant');
    const late = codeFor(v);
    await v.clock.advance(10 * 60_000 + 1);
    expect(JSON.parse(exchange(late).body).error).toBe('invalid_grant');
  });

  test('takes a code only with the redirect URI that it was given to', () => {
    const other = 'http://127.0.0.1:1/other';
    const v = vendor({ redirectUris: [sandboxRedirectUri, other] });
    const exchange = { grant_type: 'authorization_code', code: codeFor(v), redirect_uri: other };
    expect(JSON.parse(v.token(exchange).body).error).toBe('invalid_grant');
  });

  test('takes a refresh with the registered redirect URI or none, and no other', () => {
    const v = vendor();
    const refresh = { grant_type: 'refresh_token', refresh_token: 'sandbox-refresh-washington' };
    expect(v.token({ ...refresh, redirect_uri: sandboxRedirectUri }).status).toBe(200);
    expect(v.token({ ...refresh, redirect_uri: 'http://127.0.0.1:1/other' }).status).toBe(400);
  });

  test('takes a form as well as JSON', () => {
    const v = vendor();
    const body = new URLSearchParams({
      client_id: 'sandbox-client',
      client_secret: 'sandbox-secret',
      grant_type: 'refresh_token',
      refresh_token: 'sandbox-refresh-washington',
    });
    const contentType = 'application/x-www-form-urlencoded; charset=utf-8';
    const path = '/api/oauth/token';
    expect(v.fullscript.answer({ method: 'POST', path, contentType, body: body.toString() }).status).toBe(
      200,
    );
  });

  for (const { fields, status, error, because } of [
    { fields: {}, status: 400, error: 'invalid_request', because: 'there is no grant type' },
    {
      fields: { grant_type: 'password' },
      status: 400,
      error: 'unsupported_grant_type',
      because: 'it is not offered',
    },
    {
      fields: { grant_type: 'constructor' },
      status: 400,
      error: 'unsupported_grant_type',
      because: 'a name of every object is no grant type',
    },
    {
      fields: { grant_type: 'refresh_token' },
      status: 400,
      error: 'invalid_request',
      because: 'the refresh token is missing',
    },
    {
      fields: { grant_type: 'refresh_token', refresh_token: 5 },
      status: 400,
      error: 'invalid_request',
      because: 'a number is no token',
    },
    {
      fields: { grant_type: 'refresh_token', refresh_token: 'x' },
      status: 400,
      error: 'invalid_grant',
      because: 'the token is unknown',
    },
    {
      fields: {
        grant_type: 'refresh_token',
        refresh_token: `sandbox-refresh-washington-practitioner-${'0'.repeat(24)}-${'0'.repeat(16)}`,
      },
      status: 400,
      error: 'invalid_grant',
      because: 'the seal is forged',
    },
    {
      fields: { client_secret: 'wrong' },
      status: 401,
      error: 'invalid_client',
      because: 'the secret is wrong',
    },
    {
      fields: { client_id: null },
      status: 400,
      error: 'invalid_request',
      because: 'the client is not named',
    },
  ]) {
    test(`answers ${status} ${error} when ${because}`, () => {
      const reply = vendor().token(fields);
      expect([reply.status, JSON.parse(reply.body).error]).toEqual([status, error]);
    });
  }

  test('answers 400 to a body that is not JSON', () => {
    const path = '/api/oauth/token';
    for (const body of ['', '{', '[]', 'null', '"x"']) {
      expect(vendor().fullscript.answer({ method: 'POST', path, body }).status).toBe(400);
    }
  });
});

describe('rotation', () => {
  test('the old refresh token stays good until the new access token is first used', () => {
    const v = vendor();
    const first = oauthIn(v.refresh('sandbox-refresh-washington'));
    expect(v.refresh('sandbox-refresh-washington').status).toBe(200);
    expect(v.get('/api/clinic', first.access_token).status).toBe(200);
    expect(JSON.parse(v.refresh('sandbox-refresh-washington').body).error).toBe('invalid_grant');
    expect(v.refresh(first.refresh_token).status).toBe(200);
  });

  test('strict rotation ends the old pair at once', () => {
    const v = vendor();
    v.fullscript.faults.switchOn({ name: 'strict-rotation' });
    expect(v.refresh('sandbox-refresh-washington').status).toBe(200);
    expect(v.refresh('sandbox-refresh-washington').status).toBe(400);
    expect(v.get('/api/clinic').status).toBe(401);
  });

  test('an access token ends after two hours', async () => {
    const v = vendor();
    await v.clock.advance(7_200_000 - 1);
    expect(v.get('/api/clinic').status).toBe(200);
    await v.clock.advance(1);
    const { status, body } = v.get('/api/clinic');
    expect([status, JSON.parse(body).errors[0].code]).toEqual([401, 'token_expired']);
  });

  test('a refresh token of an earlier start is taken, so that a relay outlives the sandbox', () => {
    const { refresh_token } = oauthIn(vendor().refresh('sandbox-refresh-new-york'));
    const restarted = vendor({ seed: 8 });
    const { access_token } = oauthIn(restarted.refresh(refresh_token));
    expect(JSON.parse(restarted.get('/api/clinic', access_token).body).clinic.name).toBe('New York');
  });
});

describe('revoking', () => {
  const revoke = (v: ReturnType<typeof vendor>, fields: object) =>
    v.fullscript.answer({
      method: 'POST',
      path: '/api/oauth/revoke',
      body: JSON.stringify({ client_id: 'sandbox-client', client_secret: 'sandbox-secret', ...fields }),
    });

  test('ends the whole pair and nobody else’s', () => {
    const v = vendor();
    const reply = revoke(v, { token: washington });
    expect([reply.status, reply.body]).toEqual([200, '{}']);
    expect(v.get('/api/clinic').status).toBe(401);
    expect(v.refresh('sandbox-refresh-washington').status).toBe(400);
    expect(v.get('/api/clinic', newYork).status).toBe(200);
  });

  test('ends the pair that was replaced too', () => {
    const v = vendor();
    const { refresh_token } = oauthIn(v.refresh('sandbox-refresh-washington'));
    revoke(v, { token: refresh_token });
    expect(v.refresh('sandbox-refresh-washington').status).toBe(400);
  });

  test('needs the app’s own credentials and a token', () => {
    expect(revoke(vendor(), {}).status).toBe(400);
    expect(revoke(vendor(), { token: washington, client_secret: 'wrong' }).status).toBe(401);
  });

  test('a clinic can take its permission back in Fullscript itself', () => {
    const v = vendor();
    v.fullscript.revokeClinic('Washington');
    expect(v.get('/api/clinic').status).toBe(401);
    expect(v.get('/api/clinic', newYork).status).toBe(200);
  });
});

test('a request without a token, or with an unknown one, is answered 401', () => {
  const v = vendor();
  expect(v.fullscript.answer({ method: 'GET', path: '/api/clinic' }).status).toBe(401);
  expect(v.get('/api/events/orders', 'nobody').status).toBe(401);
});
