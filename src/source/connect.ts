import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { type Clock, wait } from '../clock.ts';
import type { Connection, Tokens } from '../domain/clinic.ts';
import { StoreUnavailable } from '../domain/errors.ts';
import type { Logger } from '../logger.ts';
import type { ClinicStore, RevokedTokenStore } from '../store/store.ts';
import type { OAuth, VendorApp } from './oauth.ts';
import type { Revocations } from './revocations.ts';

export interface ConnectingDependencies {
  readonly store: Pick<
    ClinicStore,
    'clinics' | 'changeClinic' | 'connections' | 'saveConnection' | 'deleteConnection'
  > &
    RevokedTokenStore;
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

export type Connected =
  | { readonly kind: 'connected'; readonly name: string; readonly clinicId: string }
  /** Its tokens are saved; the vendor has not named its clinic yet. `name` as it was asked for. */
  | { readonly kind: 'waiting'; readonly name: string | null }
  | { readonly kind: 'linkUnknown' | 'linkExpired' | 'linkUsed' }
  | { readonly kind: 'denied' | 'codeRefused' | 'busy' }
  /** The vendor has the app wait: it goes on by itself. */
  | { readonly kind: 'underWay' }
  /** Why in one line, for whoever runs the relay; `null` when that is not known any more. */
  | { readonly kind: 'otherClinic'; readonly reason: string | null }
  /** It may go well with another link. */
  | { readonly kind: 'vendorAway' | 'storeAway' };

/** What a state stands for. */
interface Asked {
  /** `null`: as the vendor calls the clinic. */
  readonly name: string | null;
  readonly connectionId: string;
  readonly until: number;
}

/** To a link that somebody has used. */
interface Answer {
  readonly until: number;
  readonly connectionId: string;
  readonly connected: Promise<Connected>;
  /** `null` as long as it is under way. */
  outcome: Connected | null;
}

/** As long as the vendor's code is good. */
const linkMs = 10 * 60_000;
const namingMsMax = 10_000;
const pageMsMax = 20_000;
const underWay: Connected = { kind: 'underWay' };
const lookEveryMs = 200;
const ivBytes = 12;
const tagBytes = 16;
/** A state for the longest name is half as long. */
const stateLengthMax = 2_048;
const underWayMax = 50;

/**
 * Connects clinics from the browser. A `state` is what was asked, sealed under a key of
 * the relay's own: nothing is stored until it is used, so that a link outlives a restart
 * and asking for links fills no disk. It is used once: its digest is durable before the
 * code is spent.
 */
export class Connecting {
  readonly #dependencies: ConnectingDependencies;
  readonly #key: Buffer;
  /** Digest of a state → what comes of it, so that a page loaded twice shows the same. */
  readonly #answers = new Map<string, Answer>();

  constructor(dependencies: ConnectingDependencies) {
    this.#dependencies = dependencies;
    this.#key = Buffer.from(hkdfSync('sha256', dependencies.masterKey, '', 'relay connect state', 32));
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
    url.searchParams.set('state', this.#seal({ name, connectionId, until }));
    return { url: url.href, connectionId, expiresAt: until };
  }

  async complete(callback: Callback): Promise<Connected> {
    const asked = callback.state === null ? null : this.#unseal(callback.state);
    if (asked === null) return { kind: 'linkUnknown' };
    const { clock } = this.#dependencies;
    const digest = createHash('sha256')
      .update(callback.state ?? '')
      .digest('hex');
    for (const [key, { until }] of this.#answers) if (until <= clock.now()) this.#answers.delete(key);
    const given = this.#answers.get(digest);
    if (given) return this.#soon(given.connected);
    if (asked.until <= clock.now()) return { kind: 'linkExpired' };
    if (callback.error === null && callback.code === null) return { kind: 'codeRefused' };
    const open = [...this.#answers.values()].filter(({ outcome }) => outcome === null);
    if (open.length >= underWayMax) return { kind: 'busy' };
    const { until, connectionId } = asked;
    const connected = this.#completeOnce(asked, `connect:${digest}`, callback).then((outcome) => {
      answer.outcome = outcome;
      // What may come out otherwise next time is looked at again.
      if (outcome.kind === 'waiting' || outcome.kind === 'storeAway') this.#answers.delete(digest);
      return outcome;
    });
    const answer: Answer = { until, connectionId, connected, outcome: null };
    this.#answers.set(digest, answer);
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
   * nobody has used it. After a restart the links that connected nobody are forgotten.
   */
  async outcomeOf(connectionId: string): Promise<Connected | null> {
    const connection = (await this.#dependencies.store.connections()).find(({ id }) => id === connectionId);
    if (connection !== undefined) return connectedBy(connection);
    const given = [...this.#answers.values()].find((each) => each.connectionId === connectionId);
    return given === undefined ? null : (given.outcome ?? underWay);
  }

  async #completeOnce(asked: Asked, used: string, { code, error }: Callback): Promise<Connected> {
    const { store, oauth, clock } = this.#dependencies;
    try {
      if (await store.isRevoked(used)) return await this.#again(asked);
      await store.revokeToken(used, asked.until);
      if (error !== null || code === null) {
        return { kind: error === 'access_denied' ? 'denied' : 'codeRefused' };
      }
      const answer = await oauth.exchange(code, clock.monotonic() + asked.until - clock.now());
      if (answer.kind === 'invalidGrant') return { kind: 'codeRefused' };
      if (answer.kind !== 'tokens') return { kind: 'vendorAway' };
      await this.#save(asked, answer.tokens);
      this.#dependencies.connectionChanged(asked.connectionId);
      this.#dependencies.wakePoller();
      return await this.#named(asked);
    } catch (thrown) {
      if (!(thrown instanceof StoreUnavailable)) {
        const fault = thrown instanceof Error ? thrown.name : 'unknown error';
        this.#dependencies.logger.error('A clinic could not be connected.', { name: asked.name, fault });
      }
      return { kind: 'storeAway' };
    }
  }

  async #save({ connectionId, name }: Asked, tokens: Tokens): Promise<void> {
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
      void revocations.revoke(tokens);
      throw thrown;
    }
  }

  /** A link that was used before a restart, or whose clinic had no name yet. */
  async #again(asked: Asked): Promise<Connected> {
    const known = (await this.#dependencies.store.connections()).find(({ id }) => id === asked.connectionId);
    return known === undefined ? { kind: 'linkUsed' } : this.#named(asked);
  }

  /** The poller asks the vendor for its clinic, as for any connection's; here is seen what came of it. */
  async #named({ connectionId }: Asked): Promise<Connected> {
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
    const ended = await store.deleteConnection(id);
    logger.error('A clinic was not connected.', { connectionId: id, name, reason: stateReason });
    if (ended?.tokens) await revocations.revoke(ended.tokens);
  }

  /** It takes the place of those that do not work any more; those that do are its spares. */
  async #settle({ id, clinicId }: Connection, connections: readonly Connection[]): Promise<void> {
    const { store, wakePoller } = this.#dependencies;
    const clinic = (await store.clinics()).find((each) => each.id === clinicId);
    if (clinic?.isRemoved) await store.changeClinic(clinic.id, { isRemoved: false });
    for (const other of connections) {
      const isSpent = other.state === 'needsReconnect' && other.declaredDigest === null;
      if (other.id !== id && other.clinicId === clinicId && isSpent) await store.deleteConnection(other.id);
    }
    wakePoller();
  }

  #seal(asked: Asked): string {
    const iv = randomBytes(ivBytes);
    const cipher = createCipheriv('aes-256-gcm', this.#key, iv, { authTagLength: tagBytes });
    const text = Buffer.concat([cipher.update(JSON.stringify(asked)), cipher.final()]);
    return Buffer.concat([iv, cipher.getAuthTag(), text]).toString('base64url');
  }

  /** `null` when this relay has not sealed it. */
  #unseal(state: string): Asked | null {
    const sealed = Buffer.from(state.slice(0, stateLengthMax), 'base64url');
    if (sealed.toString('base64url') !== state || sealed.length < ivBytes + tagBytes) return null;
    try {
      const iv = sealed.subarray(0, ivBytes);
      const decipher = createDecipheriv('aes-256-gcm', this.#key, iv, { authTagLength: tagBytes });
      decipher.setAuthTag(sealed.subarray(ivBytes, ivBytes + tagBytes));
      const text = Buffer.concat([decipher.update(sealed.subarray(ivBytes + tagBytes)), decipher.final()]);
      return JSON.parse(text.toString()) as Asked;
    } catch {
      return null;
    }
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
