import { type Clock, wait } from '../clock.ts';
import { type Connection, hasSameTokens, type TokenOrigin, type Tokens } from '../domain/clinic.ts';
import { ClaimLost, NotFound, StoreUnavailable } from '../domain/errors.ts';
import type { Logger } from '../logger.ts';
import type { ClinicStore, RefreshClaim } from '../store/store.ts';
import type { OAuth, TokenAnswer } from './oauth.ts';

export interface TokensDependencies {
  readonly store: Pick<ClinicStore, 'claimRefresh' | 'saveTokens' | 'endRefresh' | 'dropSpareTokens'>;
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

/** What speaks against the token that there is. */
type Flaw = 'refused' | 'expiring';

/** Renewed so long before the end that a page run does not outlive its token. */
const renewBeforeMs = 10 * 60_000;
/** A token that claims to end at once is renewed no more often than this. */
const renewEveryMs = 60_000;
const firstPauseMs = 15_000;
const lastPauseMs = 5 * 60_000;
const leaseMs = 120_000;
/** A refresh begins so long before its lease lapses: see the time-out in vendor-http.ts, and some for the record. */
const exchangeMsMax = 45_000;
const saveAgainMs = 1_000;
const appsAskedAtOnce = 8;

/**
 * Access tokens of connections, renewed before they expire and when the vendor refuses
 * them. One renewal at a time per connection, and the new pair is durable before anybody
 * uses it: the vendor ends the old one at the first use of the new.
 */
export class ConnectionTokens {
  readonly #dependencies: TokensDependencies;
  readonly #renewals = new Map<string, Promise<AccessToken>>();
  /** Connection id → not renewed again before then, on the clock that never steps. */
  readonly #pauses = new Map<string, { untilMs: number; pauseMs: number }>();
  /** Connection id → the token of its last renewal, and when that was, on the same clock. */
  readonly #renewed = new Map<string, { accessToken: string; atMs: number }>();

  constructor(dependencies: TokensDependencies) {
    this.#dependencies = dependencies;
  }

  /** A token that is good for some time yet. */
  async current(connection: Connection): Promise<AccessToken> {
    if (connection.state === 'needsReconnect') {
      return { kind: 'needsReconnect', detail: connection.stateReason ?? 'it was refused' };
    }
    if (connection.state === 'restored') return { kind: 'unavailable', detail: 'it was not resumed yet' };
    const { id, tokens } = connection;
    const now = this.#dependencies.clock.now();
    if (tokens !== null && !this.#isRenewalDue(connection)) return token(tokens);
    const renewed = await this.#renewOnce(id, tokens?.accessToken ?? null, 'expiring');
    // While the vendor's token endpoint is away, what is still valid serves on.
    if (renewed.kind === 'unavailable' && tokens !== null && tokens.expiresAt > now) return token(tokens);
    return renewed;
  }

  /** Renews a token that the vendor refused, unless somebody has done so already. */
  renew(connectionId: string, refused: string): Promise<AccessToken> {
    return this.#renewOnce(connectionId, refused, 'refused');
  }

  /** The vendor took a request under the connection's new pair: the old one has ended. */
  async worked(connection: Connection): Promise<void> {
    const { id, tokens, spareTokens } = connection;
    if (tokens === null || spareTokens === null) return;
    await unlessRemoved(() => this.#dependencies.store.dropSpareTokens(id, tokens.accessToken), undefined);
  }

  /**
   * A fresh token was refused, too, or belongs to another clinic: no renewal will help.
   * One that has expired meanwhile, because the machine slept, is just renewed.
   *
   * @param accessToken which one that is: nothing is known against the one that took its place meanwhile.
   */
  async giveUp(connectionId: string, accessToken: string | null, reason: string): Promise<void> {
    const { store, clock, logger } = this.#dependencies;
    await unlessRemoved(async () => {
      const claim = await store.claimRefresh(connectionId, leaseMs);
      if (claim === null) return;
      const { state, tokens } = claim.connection;
      const hasExpired = tokens !== null && tokens.expiresAt <= clock.now();
      // Two requests that were refused together condemn it once.
      if (state !== 'working' || tokens?.accessToken !== accessToken || hasExpired) {
        return store.endRefresh(claim, null);
      }
      if (!(await this.#condemn(claim, reason))) return;
      logger.error('A connection needs to be authorized again.', { connectionId, reason });
    }, undefined);
  }

  /** The connection was given other tokens: what was learnt about the old ones is forgotten. */
  forget(connectionId: string): void {
    this.#pauses.delete(connectionId);
    this.#renewed.delete(connectionId);
  }

  /** Renews what is about to expire, idle connections too: nobody says how long a refresh token lives. */
  async keepAlive(connections: readonly Connection[]): Promise<void> {
    for (const connection of connections) {
      if (isRenewed(connection, 'refreshToken') && this.#isRenewalDue(connection)) {
        await this.#renewOnce(connection.id, connection.tokens?.accessToken ?? null, 'expiring');
      }
    }
  }

  /** Asks the operator's apps for the access tokens that are about to end, those of idle connections too. */
  async askApps(connections: readonly Connection[]): Promise<void> {
    const due = connections.filter(
      (connection) => isRenewed(connection, 'tokenUrl') && this.#isRenewalDue(connection),
    );
    const next = due.values();
    const askNext = async (): Promise<void> => {
      for (const { id, tokens } of next) await this.#renewOnce(id, tokens?.accessToken ?? null, 'expiring');
    };
    await Promise.all(Array.from({ length: appsAskedAtOnce }, askNext));
  }

  #isRenewalDue({ id, tokens }: Connection): boolean {
    const { clock } = this.#dependencies;
    const leftMs = tokens === null ? 0 : tokens.expiresAt - clock.now();
    if (leftMs > renewBeforeMs) return false;
    const renewed = this.#renewed.get(id);
    const isFresh =
      renewed?.accessToken === tokens?.accessToken && clock.monotonic() - (renewed?.atMs ?? 0) < renewEveryMs;
    return leftMs <= 0 || !isFresh;
  }

  #renewOnce(connectionId: string, flawed: string | null, flaw: Flaw): Promise<AccessToken> {
    const running = this.#renewals.get(connectionId);
    if (running) return running;
    const renewal = unlessRemoved<AccessToken>(() => this.#renew(connectionId, flawed, flaw), {
      kind: 'needsReconnect',
      detail: 'the connection was removed',
    }).finally(() => this.#renewals.delete(connectionId));
    this.#renewals.set(connectionId, renewal);
    return renewal;
  }

  async #renew(connectionId: string, flawed: string | null, flaw: Flaw): Promise<AccessToken> {
    const { store, clock, logger } = this.#dependencies;
    const startBy = clock.monotonic() + leaseMs - exchangeMsMax;
    const claim = await store.claimRefresh(connectionId, leaseMs);
    if (claim === null) return { kind: 'unavailable', detail: 'it is being renewed elsewhere' };
    const { connection } = claim;
    if (connection.tokens !== null && connection.tokens.accessToken !== flawed) {
      await store.endRefresh(claim, null);
      return token(connection.tokens);
    }
    if ((this.#pauses.get(connectionId)?.untilMs ?? 0) > clock.monotonic()) {
      await store.endRefresh(claim, null);
      return { kind: 'unavailable', detail: 'it could not be renewed a moment ago' };
    }
    const answer = await this.#ask(connection, startBy);
    switch (answer.kind) {
      case 'tokens':
        if (flaw === 'refused' && answer.tokens.accessToken === flawed) {
          await store.endRefresh(claim, null);
          return this.#unavailable(connectionId, 'the token that the vendor refused was handed out again');
        }
        await this.#save(claim, answer.tokens);
        this.#pauses.delete(connectionId);
        this.#renewed.set(connectionId, {
          accessToken: answer.tokens.accessToken,
          atMs: clock.monotonic(),
        });
        return token(answer.tokens);
      case 'limited':
        await store.endRefresh(claim, null);
        return this.#unavailable(connectionId, `status ${answer.status}`, answer.retryAfterMs);
      case 'unavailable':
        await store.endRefresh(claim, null);
        return this.#unavailable(connectionId, answer.detail);
      case 'invalidGrant': {
        const detail = 'the vendor ended the authorization (invalid_grant)';
        if (!(await this.#condemn(claim, detail))) {
          return { kind: 'unavailable', detail: 'its tokens were replaced meanwhile' };
        }
        logger.error('A connection needs to be authorized again.', { connectionId, reason: detail });
        return { kind: 'needsReconnect', detail };
      }
    }
  }

  /** False when the tokens were replaced meanwhile: nothing is known against the new ones. */
  async #condemn(claim: RefreshClaim, reason: string): Promise<boolean> {
    try {
      await this.#dependencies.store.endRefresh(claim, reason);
      return true;
    } catch (error) {
      if (error instanceof ClaimLost) return false;
      throw error;
    }
  }

  /** Asked again later and later: an outage of the token endpoint is not made worse. */
  #unavailable(connectionId: string, detail: string, retryAfterMs: number | null = null): AccessToken {
    const { clock, logger } = this.#dependencies;
    const pauseMs = this.#pauses.get(connectionId)?.pauseMs ?? firstPauseMs;
    this.#pauses.set(connectionId, {
      untilMs: clock.monotonic() + Math.max(pauseMs, retryAfterMs ?? 0),
      pauseMs: Math.min(pauseMs * 2, lastPauseMs),
    });
    logger.warn('Tokens could not be renewed; it is tried again.', { connectionId, detail });
    return { kind: 'unavailable', detail };
  }

  /** The current pair, then the spare one: a crash may have come between the renewal and its first use. */
  async #ask({ origin, tokens, spareTokens }: Connection, startBy: number): Promise<TokenAnswer> {
    const { oauth } = this.#dependencies;
    if (origin.kind === 'tokenUrl') return oauth.askTokenUrl(origin.url, origin.secret);
    const refreshTokens = [tokens?.refreshToken, spareTokens?.refreshToken].filter(
      (text) => typeof text === 'string',
    );
    let answer: TokenAnswer = { kind: 'invalidGrant' };
    for (const refreshToken of new Set(refreshTokens)) {
      answer = await oauth.refresh(refreshToken, startBy);
      if (answer.kind !== 'invalidGrant') return answer;
    }
    return answer;
  }

  /**
   * Until the pair is durable it is used for nothing: it may be the only one that still
   * works. For as long as the store takes no writes, it is kept here and offered again.
   */
  async #save(first: RefreshClaim, tokens: Tokens): Promise<void> {
    const { store, clock, logger } = this.#dependencies;
    const { id: connectionId } = first.connection;
    let claim = first;
    for (let tries = 1; ; tries++) {
      try {
        await store.saveTokens(claim, tokens);
        return;
      } catch (error) {
        if (error instanceof ClaimLost) claim = await this.#claimAgain(first, error);
        else if (!(error instanceof StoreUnavailable)) throw error;
        else if (tries === 1) {
          logger.error('Renewed tokens wait for the store.', { connectionId, code: error.code });
        }
        await wait(clock, saveAgainMs);
      }
    }
  }

  /** @throws ClaimLost when somebody else has renewed or replaced the pair, or is about to. */
  async #claimAgain({ connection }: RefreshClaim, lost: ClaimLost): Promise<RefreshClaim> {
    const { store } = this.#dependencies;
    const claim = await store.claimRefresh(connection.id, leaseMs);
    if (claim === null) throw lost;
    if (hasSameTokens(connection, claim.connection)) return claim;
    await store.endRefresh(claim, null);
    throw lost;
  }
}

/** There is something to renew, and it comes from there. */
function isRenewed({ state, origin, tokens }: Connection, from: TokenOrigin['kind']): boolean {
  const canBe = origin.kind === 'tokenUrl' || typeof tokens?.refreshToken === 'string';
  return state === 'working' && origin.kind === from && canBe;
}

/** A connection may be removed while somebody works on it. */
async function unlessRemoved<T>(work: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof NotFound) return otherwise;
    throw error;
  }
}

function token({ accessToken }: Tokens): AccessToken {
  return { kind: 'token', accessToken };
}
