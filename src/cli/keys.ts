import type { Command } from 'commander';
import { listTokenKeys, rotateTokenKey, type TokenKeyView } from '../client/token-keys.ts';
import { shownInstant } from './instant.ts';
import { openSession } from './session.ts';
import type { Surroundings } from './surroundings.ts';
import { printTable } from './table.ts';
import { type CommonOptions, durationOption, verb } from './verb.ts';

interface RotateOptions extends CommonOptions {
  /** Milliseconds. */
  readonly overlap?: number;
}

export function addKeys(program: Command, around: Surroundings): void {
  const group = program.command('keys').description('keys that sign tokens for subscribers (--jwt)');

  verb(group, 'list', 'list those that /.well-known/jwks.json names').action(
    async (options: CommonOptions) => {
      const { call, to, asJson } = openSession(around, options);
      const keys = await listTokenKeys(call);
      if (asJson) return to.json({ data: keys });
      if (keys.length === 0) return to.note('There are none: the first subscriber with --jwt makes one.');
      printTable(to, columns, keys);
    },
  );

  verb(group, 'rotate', 'make a new one: it is listed at once, and signs when the overlap is over')
    .addOption(
      durationOption(
        '--overlap <time>',
        'until it signs: 24h; 0s when an old one got out, which ends at once',
      ),
    )
    .action(async (options: RotateOptions) => {
      const { call, to, asJson } = openSession(around, options);
      const keys = await rotateTokenKey(
        call,
        options.overlap === undefined ? undefined : options.overlap / 1000,
      );
      if (asJson) return to.json({ data: keys });
      printTable(to, columns, keys);
    });
}

const columns = [
  { title: 'ID', text: ({ id }: TokenKeyView) => id, isWhole: true },
  { title: 'SIGNS', text: ({ isSigning }: TokenKeyView) => (isSigning ? 'yes' : 'no') },
  { title: 'FROM', text: ({ signsFrom }: TokenKeyView) => shownInstant(signsFrom) },
  {
    title: 'LISTED UNTIL',
    text: ({ listedUntil }: TokenKeyView) => (listedUntil === null ? '-' : shownInstant(listedUntil)),
  },
];
