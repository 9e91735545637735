import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { printer } from './print.ts';
import type { Surroundings } from './surroundings.ts';
import { type CommonOptions, verb } from './verb.ts';

interface DemoOptions extends CommonOptions {
  readonly once?: true;
  readonly path: string;
}

export function addDemo(program: Command, around: Surroundings): void {
  verb(program, 'demo', 'show it: an offline Fullscript, the relay and sample subscribers in one terminal')
    .option('--once', 'send a finite set, check every delivery, and end')
    .option('--path <folder>', 'where the demo keeps its keys and its log', '.demo')
    .action(async (options: DemoOptions) => {
      const to = printer(around.stdout, around.stderr, around.env);
      if (!options.once) {
        const { runLive } = await import('./demo/live.ts');
        const { demoKeys } = await import('./demo/keys.ts');
        const folder = resolve(around.folder, options.path);
        await runLive({ folder, keys: await demoKeys(folder), around, to });
        return;
      }
      const { runFinite } = await import('./demo/finite.ts');
      const folder = await mkdtemp(join(tmpdir(), 'relay-demo-'));
      try {
        const keys = { masterKey: randomKey(), jwtSecret: randomKey() };
        await runFinite({ folder, keys, around, to, asJson: options.json === true });
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    });
}

function randomKey(): string {
  return randomBytes(32).toString('base64');
}
