import { resolve } from 'node:path';
import { substituted } from '../config/substitution.ts';
import { InvalidInput, type Problem } from '../domain/errors.ts';
import type { Surroundings } from './surroundings.ts';
import { readTextFile } from './text-file.ts';
import { defaultConfigPath } from './verb.ts';

/**
 * Where the relay runs: RELAY_URL, or the address that the configuration has it listen on.
 *
 * @throws InvalidInput `relay_url_invalid`, `config_invalid`
 */
export function relayUrlOf(folder: string, env: Surroundings['env'], configPath: string): string {
  const url = env.RELAY_URL ?? '';
  if (url !== '') return checkedUrl(url);
  const { host = '127.0.0.1', port = 8080 } = writtenServer(folder, env, configPath);
  const [portPath, portText] = env.PORT ? ['PORT', env.PORT] : ['server.port', String(port)];
  if (!/^[1-9][0-9]{0,4}$/.test(portText) || Number(portText) > 65_535) {
    throw unusable([{ path: portPath, message: 'is no port from 1 to 65535' }]);
  }
  const own = `http://${reachable(String(host))}:${portText}`;
  if (typeof host !== 'string' || /[/?#@\\]/.test(host) || !URL.canParse(own)) {
    throw unusable([{ path: 'server.host', message: 'is neither a host name nor an address' }]);
  }
  return own;
}

/**
 * The `server` of the configuration, as it is written: a client needs none of the keys
 * and variables that the rest of the file asks for.
 */
function writtenServer(
  folder: string,
  env: Surroundings['env'],
  configPath: string,
): { host?: unknown; port?: unknown } {
  let text: string;
  try {
    text = readTextFile(resolve(folder, configPath));
  } catch (thrown) {
    const isAbsent = thrown instanceof InvalidInput && thrown.code === 'file_missing';
    if (isAbsent && configPath === defaultConfigPath) return {};
    throw thrown;
  }
  const server = serverIn(text);
  const { value, problems } = substituted(server, { env, readFile: readTextFile });
  if (problems.length > 0) {
    throw unusable(problems.map(({ path, message }) => ({ path: `server.${path}`, message })));
  }
  return value as { host?: unknown; port?: unknown };
}

function serverIn(text: string): { host?: unknown; port?: unknown } {
  try {
    const { host, port } = JSON.parse(text.replace(/^\uFEFF/, ''))?.server ?? {};
    return { host, port };
  } catch (cause) {
    throw new InvalidInput('config_invalid', 'The configuration is not JSON.', {
      hint: 'Correct it (`relay check` says where), or set RELAY_URL.',
      cause,
    });
  }
}

/** A relay that listens on every address is reached on the loopback one. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

function checkedUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  const isBase = url !== null && /^https?:$/.test(url.protocol) && url.search === '' && url.hash === '';
  if (!isBase || url.username !== '' || url.password !== '') {
    throw new InvalidInput('relay_url_invalid', 'RELAY_URL is not the base URL of a relay.', {
      hint: 'Set it to something like http://127.0.0.1:8080, without a user, a query or a fragment.',
    });
  }
  return url.href;
}

function unusable(problems: readonly Problem[]): InvalidInput {
  return new InvalidInput('config_invalid', 'The configuration does not say where the relay runs.', {
    hint: 'Correct what is named, or set RELAY_URL.',
    problems,
  });
}
