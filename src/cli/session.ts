import { resolve } from 'node:path';
import { type SignedToken, type SigningKeys, signToken } from '../api/auth.ts';
import { type CallApi, connectApi, type RelayAddress } from '../client/relay-api.ts';
import type { Config } from '../config.ts';
import { InvalidInput } from '../domain/errors.ts';
import { envFileOf, withEnvFile } from './env-file.ts';
import { patient } from './patience.ts';
import { type Printer, printer } from './print.ts';
import { relayUrlOf } from './relay-url.ts';
import type { Surroundings } from './surroundings.ts';
import { readTextFile } from './text-file.ts';
import type { CommonOptions } from './verb.ts';

/** A verb's hold on a running relay, and where it prints. */
export interface Session {
  readonly call: CallApi;
  /** For what is not a single call. */
  readonly address: RelayAddress;
  readonly to: Printer;
  readonly asJson: boolean;
  readonly env: Surroundings['env'];
}

const ownTokenSeconds = 300;
/** A token that the CLI made for itself is replaced this long before it ends. */
const renewBeforeMs = 60_000;

export function openSession(around: Surroundings, options: CommonOptions): Session {
  const env = envOf(around, options.config);
  const to = printer(around.stdout, around.stderr, around.env);
  const address = {
    url: relayUrlOf(around.folder, env, options.config),
    token: tokenSource(around, env),
  };
  return {
    address,
    call: patient(connectApi(address), { clock: around.clock, note: to.note }),
    to,
    asJson: options.json === true,
    env,
  };
}

export function envOf(around: Surroundings, configPath: string): Surroundings['env'] {
  return withEnvFile(around.env, envFileOf(around.folder, configPath));
}

/** The configuration that a verb names, and the environment that belongs to it. @throws InvalidInput */
export async function configOf(
  around: Surroundings,
  configPath: string,
): Promise<{ config: Config; env: Surroundings['env'] }> {
  // Most verbs are clients of a relay, and need none of what reads a configuration.
  const { loadConfig } = await import('../config.ts');
  const env = envOf(around, configPath);
  const path = resolve(around.folder, configPath);
  const readFile = (name: string) => readTextFile(resolve(around.folder, name));
  return { config: loadConfig({ path, env, readFile }), env };
}

/** RELAY_TOKEN, or a short token for the owner, signed with the relay's own secret and renewed in time. */
function tokenSource(around: Surroundings, env: Surroundings['env']): () => string {
  const given = (env.RELAY_TOKEN ?? '').trim();
  if (given !== '') {
    if (/^[\x21-\x7e]+$/.test(given)) return () => given;
    throw new InvalidInput('relay_token_invalid', 'RELAY_TOKEN is not a token.', {
      hint: 'Set it to the one line that `relay token create` printed.',
    });
  }
  const owner = { subject: 'owner', scopes: ['admin'], expiresInSeconds: ownTokenSeconds } as const;
  let made: SignedToken | null = null;
  return () => {
    const now = around.clock.wall();
    if (made !== null && made.expiresAt - now >= renewBeforeMs) return made.token;
    made = signToken(signingKeysOf(env), owner, now);
    return made.token;
  };
}

/**
 * What tokens of this relay are signed with: the pair of keys is for relays that have no secret.
 *
 * @throws InvalidInput `no_credentials` naming `relay init` when there is neither
 */
export function signingKeysOf(env: Surroundings['env']): SigningKeys {
  const {
    RELAY_JWT_SECRET: secret,
    RELAY_JWT_PRIVATE_KEY: privateKey,
    RELAY_JWT_PUBLIC_KEY: publicKey,
  } = env;
  if (secret) return { kind: 'secret', secret };
  if (privateKey && publicKey) return { kind: 'keyPair', privateKey, publicKey };
  throw new InvalidInput('no_credentials', 'There is neither RELAY_TOKEN nor RELAY_JWT_SECRET.', {
    hint: 'Set RELAY_TOKEN, or run `relay init`, which writes a .env with fresh keys where there is none.',
  });
}
