import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';

export type Opened =
  | { readonly kind: 'open'; readonly browser: Browser; close(): Promise<void> }
  /** Why no browser runs on this machine, in one line. */
  | { readonly kind: 'cannot'; readonly reason: string };

/**
 * Opens the Chromium that npm installs, with the libraries and fonts that come with it, all
 * of it unpacked into a folder of its own. It reaches this machine and nothing else.
 */
export async function openBrowser(): Promise<Opened> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return {
      kind: 'cannot',
      reason: `it comes for Linux on x64, and this is ${process.platform} on ${process.arch}`,
    };
  }
  const folder = mkdtempSync(join(tmpdir(), 'relay-browser-'));
  const discard = () => rmSync(folder, { recursive: true, force: true });
  // Chromium is unpacked here; it brings the libraries that a bare machine lacks only where it believes to be on AWS.
  process.env.TMPDIR = folder;
  process.env.AWS_EXECUTION_ENV = 'AWS_Lambda_nodejs20.x';
  try {
    const { default: packed } = await import('@sparticuz/chromium');
    const { chromium } = await import('playwright-core');
    const executablePath = await packed.executablePath();
    const fonts = join(folder, 'fonts.conf');
    writeFileSync(
      fonts,
      `<fontconfig><dir>${folder}/fonts</dir><cachedir>${folder}/cache</cachedir></fontconfig>`,
    );
    const browser = await chromium.launch({
      executablePath,
      env: { ...process.env, FONTCONFIG_FILE: fonts },
      args: ['--no-sandbox', '--no-zygote', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
    });
    return {
      kind: 'open',
      browser,
      async close() {
        await browser.close();
        discard();
      },
    };
  } catch (thrown) {
    discard();
    const [line] = (thrown instanceof Error ? thrown.message : String(thrown)).split('\n');
    return { kind: 'cannot', reason: line ?? 'it does not start' };
  }
}
