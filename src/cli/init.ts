import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import { relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { RelayError } from '../domain/errors.ts';
import { envFileOf, readEnvFile } from './env-file.ts';
import { printer } from './print.ts';
import { sandboxConfig, sandboxEnv } from './sandbox-config.ts';
import type { Surroundings } from './surroundings.ts';
import { type CommonOptions, verb } from './verb.ts';

interface Written {
  readonly path: string;
  /** `kept`: it was there and nothing was changed; `extended`: keys were added at its end. */
  readonly kind: 'created' | 'extended' | 'kept';
  readonly added: readonly string[];
}

export function addInit(program: Command, around: Surroundings): void {
  verb(program, 'init', 'write relay.config.json and .env with fresh keys; overwrites nothing').action(
    (options: CommonOptions) => {
      const configPath = resolve(around.folder, options.config);
      const envPath = envFileOf(around.folder, options.config);
      const files = asFiles(() => [
        writeConfig(configPath),
        writeEnv(envPath, around.env, wantedEnv(configPath, around.folder)),
      ]);
      const to = printer(around.stdout, around.stderr, around.env);
      if (options.json) {
        to.json({ files, next: 'relay sandbox, relay serve' });
        return;
      }
      for (const file of files) to.out(sentenceOf(file, around.folder));
      if (!(around.env.RELAY_MASTER_KEY || readEnvFile(envPath).RELAY_MASTER_KEY)) {
        to.out(
          'RELAY_MASTER_KEY is left to you: the store that is there opens only with the key it was made with.',
        );
      }
      to.out('');
      to.out('Next, each in a terminal of its own:');
      const relay = around.env.npm_command === 'exec' ? 'npx relay' : 'relay';
      to.out(`  ${relay} sandbox    an offline Fullscript, which this configuration reads`);
      to.out(`  ${relay} serve      the relay`);
      to.out('For the real Fullscript, put your app’s id and secret into .env and remove "apiUrl" from the');
      to.out('configuration. Keep .env safe: without RELAY_MASTER_KEY the store cannot be read.');
    },
  );
}

function sentenceOf({ path, kind, added }: Written, folder: string): string {
  const shown = relative(folder, path) || path;
  if (kind === 'created') return `Wrote ${shown}.`;
  if (kind === 'kept') return `Kept ${shown}: it was there already.`;
  return `Kept ${shown}, and added what it lacked: ${added.join(', ')}.`;
}

function writeConfig(path: string): Written {
  const text = `${JSON.stringify(sandboxConfig, null, 2)}\n`;
  return { path, kind: createFile(path, text, 0o644) ? 'created' : 'kept', added: [] };
}

/** A store that is there already opens with its own master key only, so none is made beside it. */
function wantedEnv(configPath: string, folder: string): Readonly<Record<string, string>> {
  return {
    ...(hasStore(configPath, folder) ? {} : { RELAY_MASTER_KEY: randomBytes(32).toString('base64') }),
    RELAY_JWT_SECRET: randomBytes(48).toString('base64'),
    ...sandboxEnv,
  };
}

function hasStore(configPath: string, folder: string): boolean {
  let path: unknown;
  try {
    path = JSON.parse(readFileSync(configPath, 'utf8'))?.store?.path;
  } catch {
    // Whatever is wrong with a file that was kept, `relay check` says it.
  }
  return existsSync(resolve(folder, typeof path === 'string' ? path : './data', 'keys.json'));
}

function writeEnv(path: string, env: Surroundings['env'], wanted: Readonly<Record<string, string>>): Written {
  if (createFile(path, linesOf(Object.entries(wanted)), 0o600)) {
    return { path, kind: 'created', added: Object.keys(wanted) };
  }
  const written = readEnvFile(path);
  const missing = Object.entries(wanted).filter(([name]) => !written[name] && !env[name]);
  if (missing.length === 0) return { path, kind: 'kept', added: [] };
  // Secrets are about to go into a file that others may have been able to read.
  if (process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o600);
  const text = readFileSync(path, 'utf8');
  appendFileSync(path, `${text === '' || text.endsWith('\n') ? '' : '\n'}${linesOf(missing)}`);
  return { path, kind: 'extended', added: missing.map(([name]) => name) };
}

function linesOf(entries: readonly (readonly [string, string])[]): string {
  return entries.map(([name, value]) => `${name}=${value}\n`).join('');
}

/** False when there is something of that name already. The mode does not depend on the umask. */
function createFile(path: string, text: string, mode: number): boolean {
  if (existsSync(path)) return false;
  let descriptor: number;
  try {
    descriptor = openSync(path, 'wx', mode);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw thrown;
  }
  writeSync(descriptor, text);
  fsyncSync(descriptor);
  closeSync(descriptor);
  chmodSync(path, mode);
  return true;
}

function asFiles(write: () => readonly Written[]): readonly Written[] {
  try {
    return write();
  } catch (thrown) {
    if (thrown instanceof RelayError) throw thrown;
    const { code, path } = thrown as NodeJS.ErrnoException;
    throw new RelayError(
      'not_writable',
      `${path ?? 'The folder'} cannot be written (${code ?? 'unknown'}).`,
      {
        hint: 'Run it in a folder that this user may write to.',
        cause: thrown,
      },
    );
  }
}
