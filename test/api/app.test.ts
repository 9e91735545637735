import { gzipSync } from 'node:zlib';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { tokenLifeMaxMs } from '../../src/api/auth.ts';
import { StoreBroken, StoreUnavailable } from '../../src/domain/errors.ts';
import { type ApiUnderTest, admin, apiUnderTest, ehr, stranger, tokenFor } from './relay.ts';

let api: ApiUnderTest;
beforeEach(async () => {
  api = await apiUnderTest();
});

const url = 'https://ehr.example/hook';

describe('every answer says that a relay gave it', () => {
  for (const { method, path, status } of [
    { method: 'GET', path: '/v1/status', status: 200 },
    { method: 'POST', path: '/v1/tokens/revoke', status: 403 },
    { method: 'DELETE', path: '/v1/status', status: 405 },
    { method: 'GET', path: '/nowhere', status: 404 },
    { method: 'GET', path: '/v1/deliveries/%', status: 400 },
    { method: 'GET', path: '/healthz', status: 200 },
  ]) {
    test(`${method} ${path}: ${status}`, async () => {
      const answer = await api.ask(method, path);
      expect({ status: answer.status, version: answer.headers.get('relay-version') }).toEqual({
        status,
        version: '0.0.0',
      });
    });
  }
});

describe('who is not let in (202)', () => {
  for (const { headers, token, because } of [
    { headers: {}, token: null, because: 'there is no token' },
    { headers: { authorization: 'Bearer' }, token: null, because: 'the token is empty' },
    { headers: { authorization: 'Bearer  ' }, token: null, because: 'the token is blank' },
    { headers: { authorization: `Basic ${ehr}` }, token: null, because: 'the scheme is another' },
    {
      headers: { authorization: `Bearer ${ehr} ${ehr}` },
      token: null,
      because: 'there are two in one header',
    },
    { headers: { cookie: `token=${ehr}` }, token: null, because: 'it is in a cookie' },
    { headers: {}, token: `${ehr}x`, because: 'its signature is another' },
    { headers: {}, token: 'x'.repeat(5_000), because: 'it is longer than 4 KiB' },
  ]) {
    test(because, async () => {
      const answer = await api.ask('GET', '/v1/subscribers', { headers, token });
      expect(answer.status).toBe(401);
      expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="fullscript-relay"');
      const { requestId, ...problem } = answer.body;
      expect(problem).toEqual({
        type: 'about:blank',
        title: 'Unauthorized',
        status: 401,
        code: 'unauthorized',
        detail: 'This needs a valid token: `Authorization: Bearer …`.',
        hint: '`relay token create` makes one; tokens end, and can be revoked.',
      });
      expect(requestId).toBe(answer.headers.get('x-request-id'));
    });
  }

  test('two Authorization headers could mean two callers', async () => {
    const { connect } = await import('node:net');
    const answer = await new Promise<string>((resolve) => {
      const socket = connect(Number(new URL(api.url).port), '127.0.0.1', () =>
        socket.write(
          `GET /v1/subscribers HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${ehr}\r\nAuthorization: Bearer ${admin}\r\n\r\n`,
        ),
      );
      let text = '';
      socket.on('data', (data) => {
        text += data;
      });
      socket.on('close', () => resolve(text));
    });
    expect(answer).toMatch(/^HTTP\/1\.1 401 /);
  });

  test('a token in the query is none', async () => {
    expect((await api.ask('GET', `/v1/subscribers?access_token=${ehr}`, { token: null })).status).toBe(401);
  });

  test('the scheme may be written in lower case', async () => {
    const headers = { authorization: `bearer ${ehr}` };
    expect((await api.ask('GET', '/v1/subscribers', { headers, token: null })).status).toBe(200);
  });

  test('a revoked token, at once (237)', async () => {
    const { jti } = JSON.parse(Buffer.from(ehr.split('.')[1] ?? '', 'base64url').toString());
    expect((await api.ask('POST', '/v1/tokens/revoke', { token: admin, body: { jti } })).status).toBe(204);
    expect((await api.ask('GET', '/v1/subscribers')).status).toBe(401);
    expect((await api.ask('GET', '/v1/subscribers', { token: stranger })).status).toBe(200);
  });

  test('a revoked token is refused for as long as any token may live', async () => {
    let until = 0;
    api.store.revokeToken = async (_jti, expiresAt) => {
      until = expiresAt;
    };
    await api.ask('POST', '/v1/tokens/revoke', { token: admin, body: { jti: 'made-elsewhere' } });
    expect(until).toBeGreaterThanOrEqual(api.clock.now() + tokenLifeMaxMs);
  });

  test('an expired one', async () => {
    await api.clock.advance(3_600_000);
    expect((await api.ask('GET', '/v1/subscribers')).status).toBe(401);
  });
});

test('a token without the scope gets 403, and the log says who tried what (203)', async () => {
  const answer = await api.ask('POST', '/v1/tokens/revoke', { body: { jti: 'x' } });
  expect(answer.status).toBe(403);
  expect(answer.body.code).toBe('forbidden');
  expect(api.logged).toContainEqual(
    expect.objectContaining({
      level: 'warn',
      facts: expect.objectContaining({ subject: 'ehr', route: '/v1/tokens/revoke' }),
    }),
  );
});

describe('a body that is refused', () => {
  for (const { body, status, because } of [
    { body: '{', status: 400, because: 'it is no JSON (205)' },
    { body: 'null', status: 400, because: 'it is null' },
    { body: '[]', status: 400, because: 'it is a list' },
    { body: '"x"', status: 400, because: 'it is a text' },
    { body: '1', status: 400, because: 'it is a number' },
    { body: '\uFEFF{}', status: 400, because: 'it begins with a byte order mark' },
    { body: '{"name":"a",}', status: 400, because: 'it has a trailing comma' },
    { body: '{/**/}', status: 400, because: 'it has a comment' },
    { body: '{"name":NaN}', status: 400, because: 'it has a NaN' },
    { body: `${'['.repeat(45_000)}${']'.repeat(45_000)}`, status: 400, because: 'it is 45,000 deep (208)' },
    { body: `{"name":${'{"a":'.repeat(40)}1${'}'.repeat(40)}}`, status: 400, because: 'it is 41 deep' },
    { body: '{"__proto__":{"name":"a"}}', status: 400, because: 'it names __proto__ (210)' },
    { body: '{"constructor":{"prototype":{}}}', status: 400, because: 'it names constructor (210)' },
    {
      body: `{"name":"a","url":"${url}","url":"https://evil.example"}`,
      status: 400,
      because: 'a name stands twice (210)',
    },
    {
      body: `{"name":"a","url":"${url}","\\u0075rl":"https://evil.example"}`,
      status: 400,
      because: 'a name stands twice, once escaped',
    },
    { body: `{"name":"\\ud800","url":"${url}"}`, status: 400, because: 'half of a surrogate pair' },
    { body: `{"name":"\\u0000","url":"${url}"}`, status: 400, because: 'a name of NUL' },
    { body: `{"name":"${'a'.repeat(110_000)}"}`, status: 413, because: 'it is larger than 100 kB (207)' },
  ]) {
    test(`${because}: ${status}`, async () => {
      const answer = await api.ask('POST', '/v1/subscribers', { body });
      expect(answer.status).toBe(status);
      expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
      expect(answer.text).not.toMatch(/node_modules|\.ts:|at \w+ \(/);
      expect(({} as Record<string, unknown>).name).toBeUndefined();
    });
  }

  for (const type of [
    'text/plain',
    'text/json',
    'application/json; charset=utf-7',
    'multipart/form-data',
    '',
  ]) {
    test(`of the type "${type}" (209)`, async () => {
      const headers = { 'content-type': type };
      expect((await api.ask('POST', '/v1/subscribers', { body: '{}', headers })).status).toBe(415);
    });
  }

  test('that is compressed, a bomb or not (207)', async () => {
    const response = await fetch(`${api.url}/v1/subscribers`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${ehr}`,
        'content-type': 'application/json',
        'content-encoding': 'gzip',
      },
      body: gzipSync(Buffer.alloc(1_000_000)),
    });
    expect(response.status).toBe(415);
  });

  test('where none belongs', async () => {
    const answer = await api.ask('POST', '/v1/subscribers/sub_1/pause', { body: { reason: 'x' } });
    expect(answer.status).toBe(400);
    expect(answer.body.problems).toEqual([{ path: 'reason', message: 'is not known' }]);
  });
});

describe('an id that leads nowhere (211)', () => {
  for (const id of [
    '..%2f..%2fetc%2fpasswd',
    '%2e%2e%2f',
    '%00',
    'a'.repeat(4_000),
    encodeURIComponent('🦊'),
    'a%0Ab',
    'constructor',
    '__proto__',
    '-1',
    '1e3',
    'toString',
  ]) {
    test(id.slice(0, 30), async () => {
      for (const list of ['subscribers', 'deliveries', 'events', 'replays', 'clinics']) {
        const method = list === 'clinics' ? 'DELETE' : 'GET';
        const { status } = await api.ask(method, `/v1/${list}/${id}`, { token: admin });
        expect(status, list).toBe(404);
      }
    });
  }

  test('or cannot be decoded', async () => {
    expect((await api.ask('GET', '/v1/subscribers/%ZZ')).body).toMatchObject({
      status: 400,
      code: 'invalid_path',
    });
  });
});

describe('a query that is refused (212)', () => {
  for (const query of [
    'limit=-1',
    'limit=0',
    'limit=1e9',
    'limit=NaN',
    'limit=Infinity',
    'limit=0x10',
    'limit=%D9%A3',
    'limit=1;drop',
    'limit=',
    'limit[]=1',
    'limit=1&limit=2',
    'state=gone',
    'state=pending&state=failed',
    'a[__proto__][x]=1',
    '__proto__=1',
    'sort=__proto__',
    'since=yesterday',
    'since=2026-02-30T00:00:00Z',
    'since=2026-13-01T00:00:00Z',
    'since=0000-01-01T00:00:00Z',
    'since=2026-11-22T00:00:00',
    'since=2026-11-22',
    'since=%2B02:00',
    'since=1e20',
    'since=2026-11-22T00:00:00Z&until=2026-11-21T00:00:00Z',
    'cursor=garbage',
    'cursor=-1',
    'cursor=',
    `cursor=${'9'.repeat(600)}`,
    'subscriberId=',
    `eventId=${'a'.repeat(2_000)}`,
  ]) {
    test(query.slice(0, 60), async () => {
      const { status, body } = await api.ask('GET', `/v1/deliveries?${query}`);
      expect(status).toBe(400);
      expect(['invalid_query', 'bad_cursor']).toContain(body.code);
    });
  }
});

describe('a request that is not for a route', () => {
  for (const { method, path, status } of [
    { method: 'PUT', path: '/v1/subscribers', status: 405 },
    { method: 'DELETE', path: '/v1/subscribers', status: 405 },
    { method: 'OPTIONS', path: '/v1/subscribers', status: 405 },
    { method: 'POST', path: '/healthz', status: 405 },
    { method: 'GET', path: '/', status: 404 },
    { method: 'GET', path: '/v1', status: 404 },
    { method: 'GET', path: '/V1/subscribers', status: 404 },
    { method: 'GET', path: '//v1/subscribers', status: 404 },
    { method: 'GET', path: '/v1/..%2fhealthz', status: 404 },
    { method: 'GET', path: '/.env', status: 404 },
    { method: 'GET', path: '/.git/config', status: 404 },
    { method: 'GET', path: '/metrics', status: 404 },
    { method: 'GET', path: '/debug', status: 404 },
    { method: 'GET', path: '/oauth/none', status: 404 },
  ]) {
    test(`${method} ${path}: ${status}`, async () => {
      const answer = await api.ask(method, path, { token: admin });
      expect(answer.status).toBe(status);
      if (status === 405) expect(answer.headers.get('allow')).toMatch(/GET/);
    });
  }

  test('X-HTTP-Method-Override changes nothing (213)', async () => {
    const headers = { 'x-http-method-override': 'DELETE' };
    expect((await api.ask('GET', '/v1/subscribers', { headers })).status).toBe(200);
  });
});

describe('what stands in every answer', () => {
  test('no page may be made of it, nothing keeps it, and nobody learns what runs here', async () => {
    const { headers } = await api.ask('GET', '/healthz', { token: null });
    expect(headers.get('content-security-policy')).toBe(
      "default-src 'none';script-src 'self';style-src 'self';img-src 'self' data:;font-src 'self';connect-src 'self';form-action 'self';base-uri 'none';frame-ancestors 'none';require-trusted-types-for 'script'",
    );
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-powered-by')).toBeNull();
    expect(headers.get('etag')).toBeNull();
  });

  test('no link is built from the Host header (219)', async () => {
    const { text } = await api.ask('GET', '/openapi.json', {
      token: null,
      headers: { 'x-forwarded-host': 'evil.example' },
    });
    expect(text).not.toContain('evil.example');
    expect(JSON.parse(text).servers).toEqual([{ url: '/' }]);
  });
});

describe('health', () => {
  test('healthz needs no token and says that the process answers', async () => {
    expect((await api.ask('GET', '/healthz', { token: null })).body).toEqual({ status: 'ok' });
  });

  test('readyz says whether the store takes writes and polls move', async () => {
    expect((await api.ask('GET', '/readyz', { token: null })).status).toBe(200);
    api.endpoint.isPolling = false;
    expect((await api.ask('GET', '/readyz', { token: null })).body).toMatchObject({
      status: 503,
      code: 'not_ready',
    });
    api.endpoint.isPolling = true;
    api.store.assertWritable = async () => {
      throw new StoreUnavailable('disk_full', 'The disk is full.', { hint: 'Make room.' });
    };
    expect((await api.ask('GET', '/readyz', { token: null })).body).toMatchObject({
      status: 503,
      code: 'disk_full',
    });
  });
});

test('what nobody expected is a 500 with a request id and nothing else; the log has the place (206)', async () => {
  api.store.subscribers = async () => {
    throw new TypeError('a secret stands in this message');
  };
  const { status, text, body } = await api.ask('GET', '/v1/subscribers');
  expect(status).toBe(500);
  expect(text).not.toMatch(/secret|TypeError|\.ts/);
  expect(body.hint).toContain(body.requestId);
  const fault = api.logged.find(({ level }) => level === 'error');
  expect(fault?.facts).toMatchObject({ requestId: body.requestId, name: 'TypeError' });
  expect(String(fault?.facts.where)).toContain('app.test.ts');
  expect(JSON.stringify(api.logged)).not.toContain('a secret stands');
});

test('a broken store is a 500 that says nothing of its folder; the log does', async () => {
  api.store.subscribers = async () => {
    throw new StoreBroken('store_broken', 'The file /var/lib/relay/x is gone.', { hint: 'Restore it.' });
  };
  const { text, body } = await api.ask('GET', '/v1/subscribers');
  expect(body).toMatchObject({ status: 500, code: 'store_broken' });
  expect(text).not.toContain('/var/lib');
  expect(api.logged.find(({ level }) => level === 'error')?.facts.detail).toContain('/var/lib');
});

test('a store that takes no writes is a 503 by its code, and nothing was decided', async () => {
  api.store.addSubscriber = async () => {
    throw new StoreUnavailable('disk_full', 'The disk is full.', { hint: 'Make room.' });
  };
  const { body } = await api.ask('POST', '/v1/subscribers', { body: { name: 'ehr', url } });
  expect(body).toMatchObject({ status: 503, code: 'disk_full', hint: 'Make room.' });
});

describe('too many requests (217)', () => {
  beforeEach(async () => {
    api = await apiUnderTest({ perMinute: 5, diallingPerMinute: 2, refusedPerMinute: 3, openPerMinute: 4 });
  });

  test('under one token get 429 with Retry-After; another token goes on, also of the same subject', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => api.ask('GET', '/v1/subscribers')));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(5);
    const refused = answers.find(({ status }) => status === 429);
    expect(refused?.body.code).toBe('rate_limited');
    expect(Number(refused?.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await api.ask('GET', '/v1/subscribers', { token: tokenFor('ehr', 'read') })).status).toBe(200);
  });

  test('that come back from Fullscript get a page that says so', async () => {
    const pages = [];
    for (const state of ['a', 'b', 'c', 'd', 'e'])
      pages.push(await fetch(`${api.url}/oauth/callback?state=${state}`));
    expect(pages.map(({ status }) => status)).toEqual([200, 200, 200, 200, 429]);
    expect(pages[4]?.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(pages[4]?.headers.get('content-security-policy')).toMatch(
      /^default-src 'none';style-src 'sha256-/,
    );
    expect(await pages[4]?.text()).toContain('<h1>One moment, please</h1>');
  });

  test('that make the relay dial are limited more tightly', async () => {
    const statuses = [];
    for (const name of ['a', 'b', 'c']) {
      statuses.push((await api.ask('POST', '/v1/subscribers', { body: { name, url } })).status);
    }
    expect(statuses).toEqual([201, 201, 429]);
    expect((await api.ask('GET', '/v1/subscribers')).status).toBe(200);
  });

  test('with guessed tokens are turned away, and a good token from the same address is not (218)', async () => {
    const statuses = [];
    for (const from of [1, 2, 3, 4]) {
      const headers = { 'x-forwarded-for': `198.51.100.${from}` };
      statuses.push((await api.ask('GET', '/v1/subscribers', { token: 'guess', headers })).status);
    }
    expect(statuses).toEqual([401, 401, 401, 429]);
    expect((await api.ask('GET', '/v1/subscribers')).status).toBe(200);
  });
});

test('every change is in the log with who made it, and no token, secret or body', async () => {
  await api.ask('POST', '/v1/subscribers', {
    body: { name: 'ehr', url, challengeToken: 'a-challenge-token' },
  });
  expect(api.logged.at(-1)).toMatchObject({
    level: 'info',
    message: 'api',
    facts: { subject: 'ehr', method: 'post', route: '/v1/subscribers', status: 201 },
  });
  const text = JSON.stringify(api.logged);
  expect(text).not.toContain(ehr);
  expect(text).not.toContain('a-challenge-token');
});

describe('the OpenAPI document', () => {
  test('tells every route, its scope, its query and its body', async () => {
    const { body } = await api.ask('GET', '/openapi.json', { token: null });
    expect(body.openapi).toBe('3.1.0');
    expect(Object.keys(body.paths)).toEqual(
      expect.arrayContaining(['/v1/subscribers', '/v1/backfills/{id}', '/v1/operational-events/test']),
    );
    expect(body.paths['/v1/deliveries'].get.parameters.map(({ name }: { name: string }) => name)).toEqual([
      'state',
      'subscriberId',
      'clinicId',
      'eventType',
      'eventId',
      'since',
      'until',
      'limit',
      'cursor',
    ]);
    const post = body.paths['/v1/subscribers'].post;
    expect(post.description).toBe('Scope: write.');
    expect(Object.keys(post.requestBody.content['application/json'].schema.properties)).toContain(
      'retrySeconds',
    );
    expect(Object.keys(post.responses)).toEqual(['201', 'default']);
    expect(body.paths['/v1/subscribers/{id}'].get.parameters).toEqual([
      { name: 'id', in: 'path', required: true, schema: { type: 'string' } },
    ]);
  });
});

test('whatever goes wrong after its caller has gone, no stack is printed (205)', async () => {
  const { connect } = await import('node:net');
  // Express prints nothing where it takes itself to be tested.
  vi.stubEnv('NODE_ENV', 'production');
  onTestFinished(() => void vi.unstubAllEnvs());
  const printed = vi.spyOn(console, 'error').mockImplementation(() => {});
  onTestFinished(() => printed.mockRestore());
  api = await apiUnderTest();
  const clinic = { name: 'Washington', accessToken: 'access', refreshToken: 'refresh' };
  const { id } = (await api.ask('POST', '/v1/clinics', { token: admin, body: clinic })).body;
  const failed = new Promise<void>((resolve) => {
    api.vendor.whileRevoking = async () => {
      await new Promise((closed) => client.once('close', closed).destroy());
      await someTurns();
      resolve();
      throw new Error('a fault');
    };
  });
  const client = connect(Number(new URL(api.url).port), '127.0.0.1');
  client.write(`DELETE /v1/clinics/${id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${admin}\r\n\r\n`);
  await failed;
  await someTurns();
  expect(api.logged.map(({ message }) => message)).toContain('The API could not answer.');
  expect(printed).not.toHaveBeenCalled();
});

async function someTurns(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((next) => setImmediate(next));
}
