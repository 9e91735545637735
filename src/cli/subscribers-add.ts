import type { Command } from 'commander';
import { countBackfill } from '../client/backfills.ts';
import { addSubscriber, type NewSubscriberView } from '../client/subscribers.ts';
import { readSecret } from './ask.ts';
import { inert, type Printer, printWarnings } from './print.ts';
import { openSession, type Session } from './session.ts';
import { type FieldOptions, fieldsOf, withFields } from './subscriber-fields.ts';
import { eventsOf, printBackfillCount } from './subscribers-backfill.ts';
import type { Surroundings } from './surroundings.ts';
import { badUsage, type CommonOptions, startOption, verb } from './verb.ts';

interface AddOptions extends FieldOptions, CommonOptions {
  readonly secretStdin?: true;
  readonly secretEnv?: string;
  readonly secret?: string;
  readonly challenge?: true;
  readonly startFrom?: string;
  readonly dryRun?: true;
  readonly signature?: string;
}

export function addAddSubscriber(group: Command, around: Surroundings): void {
  const command = verb(group, 'add', 'register one; prints its secret, this once')
    .requiredOption('--name <name>', 'its name')
    .requiredOption('--url <url>', 'its endpoint');
  withSecret(withFields(command))
    .option('--challenge', 'make a challenge token; it stays paused until it answers one')
    .addOption(startOption('--start-from <when>', 'also send it the events since then'))
    .option('--dry-run', 'count the events that --start-from would send it, and add nothing')
    .action(async (options: AddOptions) => {
      const session = openSession(around, options);
      const { call, to, asJson, env } = session;
      if (options.challenge && options.challengeTokenEnv !== undefined) {
        throw badUsage(
          '--challenge makes a token and --challenge-token-env gives one.',
          'Choose one of them.',
        );
      }
      if (options.dryRun) return countOnly(session, options);
      const secret = await readSecret(around, env, options, to.note);
      const added = await addSubscriber(call, {
        ...fieldsOf(options, env),
        secret,
        signature: options.signature,
        challenge: options.challenge,
        startFrom: options.startFrom,
      });
      if (asJson) return to.json(added);
      printNew(to, added);
    });
}

async function countOnly(session: Session, { startFrom, eventTypes, clinicIds }: AddOptions): Promise<void> {
  if (startFrom === undefined) {
    throw badUsage('There is nothing to count.', 'Give --start-from 30d beside --dry-run.');
  }
  const count = await countBackfill(session.call, { from: startFrom, eventTypes, clinicIds });
  await printBackfillCount(session, count);
}

/** The ways to give a secret; one is made when none is used. */
export function withSecret(command: Command): Command {
  return command
    .option('--secret-stdin', 'read the secret from standard input')
    .option('--secret-env <name>', 'environment variable that holds the secret')
    .option('--secret <secret>', 'the secret itself; visible in the process list')
    .option('--signature <kind>', 'v1, or v1a: an Ed25519 key pair (profile standard)');
}

function printNew(to: Printer, added: NewSubscriberView): void {
  const { id, name, url, profile, secret, challengeToken, publicKeys, warnings, state } = added;
  to.out(`Added ${inert(name)}, which receives at ${inert(url)}.`);
  to.out('');
  to.out(`id              ${inert(id)}`);
  if (secret !== undefined) to.out(`secret          ${inert(secret)}`);
  for (const key of publicKeys) to.out(`public key      ${inert(key)}`);
  if (challengeToken !== undefined) to.out(`challengeToken  ${inert(challengeToken)}`);
  to.out('');
  to.out(
    secret === undefined
      ? 'The private key stays with the relay. To verify a request:'
      : 'Keep the secret: it is not shown again. To verify a request:',
  );
  to.out(secret === undefined ? howToVerify.v1a : howToVerify[profile]);
  to.out('  In Node, `createReceiver` of fullscript-relay/receiver does that and the rest.');
  if (state === 'paused') {
    to.out(`It is paused until it answers the challenge token: \`relay subscribers test ${inert(name)}\`.`);
  }
  if (added.backfill !== undefined) {
    const { id: backfillId, matched } = added.backfill;
    to.out(inert(`Backfill ${backfillId} sends it ${eventsOf(matched)} of the past, behind what is new.`));
  }
  printWarnings(to, warnings);
}

const howToVerify = {
  fullscript:
    '  v1 of the header Fullscript-Signature is the hex HMAC-SHA256, keyed with the secret, of its t, a dot and the body as received.',
  standard:
    '  Give the secret to any Standard Webhooks library (npm: standardwebhooks) with the body as received.',
  v1a: '  v1a of the header webhook-signature is the Ed25519 signature of webhook-id, webhook-timestamp and the body as received, joined by dots.',
} as const;
