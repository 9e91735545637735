import type { Command } from 'commander';
import type { ClinicView, StartCountView } from '../client/clinics.ts';
import * as api from '../client/clinics.ts';
import type { CallApi } from '../client/relay-api.ts';
import { confirm, fromEnv } from './ask.ts';
import { addConnect } from './clinics-connect.ts';
import { clinicIdOf, oneOrRestored } from './named.ts';
import { type Colour, inert, type Printer } from './print.ts';
import { openSession } from './session.ts';
import type { Surroundings } from './surroundings.ts';
import { printTable } from './table.ts';
import { badUsage, type CommonOptions, startOption, verb } from './verb.ts';

interface AddOptions extends CommonOptions {
  readonly name: string;
  readonly accessTokenEnv?: string;
  readonly refreshTokenEnv?: string;
  readonly tokenUrl?: string;
  readonly tokenUrlSecretEnv?: string;
  readonly startFrom?: string;
  readonly dryRun?: true;
}

export function addClinics(program: Command, around: Surroundings): void {
  const group = program.command('clinics').description('whose events are read');

  verb(group, 'list', 'list clinics and their states').action(async (options: CommonOptions) => {
    const { call, to, asJson } = openSession(around, options);
    const clinics = await api.listClinics(call);
    if (asJson) return to.json({ data: clinics });
    if (clinics.length === 0) return to.note('There are no clinics yet: `relay clinics add`.');
    printTable(to, columns, clinics);
  });

  verb(group, 'add', 'connect a clinic whose tokens you have; they are read from the environment')
    .requiredOption('--name <name>', 'its name in filters and tables')
    .option('--access-token-env <name>', 'environment variable that holds its access token')
    .option('--refresh-token-env <name>', 'environment variable that holds its refresh token')
    .option('--token-url <url>', 'where your app hands out access tokens; the relay never refreshes')
    .option('--token-url-secret-env <name>', 'environment variable that holds the secret for that URL')
    .addOption(startOption('--start-from <when>', 'its events since then'))
    .option('--dry-run', 'count what its start would take, and connect nothing')
    .action(async (options: AddOptions) => {
      const { call, to, asJson, env } = openSession(around, options);
      const { startFrom } = options;
      const input = { ...inputOf(options, env), ...(startFrom !== undefined && { startFrom }) };
      if (options.dryRun) {
        const count = await api.countClinic(call, input);
        return asJson ? to.json(count) : printCount(to, count);
      }
      const added = await api.addClinic(call, input);
      if (asJson) return to.json(added);
      to.out(inert(`Added ${added.name} (${added.id}).`));
    });

  addConnect(group, around);

  for (const [what, summary, done] of [
    ['poll', 'read a clinic’s streams now', 'is read next'],
    ['pause', 'stop reading a clinic; its connection stays alive', 'is no longer read'],
  ] as const) {
    verb(group, `${what} <clinic>`, summary).action(async (idOrName: string, options: CommonOptions) => {
      const { call, to, asJson } = openSession(around, options);
      const id = await clinicIdOf(call, idOrName);
      const answer = await api.tellClinic(call, id, what);
      if (asJson) return to.json(answer ?? { id });
      to.out(`${inert(idOrName)} ${done}.`);
    });
  }

  verb(group, 'resume [clinic]', 'read a clinic again')
    .option('--restored', 'all that are held since the log was restored from a backup')
    .action(async (idOrName: string | undefined, options: CommonOptions & { restored?: true }) => {
      const one = oneOrRestored(idOrName, options.restored);
      const { call, to, asJson } = openSession(around, options);
      if (one !== null) {
        const answer = await api.tellClinic(call, await clinicIdOf(call, one[0]), 'resume');
        return asJson ? to.json(answer) : to.out(`${inert(one[0])} is read again.`);
      }
      const held = await restoredClinics(call);
      for (const { id } of held) await api.tellClinic(call, id, 'resume');
      if (asJson) return to.json({ data: held.map(({ id, name }) => ({ id, name })) });
      if (held.length === 0) to.note('No clinic is held since a restore.');
      for (const { name } of held) to.out(`${inert(name)} is read again.`);
    });

  verb(group, 'disconnect <clinic>', 'revoke a clinic’s tokens and stop reading it; its past events stay')
    .option('--yes', 'do not ask')
    .action(async (idOrName: string, options: CommonOptions & { yes?: true }) => {
      const { call, to, asJson } = openSession(around, options);
      const id = await clinicIdOf(call, idOrName);
      await confirm(around, `Revoke the tokens of ${inert(idOrName)}?`, options.yes === true);
      const { areTokensRevoked } = await api.disconnectClinic(call, id);
      if (asJson) return to.json({ id, disconnected: true, areTokensRevoked });
      to.out(`Disconnected ${inert(idOrName)}.`);
      if (!areTokensRevoked) {
        to.note(
          'Fullscript has not revoked its tokens yet. The relay keeps them, sealed, and tries again for some hours;',
        );
        to.note('the clinic can end the authorization in Fullscript as well.');
      }
    });
}

async function restoredClinics(call: CallApi): Promise<readonly ClinicView[]> {
  const clinics = await api.listClinics(call);
  return clinics.filter(({ connections = [] }) => connections.some(({ state }) => state === 'restored'));
}

const colourOf: Readonly<Record<NonNullable<ClinicView['state']>, Colour>> = {
  active: 'green',
  connecting: 'yellow',
  waiting: 'yellow',
  paused: 'yellow',
  needsReconnect: 'red',
  removed: 'gray',
};

function printCount(to: Printer, { name, startAt, categories }: StartCountView): void {
  const taken = categories.reduce((sum, each) => sum + each.taken, 0);
  to.out(inert(`${name}: ${taken} events since ${startAt} would be recorded and sent.`));
  to.out('');
  printTable(
    to,
    [
      { title: 'CATEGORY', text: ({ category }) => category },
      { title: 'TAKEN', text: ({ taken, isAtLeast }) => `${taken}${isAtLeast ? ' or more' : ''}` },
      { title: 'PAST', text: ({ past }) => String(past) },
      { title: 'PROBLEM', text: ({ problem }) => problem ?? '' },
    ],
    categories,
  );
}

const columns = [
  { title: 'ID', text: ({ id }: ClinicView) => id, isWhole: true },
  { title: 'NAME', text: ({ name }: ClinicView) => name },
  {
    title: 'STATE',
    text: ({ state }: ClinicView) => state ?? '-',
    colour: ({ state }: ClinicView) => (state === undefined ? null : colourOf[state]),
  },
  { title: 'DAYS LEFT', text: ({ daysLeft }: ClinicView) => (daysLeft == null ? '-' : String(daysLeft)) },
  { title: 'WHY', text: ({ stateReason }: ClinicView) => stateReason ?? '' },
];

function inputOf(options: AddOptions, env: Surroundings['env']): api.ClinicInput {
  const { name, accessTokenEnv, refreshTokenEnv, tokenUrl, tokenUrlSecretEnv } = options;
  if (tokenUrl !== undefined && accessTokenEnv === undefined && refreshTokenEnv === undefined) {
    const secret =
      tokenUrlSecretEnv === undefined
        ? {}
        : { tokenUrlSecret: fromEnv(env, tokenUrlSecretEnv, '--token-url-secret-env') };
    return { name, tokenUrl, ...secret };
  }
  if (tokenUrl !== undefined || accessTokenEnv === undefined || refreshTokenEnv === undefined) {
    throw badUsage(
      'A clinic has either a pair of tokens or a URL that hands them out.',
      'Give --access-token-env and --refresh-token-env, or --token-url.',
    );
  }
  return {
    name,
    accessToken: fromEnv(env, accessTokenEnv, '--access-token-env'),
    refreshToken: fromEnv(env, refreshTokenEnv, '--refresh-token-env'),
  };
}
