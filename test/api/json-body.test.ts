import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readJsonBody } from '../../src/api/json-body.ts';
import { RelayError } from '../../src/domain/errors.ts';

/** A server that answers what it has read, or the code of its refusal. */
let server: Server;
let url: string;

beforeAll(async () => {
  server = createServer((request, response) => {
    readJsonBody(request).then(
      (read) => response.end(JSON.stringify({ read: read === undefined ? 'nothing' : read })),
      (error: unknown) => {
        const { code, message } = error as RelayError;
        response.end(JSON.stringify({ code: error instanceof RelayError ? code : 'unexpected', message }));
      },
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

interface Read {
  readonly read?: unknown;
  readonly code?: string;
  readonly message?: string;
}

async function sent(
  body: string | Buffer,
  headers: Record<string, string> = { 'content-type': 'application/json' },
) {
  return (await (await fetch(url, { method: 'POST', body, headers })).json()) as Read;
}

describe('a body is one JSON object, or it is refused', () => {
  for (const { body, because } of [
    { body: 'null', because: 'null is no object' },
    { body: '[]', because: 'an array is no object' },
    { body: '"x"', because: 'a text is no object' },
    { body: '1', because: 'a number is no object' },
    { body: '{', because: 'it is cut off' },
    { body: '{"a":1,}', because: 'a comma too many' },
    { body: '{/* a */}', because: 'a comment' },
    { body: '{"a":NaN}', because: 'NaN is no JSON' },
    { body: '\ufeff{}', because: 'a byte order mark comes first' },
    { body: '{"a":1,"a":2}', because: 'a name twice' },
    { body: '{"a":1,"\\u0061":2}', because: 'a name twice, once in disguise' },
    { body: '{"b":[{"a":1,"a":2}]}', because: 'a name twice, deep inside' },
    { body: '{"headers":{"__proto__":"x"}}', because: 'a name that readers pass over' },
    { body: '{"\\u005f_proto__":{}}', because: 'the same in disguise' },
    { body: '{"a":"\\ud800"}', because: 'half of a surrogate pair' },
    { body: '{"\\udc00":1}', because: 'half of a surrogate pair in a name' },
    { body: `{"a":${'['.repeat(45_000)}${']'.repeat(45_000)}}`, because: 'it is nested 45,000 deep' },
    { body: `{"a":${'['.repeat(32)}${']'.repeat(32)}}`, because: 'it is nested 33 deep' },
    { body: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), because: 'it is not UTF-8' },
    { body: Buffer.from('{}', 'utf16le'), because: 'it is UTF-16' },
  ]) {
    test(because, async () => expect((await sent(body)).code).toBe('invalid_json'));
  }

  for (const { body, read, because } of [
    { body: '{}', read: {}, because: 'an empty object' },
    { body: '', read: 'nothing', because: 'no body at all' },
    { body: '{"a":{"b":1},"c":{"b":1}}', because: 'a name twice in two objects' },
    { body: '{"a":"b","b":"a"}', because: 'a text that is also a name' },
    { body: '{"a":["a","a"]}', because: 'a text twice in an array' },
    { body: '{"a":"{\\"a\\":1,\\"a\\":2}"}', because: 'JSON inside a text' },
    { body: '{"a":"\\ud83d\\ude00"}', because: 'a whole surrogate pair' },
    { body: `{"a":${'['.repeat(31)}${']'.repeat(31)}}`, because: 'nested 32 deep' },
    { body: `{"a":"${'\\\\'.repeat(1000)}","b":"\\\\"}`, because: 'many escapes' },
  ]) {
    test(`taken: ${because}`, async () =>
      expect(await sent(body)).toEqual({ read: read ?? JSON.parse(body) }));
  }

  test('what is refused is not repeated', async () => {
    expect((await sent('{"secret":"whsec_abc" oh}')).message).toBe('The body is not JSON in UTF-8.');
  });
});

describe('what is not plain JSON in UTF-8 is refused before it is read', () => {
  for (const headers of [
    { 'content-type': 'text/plain' },
    { 'content-type': 'text/json' },
    { 'content-type': 'application/json;charset=utf-7' },
    { 'content-type': 'application/jsonp' },
    { 'content-type': 'multipart/form-data; boundary=x' },
    { 'content-type': 'application/x-www-form-urlencoded' },
    { 'content-type': '' },
    { 'content-type': 'application/json', 'content-encoding': 'gzip' },
    { 'content-type': 'application/json', 'content-encoding': 'br' },
  ]) {
    test(JSON.stringify(headers), async () =>
      expect((await sent('{}', headers)).code).toBe('media_type_unsupported'),
    );
  }

  for (const type of [
    'application/json',
    'Application/JSON; charset=UTF-8',
    'application/json;charset="utf-8"',
  ]) {
    test(`taken: ${type}`, async () => expect((await sent('{}', { 'content-type': type })).read).toEqual({}));
  }

  test('a gzip bomb stays packed', async () => {
    const bomb = gzipSync(Buffer.alloc(50 * 1024 * 1024, 0x20));
    const read = await sent(bomb, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
    expect(read.code).toBe('media_type_unsupported');
  });
});

describe('100 kB are enough', () => {
  const filled = (bytes: number) => `{"a":"${'x'.repeat(bytes - 8)}"}`;

  test('a body of exactly 102,400 bytes is read', async () => {
    expect((await sent(filled(102_400))).read).toBeDefined();
  });

  test('one byte more is refused', async () => {
    expect((await sent(filled(102_401))).code).toBe('body_too_large');
  });

  test('a body without a length is counted as it comes', async () => {
    const head =
      'POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n';
    const chunk = `2000\r\n${'x'.repeat(0x2000)}\r\n`;
    const { port } = server.address() as AddressInfo;
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => socket.write(head + chunk.repeat(20)));
      socket.once('data', (data) => {
        socket.destroy();
        resolve(data.toString());
      });
      socket.once('error', reject);
    });
    expect(answer).toContain('body_too_large');
  });
});

test('a client that goes away in the middle of its body made a mistake of its own (205)', async () => {
  const refused = await new Promise<unknown>((resolve) => {
    const listening = createServer((request) => {
      readJsonBody(request)
        .then(resolve, resolve)
        .finally(() => listening.close());
      request.socket.destroy();
    });
    listening.listen(0, '127.0.0.1', () => {
      const head = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10';
      connect((listening.address() as AddressInfo).port, '127.0.0.1').end(`${head}\r\n\r\n{}`);
    });
  });
  expect(refused).toMatchObject({ code: 'invalid_json' });
});
