import { type Clock, wait } from '../clock.ts';
import type { Connection, Tokens } from '../domain/clinic.ts';
import { StoreUnavailable } from '../domain/errors.ts';
import type { Logger } from '../logger.ts';
import type { ClinicStore, RefreshClaim } from '../store/store.ts';
import type { OAuth, TokenAnswer } from './oauth.ts';

export interface TokensDependencies {
  readonly store: Pick<
    ClinicStore,
    'connections' | 'claimRefresh' | 'saveTokens' | 'endRefresh' | 'dropSpareTokens'
  >;
  readonly oauth: OAuth;
  readonly clock: Clock;
  readonly logger: Logger;
}

export type AccessToken =
  | { readonly kind: 'token'; readonly accessToken: string }
  /** Not to be had at the moment. */
  | { readonly kind: 'unavailable'; readonly detail: string }
  /** A person has to authorize again. */
  | { readonly kind: 'needsReconnect'; readonly detail: string };

/** Renewed so long before the end that a page run does not outlive its token. */
const renewBeforeMs = 10 * 60_000;
const leaseMs = 120_000;
const saveAgainMs = 1_000;

/**
 * Access tokens of connections, renewed before they expire and when the vendor refuses
 * them. One renewal at a time per connection, and the new pair is durable before anybody
 * uses it: the vendor ends the old one at the first use of the new.
 */
export class ConnectionTokens {
  readonly #dependencies: TokensDependencies;
  readonly #renewals = new Map<string, Promise<AccessToken>>();

  constructor(dependencies: TokensDependencies) {
    this.#dependencies = dependencies;
  }

  /** A token that is good for some time yet. */
  async current(connection: Connection): Promise<AccessToken> {
    if (connection.state === 'needsReconnect') {
      return { kind: 'needsReconnect', detail: connection.stateReason ?? 'it was refused' };
    }
    const { tokens } = connection;
    const now = this.#dependencies.clock.now();
    if (tokens !== null && tokens.expiresAt - now > renewBeforeMs) return token(tokens);
    const renewed = await this.renew(connection.id, tokens?.accessToken ?? null);
    // While the vendor's token endpoint is away, what is still valid serves on.
    if (renewed.kind === 'unavailable' && tokens !== null && tokens.expiresAt > now) return token(tokens);
    return renewed;
  }

  /**
   * Renews unless somebody has done so already.
   * @param refused the access token that is not to be used any more; `null` if there is none.
   */
  renew(connectionId: string, refused: string | null): Promise<AccessToken> {
    const running = this.#renewals.get(connectionId);
    if (running) return running;
    const renewal = this.#renew(connectionId, refused).finally(() => this.#renewals.delete(connectionId));
    this.#renewals.set(connectionId, renewal);
    return renewal;
  }

  /** The vendor took a request under the connection's new pair: the old one has ended. */
  async worked(connection: Connection): Promise<void> {
    if (connection.spareTokens !== null) await this.#dependencies.store.dropSpareTokens(connection.id);
  }

  /** A fresh token was refused, too, or belongs to another clinic: no renewal will help. */
  async giveUp(connectionId: string, reason: string): Promise<void> {
    const { store, logger } = this.#dependencies;
    const claim = await store.claimRefresh(connectionId, leaseMs);
    if (claim === null) return;
    await store.endRefresh(claim, reason);
    logger.error('A connection needs to be authorized again.', { connectionId, reason });
  }

  /** Renews what is about to expire, idle connections too: nobody says how long a refresh token lives. */
  async keepAlive(): Promise<void> {
    const { store, clock } = this.#dependencies;
    for (const connection of await store.connections()) {
      const { tokens } = connection;
      if (connection.state !== 'working' || tokens === null || tokens.refreshToken === null) continue;
      if (tokens.expiresAt - clock.now() <= renewBeforeMs)
        await this.renew(connection.id, tokens.accessToken);
    }
  }

  async #renew(connectionId: string, refused: string | null): Promise<AccessToken> {
    const { store, logger } = this.#dependencies;
    const claim = await store.claimRefresh(connectionId, leaseMs);
    if (claim === null) return { kind: 'unavailable', detail: 'it is being renewed elsewhere' };
    const { connection } = claim;
    if (connection.tokens !== null && connection.tokens.accessToken !== refused) {
      await store.endRefresh(claim, null);
      return token(connection.tokens);
    }
    const answer = await this.#ask(connection);
    switch (answer.kind) {
      case 'tokens':
        await this.#save(claim, answer.tokens);
        return token(answer.tokens);
      case 'unavailable':
        await store.endRefresh(claim, null);
        logger.warn('Tokens could not be renewed; it is tried again.', {
          connectionId,
          detail: answer.detail,
        });
        return { kind: 'unavailable', detail: answer.detail };
      case 'invalidGrant': {
        const detail = 'the vendor ended the authorization (invalid_grant)';
        await store.endRefresh(claim, detail);
        logger.error('A connection needs to be authorized again.', { connectionId, reason: detail });
        return { kind: 'needsReconnect', detail };
      }
    }
  }

  /** The current pair, then the spare one: a crash may have come between the renewal and its first use. */
  async #ask({ origin, tokens, spareTokens }: Connection): Promise<TokenAnswer> {
    const { oauth } = this.#dependencies;
    if (origin.kind === 'tokenUrl') return oauth.askTokenUrl(origin.url, origin.secret);
    const refreshTokens = [tokens?.refreshToken, spareTokens?.refreshToken].filter(
      (text) => typeof text === 'string',
    );
    let answer: TokenAnswer = { kind: 'invalidGrant' };
    for (const refreshToken of new Set(refreshTokens)) {
      answer = await oauth.refresh(refreshToken);
      if (answer.kind !== 'invalidGrant') return answer;
    }
    return answer;
  }

  /** Until the pair is durable it is used for nothing: it may be the only one that still works. */
  async #save(claim: RefreshClaim, tokens: Tokens): Promise<void> {
    const { store, clock, logger } = this.#dependencies;
    for (;;) {
      try {
        await store.saveTokens(claim, tokens);
        return;
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
        logger.error('Renewed tokens wait for the store.', {
          connectionId: claim.connection.id,
          code: error.code,
        });
        await wait(clock, saveAgainMs);
      }
    }
  }
}

function token({ accessToken }: Tokens): AccessToken {
  return { kind: 'token', accessToken };
}
