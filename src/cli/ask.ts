import { createInterface } from 'node:readline/promises';
import { RelayError } from '../domain/errors.ts';
import type { Surroundings } from './surroundings.ts';
import { badUsage } from './verb.ts';

const secretBytesMax = 16 * 1024;

/**
 * Asks before something that cannot be undone. Where nobody can answer (no terminal) the
 * command itself is the answer, as scripts expect.
 *
 * @throws RelayError `not_confirmed` for anything but yes; Ctrl-C and Ctrl-D count as no.
 */
export async function confirm(around: Surroundings, question: string, isConfirmed: boolean): Promise<void> {
  if (isConfirmed || around.stdin.isTTY !== true || around.stderr.isTTY !== true) return;
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  let isAnswered = false;
  const answer = await new Promise<string>((resolve) => {
    lines.once('close', () => {
      if (!isAnswered) around.stderr.write('\n');
      resolve('');
    });
    lines.question(`${question} [y/N] `).then(
      (text) => {
        isAnswered = true;
        resolve(text);
      },
      () => resolve(''),
    );
  });
  lines.close();
  if (!/^y(es)?$/i.test(answer.trim())) {
    throw new RelayError('not_confirmed', 'Nothing was changed.', { hint: 'Answer y, or give --yes.' });
  }
}

/** The secret that was given by one of the ways there are; `undefined` when none was used. */
export async function readSecret(
  around: Surroundings,
  env: Surroundings['env'],
  from: {
    readonly secretStdin?: true | undefined;
    readonly secretEnv?: string | undefined;
    readonly secret?: string | undefined;
  },
  warn: (line: string) => void,
): Promise<string | undefined> {
  const ways = [from.secretStdin, from.secretEnv, from.secret].filter((way) => way !== undefined);
  if (ways.length > 1) throw badUsage('The secret is given in more than one way.', 'Choose one of them.');
  if (from.secret !== undefined) {
    warn(
      'warning: --secret is visible to every user of this machine (ps); use --secret-stdin or --secret-env.',
    );
    return from.secret;
  }
  if (from.secretEnv !== undefined) return fromEnv(env, from.secretEnv, '--secret-env');
  if (from.secretStdin === undefined) return undefined;
  const secret = await firstLine(around);
  if (secret === '')
    throw badUsage('Standard input holds no secret.', 'Write it there: `… --secret-stdin < file`.');
  return secret;
}

/** A value out of the environment, named on the command line in place of the value itself. */
export function fromEnv(env: Surroundings['env'], name: string, option: string): string {
  const value = env[name] ?? '';
  if (value === '') {
    throw badUsage(
      `${option} names ${name}, which is not set.`,
      'Name an environment variable that holds it.',
    );
  }
  return value;
}

/** All of standard input without its line end; it has to be one line. */
async function firstLine(around: Surroundings): Promise<string> {
  let text = '';
  for await (const chunk of around.stdin) {
    text += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8');
    if (text.length > secretBytesMax)
      throw badUsage('Standard input is no secret: it does not end.', 'Write one line.');
  }
  return text.replace(/\r?\n$/, '');
}
