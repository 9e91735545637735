import { describe, expect, test } from 'vitest';
import { configJsonSchema, loadConfig } from '../src/config.ts';
import { InvalidInput } from '../src/domain/errors.ts';
import { readStartFrom } from '../src/domain/start-from.ts';

const env = {
  RELAY_MASTER_KEY: Buffer.alloc(32, 7).toString('base64'),
  RELAY_JWT_SECRET: 'k3h5g8d1s9a7q2w4e6r8t0y1u3i5o7p9z',
  CLIENT_SECRET: 'from the environment',
};

const whole = {
  source: { environment: 'us-sandbox', clientId: 'id', clientSecret: '${CLIENT_SECRET}' },
  clinics: [{ name: 'Washington', accessToken: 'a', refreshToken: 'r' }],
  subscribers: [
    { name: 'ehr', url: 'https://ehr.example/hook', secret: 'a-signing-secret-of-32-characters' },
  ],
};

function load(file: unknown, changes: Record<string, string | undefined> = {}) {
  const files: Record<string, string> = {
    'relay.config.json': typeof file === 'string' ? file : JSON.stringify(file),
    '/run/secrets/x': 'from a file\n',
  };
  return loadConfig({
    path: 'relay.config.json',
    env: { ...env, ...changes },
    readFile: (path) => {
      const text = files[path];
      if (text === undefined) throw new Error('no such file');
      return text;
    },
  });
}

function problemsOf(file: unknown, changes: Record<string, string | undefined> = {}): Record<string, string> {
  try {
    load(file, changes);
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidInput);
    return Object.fromEntries((error as InvalidInput).problems.map(({ path, message }) => [path, message]));
  }
  return {};
}

test('what is left out gets its default, and the environment its preset URLs', () => {
  const config = load(whole);
  expect(config.source).toMatchObject({
    apiUrl: 'https://api-us-snd.fullscript.io/api',
    clientSecret: 'from the environment',
    requestsPerFiveMinutes: 2500,
    pollSecondsMin: 30,
    overlapDays: 2,
    startFrom: 'now',
  });
  expect(config.delivery).toMatchObject({ timeoutMs: 15_000, concurrency: 64, allow: [] });
  expect(config.server).toMatchObject({ host: '127.0.0.1', port: 8080, trustProxy: false });
  expect(config.retention).toEqual({ idsDays: 35, bodiesDays: 30, deliveriesDays: 90 });
  expect(config.keys.masterKey).toHaveLength(32);
});

test('five mistakes are named all at once, each with its path', () => {
  const problems = problemsOf({
    source: { environment: 'mars', clientId: 'id', clientSecret: '${NOT_SET}', polSecondsMin: 5 },
    clinics: [{ name: 'Washington' }],
    subscribers: [{ name: 'ehr', url: 'https://ehr.example/hook', secret: 'short' }],
  });
  expect(Object.keys(problems).sort()).toEqual([
    'clinics[0]',
    'source.clientSecret',
    'source.environment',
    'source.polSecondsMin',
    'subscribers[0].secret',
  ]);
  expect(problems['source.polSecondsMin']).toContain('did you mean pollSecondsMin?');
  expect(problems['source.clientSecret']).toContain('relay init');
});

test('mistakes across the parts are named beside those within them', () => {
  const problems = problemsOf(
    {
      source: { environment: 'us', apiUrl: 'http://api.example/api', clientId: 'id', clientSecret: 7 },
      clinics: [...whole.clinics, { ...whole.clinics[0], tokn: 'x' }],
      store: { pth: './data' },
    },
    { DYNO: 'web.1', PORT: '99999' },
  );
  expect(Object.keys(problems).sort()).toEqual([
    'PORT',
    'clinics[1].name',
    'clinics[1].tokn',
    'source.apiUrl',
    'source.clientSecret',
    'store.kind',
    'store.pth',
  ]);
});

test('a file that is not JSON is told by its line, and nothing of it is repeated', () => {
  expect(problemsOf('{\n  "a": "a-secret"\n  "b": 1 }')['']).toBe('is not JSON: line 3');
  expect(problemsOf('{"a": a-secret}')['']).toBe('is not JSON');
});

test('plain http to Fullscript is for a sandbox, or for this machine', () => {
  const at = (environment: string, apiUrl: string) =>
    Object.keys(problemsOf({ ...whole, source: { ...whole.source, environment, apiUrl } }));
  expect(at('us', 'http://proxy.internal/api')).toEqual(['source.apiUrl']);
  expect(at('ca', 'http://127.0.0.1.evil.example/api')).toEqual(['source.apiUrl']);
  expect(at('us', 'http://127.0.0.1:4010/api')).toEqual([]);
  expect(at('us-sandbox', 'http://sandbox:4010/api')).toEqual([]);
  expect(at('us', 'https://proxy.internal/api')).toEqual([]);
});

test('operational events to Slack need no secret', () => {
  const url = 'https://hooks.slack.example/services/x';
  expect(load({ ...whole, operationalEvents: { url, format: 'slack' } }).operationalEvents).toEqual({
    url,
    format: 'slack',
  });
});

test('a secret may come from a file, its newline taken off', () => {
  const config = load({ ...whole, source: { ...whole.source, clientSecret: '${file:/run/secrets/x}' } });
  expect(config.source.clientSecret).toBe('from a file');
});

test('a platform that sets PORT gets that port on every address', () => {
  expect(load(whole, { PORT: '5000' }).server).toMatchObject({ host: '0.0.0.0', port: 5000 });
  expect(load({ ...whole, server: { host: '10.1.1.1' } }, { PORT: '5000' }).server.host).toBe('10.1.1.1');
});

describe('refused', () => {
  const subscriber = whole.subscribers[0];
  for (const { file, changes, path, because } of [
    { file: {}, path: 'source', because: 'the source is missing' },
    { file: '{', path: '', because: 'it is not JSON' },
    { file: '[]', path: '', because: 'it is a list' },
    { file: { ...whole, clinc: [] }, path: 'clinc', because: 'the key is unknown' },
    {
      file: { ...whole, source: { ...whole.source, lists: { shipments: { path: '/events/x' } } } },
      path: 'source.lists.shipments',
      because: 'no category has that name',
    },
    ...[
      'events/x',
      '/events/../oauth',
      '/events?x=1',
      '//evil.example',
      'https://evil.example',
      '/a/%2e%2e',
    ].map((listPath) => ({
      file: { ...whole, source: { ...whole.source, lists: { orders: { path: listPath } } } },
      path: 'source.lists.orders.path',
      because: `${listPath} is no path below the API`,
    })),
    {
      file: { ...whole, source: { ...whole.source, lists: { orders: { query: { 'page[size]': '5' } } } } },
      path: 'source.lists.orders.query.page[size]',
      because: 'the relay says that itself',
    },
    {
      file: { ...whole, source: { ...whole.source, categories: ['orders', 'patients', 'orders'] } },
      path: 'source.categories[2]',
      because: 'it would be read and counted twice',
    },
    {
      file: { ...whole, source: { ...whole.source, webhooks: { secret: '' } } },
      path: 'source.webhooks.secret',
      because: 'nobody could tell who sent them',
    },
    {
      file: { ...whole, store: { kind: 'postgres' } },
      path: 'store.kind',
      because: 'PostgreSQL is not built yet',
    },
    {
      file: { ...whole, operationalEvents: { url: 'https://ops.example/hook' } },
      path: 'operationalEvents.secret',
      because: 'nobody could tell who sent them',
    },
    {
      file: { ...whole, operationalEvents: { url: 'https://ops.example/hook', secret: 'aaaa' } },
      path: 'operationalEvents.secret',
      because: 'it can be guessed',
    },
    {
      file: { ...whole, operationalEvents: { url: 'ops.example', format: 'slack' } },
      path: 'operationalEvents.url',
      because: 'it is no URL',
    },
    {
      file: { ...whole, retention: { idsDays: 30 } },
      path: 'retention.idsDays',
      because: 'the vendor lists 30 days',
    },
    {
      file: { ...whole, source: { ...whole.source, pollSecondsMin: 60, pollSecondsMax: 30 } },
      path: 'source.pollSecondsMin',
      because: 'the least is more than the most',
    },
    {
      file: { ...whole, clinics: [...whole.clinics, ...whole.clinics] },
      path: 'clinics[1].name',
      because: 'two clinics have one name',
    },
    {
      file: { ...whole, subscribers: [{ ...subscriber, secret: undefined }] },
      path: 'subscribers[0].secret',
      because: 'a declared subscriber needs a secret that survives a restart',
    },
    {
      file: { ...whole, subscribers: [{ ...subscriber, eventType: ['order.*'] }] },
      path: 'subscribers[0].eventType',
      because: 'a misspelt filter would let everything through',
    },
    {
      file: { ...whole, subscribers: [{ ...subscriber, eventTypes: ['(a+)+$'] }] },
      path: 'subscribers[0].eventTypes[0]',
      because: 'it is no pattern',
    },
    {
      file: { ...whole, delivery: { allow: ['169.254.0.0/16'] } },
      path: 'delivery.allow[0]',
      because: 'link-local is never allowed',
    },
    {
      file: { ...whole, delivery: { allow: ['0.0.0.0/0'] } },
      path: 'delivery.allow[0]',
      because: 'it is everything',
    },
    {
      file: { ...whole, delivery: { proxy: 'socks5h://proxy.internal:1080' } },
      path: 'delivery.proxy',
      because: 'the proxy would resolve names that nobody vetted',
    },
    {
      file: { ...whole, server: { trustProxy: true } },
      path: 'server.trustProxy',
      because: 'it has to say how many',
    },
    { file: { ...whole, server: { port: 99_999 } }, path: 'server.port', because: 'there is no such port' },
    {
      file: { ...whole, source: { ...whole.source, startFrom: 'yesterday' } },
      path: 'source.startFrom',
      because: 'it is no moment',
    },
    {
      file: whole,
      changes: { RELAY_MASTER_KEY: undefined },
      path: 'RELAY_MASTER_KEY',
      because: 'there is no key',
    },
    {
      file: whole,
      changes: { RELAY_MASTER_KEY: 'abc' },
      path: 'RELAY_MASTER_KEY',
      because: 'the key is short',
    },
    {
      file: whole,
      changes: { RELAY_JWT_SECRET: 'changeme' },
      path: 'RELAY_JWT_SECRET',
      because: 'it is guessable',
    },
    {
      file: whole,
      changes: { RELAY_JWT_SECRET: 'a'.repeat(40) },
      path: 'RELAY_JWT_SECRET',
      because: 'it is one letter',
    },
    {
      file: whole,
      changes: { RELAY_JWT_SECRET: env.RELAY_MASTER_KEY },
      path: 'RELAY_JWT_SECRET',
      because: 'it is the other key',
    },
    { file: whole, changes: { DYNO: 'web.1' }, path: 'store.kind', because: 'a dyno has no disk' },
    { file: whole, changes: { PORT: '0x50' }, path: 'PORT', because: 'it is no number' },
    {
      file: whole,
      changes: { NODE_TLS_REJECT_UNAUTHORIZED: '0' },
      path: 'NODE_TLS_REJECT_UNAUTHORIZED',
      because: 'certificates would not be checked',
    },
  ]) {
    test(`${path === '' ? 'the file' : path}: ${because}`, () => {
      expect(Object.keys(problemsOf(file, changes))).toEqual([path]);
    });
  }

  test('an egress proxy is read from its URL, and there is none unless one is given', () => {
    const proxy = (delivery: object) => load({ ...whole, delivery }).delivery.proxy;
    expect(proxy({})).toBeNull();
    expect(proxy({ proxy: 'http://proxy.internal:3128' })).toEqual({
      kind: 'http',
      host: 'proxy.internal',
      port: 3128,
      authorization: null,
    });
  });

  test('no secret is repeated in a message', () => {
    const text = JSON.stringify(
      problemsOf({ ...whole, subscribers: [{ ...subscriber, secret: 'short-secret', url: 7 }] }),
    );
    expect(text).not.toContain('short-secret');
  });
});

for (const { text, read } of [
  { text: 'now', read: { agoMs: 0 } },
  { text: '30d', read: { agoMs: 2_592_000_000 } },
  { text: '12h', read: { agoMs: 43_200_000 } },
  { text: '2026-11-22T00:00:00Z', read: { at: Date.parse('2026-11-22T00:00:00Z') } },
  { text: '2026-02-30T00:00:00Z', read: null },
  { text: '-1d', read: null },
  { text: '1e9d', read: null },
  { text: '', read: null },
]) {
  test(`startFrom "${text}" is ${read === null ? 'refused' : 'understood'}`, () => {
    expect(readStartFrom(text)).toEqual(read);
  });
}

test('the JSON Schema names every part of the file', () => {
  const schema = configJsonSchema() as { properties: Record<string, unknown> };
  expect(Object.keys(schema.properties)).toEqual(
    expect.arrayContaining(['source', 'clinics', 'subscribers', 'delivery', 'store', 'server', 'retention']),
  );
});
