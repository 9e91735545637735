import { type ChildProcess, fork } from 'node:child_process';
import { rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { build } from 'vite';
import type { CallApi } from '../../src/client/relay-api.ts';
import type { Doom } from './doom.ts';
import type { News, Order } from './relay-process.ts';
import type { Town } from './town.ts';

/** The relay's process made runnable by plain Node, from the sources as they are now. */
export async function builtRelay(): Promise<{ readonly path: string; readonly discard: () => void }> {
  // As deep as the source that looks for package.json.
  const outDir = resolve(import.meta.dirname, '../../dist/main');
  const name = `crash-${process.pid}.js`;
  await build({
    configFile: false,
    logLevel: 'silent',
    build: {
      ssr: resolve(import.meta.dirname, 'relay-process.ts'),
      outDir,
      emptyOutDir: false,
      target: 'node20',
      rollupOptions: { output: { entryFileNames: name } },
    },
  });
  const path = resolve(outDir, name);
  return { path, discard: () => rmSync(path) };
}

/** One life of the relay: a process, until it ends. */
export class RelayLife {
  /** It met its doom. */
  isMet = false;
  url: string | null = null;
  failed: string | null = null;
  exit: { readonly code: number | null; readonly signal: string | null } | null = null;
  readonly output: string[] = [];
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();
  #isArmed = false;

  constructor(
    program: string,
    town: Town,
    { doom = null, clockAheadMs = 0 }: { doom?: Doom | null; clockAheadMs?: number } = {},
  ) {
    this.#child = fork(program, [town.configPath, JSON.stringify(doom), String(clockAheadMs)], {
      env: { ...process.env, ...town.env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      execArgv: [],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => this.output.push(text));
    }
    this.#child.on('message', (news: News) => {
      if ('url' in news) this.url = news.url;
      else if ('failed' in news) this.failed = news.failed;
      else if ('armed' in news) this.#isArmed = true;
      else this.isMet = true;
      this.#tell();
    });
    this.#child.once('close', (code, signal) => {
      this.exit = { code, signal };
      this.#tell();
    });
  }

  /** Resolves with the API when it answers, with `null` when the process ended before. */
  async up(town: Town): Promise<CallApi | null> {
    await this.#until(() => this.url !== null || this.exit !== null, 20_000);
    return this.url === null || this.exit !== null ? null : town.api(this.url);
  }

  async arm(doom: Doom): Promise<void> {
    this.#isArmed = false;
    this.#order({ arm: doom });
    await this.#until(() => this.#isArmed || this.exit !== null, 5_000);
  }

  putClockAhead(clockAheadMs: number): void {
    this.#order({ clockAheadMs });
  }

  /** Whether it ended within the time. */
  async ends(withinMs: number): Promise<boolean> {
    await this.#until(() => this.exit !== null, withinMs).catch(() => {});
    return this.exit !== null;
  }

  /** Stops it where it stands; only `kill` ends it then. */
  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  async kill(): Promise<void> {
    if (this.exit === null) this.#child.kill('SIGKILL');
    await this.#until(() => this.exit !== null, 10_000);
  }

  #order(order: Order): void {
    if (this.#child.connected) this.#child.send(order, () => {});
  }

  #tell(): void {
    for (const look of this.#waiting) look();
  }

  #until(isSo: () => boolean, withinMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (!isSo()) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        reject(new Error(`the relay's process kept waiting: ${this.output.slice(-5).join('')}`));
      }, withinMs);
      this.#waiting.add(look);
      look();
    });
  }
}
