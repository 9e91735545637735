import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { run } from '../../src/cli/program.ts';
import { relayUrlOf } from '../../src/cli/relay-url.ts';
import { type Outside, outside } from './outside.ts';

let around: Outside & { discard(): Promise<void> };
beforeEach(async () => {
  around = await outside();
});
afterEach(() => around.discard());

const file = 'relay.config.json';

function write(server: unknown): void {
  writeFileSync(join(around.folder, file), JSON.stringify({ server }));
}

describe('a client finds the relay where its configuration has it listen', () => {
  for (const { server, env = {}, url } of [
    { server: undefined, url: 'http://127.0.0.1:8080' },
    { server: { port: 9000 }, url: 'http://127.0.0.1:9000' },
    { server: { host: '0.0.0.0' }, url: 'http://127.0.0.1:8080' },
    { server: { host: '::' }, url: 'http://[::1]:8080' },
    { server: { host: 'fd00::1', port: 80 }, url: 'http://[fd00::1]:80' },
    { server: { port: 9000 }, env: { PORT: '9001' }, url: 'http://127.0.0.1:9001' },
    { server: { host: '${HOST}' }, env: { HOST: 'relay.internal' }, url: 'http://relay.internal:8080' },
    { server: { host: 'a b' }, env: { RELAY_URL: 'http://relay:1' }, url: 'http://relay:1/' },
  ]) {
    test(`${JSON.stringify(server)} with ${JSON.stringify(env)}: ${url}`, () => {
      write(server);
      expect(relayUrlOf(around.folder, env, file)).toBe(url);
    });
  }
});

describe('an address that cannot be one is named, with 2 and no stack', () => {
  for (const { server, env = {}, path } of [
    { server: { host: 'a b' }, path: 'server.host' },
    { server: { host: 'relay/x' }, path: 'server.host' },
    { server: { host: 'me@relay' }, path: 'server.host' },
    { server: { host: 'http://relay' }, path: 'server.host' },
    { server: { host: '[' }, path: 'server.host' },
    { server: { host: 5 }, path: 'server.host' },
    { server: { host: null }, path: 'server.host' },
    { server: { host: '${NOT_SET}' }, path: 'server.host' },
    { server: { port: 99_999 }, path: 'server.port' },
    { server: { port: 0 }, path: 'server.port' },
    { server: { port: 'http' }, path: 'server.port' },
    { server: { port: 1.5 }, path: 'server.port' },
    { server: { port: {} }, path: 'server.port' },
    { server: {}, env: { PORT: 'x' }, path: 'PORT' },
    { server: {}, env: { PORT: '99999' }, path: 'PORT' },
  ]) {
    test(`${JSON.stringify(server)} with ${JSON.stringify(env)}: ${path}`, async () => {
      write(server);
      const client = await outside({ folder: around.folder, env: { ...env, RELAY_TOKEN: 't' } });
      expect(await run(['status'], client)).toBe(2);
      expect(client.err()).toContain(`  ${path}: `);
      expect(client.err()).toContain('RELAY_URL');
      expect(client.err()).not.toMatch(/Invalid URL|fault of the relay|\bat /);
    });
  }
});
