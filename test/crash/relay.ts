import { type ChildProcess, fork } from 'node:child_process';
import { rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { build } from 'vite';
import type { CallApi } from '../../src/client/relay-api.ts';
import type { Doom } from './doom.ts';
import { cleared, leaves } from './leftovers.ts';
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
  leaves(path, () => rmSync(path));
  return {
    path,
    discard() {
      rmSync(path);
      cleared(path);
    },
  };
}

/** Far more than anything takes: a machine may be busy with other things. */
const waitMs = 60_000;

const children = new Set<ChildProcess>();

/** For a run that is broken off: nothing goes on writing to what is cleared away. */
export function killAll(): void {
  for (const child of children) child.kill('SIGKILL');
}

/** One life of the relay: a process, until it ends. */
export class RelayLife {
  /** It met its doom. */
  isMet = false;
  url: string | null = null;
  failed: string | null = null;
  exit: { readonly code: number | null; readonly signal: string | null } | null = null;
  /** The error's code; `null` when it is whole, `undefined` while nothing was told. */
  backedUp: string | null | undefined;
  readonly output: string[] = [];
  readonly #town: Town;
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();
  #isArmed = false;

  constructor(
    program: string,
    town: Town,
    { doom = null, heapMb = null }: { doom?: Doom | null; heapMb?: number | null } = {},
  ) {
    this.#town = town;
    this.#child = fork(program, [town.configPath, JSON.stringify(doom), String(town.aheadMs)], {
      env: { ...process.env, ...town.env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      execArgv: heapMb === null ? [] : [`--max-old-space-size=${heapMb}`],
    });
    children.add(this.#child);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => this.output.push(text));
    }
    this.#child.on('message', (news: News) => {
      if ('url' in news) this.url = news.url;
      else if ('failed' in news) this.failed = news.failed;
      else if ('armed' in news) this.#isArmed = true;
      else if ('backedUp' in news) this.backedUp = news.backedUp;
      else this.isMet = true;
      this.#tell();
    });
    this.#child.once('close', (code, signal) => {
      this.exit = { code, signal };
      children.delete(this.#child);
      this.#tell();
    });
  }

  /** Resolves with the API when it answers, with `null` when the process ended before. */
  async up(): Promise<CallApi | null> {
    await this.#until(() => this.url !== null || this.exit !== null, waitMs, 'to start');
    return this.url === null || this.exit !== null ? null : this.#town.api(this.url);
  }

  async arm(doom: Doom): Promise<void> {
    this.#isArmed = false;
    this.#order({ arm: doom });
    await this.#until(() => this.#isArmed || this.exit !== null, waitMs, 'to be armed');
  }

  /** Lets so much time have passed, here and at the vendor. */
  advance(ms: number): void {
    this.#town.advance(ms);
    this.#order({ advanceMs: ms });
  }

  /** Copies the store into this file; resolves when it is told to be done or the process ended. */
  async backUp(to: string): Promise<void> {
    this.#order({ backUpTo: to });
    await this.#until(() => this.backedUp !== undefined || this.exit !== null, waitMs, 'to make a backup');
  }

  /** Takes memory until there is none. */
  swell(): void {
    this.#order({ swell: true });
  }

  stop(): void {
    this.#order({ stop: true });
  }

  /** Whether it ended within the time. */
  async ends(withinMs: number): Promise<boolean> {
    await this.#until(() => this.exit !== null, withinMs, 'to end').catch(() => {});
    return this.exit !== null;
  }

  /** Stops it where it stands; only `kill` ends it then. */
  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  async kill(): Promise<void> {
    if (this.exit === null) this.#child.kill('SIGKILL');
    await this.#until(() => this.exit !== null, waitMs, 'to be gone');
  }

  #order(order: Order): void {
    if (this.#child.connected) this.#child.send(order, () => {});
  }

  #tell(): void {
    for (const look of this.#waiting) look();
  }

  #until(isSo: () => boolean, withinMs: number, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (!isSo()) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        reject(
          new Error(`the relay's process took ${withinMs} ms ${what}: ${this.output.slice(-5).join('')}`),
        );
      }, withinMs);
      this.#waiting.add(look);
      look();
    });
  }
}
