import { beforeEach, describe, expect, test } from 'vitest';
import { deliveryIdOf } from '../../src/domain/delivery.ts';
import { anEvent, aSubscriber, furnished, record } from '../store/fixtures.ts';
import { type ApiUnderTest, admin, apiUnderTest, ehr, ehrReader, stranger } from './relay.ts';

let api: ApiUnderTest;
beforeEach(async () => {
  api = await apiUnderTest();
});

const url = 'https://ehr.example/hook';
const secret = 'a-signing-secret-of-more-than-32-characters';

async function registered(
  body: Record<string, unknown> = {},
  token = ehr,
): Promise<{ id: string; secret: string }> {
  const answer = await api.ask('POST', '/v1/subscribers', { body: { name: 'ehr', url, ...body }, token });
  expect(answer.status, answer.text).toBe(201);
  return answer.body;
}

async function stored(id: string) {
  const { subscribers } = await api.store.subscribers();
  return subscribers.find((subscriber) => subscriber.id === id);
}

describe('a registration', () => {
  test('is answered with its secret, and nothing shows the secret again', async () => {
    const { id, secret: made } = await registered();
    expect(made).toMatch(/^[0-9a-f]{64}$/);
    for (const path of [`/v1/subscribers/${id}`, '/v1/subscribers']) {
      const { status, text } = await api.ask('GET', path);
      expect(status).toBe(200);
      expect(text).toContain(id);
      expect(text).not.toContain(made);
    }
    expect(JSON.stringify(api.logged)).not.toContain(made);
  });

  test('keeps a secret that was given, and makes a whsec_ one for the profile standard', async () => {
    expect((await registered({ secret })).secret).toBe(secret);
    const standard = await registered({ name: 'other', profile: 'standard' });
    expect(standard.secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  });

  test('with a given challenge token is tried at once; a failed handshake is 422 and stores nothing', async () => {
    const body = { name: 'ehr', url, challengeToken: 'a-challenge-token' };
    api.endpoint.handshake = { kind: 'failed', message: 'The answer 500 came.', hint: 'Answer 200.' };
    const refused = await api.ask('POST', '/v1/subscribers', { body });
    expect(refused.status).toBe(422);
    expect(refused.body).toMatchObject({ code: 'handshake_failed', detail: 'The answer 500 came.' });
    expect((await api.store.subscribers()).subscribers).toEqual([]);
    api.endpoint.handshake = { kind: 'passed' };
    const taken = await api.ask('POST', '/v1/subscribers', { body });
    expect(taken.status).toBe(201);
    expect(taken.body).toMatchObject({ state: 'active', hasChallengeToken: true });
    expect(taken.text).not.toContain('a-challenge-token');
  });

  test('with a made challenge token is paused until its handshake passes', async () => {
    api.endpoint.handshake = { kind: 'failed', message: 'not yet', hint: 'answer' };
    const { body } = await api.ask('POST', '/v1/subscribers', {
      body: { name: 'ehr', url, challenge: true },
    });
    expect(body).toMatchObject({ state: 'paused', pauseReasons: ['handshake'] });
    expect(body.challengeToken).toMatch(/^[A-Za-z0-9_-]{32}$/);
    expect(api.told).toEqual([]);

    const early = await api.ask('POST', `/v1/subscribers/${body.id}/test`);
    expect(early.body).toEqual({ passed: false, outcome: 'handshake: not yet', hint: 'answer' });
    const stillPaused = await api.ask('POST', `/v1/subscribers/${body.id}/resume`);
    expect(stillPaused.body).toMatchObject({ state: 'paused', handshakeResult: { passed: false } });

    api.endpoint.handshake = { kind: 'passed' };
    const passed = await api.ask('POST', `/v1/subscribers/${body.id}/test`, {
      body: { type: 'order.placed' },
    });
    expect(passed.body).toEqual({ passed: true, outcome: 'accepted 200' });
    expect(api.told.slice(-2)).toEqual(['dispatcher', `test ${url} order.placed`]);
    expect((await api.ask('GET', `/v1/subscribers/${body.id}`)).body.state).toBe('active');
  });

  test('of a name that is taken is a conflict, before anything is dialled; others may have that name', async () => {
    await registered();
    const again = await api.ask('POST', '/v1/subscribers', {
      body: { name: 'ehr', url, challengeToken: 'a-challenge-token' },
    });
    expect(again.status).toBe(409);
    expect(again.body.code).toBe('subscriber_name_taken');
    expect(api.told).toEqual([]);
    await registered({}, stranger);
  });

  test('is warned of what is allowed and probably not meant', async () => {
    await registered({ secret });
    const { body } = await api.ask('POST', '/v1/subscribers', {
      body: {
        name: 'second',
        url: `${url}?key=1`,
        secret,
        eventTypes: ['order.*', 'invented.thing'],
        clinicIds: ['Nowhere'],
      },
    });
    expect(body.warnings).toHaveLength(4);
    expect(body.warnings.join('\n')).toMatch(
      /invented\.thing.*\n.*Nowhere.*\nehr signs with the same secret.*\n.*query/,
    );
    const { body: third } = await api.ask('POST', '/v1/subscribers', { body: { name: 'third', url } });
    expect(third.warnings.join()).toContain('ehr has the same URL');
  });

  for (const { body, path, because } of [
    { body: {}, path: 'url', because: 'the URL is missing' },
    { body: { url: 'http://ehr.example' }, path: 'url', because: 'the guard refuses the URL' },
    { body: { url: '' }, path: 'url', because: 'the URL is empty' },
    { body: { url: null }, path: 'url', because: 'the URL is null' },
    { body: { url: 7 }, path: 'url', because: 'the URL is a number' },
    { body: { url: [url] }, path: 'url', because: 'the URL is a list' },
    { body: { url: `https://ehr.example/${'a'.repeat(2049)}` }, path: 'url', because: 'the URL is too long' },
    { body: { url, name: '' }, path: 'name', because: 'the name is empty' },
    { body: { url, name: 'a\nb' }, path: 'name', because: 'the name has a line break' },
    { body: { url, secret: '' }, path: 'secret', because: 'the secret is empty' },
    { body: { url, secret: 'x' }, path: 'secret', because: 'the secret is one character' },
    { body: { url, secret: `${secret}\n` }, path: 'secret', because: 'the secret ends with a line break' },
    { body: { url, profile: 'standard', secret: 'whsec_%%%' }, path: 'secret', because: 'no base64' },
    {
      body: { url, profile: 'standard', secret: `whsec_${Buffer.alloc(23).toString('base64')}` },
      path: 'secret',
      because: '23 bytes',
    },
    {
      body: { url, profile: 'standard', secret: `whsec_${Buffer.alloc(65).toString('base64')}` },
      path: 'secret',
      because: '65 bytes',
    },
    { body: { url, profile: 'smtp' }, path: 'profile', because: 'there is no such profile' },
    { body: { url, eventTypes: ['**'] }, path: 'eventTypes[0]', because: 'two stars' },
    { body: { url, eventTypes: [''] }, path: 'eventTypes[0]', because: 'an empty pattern' },
    {
      body: { url, eventTypes: ['order.*.created'] },
      path: 'eventTypes[0]',
      because: 'a star in the middle',
    },
    { body: { url, eventTypes: ['(a+)+$'] }, path: 'eventTypes[0]', because: 'a regular expression' },
    {
      body: { url, eventTypes: Array(10_000).fill('*') },
      path: 'eventTypes',
      because: 'ten thousand patterns',
    },
    { body: { url, eventTypes: 'order.*' }, path: 'eventTypes', because: 'a text where a list belongs' },
    { body: { url, clinicIds: [''] }, path: 'clinicIds[0]', because: 'an empty clinic id' },
    { body: { url, clinicIds: ['a'.repeat(10_240)] }, path: 'clinicIds[0]', because: 'a clinic id of 10 kB' },
    { body: { url, retrySeconds: [-1] }, path: 'retrySeconds[0]', because: 'a negative wait' },
    {
      body: { url, retrySeconds: [1e20] },
      path: 'retrySeconds[0]',
      because: 'an endless wait',
    },
    { body: { url, concurrency: 0 }, path: 'concurrency', because: 'no slot at all' },
    { body: { url, thin: 'yes' }, path: 'thin', because: 'thin is yes or no' },
    { body: { url, jwt: 'yes' }, path: 'jwt', because: 'jwt is yes or no' },
    { body: { url, headers: { Host: 'x' } }, path: 'headers.Host', because: 'the relay says who is called' },
    {
      body: { url, headers: { 'Webhook-Id': 'x' } },
      path: 'headers.Webhook-Id',
      because: 'the relay names the delivery',
    },
    {
      body: { url, headers: { 'x-a': 'b\r\nx-c: d' } },
      path: 'headers.x-a',
      because: 'a second header hides in the first',
    },
    { body: { url, headers: { 'x a': 'b' } }, path: 'headers.x a', because: 'a header name has no space' },
    { body: { url, headers: { 'x-a': '1', 'X-A': '2' } }, path: 'headers', because: 'one header twice' },
    { body: { url, headers: { 'x-a': 'é' } }, path: 'headers.x-a', because: 'a header value is ASCII' },
    { body: { url, requestsPerSecond: 0 }, path: 'requestsPerSecond', because: 'no request ever' },
    { body: { url, requestsPerSecond: 1e9 }, path: 'requestsPerSecond', because: 'that is no limit' },
    {
      body: { url, profile: 'fullscript', signature: 'v1a' },
      path: 'signature',
      because: 'Fullscript signs by a shared secret alone',
    },
    { body: { url, secret: 'password'.repeat(5) }, path: 'secret', because: 'anybody could guess it' },
    { body: { url, order: 'strict' }, path: 'order', because: 'no such order is kept' },
    { body: { url, handshake: 'always' }, path: 'handshake', because: 'nobody knows that moment' },
    { body: { url, state: 'active' }, path: 'state', because: 'its state is not for it to say' },
    { body: { url, urll: url }, path: 'urll', because: 'a name that nobody knows' },
    {
      body: { url, challenge: true, challengeToken: 'a-challenge-token' },
      path: 'challenge',
      because: 'both',
    },
    { body: { url, challengeToken: 'short' }, path: 'challengeToken', because: 'the token is short' },
  ]) {
    test(`is refused: ${because}`, async () => {
      const {
        status,
        body: problem,
        text,
      } = await api.ask('POST', '/v1/subscribers', {
        body: { name: 'ehr', ...body },
      });
      expect(status, text).toBe(400);
      expect(problem.problems.map((each: { path: string }) => each.path)).toContain(path);
      expect(api.told).toEqual([]);
      const given = (body as { secret?: string }).secret;
      if (given !== undefined && given.length > 1) expect(text).not.toContain(given);
    });
  }

  test('is refused with the config line that would allow its URL', async () => {
    const { body } = await api.ask('POST', '/v1/subscribers', {
      body: { name: 'ehr', url: 'http://ehr.example' },
    });
    expect(body).toMatchObject({ code: 'url_refused', hint: expect.stringContaining('allowHttp') });
  });

  test('names the nearest known name for a misspelt one', async () => {
    const { body } = await api.ask('POST', '/v1/subscribers', { body: { name: 'ehr', url, eventTypse: [] } });
    expect(body.problems).toContainEqual({
      path: 'eventTypse',
      message: 'is not known; did you mean eventTypes?',
    });
  });
});

describe('a change', () => {
  test('changes what is named and nothing else', async () => {
    const { id } = await registered({ eventTypes: ['order.*'] });
    const { status, body } = await api.ask('PATCH', `/v1/subscribers/${id}`, { body: { eventTypes: [] } });
    expect(status).toBe(200);
    expect(body).toMatchObject({ eventTypes: [], url, name: 'ehr', warnings: [] });
  });

  test('of the URL repeats the handshake, and is not made when it fails', async () => {
    const { id } = await registered({ challengeToken: 'a-challenge-token' });
    api.endpoint.handshake = { kind: 'failed', message: 'no', hint: 'answer' };
    const moved = { url: 'https://new.example/hook' };
    const refused = await api.ask('PATCH', `/v1/subscribers/${id}`, { body: moved });
    expect(refused.status).toBe(422);
    expect((await stored(id))?.url).toBe(url);
    api.endpoint.handshake = { kind: 'passed' };
    await api.ask('PATCH', `/v1/subscribers/${id}`, { body: moved });
    expect((await stored(id))?.url).toBe(moved.url);
    expect(api.told.filter((what) => what.startsWith('handshake'))).toEqual([
      `handshake ${url}`,
      `handshake ${moved.url}`,
      `handshake ${moved.url}`,
    ]);
  });

  test('of the URL while the first handshake is awaited only leaves it awaited', async () => {
    const { id } = await registered({ challenge: true });
    api.endpoint.handshake = { kind: 'failed', message: 'no', hint: 'answer' };
    const { status, body } = await api.ask('PATCH', `/v1/subscribers/${id}`, {
      body: { url: 'https://new.example/' },
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({ url: 'https://new.example/', pauseReasons: ['handshake'] });
  });

  test('that takes the challenge token away lifts the pause that waited for it', async () => {
    const { id } = await registered({ challenge: true });
    const { body } = await api.ask('PATCH', `/v1/subscribers/${id}`, { body: { challengeToken: null } });
    expect(body).toMatchObject({ state: 'active', hasChallengeToken: false });
  });

  test('to null goes back to the waits, slots, rate and order that nobody chose', async () => {
    const chosen = { retrySeconds: [5], concurrency: 2, requestsPerSecond: 3, order: 'perClinic' };
    const { id } = await registered(chosen);
    const none = { retrySeconds: null, concurrency: null, requestsPerSecond: null, order: null };
    const { status, body } = await api.ask('PATCH', `/v1/subscribers/${id}`, { body: none });
    expect(status).toBe(200);
    expect(body).toMatchObject(none);
  });

  test('of the filters asks nobody', async () => {
    const { id } = await registered({ challengeToken: 'a-challenge-token' });
    api.told.length = 0;
    await api.ask('PATCH', `/v1/subscribers/${id}`, { body: { eventTypes: ['order.*'] } });
    expect(api.told).toEqual(['dispatcher']);
  });

  test('to a profile that the secret does not fit is refused', async () => {
    const { id } = await registered({ secret });
    const { status, body } = await api.ask('PATCH', `/v1/subscribers/${id}`, {
      body: { profile: 'standard' },
    });
    expect(status).toBe(400);
    expect(body.problems[0].path).toBe('profile');
  });

  test('cannot smuggle in a secret or an owner', async () => {
    const { id } = await registered();
    for (const body of [{ secret }, { owner: 'stranger' }, { challenge: true }, { id: 'sub_x' }]) {
      expect((await api.ask('PATCH', `/v1/subscribers/${id}`, { body })).status).toBe(400);
    }
  });
});

describe('a secret is rotated', () => {
  test('in the profile standard the older one signs on for a day', async () => {
    const { id, secret: old } = await registered({ profile: 'standard' });
    const { status, body } = await api.ask('POST', `/v1/subscribers/${id}/rotate-secret`);
    expect(status).toBe(200);
    expect(body.secret).not.toBe(old);
    expect(body.olderSecretUntil).toBe('2026-11-23T12:00:00.000Z');
    expect((await stored(id))?.secrets).toEqual([
      { value: body.secret, expiresAt: null },
      { value: old, expiresAt: api.clock.now() + 86_400_000 },
    ]);
  });

  test('an overlap of 0 ends the older one at once, and a second rotation shortens none that is shorter', async () => {
    const { id } = await registered({ profile: 'standard' });
    await api.ask('POST', `/v1/subscribers/${id}/rotate-secret`, { body: { overlapSeconds: 60 } });
    const { body } = await api.ask('POST', `/v1/subscribers/${id}/rotate-secret`, {
      body: { overlapSeconds: 3600 },
    });
    expect((await stored(id))?.secrets.map(({ expiresAt }) => expiresAt)).toEqual([
      null,
      api.clock.now() + 3_600_000,
      api.clock.now() + 60_000,
    ]);
    await api.ask('POST', `/v1/subscribers/${id}/rotate-secret`, { body: { overlapSeconds: 0 } });
    expect((await stored(id))?.secrets).toHaveLength(1);
    expect((await stored(id))?.secrets[0]?.value).not.toBe(body.secret);
  });

  test('in the profile fullscript it switches at once, because a request has exactly one signature', async () => {
    const { id } = await registered();
    const refused = await api.ask('POST', `/v1/subscribers/${id}/rotate-secret`, {
      body: { overlapSeconds: 60 },
    });
    expect(refused.status).toBe(400);
    expect(refused.text, 'it says how else').toContain('beside the old one, then rotate to it');
    await api.ask('POST', `/v1/subscribers/${id}/rotate-secret`, { body: { secret } });
    expect((await stored(id))?.secrets).toEqual([{ value: secret, expiresAt: null }]);
    const same = await api.ask('POST', `/v1/subscribers/${id}/rotate-secret`, { body: { secret } });
    expect(same.status).toBe(400);
    expect(same.text).not.toContain(secret);
  });

  test('from a shared secret to a key pair of the relay’s, of which nothing shows the private half', async () => {
    const { id, secret: old } = await registered({ profile: 'standard' });
    const { status, body, text } = await api.ask('POST', `/v1/subscribers/${id}/rotate-secret`, {
      body: { signature: 'v1a' },
    });
    expect(status).toBe(200);
    expect(body.secret).toBeUndefined();
    expect(body).toMatchObject({ signature: 'v1a', publicKeys: [expect.stringMatching(/^whpk_/)] });
    const [made, older] = (await stored(id))?.secrets ?? [];
    expect(made?.value).toMatch(/^whsk_/);
    expect(text).not.toContain(made?.value.slice(5));
    expect(older?.value).toBe(old);
    // The next one is a key pair too, and both public keys are shown while both sign.
    const again = await api.ask('POST', `/v1/subscribers/${id}/rotate-secret`);
    expect(again.body.publicKeys).toEqual([expect.stringMatching(/^whpk_/), body.publicKeys[0]]);
    const shown = await api.ask('GET', `/v1/subscribers/${id}`);
    expect(shown.body.publicKeys).toEqual(again.body.publicKeys);
    expect(shown.text).not.toContain('whsk_');
  });

  for (const { profile, body, path, because } of [
    { profile: 'fullscript', body: { signature: 'v1a' }, path: 'signature', because: 'the profile has none' },
    {
      profile: 'standard',
      body: { signature: 'v1a', secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' },
      path: 'signature',
      because: 'the secret given is of the other kind',
    },
    {
      profile: 'standard',
      body: { secret: `whsec_${Buffer.alloc(32, 7).toString('base64')}` },
      path: 'secret',
      because: 'the secret given is no random one',
    },
  ]) {
    test(`to nothing when ${because}`, async () => {
      const { id } = await registered({ profile });
      const { status, body: problem } = await api.ask('POST', `/v1/subscribers/${id}/rotate-secret`, {
        body,
      });
      expect(status).toBe(400);
      expect(problem.problems.map((each: { path: string }) => each.path)).toEqual([path]);
    });
  }

  for (const overlapSeconds of [-1, 7 * 86_400 + 1, 1.5, '60', null]) {
    test(`an overlap of ${JSON.stringify(overlapSeconds)} is refused`, async () => {
      const { id } = await registered({ profile: 'standard' });
      const body = { overlapSeconds };
      expect((await api.ask('POST', `/v1/subscribers/${id}/rotate-secret`, { body })).status).toBe(400);
    });
  }
});

describe('pause and resume', () => {
  test('a paused one holds its deliveries, and resume delivers them', async () => {
    const { id } = await registered();
    await api.ask('POST', `/v1/subscribers/${id}/pause`);
    await recordFor(id);
    const path = `/v1/deliveries/${deliveryIdOf('e1', id)}`;
    expect((await api.ask('GET', path)).body.state).toBe('held');
    const { body } = await api.ask('POST', `/v1/subscribers/${id}/resume`);
    expect(body.state).toBe('active');
    expect((await api.ask('GET', path)).body.state).toBe('pending');
  });

  test('resume can skip what was held, which then says so', async () => {
    const { id } = await registered();
    await api.ask('POST', `/v1/subscribers/${id}/pause`);
    await recordFor(id);
    await api.ask('POST', `/v1/subscribers/${id}/resume`, { body: { backlog: 'skip' } });
    const { body } = await api.ask('GET', `/v1/deliveries/${deliveryIdOf('e1', id)}`);
    expect(body).toMatchObject({ state: 'failed', endReason: 'skipped' });
  });

  test('resume does not lift what only the configuration file can', async () => {
    await api.store.addSubscriber(
      aSubscriber('sub_1', { owner: 'ehr', pauseReasons: ['person', 'removed'] }),
    );
    const { body } = await api.ask('POST', '/v1/subscribers/sub_1/resume');
    expect(body.pauseReasons).toEqual(['removed']);
  });

  for (const body of [{ backlog: 'drop' }, { backlog: null }, { extra: 1 }]) {
    test(`resume with ${JSON.stringify(body)} is refused`, async () => {
      const { id } = await registered();
      expect((await api.ask('POST', `/v1/subscribers/${id}/resume`, { body })).status).toBe(400);
    });
  }
});

describe('a test', () => {
  test('sends a sample of the type that was asked for, or of any', async () => {
    const { id } = await registered();
    for (const body of [{ type: 'patient.created' }, { type: 'visit.booked' }, {}, undefined]) {
      const { status, body: answer } = await api.ask('POST', `/v1/subscribers/${id}/test`, { body });
      expect([status, answer]).toEqual([200, { passed: true, outcome: 'accepted 200' }]);
    }
    const types = ['patient.created', 'visit.booked', 'null', 'null'];
    expect(api.told).toEqual(types.map((type) => `test ${url} ${type}`));
  });

  for (const body of [
    { type: '' },
    { type: 'order.*' },
    { type: '*' },
    { type: 'Order Placed' },
    { type: 'a'.repeat(201) },
    { type: 7 },
    { type: null },
    { types: 'order.placed' },
  ]) {
    test(`of ${JSON.stringify(body).slice(0, 40)} is refused, and nothing is sent`, async () => {
      const { id } = await registered();
      const { status, body: problem } = await api.ask('POST', `/v1/subscribers/${id}/test`, { body });
      expect([status, problem.code]).toEqual([400, 'invalid_body']);
      expect(api.told).toEqual([]);
    });
  }
});

describe('the doctor', () => {
  test('examines a subscriber and tells its findings', async () => {
    const { id } = await registered();
    const findings = [
      { check: 'event', grade: 'fix', message: 'It was refused.', hint: 'Look.' },
      { check: 'duplicate', grade: 'skipped', message: 'Nothing to say.', hint: null },
    ] as const;
    api.endpoint.examination = { passed: false, findings };
    const { status, body } = await api.ask('POST', `/v1/subscribers/${id}/doctor`);
    expect([status, body]).toEqual([200, { passed: false, findings }]);
    expect(api.told).toEqual([`doctor ${url}`]);
  });

  test('takes no address: only what is registered is examined', async () => {
    const { id } = await registered();
    const body = { url: 'https://victim.example/hook' };
    const asked = await api.ask('POST', `/v1/subscribers/${id}/doctor`, { body });
    const named = await api.ask('POST', `/v1/subscribers/${encodeURIComponent(url)}/doctor`);
    expect([asked.status, named.status]).toEqual([400, 404]);
    expect(api.told).toEqual([]);
  });
});

describe('who owns what', () => {
  test('another subject’s subscriber does not exist, whatever is done to it; an admin sees it', async () => {
    const { id } = await registered();
    const missing = await api.ask('GET', '/v1/subscribers/sub_none', { token: stranger });
    for (const [method, path] of [
      ['GET', ''],
      ['PATCH', ''],
      ['DELETE', ''],
      ['POST', '/pause'],
      ['POST', '/resume'],
      ['POST', '/test'],
      ['POST', '/doctor'],
      ['POST', '/rotate-secret'],
    ] as const) {
      const answer = await api.ask(method, `/v1/subscribers/${id}${path}`, {
        token: stranger,
        ...(method === 'PATCH' && { body: {} }),
      });
      expect(answer.status, `${method} ${path}`).toBe(404);
      expect(answer.body.code).toBe(missing.body.code);
    }
    expect((await api.ask('GET', '/v1/subscribers', { token: stranger })).body.data).toEqual([]);
    expect((await api.ask('GET', `/v1/subscribers/${id}`, { token: admin })).body.owner).toBe('ehr');
  });

  test('a token that only reads changes nothing', async () => {
    const { id } = await registered();
    expect((await api.ask('GET', `/v1/subscribers/${id}`, { token: ehrReader })).status).toBe(200);
    for (const [method, path] of [
      ['POST', ''],
      ['PATCH', `/${id}`],
      ['DELETE', `/${id}`],
      ['POST', `/${id}/pause`],
      ['POST', `/${id}/test`],
      ['POST', `/${id}/doctor`],
      ['POST', `/${id}/rotate-secret`],
    ] as const) {
      expect((await api.ask(method, `/v1/subscribers${path}`, { token: ehrReader })).status).toBe(403);
    }
    expect(api.logged.filter(({ level }) => level === 'warn')).toHaveLength(7);
  });

  test('one that stands in the configuration file is read-only until it was removed there', async () => {
    await api.store.addSubscriber(aSubscriber('sub_1', { owner: 'ehr', isDeclared: true }));
    for (const [method, path, body] of [
      ['PATCH', '', {}],
      ['DELETE', '', undefined],
      ['POST', '/rotate-secret', {}],
    ] as const) {
      const answer = await api.ask(method, `/v1/subscribers/sub_1${path}`, { body });
      expect(answer.status).toBe(409);
      expect(answer.body.code).toBe('subscriber_declared');
    }
    expect((await api.ask('POST', '/v1/subscribers/sub_1/pause')).status).toBe(200);
    await api.store.pauseSubscriber('sub_1', 'removed');
    expect((await api.ask('DELETE', '/v1/subscribers/sub_1')).status).toBe(204);
  });
});

test('two deletes at once: one is done, the other finds nothing', async () => {
  const { id } = await registered();
  await api.ask('POST', `/v1/subscribers/${id}/pause`);
  await recordFor(id);
  const answers = await Promise.all([1, 2].map(() => api.ask('DELETE', `/v1/subscribers/${id}`)));
  expect(answers.map(({ status }) => status).sort()).toEqual([204, 404]);
  expect((await api.ask('GET', `/v1/deliveries/${deliveryIdOf('e1', id)}`)).body.state).toBe('cancelled');
  expect((await api.ask('GET', '/v1/subscribers')).body.data).toEqual([]);
  expect((await api.ask('GET', `/v1/subscribers/${id}`)).status).toBe(404);
});

test('the list goes page by page, and a page is not lost when its last one is deleted', async () => {
  for (const name of ['a', 'b', 'c', 'd']) {
    await registered({ name });
    await api.clock.advance(1);
  }
  const first = (await api.ask('GET', '/v1/subscribers?limit=2')).body;
  expect(first.data.map(({ name }: { name: string }) => name)).toEqual(['a', 'b']);
  await api.ask('DELETE', `/v1/subscribers/${first.data[1].id}`);
  const second = (await api.ask('GET', `/v1/subscribers?limit=2&cursor=${first.nextCursor}`)).body;
  expect(second.data.map(({ name }: { name: string }) => name)).toEqual(['c', 'd']);
  expect(second.nextCursor).toBeNull();
});

/** An event that is owed to the subscriber. */
async function recordFor(id: string): Promise<void> {
  await furnished(api.store);
  await record(api.store, [anEvent('e1', { subscriberIds: [id] })]);
}
