import { expect, test } from 'vitest';
import { admin, apiUnderTest, ehr } from './relay.ts';

test('a link to connect a clinic is for an admin; without a name it gets the vendor’s', async () => {
  const api = await apiUnderTest();
  const made = await api.ask('POST', '/v1/clinics/connect', { token: admin, body: { name: 'Oregon' } });
  expect(made.status).toBe(201);
  expect(made.body).toMatchObject({ authorizeUrl: 'http://vendor/authorize?for=Oregon' });
  const refused = await api.ask('POST', '/v1/clinics/connect', { token: ehr, body: { name: 'Oregon' } });
  expect(refused.status).toBe(403);
  const nameless = await api.ask('POST', '/v1/clinics/connect', { token: admin, body: {} });
  expect(nameless.body).toMatchObject({ authorizeUrl: 'http://vendor/authorize?for=null' });
  for (const name of ['', ' ', 'a\u0000', 'x'.repeat(201), 7, null]) {
    const wrong = await api.ask('POST', '/v1/clinics/connect', { token: admin, body: { name } });
    expect([wrong.status, wrong.body.code]).toEqual([400, 'invalid_body']);
  }
});

test('what came of a link is for an admin', async () => {
  const api = await apiUnderTest();
  const of = (id: string, token = admin) => api.ask('GET', `/v1/clinics/connect/${id}`, { token });
  expect((await of('con_denied')).body).toEqual({
    state: 'failed',
    clinicId: null,
    name: null,
    reason: 'access was denied at Fullscript',
  });
  expect((await of('con_unused')).body).toMatchObject({
    state: 'waiting',
    reason: 'nobody has used the link yet',
  });
  expect((await of('con_denied', ehr)).status).toBe(403);
});

test('the page that a user comes back to needs no token, reflects nothing, and runs and leaks nothing', async () => {
  const api = await apiUnderTest();
  const good = await fetch(`${api.url}/oauth/callback?state=s3cret&code=c0de`);
  const text = await good.text();
  expect(good.status).toBe(200);
  expect(text).toContain('&#60;Washington&#62; is connected');
  expect(text).not.toMatch(/s3cret|c0de|<script/);
  expect(good.headers.get('referrer-policy')).toBe('no-referrer');
  expect(good.headers.get('cache-control')).toBe('no-store');
  expect(good.headers.get('content-security-policy')).toMatch(/^default-src 'none';style-src 'sha256-/);
  const denied = await fetch(`${api.url}/oauth/callback?state=s&error=<b>no</b>`);
  expect(denied.status).toBe(403);
  expect(await denied.text()).not.toContain('<b>');
  expect(JSON.stringify(api.logged)).not.toMatch(/s3cret|c0de/);
});
