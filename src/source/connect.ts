import { type Clock, wait } from '../clock.ts';
import type { Connection, Tokens } from '../domain/clinic.ts';
import { StoreUnavailable } from '../domain/errors.ts';
import type { Logger } from '../logger.ts';
import type { ClinicStore, LinkFailure, LinkStore } from '../store/store.ts';
import { type LinkAsk, LinkStates } from './link-states.ts';
import type { OAuth, VendorApp } from './oauth.ts';
import type { Revocations } from './revocations.ts';

export interface ConnectingDependencies {
  readonly store: Pick<
    ClinicStore,
    'clinics' | 'changeClinic' | 'connections' | 'saveConnection' | 'deleteConnection'
  > &
    LinkStore;
  readonly oauth: Pick<OAuth, 'exchange'>;
  readonly revocations: Pick<Revocations, 'revoke'>;
  readonly app: VendorApp;
  /** 32 bytes; the key of the states derives from it. */
  readonly masterKey: Buffer;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A connection is new: its clinic is to be asked for. */
  readonly connectionChanged: (connectionId: string) => void;
  readonly wakePoller: () => void;
}

export interface AuthorizeLink {
  readonly url: string;
  readonly connectionId: string;
  readonly expiresAt: number;
}

/** What the browser brings back from the vendor. */
export interface Callback {
  readonly state: string | null;
  readonly code: string | null;
  readonly error: string | null;
}

/** What has come of a link that somebody has used. */
export type LinkOutcome =
  | { readonly kind: 'connected'; readonly name: string; readonly clinicId: string }
  /** Its tokens are saved; the vendor has not named its clinic yet. `name` as it was asked for. */
  | { readonly kind: 'waiting'; readonly name: string | null }
  /** The vendor has the app wait: it goes on by itself. */
  | { readonly kind: 'underWay' }
  /** It may go well with another link after `vendorAway`. */
  | { readonly kind: 'denied' | 'codeRefused' | 'vendorAway' }
  /** Why in one line, for whoever runs the relay; `null` when that is not known any more. */
  | { readonly kind: 'otherClinic'; readonly reason: string | null }
  /** No connection of it is left: a process ended while it was used, or its clinic was disconnected. */
  | { readonly kind: 'linkUsed' };

export type Connected =
  | LinkOutcome
  | { readonly kind: 'linkUnknown' | 'linkExpired' | 'busy' }
  /** It may go well with another link. */
  | { readonly kind: 'storeAway' };

/** As long as the vendor's code is good. */
const linkMs = 10 * 60_000;
const namingMsMax = 10_000;
const pageMsMax = 20_000;
const underWay = { kind: 'underWay' } as const;
const lookEveryMs = 200;
const underWayMax = 50;
/** What came of a link can be asked for so long after its end. */
const outcomeKeptMs = 24 * 3_600_000;

/**
 * Connects clinics from the browser. A link is used once: that is durable before the code
 * is spent, and what came of it is, before it is shown.
 */
export class Connecting {
  readonly #dependencies: ConnectingDependencies;
  readonly #states: LinkStates;
  /** Connection id → what comes of its link, so that a page loaded twice shows the same. */
  readonly #underWay = new Map<string, Promise<Connected>>();

  constructor(dependencies: ConnectingDependencies) {
    this.#dependencies = dependencies;
    this.#states = new LinkStates(dependencies.masterKey);
  }

  /**
   * A link for one person and one connection.
   *
   * @param name `null`: as the vendor calls the clinic.
   * @param connectionId of the connection to come.
   */
  link(name: string | null, connectionId: string): AuthorizeLink {
    const { app, clock } = this.#dependencies;
    const until = clock.now() + linkMs;
    const url = new URL(`${app.apiUrl}/oauth/authorize`);
    url.searchParams.set('client_id', app.clientId);
    url.searchParams.set('redirect_uri', app.redirectUri);
    url.searchParams.set('response_type', 'code');
    url.searchParams.set('state', this.#states.seal({ name, connectionId, until }));
    return { url: url.href, connectionId, expiresAt: until };
  }

  async complete(callback: Callback): Promise<Connected> {
    const asked = callback.state === null ? null : this.#states.unseal(callback.state);
    if (asked === null) return { kind: 'linkUnknown' };
    const { connectionId } = asked;
    const given = this.#underWay.get(connectionId);
    if (given) return this.#soon(given);
    if (asked.until <= this.#dependencies.clock.now()) return { kind: 'linkExpired' };
    if (callback.error === null && callback.code === null) return { kind: 'codeRefused' };
    if (this.#underWay.size >= underWayMax) return { kind: 'busy' };
    const connected = this.#completeOnce(asked, callback).finally(() => this.#underWay.delete(connectionId));
    this.#underWay.set(connectionId, connected);
    return this.#soon(connected);
  }

  /** A page is not waited for as long as the vendor may have the app wait. */
  async #soon(connected: Promise<Connected>): Promise<Connected> {
    const over = new AbortController();
    const tooLong = wait(this.#dependencies.clock, pageMsMax, over.signal).then(() => underWay);
    try {
      return await Promise.race([connected, tooLong]);
    } finally {
      over.abort();
    }
  }

  /**
   * What has come of a link so far, by the connection that was to come of it; `null` while
   * nobody has used it, and again a day after its end.
   */
  async outcomeOf(connectionId: string): Promise<LinkOutcome | null> {
    const { store } = this.#dependencies;
    const connection = (await store.connections()).find(({ id }) => id === connectionId);
    if (connection !== undefined) return connectedBy(connection);
    if (this.#underWay.has(connectionId)) return underWay;
    const used = await store.usedLink(connectionId);
    return used === null ? null : failedBy(used.failure);
  }

  async #completeOnce(asked: LinkAsk, { code, error }: Callback): Promise<Connected> {
    const { store, oauth, clock } = this.#dependencies;
    const { connectionId, until } = asked;
    try {
      if (!(await store.useLink(connectionId, until + outcomeKeptMs))) return await this.#again(connectionId);
      if (error !== null || code === null) {
        return await this.#fail(connectionId, error === 'access_denied' ? 'denied' : 'codeRefused');
      }
      const answer = await oauth.exchange(code, clock.monotonic() + until - clock.now());
      if (answer.kind === 'invalidGrant') return await this.#fail(connectionId, 'codeRefused');
      if (answer.kind !== 'tokens') return await this.#fail(connectionId, 'vendorAway');
      await this.#save(asked, answer.tokens);
      this.#dependencies.connectionChanged(connectionId);
      this.#dependencies.wakePoller();
      return await this.#named(connectionId);
    } catch (thrown) {
      if (!(thrown instanceof StoreUnavailable)) {
        const fault = thrown instanceof Error ? thrown.name : 'unknown error';
        this.#dependencies.logger.error('A clinic could not be connected.', { name: asked.name, fault });
      }
      return { kind: 'storeAway' };
    }
  }

  async #fail(connectionId: string, kind: LinkFailure['kind']): Promise<Connected> {
    const failure = { kind, reason: null };
    await this.#dependencies.store.failLink(connectionId, failure);
    return failedBy(failure);
  }

  async #save({ connectionId, name }: LinkAsk, tokens: Tokens): Promise<void> {
    const { store, revocations, clock } = this.#dependencies;
    const connection: Connection = {
      id: connectionId,
      clinicId: null,
      name: name ?? connectionId,
      ...(name === null && { isUnnamed: true }),
      origin: { kind: 'refreshToken' },
      tokens,
      spareTokens: null,
      declaredDigest: null,
      state: 'working',
      stateReason: null,
      refreshedAt: clock.now(),
      createdAt: clock.now(),
    };
    try {
      await store.saveConnection(connection);
    } catch (thrown) {
      // Nobody will ever use them.
      const owed = { id: `rev_${connectionId}`, tokens, failures: 0, dueAt: clock.now() };
      void revocations.revoke([owed]);
      throw thrown;
    }
  }

  /** A link that was used before. */
  async #again(connectionId: string): Promise<Connected> {
    const { store } = this.#dependencies;
    const known = (await store.connections()).some(({ id }) => id === connectionId);
    return known
      ? this.#named(connectionId)
      : failedBy((await store.usedLink(connectionId))?.failure ?? null);
  }

  /** The poller asks the vendor for its clinic, as for any connection's; here is seen what came of it. */
  async #named(connectionId: string): Promise<Connected> {
    const { store, clock } = this.#dependencies;
    const until = clock.monotonic() + namingMsMax;
    for (;;) {
      const connections = await store.connections();
      const connection = connections.find(({ id }) => id === connectionId);
      if (connection === undefined) return { kind: 'otherClinic', reason: null };
      const connected = connectedBy(connection);
      if (connected.kind === 'otherClinic') await this.#takeBack(connection);
      if (connected.kind === 'connected') await this.#settle(connection, connections);
      if (connected.kind !== 'waiting' || clock.monotonic() >= until) return connected;
      await wait(clock, lookEveryMs);
    }
  }

  /** The tokens are another clinic's, or the vendor refuses them: nothing is kept of them. */
  async #takeBack({ id, name, stateReason }: Connection): Promise<void> {
    const { store, revocations, logger } = this.#dependencies;
    await store.failLink(id, { kind: 'otherClinic', reason: stateReason });
    const owed = await store.deleteConnection(id, { isRevoked: true });
    logger.error('A clinic was not connected.', { connectionId: id, name, reason: stateReason });
    await revocations.revoke(owed);
  }

  /** It takes the place of those that do not work any more; those that do are its spares. */
  async #settle({ id, clinicId }: Connection, connections: readonly Connection[]): Promise<void> {
    const { store, wakePoller } = this.#dependencies;
    const clinic = (await store.clinics()).find((each) => each.id === clinicId);
    if (clinic?.isRemoved) await store.changeClinic(clinic.id, { isRemoved: false });
    for (const other of connections) {
      const isSpent = other.state === 'needsReconnect' && other.declaredDigest === null;
      if (other.id === id || other.clinicId !== clinicId || !isSpent) continue;
      await store.deleteConnection(other.id, { isRevoked: false });
    }
    wakePoller();
  }
}

/** What a connection that a link has made has come to. */
function connectedBy({
  state,
  stateReason,
  clinicId,
  name,
  isUnnamed,
}: Connection): Extract<Connected, { kind: 'connected' | 'waiting' | 'otherClinic' }> {
  if (state !== 'working') return { kind: 'otherClinic', reason: stateReason };
  if (clinicId === null) return { kind: 'waiting', name: isUnnamed ? null : name };
  return { kind: 'connected', name, clinicId };
}

/** @param failure `null`: what came of it nobody knows any more. */
function failedBy(failure: LinkFailure | null): LinkOutcome {
  if (failure === null) return { kind: 'linkUsed' };
  const { kind, reason } = failure;
  return kind === 'otherClinic' ? { kind, reason } : { kind };
}
