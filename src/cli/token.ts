import type { Command } from 'commander';
import { type Scope, signToken, tokenLifeMaxMs } from '../api/auth.ts';
import { revokeToken } from '../client/tokens.ts';
import { shownInstant } from './instant.ts';
import { inert, printer } from './print.ts';
import { envOf, openSession, signingKeysOf } from './session.ts';
import type { Surroundings } from './surroundings.ts';
import { badUsage, type CommonOptions, durationOption, listOption, verb } from './verb.ts';

interface CreateOptions extends CommonOptions {
  readonly subject: string;
  readonly scope: readonly string[];
  /** Milliseconds. */
  readonly expires: number;
}

const dayMs = 86_400_000;
const scopes: readonly Scope[] = ['read', 'write', 'admin'];

export function addToken(program: Command, around: Surroundings): void {
  const group = program.command('token').description('tokens for the API');

  const create = verb(group, 'create', 'sign a token; needs the relay’s own secret, not the relay')
    .requiredOption('--subject <subject>', 'whose it is: owns the subscribers that it creates')
    .addOption(
      listOption('--scope <scopes>', 'read, write (includes read), admin (all)').makeOptionMandatory(),
    )
    .addOption(
      durationOption('--expires <time>', 'how long it is valid, 90d at most').default(30 * dayMs, '30d'),
    );
  create.action((options: CreateOptions) => {
    const expiresInSeconds = Math.floor(options.expires / 1000);
    if (options.expires > tokenLifeMaxMs)
      throw badUsage('A token lives 90 days at most.', 'Give --expires 90d.');
    const asked = scopesOf(options.scope);
    const keys = signingKeysOf(envOf(around, options.config));
    const made = signToken(
      keys,
      { subject: options.subject, scopes: asked, expiresInSeconds },
      around.clock.wall(),
    );
    const to = printer(around.stdout, around.stderr, around.env);
    const expiresAt = new Date(made.expiresAt).toISOString();
    if (options.json) return to.json({ ...made, subject: options.subject, scopes: asked, expiresAt });
    to.out(made.token);
    to.note(`Valid until ${shownInstant(expiresAt)}. To end it sooner: relay token revoke ${made.jti}`);
  });

  verb(group, 'revoke <jti>', 'refuse a token from now on, by its id (or the token itself)').action(
    async (jti: string, options: CommonOptions) => {
      const { call, to, asJson } = openSession(around, options);
      const id = jtiIn(jti);
      await revokeToken(call, id);
      if (asJson) return to.json({ jti: id, revoked: true });
      to.out(`The token ${inert(id)} is refused from now on.`);
    },
  );
}

/** The id of the token that was given: somebody who holds one has its id nowhere else. @throws InvalidInput */
function jtiIn(given: string): string {
  if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(given)) return given;
  try {
    const { jti } = JSON.parse(Buffer.from(given.split('.')[1] ?? '', 'base64url').toString()) as {
      jti?: unknown;
    };
    if (typeof jti === 'string') return jti;
  } catch {
    // It only looks like a token.
  }
  throw badUsage('That is no token of a relay.', 'Give its id, as `relay token create` told it.');
}

function scopesOf(words: readonly string[]): readonly Scope[] {
  const unknown = words.find((word) => !scopes.includes(word as Scope));
  if (words.length === 0 || unknown !== undefined) {
    throw badUsage(`There is no scope "${inert(unknown ?? '')}".`, `The scopes are ${scopes.join(', ')}.`);
  }
  return words as readonly Scope[];
}
