import type { Command } from 'commander';
import type { CallApi } from '../client/relay-api.ts';
import { type ExaminationView, examineSubscriber, listSubscribers } from '../client/subscribers.ts';
import { NotFound, RelayError } from '../domain/errors.ts';
import { secretProblem } from '../domain/signing-secret.ts';
import type { Profile, Subscriber } from '../domain/subscriber.ts';
import { newSubscriber } from '../domain/subscriber-input.ts';
import { fromEnv, readSecret } from './ask.ts';
import { subscriberIdOf } from './named.ts';
import { type Colour, inert, type Printer, printer } from './print.ts';
import { envOf, openSession } from './session.ts';
import { withSecret } from './subscribers-add.ts';
import type { Surroundings } from './surroundings.ts';
import { badUsage, type CommonOptions, verb } from './verb.ts';

interface DoctorOptions extends CommonOptions {
  readonly secretStdin?: true;
  readonly secretEnv?: string;
  readonly secret?: string;
  readonly profile?: string;
  readonly challengeTokenEnv?: string;
}

export function addDoctor(group: Command, around: Surroundings): void {
  const command = verb(
    group,
    'doctor <subscriber>',
    'examine its receiver with samples, good and forged: an id, a name, or a URL that is registered or on this machine',
  );
  withSecret(command)
    .option('--profile <profile>', 'with a secret: fullscript (unless given) or standard')
    .option(
      '--challenge-token-env <name>',
      'with a secret: environment variable that holds its challenge token',
    )
    .action(async (named: string, options: DoctorOptions) => {
      const to = printer(around.stdout, around.stderr, around.env);
      const examination = await examined(around, named, options, to);
      if (options.json) to.json(examination);
      else printFindings(to, examination);
      if (examination.passed) return;
      const count = examination.findings.filter(({ grade }) => grade === 'fix').length;
      throw new RelayError('doctor_failed', `${named} has ${count} to fix.`, {
        hint: 'Repair what is named, and examine it again.',
      });
    });
}

/** With a secret the receiver is on this machine and no relay is asked; without one the relay does it. */
async function examined(
  around: Surroundings,
  named: string,
  options: DoctorOptions,
  to: Printer,
): Promise<ExaminationView> {
  const env = envOf(around, options.config);
  const secret = await readSecret(around, env, options, to.note);
  if (secret === undefined) {
    const alone = options.challengeTokenEnv === undefined ? options.profile : options.challengeTokenEnv;
    if (alone !== undefined) {
      throw badUsage(
        '--profile and --challenge-token-env stand beside a secret only.',
        'Give --secret-env with them; of a registered subscriber the relay knows both.',
      );
    }
    const { call } = openSession(around, options);
    return examineSubscriber(call, await idOf(call, named));
  }
  const { examineHere } = await import('../main/here.ts');
  const { challengeTokenEnv } = options;
  const challengeToken =
    challengeTokenEnv === undefined ? null : fromEnv(env, challengeTokenEnv, '--challenge-token-env');
  return examineHere(
    { ...patientHere(named, options.profile ?? 'fullscript', secret), challengeToken },
    around.clock,
  );
}

async function idOf(call: CallApi, named: string): Promise<string> {
  if (!named.includes('://')) return subscriberIdOf(call, named);
  const wanted = URL.canParse(named) ? new URL(named).href : named;
  const [first, ...others] = (await listSubscribers(call)).filter(({ url }) => url === wanted);
  if (first === undefined) {
    if (isOnThisMachine(named)) {
      throw badUsage(
        'No subscriber of yours has that URL.',
        'To examine a receiver on this machine by itself, give its secret: --secret-env NAME.',
      );
    }
    throw new NotFound('subscriber at', named);
  }
  if (others.length === 0) return first.id;
  const ids = [first, ...others].map(({ id }) => id).join(', ');
  throw new RelayError('name_ambiguous', `Several subscribers receive at ${named}: ${ids}.`, {
    hint: 'Name the one that you mean by its id.',
  });
}

function isOnThisMachine(url: string): boolean {
  const host = URL.canParse(url) ? new URL(url).hostname : '';
  return host === 'localhost' || host === '[::1]' || /^127(\.\d+){3}$/.test(host);
}

function patientHere(url: string, profileText: string, secret: string): Subscriber {
  if (!isOnThisMachine(url)) {
    throw badUsage(
      'With a secret, only a URL on this machine can be examined.',
      'Write something like http://127.0.0.1:3000/hook, or leave the secret out and name a subscriber.',
    );
  }
  if (profileText !== 'fullscript' && profileText !== 'standard') {
    throw badUsage(`There is no profile ${profileText}.`, 'Write fullscript or standard.');
  }
  const profile: Profile = profileText;
  const problem = secretProblem(profile, secret);
  if (problem !== null)
    throw badUsage(`The secret ${problem}.`, 'Give the one that the receiver verifies with.');
  const about = { id: 'here', owner: null, isDeclared: false, pauseReasons: [], createdAt: 0 };
  return newSubscriber({ name: 'here', url, profile, secret }, about);
}

const colourOf: Readonly<Record<string, Colour>> = {
  good: 'green',
  warning: 'yellow',
  fix: 'red',
  skipped: 'gray',
};

function printFindings(to: Printer, { findings }: ExaminationView): void {
  for (const { check, grade, message, hint } of findings) {
    to.out(
      `${to.paint(colourOf[grade] ?? 'gray', grade.padEnd(8))} ${inert(check).padEnd(13)} ${inert(message)}`,
    );
    if (hint !== null) to.out(`${' '.repeat(23)}${inert(hint)}`);
  }
}
