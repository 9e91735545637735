import { statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { InvalidInput } from '../domain/errors.ts';
import { readTextFile } from './text-file.ts';

type Env = Readonly<Record<string, string | undefined>>;

const secretNames = ['RELAY_MASTER_KEY', 'RELAY_MASTER_KEY_PREVIOUS', 'RELAY_JWT_SECRET', 'RELAY_TOKEN'];
const readableByOthers = 0o004;

/** The `.env` that belongs to a configuration file: the one beside it. */
export function envFileOf(folder: string, configPath: string): string {
  return join(dirname(resolve(folder, configPath)), '.env');
}

/**
 * The environment with what `.env` adds; what is set already wins, and a missing file adds nothing.
 *
 * @throws InvalidInput when it holds the relay's secrets and every user of the machine may read it.
 */
export function withEnvFile(env: Env, path: string): Env {
  const written = readEnvFile(path);
  const holdsSecrets = secretNames.some((name) => (written[name] ?? '') !== '');
  if (holdsSecrets && process.platform !== 'win32' && (statSync(path).mode & readableByOthers) !== 0) {
    throw new InvalidInput(
      'env_file_open',
      `${path} holds secrets and every user of this machine can read it.`,
      {
        hint: `Run \`chmod 600 ${path}\`; if others had access to it, make new keys as well.`,
      },
    );
  }
  return { ...written, ...set(env) };
}

export function readEnvFile(path: string): Env {
  try {
    return parseEnv(readTextFile(path)) as Env;
  } catch (thrown) {
    if (thrown instanceof InvalidInput && thrown.code === 'file_missing') return {};
    throw thrown;
  }
}

function set(env: Env): Env {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined));
}
