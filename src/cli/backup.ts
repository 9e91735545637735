import { resolve } from 'node:path';
import type { Command } from 'commander';
import { inert, printer } from './print.ts';
import { configOf } from './session.ts';
import type { Surroundings } from './surroundings.ts';
import { type CommonOptions, verb } from './verb.ts';

interface BackupOptions extends CommonOptions {
  readonly from?: string;
  readonly keys?: string;
}

export function addBackup(program: Command, around: Surroundings): void {
  verb(program, 'backup <file>', 'copy the delivery log into one file, also while the relay runs')
    .option('--from <folder>', 'the data folder, instead of the one that the configuration names')
    .option(
      '--keys <file>',
      'put the data keys into this file instead, in place of those of the backup before',
    )
    .action(async (file: string, options: BackupOptions) => {
      const from = options.from ?? (await configOf(around, options.config)).config.store.path;
      const { backUpStore } = await import('../main/upkeep.ts');
      const made = await backUpStore({
        from: resolve(around.folder, from),
        to: resolve(around.folder, file),
        keysTo: options.keys === undefined ? null : resolve(around.folder, options.keys),
        now: around.clock.wall(),
      });
      const to = printer(around.stdout, around.stderr, around.env);
      if (options.json) return to.json({ file, ...made });
      to.out(inert(`Backed up ${made.files} files, ${made.bytes} bytes: ${file}`));
      to.note(
        options.keys === undefined
          ? 'It opens only under the master key of this relay: keep that apart from it.'
          : inert(`It opens only with ${options.keys} and under the master key: keep the three apart.`),
      );
    });
}
