import { resolve } from 'node:path';
import type { Command } from 'commander';
import { inert, printer } from './print.ts';
import type { Surroundings } from './surroundings.ts';
import { type CommonOptions, verb } from './verb.ts';

interface RestoreOptions extends CommonOptions {
  readonly to: string;
  readonly keys?: string;
}

export function addRestore(program: Command, around: Surroundings): void {
  verb(
    program,
    'restore <file>',
    'put a backup into an empty folder; nothing is sent or read before you resume it',
  )
    .requiredOption('--to <folder>', 'an empty folder, or one that does not exist yet')
    .option('--keys <file>', 'where `relay backup --keys` put the data keys')
    .action(async (file: string, options: RestoreOptions) => {
      const { restoreStore } = await import('../main/upkeep.ts');
      const restored = await restoreStore({
        from: resolve(around.folder, file),
        to: resolve(around.folder, options.to),
        keysFrom: options.keys === undefined ? null : resolve(around.folder, options.keys),
        now: around.clock.wall(),
      });
      const takenAt = new Date(restored.takenAt).toISOString();
      const to = printer(around.stdout, around.stderr, around.env);
      if (options.json) return to.json({ ...restored, takenAt, folder: options.to });
      to.out(inert(`Restored ${restored.files} files into ${options.to}, as they were at ${takenAt}.`));
      to.note(
        'Name the folder in store.path, set the RELAY_MASTER_KEY that it was made under, and start the',
      );
      to.note(
        'relay. Its subscribers are paused and no clinic is read until you resume them: `relay status`',
      );
      to.note('says what to know before. The relay of which the backup was taken must not run.');
    });
}
