import { join } from 'node:path';
import { z } from 'zod';
import { crossProblems, storeIn } from './config/cross-problems.ts';
import { definition } from './config/definition.ts';
import { type Env, environmentProblems, givenPort } from './config/environment.ts';
import { type Keys, keyProblems, keysOf } from './config/keys.ts';
import { substituted } from './config/substitution.ts';
import { type AllowEntry, parseAllowEntry } from './domain/allow-entry.ts';
import { type EgressProxy, parseEgressProxy } from './domain/egress-proxy.ts';
import { InvalidInput, type Problem } from './domain/errors.ts';
import { inputWords } from './domain/input-words.ts';
import { problemsOf } from './domain/problems-of.ts';

export type { Keys } from './config/keys.ts';

/** Everything that is set, checked as a whole: whoever has a Config need not check again. */
export type Config = Omit<z.infer<typeof definition>, 'source' | 'delivery' | 'server'> & {
  readonly source: z.infer<typeof definition>['source'] & {
    readonly apiUrl: string;
    readonly redirectUri: string;
  };
  readonly server: z.infer<typeof definition>['server'] & { readonly host: string; readonly port: number };
  readonly delivery: Omit<z.infer<typeof definition>['delivery'], 'allow' | 'proxy'> & {
    readonly allow: readonly AllowEntry[];
    /** `null`: what may be dialled is dialled directly. */
    readonly proxy: EgressProxy | null;
  };
  readonly keys: Keys;
};

/** Source: Fullscript, "Integration environments" (newest page). */
const apiUrls = {
  'us-sandbox': 'https://api-us-snd.fullscript.io/api',
  'ca-sandbox': 'https://api-ca-snd.fullscript.io/api',
  us: 'https://api-us.fullscript.com/api',
  ca: 'https://api-ca.fullscript.com/api',
} as const;

export interface LoadConfig {
  /** For messages, and what `readFile` is asked for. */
  readonly path: string;
  readonly env: Env;
  /** The text of a file. @throws when there is none */
  readonly readFile: (path: string) => string;
}

/**
 * Reads the configuration and the keys.
 *
 * @throws InvalidInput `config_invalid` naming every problem at once, each with its path.
 */
export function loadConfig({ path, env, readFile }: LoadConfig): Config {
  const { value: filled, problems: missing } = substituted(parseJson(path, readFile(path)), {
    env,
    readFile,
  });
  const store = storeIn(filled);
  const problems = [...missing];
  const parsed = definition.safeParse(filled, { error: inputWords });
  if (!parsed.success) {
    const known = new Set(problems.map((problem) => problem.path));
    problems.push(...problemsOf(parsed.error, definition).filter(({ path }) => !known.has(path)));
  }
  problems.push(
    ...crossProblems(filled),
    ...keyProblems(env, isMade(store.path, readFile) ? store.path : null),
    ...environmentProblems(env, store),
  );
  if (problems.length > 0 || !parsed.success) throw invalid(path, problems);
  const config = parsed.data;
  const port = givenPort(env);
  const base = (config.server.publicUrl ?? 'http://127.0.0.1:8080').replace(/\/+$/, '');
  return {
    ...config,
    source: {
      ...config.source,
      apiUrl: (config.source.apiUrl ?? apiUrls[config.source.environment]).replace(/\/+$/, ''),
      redirectUri: config.source.redirectUri ?? `${base}/oauth/callback`,
    },
    delivery: {
      ...config.delivery,
      allow: config.delivery.allow.map(parseAllowEntry).filter((entry) => entry.kind !== 'problem'),
      proxy: proxyOf(config.delivery.proxy),
    },
    server: {
      ...config.server,
      host: config.server.host ?? (port === null ? '127.0.0.1' : '0.0.0.0'),
      port: port ?? config.server.port ?? 8080,
    },
    keys: keysOf(env),
  };
}

function proxyOf(text: string | undefined): EgressProxy | null {
  if (text === undefined) return null;
  const proxy = parseEgressProxy(text);
  return proxy.kind === 'problem' ? null : proxy;
}

/** The JSON Schema of the file, for editors. */
export function configJsonSchema(): unknown {
  return z.toJSONSchema(definition, { io: 'input', unrepresentable: 'any' });
}

function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    throw invalid(path, [{ path: '', message: `is not JSON${placeOf(error, text)}` }]);
  }
}

/** Where the parser stopped, if it says so; it may quote the file, and the file may hold secrets. */
function placeOf(error: unknown, text: string): string {
  const position = /position (\d+)/.exec(error instanceof Error ? error.message : '')?.[1];
  return position === undefined ? '' : `: line ${text.slice(0, Number(position)).split('\n').length}`;
}

/** Whether there is a store already, which no other master key opens than that of its maker. */
function isMade(path: string, readFile: LoadConfig['readFile']): boolean {
  try {
    readFile(join(path, 'keys.json'));
    return true;
  } catch (error) {
    return error instanceof InvalidInput && error.code !== 'file_missing';
  }
}

function invalid(path: string, problems: readonly Problem[]): InvalidInput {
  const lines = problems.map(
    (problem) => `  ${problem.path === '' ? path : problem.path}: ${problem.message}`,
  );
  const count = problems.length === 1 ? 'one mistake' : `${problems.length} mistakes`;
  return new InvalidInput('config_invalid', `${path} has ${count}:\n${lines.join('\n')}`, {
    hint: 'Correct what is named, then try again; `relay check` looks without starting.',
    problems,
  });
}
