import type { Command } from 'commander';
import { rotateSecret } from '../client/subscribers.ts';
import { readSecret } from './ask.ts';
import { subscriberIdOf } from './named.ts';
import { inert, printWarnings } from './print.ts';
import { openSession } from './session.ts';
import { withSecret } from './subscribers-add.ts';
import type { Surroundings } from './surroundings.ts';
import { type CommonOptions, durationOption, verb } from './verb.ts';

interface RotateOptions extends CommonOptions {
  readonly secretStdin?: true;
  readonly secretEnv?: string;
  readonly secret?: string;
  readonly signature?: string;
  /** Milliseconds. */
  readonly overlap?: number;
}

export function addRotateSecret(group: Command, around: Surroundings): void {
  const command = verb(group, 'rotate-secret <subscriber>', 'give one a new secret; prints it, this once');
  withSecret(command)
    .addOption(
      durationOption('--overlap <time>', 'how long the old secret signs as well (profile standard): 24h'),
    )
    .action(async (idOrName: string, options: RotateOptions) => {
      const { call, to, asJson, env } = openSession(around, options);
      const secret = await readSecret(around, env, options, to.note);
      const id = await subscriberIdOf(call, idOrName);
      const rotated = await rotateSecret(call, id, {
        secret,
        signature: options.signature,
        overlapSeconds: options.overlap === undefined ? undefined : options.overlap / 1000,
      });
      if (asJson) return to.json(rotated);
      for (const key of rotated.publicKeys) to.out(`public key  ${inert(key)}`);
      if (rotated.secret !== undefined) {
        to.out(`secret  ${inert(rotated.secret)}`);
        to.out('Keep it: it is not shown again.');
      }
      printWarnings(to, rotated.warnings);
    });
}
