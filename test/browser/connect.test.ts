import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { signToken } from '../../src/api/auth.ts';
import { loadConfig } from '../../src/config.ts';
import { silentLogger } from '../../src/logger.ts';
import { type RunningRelay, startRelay } from '../../src/main.ts';
import { type RunningSandbox, startSandbox } from '../../src/sandbox/server.ts';
import { openBrowser } from './browser.ts';

/** Where pictures of the pages are left for whoever wants to look at them; none are taken without. */
const picturesTo = process.env.RELAY_TEST_PICTURES;

const opened = await openBrowser();
const env = {
  RELAY_MASTER_KEY: Buffer.alloc(32, 7).toString('base64'),
  RELAY_JWT_SECRET: 'kD93nfWm2-0sPz7vQx1LbTgYh4RcUeJa',
};
const why = opened.kind === 'cannot' ? `: no browser runs here, ${opened.reason}` : '';

describe.skipIf(opened.kind === 'cannot')(`connecting a clinic in a browser${why}`, () => {
  let folder: string;
  let sandbox: RunningSandbox;
  let relay: RunningRelay;
  let page: Page;
  let complaints: string[];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'relay-connect-'));
    const port = await freePort();
    const callback = `http://127.0.0.1:${port}/oauth/callback`;
    const clinics = ['Washington', 'New York', 'Oregon'];
    sandbox = await startSandbox({ seed: 5, clinics, redirectUris: [callback] });
    const written = {
      source: {
        environment: 'us-sandbox',
        apiUrl: `${sandbox.url}/api`,
        redirectUri: callback,
        clientId: 'sandbox-client',
        clientSecret: 'sandbox-secret',
        pollSecondsMin: 1,
        pollSecondsMax: 1,
      },
      store: { kind: 'file', path: join(folder, 'data') },
      server: { port },
    };
    const config = loadConfig({ path: 'relay.config.json', env, readFile: () => JSON.stringify(written) });
    relay = await startRelay({ config, logger: silentLogger });
    if (opened.kind === 'cannot') return;
    page = await opened.browser.newPage({ viewport: { width: 1280, height: 800 } });
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
  }, 60_000);

  afterAll(async () => {
    await relay.stop();
    await sandbox.close();
    await rm(folder, { recursive: true });
    if (opened.kind === 'open') await opened.close();
  });

  async function api(method: string, path: string, body?: unknown) {
    const ask = { subject: 'operator', scopes: ['admin'], expiresInSeconds: 60 } as const;
    const { token } = signToken({ kind: 'secret', secret: env.RELAY_JWT_SECRET }, ask, Date.now());
    const response = await fetch(`${relay.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    // biome-ignore lint/suspicious/noExplicitAny: each test says what it expects of it
    return (await response.json()) as any;
  }

  async function link(name?: string): Promise<string> {
    return (await api('POST', '/v1/clinics/connect', { name })).authorizeUrl;
  }

  /** What a user of a clinic does at the vendor: the page that it ends on. */
  async function decide(url: string, clinic: string, decision: 'Allow' | 'Deny') {
    complaints = [];
    await page.goto(url);
    await page.getByLabel('Clinic').selectOption(clinic);
    await picture(`at-the-vendor-${clinic}`);
    await page.getByRole('button', { name: decision }).click();
    await page.waitForURL(`${relay.url}/oauth/callback?**`);
    return shown();
  }

  async function shown() {
    await picture((await page.title()).replaceAll(/\W+/g, '-').toLowerCase());
    return {
      heading: await page.getByRole('heading', { level: 1 }).textContent(),
      text: await page.getByRole('main').textContent(),
    };
  }

  async function picture(name: string): Promise<void> {
    if (picturesTo === undefined) return;
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      for (const [device, width, height] of [
        ['desktop', 1280, 800],
        ['phone', 390, 844],
      ] as const) {
        await page.setViewportSize({ width, height });
        await page.screenshot({ path: join(picturesTo, `${name}-${device}-${colorScheme}.png`) });
      }
    }
  }

  async function connected(): Promise<readonly string[]> {
    const { data } = await api('GET', '/v1/clinics');
    return data.map(({ name, state }: { name: string; state: string }) => `${name} ${state}`);
  }

  test('who allows sees that the clinic is connected, and its events are read', async () => {
    expect((await decide(await link('Washington'), 'Washington', 'Allow')).heading).toBe(
      'Washington is connected',
    );
    expect(await connected()).toEqual(['Washington active']);
    const event = sandbox.fullscript.addEvent({ clinic: 'Washington', type: 'order.placed' });
    await expect
      .poll(async () => (await api('GET', '/v1/events')).data.map(({ id }: { id: string }) => id), {
        timeout: 10_000,
      })
      .toEqual([event.id]);
    await page.reload();
    expect((await shown()).heading).toBe('Washington is connected');
    expect(complaints).toEqual([]);
    expect(await connected()).toEqual(['Washington active']);
  });

  test('who denies sees that nothing has changed; the link is used up, and cannot be turned into a permission', async () => {
    const before = await connected();
    const url = await link('Oregon');
    const { heading, text } = await decide(url, 'Oregon', 'Deny');
    expect(heading).toBe('Not connected');
    expect(text).toContain('nothing has changed');
    expect((await decide(url, 'Oregon', 'Allow')).heading).toBe('Not connected');
    expect(await connected()).toEqual(before);
  });

  test('a user of another clinic connects nothing under its name', async () => {
    await decide(await link('Washington'), 'Washington', 'Allow');
    const before = await connected();
    const { heading, text } = await decide(await link('Washington'), 'New York', 'Allow');
    expect(heading).toBe('Not connected');
    expect(text).toContain('sign in to Fullscript as a user of that clinic');
    expect(await connected()).toEqual(before);
  });

  test('without a name it is called as Fullscript calls it', async () => {
    expect((await decide(await link(), 'Oregon', 'Allow')).heading).toBe('Oregon is connected');
    expect(await connected()).toContain('Oregon active');
  });

  test('a forged link shows nothing of itself, at the width of a phone, too', async () => {
    complaints = [];
    await page.setViewportSize({ width: 390, height: 844 });
    await page.goto(`${relay.url}/oauth/callback?state=%3Cscript%3Ealert(1)%3C/script%3E&code=forged`);
    const { heading, text } = await shown();
    expect(heading).toBe('This link is not valid');
    expect(text).not.toContain('alert');
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
  });
});

/** The redirect URI is registered before the relay listens. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
