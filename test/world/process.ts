import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

/** A program of these tests made runnable by plain Node, from the sources as they are now. */
export async function builtProgram(
  name: string,
): Promise<{ readonly path: string; readonly discard: () => Promise<void> }> {
  const outDir = await mkdtemp(join(tmpdir(), 'relay-program-'));
  await build({
    configFile: false,
    logLevel: 'silent',
    ssr: { noExternal: true },
    build: {
      ssr: fileURLToPath(new URL(name, import.meta.url)),
      outDir,
      target: 'node20',
      rollupOptions: { output: { entryFileNames: 'program.mjs' } },
    },
  });
  return { path: join(outDir, 'program.mjs'), discard: () => rm(outDir, { recursive: true }) };
}

/** A process and what it prints. */
export interface Running {
  readonly child: ChildProcess;
  /** Whole lines so far. */
  lines(): readonly string[];
  /** Resolves with the first line that begins so; throws when the process ends before. */
  line(beginning: string): Promise<string>;
  /** Resolves when the process is gone and all of its output is here. */
  readonly ended: Promise<void>;
}

export function run(program: string, args: readonly string[]): Running {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  const waiting = new Set<() => void>();
  const wake = () => {
    for (const look of waiting) look();
  };
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
    wake();
  });
  let isOver = false;
  const ended = new Promise<void>((resolve) => {
    child.on('close', () => {
      isOver = true;
      wake();
      resolve();
    });
  });
  const lines = () => text.split('\n').slice(0, -1);
  return {
    child,
    lines,
    ended,
    line: (beginning) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = lines().find((line) => line.startsWith(beginning));
          if (found === undefined && !isOver) return;
          waiting.delete(look);
          if (found === undefined) reject(new Error(`the process ended without "${beginning}": ${text}`));
          else resolve(found);
        };
        waiting.add(look);
        look();
      }),
  };
}
