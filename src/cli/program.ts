import { readFileSync } from 'node:fs';
import { Command, CommanderError, Help, type Option } from 'commander';
import { RelayRefused } from '../client/errors.ts';
import { InvalidInput } from '../domain/errors.ts';
import { addAudit } from './audit.ts';
import { addBackup } from './backup.ts';
import { addCheck } from './check.ts';
import { addClinics } from './clinics.ts';
import { addDeliveries } from './deliveries.ts';
import { addDemo } from './demo.ts';
import { addErase } from './erase.ts';
import { addIngest } from './ingest.ts';
import { addInit } from './init.ts';
import { addKeys } from './keys.ts';
import { addListen } from './listen.ts';
import { addOperationalEvents } from './operational-events.ts';
import { printError, printer } from './print.ts';
import { addRebuild } from './rebuild.ts';
import { addReplay } from './replay.ts';
import { addRestore } from './restore.ts';
import { addSandbox } from './sandbox.ts';
import { addSeen } from './seen.ts';
import { addServe } from './serve.ts';
import { addStatus } from './status.ts';
import { addSubscribers } from './subscribers.ts';
import type { Surroundings } from './surroundings.ts';
import { addToken } from './token.ts';
import { badUsage, guardOptions } from './verb.ts';

const packageJson = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
const { version } = JSON.parse(packageJson) as { version: string };

/** 0 done, 1 failed, 2 bad usage or configuration: what was asked for cannot be meant, and nothing was done. */
export type ExitCode = 0 | 1 | 2;

/** In the order in which somebody new needs them. */
const groups = [
  ['Begin:', [addDemo, addInit, addSandbox, addCheck, addServe]],
  ['See and repair:', [addStatus, addClinics, addSubscribers, addDeliveries, addReplay, addAudit]],
  ['Write a receiver:', [addListen]],
  ['Look after the delivery log:', [addBackup, addRestore, addRebuild, addErase]],
  ['Come from something else:', [addSeen, addIngest]],
  ['Let in, and be told:', [addToken, addKeys, addOperationalEvents]],
] as const;

const surroundingsHelp = `
What sees and repairs is a client of a running relay. RELAY_URL says where that is,
or else the configuration; RELAY_TOKEN lets it in, or else a short token that it signs
with RELAY_JWT_SECRET. Both may stand in .env.

Exit codes: 0 done, 1 failed, 2 bad usage or configuration.`;

/** Runs one command line, `argv` without the program's own name. Never rejects. */
export async function run(argv: readonly string[], around: Surroundings): Promise<ExitCode> {
  const to = printer(around.stdout, around.stderr, around.env);
  const program = programOf(around);
  try {
    if (argv.length === 0) {
      around.stderr.write(program.helpInformation());
      return 2;
    }
    await program.parseAsync([...argv], { from: 'user' });
    return 0;
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0;
    const error = thrown instanceof CommanderError ? usageOf(thrown, program, argv) : thrown;
    printError(to, error, asksForJson(argv));
    return isBadUsage(error) ? 2 : 1;
  }
}

function programOf(around: Surroundings): Command {
  const program = new Command('relay')
    .description('Turns Fullscript’s pull-only events API into signed webhooks.')
    .version(version)
    .exitOverride()
    .configureHelp({
      subcommandTerm: (command) => [command.name(), ...argumentsOf(command)].join(' '),
      visibleOptions(command) {
        const options = Help.prototype.visibleOptions.call(this, command);
        return [...options.filter((option) => !isCommon(option)), ...options.filter(isCommon)];
      },
    })
    .configureOutput({
      writeOut: (text) => around.stdout.write(text),
      // Errors are printed once, by `run`.
      writeErr: () => {},
      getOutHelpWidth: () => around.stdout.columns ?? 80,
    });
  for (const [title, adds] of groups) {
    program.commandsGroup(title);
    for (const add of adds) add(program, around);
  }
  program.commandsGroup('Help:').addHelpText('after', surroundingsHelp);
  guardOptions(program);
  return program;
}

function argumentsOf({ registeredArguments }: Command): readonly string[] {
  return registeredArguments.map((each) => (each.required ? `<${each.name()}>` : `[${each.name()}]`));
}

/** What every verb has stands below what only this one has. */
function isCommon({ long }: Option): boolean {
  return ['--json', '--config', '--help'].includes(long ?? '');
}

/** Whether the command line saw it or the relay, who asked has to ask for something else. */
function isBadUsage(error: unknown): boolean {
  return error instanceof InvalidInput || (error instanceof RelayRefused && error.status === 400);
}

/** Also where the command line could not be understood otherwise; what follows `--` is no option. */
function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return argv.slice(0, end === -1 ? argv.length : end).includes('--json');
}

function usageOf({ code, message }: CommanderError, program: Command, argv: readonly string[]): InvalidInput {
  // A group without its verb: the library answers with help instead of an error.
  if (code === 'commander.help') return verbMissing(program, argv);
  const [first = '', ...more] = message.replace(/^error: /, '').split('\n');
  const suggestion = more.join(' ').trim();
  const text = `${first.charAt(0).toUpperCase()}${first.slice(1)}`;
  return badUsage(
    /[.!?]$/.test(text) ? text : `${text}.`,
    suggestion === '' ? 'Run the same with --help to see what there is.' : suggestion.replace(/^\(|\)$/g, ''),
  );
}

function verbMissing(program: Command, argv: readonly string[]): InvalidInput {
  const words = argv.filter((word) => !word.startsWith('-'));
  const asked = words[words.indexOf('help') + 1];
  if (words.includes('help') && asked !== undefined) {
    return badUsage(`Unknown command '${asked}'.`, 'Run `relay --help` to see what there is.');
  }
  const group = program.commands.find((command) => command.name() === words[0]);
  const verbs = (group?.commands ?? []).map((command) => command.name());
  return badUsage(
    'A verb is missing.',
    `Write one of ${verbs.join(', ')}; \`relay ${words[0]} --help\` says what each does.`,
  );
}
