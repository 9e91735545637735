import { createHmac, timingSafeEqual } from 'node:crypto';
import { ClinicIndex, type SandboxClinic, type SandboxUser } from './clinics.ts';
import type { Random } from './random.ts';

/** Source: Fullscript, "Request access token". */
export const accessTokenSeconds = 7200;
const codeMs = 10 * 60_000;

/**
 * What a refresh does to the old pair. `graceful`, as documented: its refresh token stays
 * good until the new access token is first used. `strict`: it ends at once, the access
 * token included. `none`: it stays, and no new refresh token is given.
 */
export type Rotation = 'graceful' | 'strict' | 'none';

export interface TokenPair {
  readonly accessToken: string;
  /** `null` when the one that was spent stays. */
  readonly refreshToken: string | null;
  readonly user: SandboxUser;
  readonly issuedAt: number;
}

interface Kept extends TokenPair {
  readonly refreshToken: string;
  /** The pair whose refresh token made this one; it ends when this one is first used. */
  readonly replaces: Kept | null;
  isRevoked: boolean;
  isAccessEnded: boolean;
  isRefreshEnded: boolean;
}

export type Authentication =
  | { readonly kind: 'known'; readonly user: SandboxUser }
  | { readonly kind: 'refused'; readonly code: string; readonly message: string };

/** The codes and tokens that were given out, and which of them still count. */
export class Tokens {
  readonly #random: Random;
  readonly #key: string;
  readonly #clinics: readonly SandboxClinic[];
  readonly #index: ClinicIndex;
  readonly #byAccess = new Map<string, Kept>();
  readonly #byRefresh = new Map<string, Kept>();
  readonly #codes = new Map<string, { user: SandboxUser; redirectUri: string; issuedAt: number }>();

  /** Gives each clinic's first user the fixed pair, valid from `now` on. */
  constructor(options: { random: Random; key: string; clinics: readonly SandboxClinic[]; now: number }) {
    this.#random = options.random;
    this.#key = options.key;
    this.#clinics = options.clinics;
    this.#index = new ClinicIndex(options.clinics);
    for (const clinic of options.clinics) {
      this.#keep({ ...fixedTokens(clinic), user: clinic.users[0], issuedAt: options.now }, null);
    }
  }

  giveCode(user: SandboxUser, redirectUri: string, now: number): string {
    const code = `sandbox-code-${this.#random.hex(32)}`;
    this.#codes.set(code, { user, redirectUri, issuedAt: now });
    return code;
  }

  /**
   * `null` when the code is unknown, used, over ten minutes old, or was given to another redirect URI.
   *
   * @param endsFormer whether it ends the pairs that the user gave before.
   */
  exchange(code: string, redirectUri: string, now: number, endsFormer: () => boolean): TokenPair | null {
    const given = this.#codes.get(code);
    this.#codes.delete(code);
    if (given === undefined || given.redirectUri !== redirectUri || now - given.issuedAt > codeMs)
      return null;
    if (endsFormer()) {
      for (const pair of this.#byAccess.values()) if (pair.user.id === given.user.id) pair.isRevoked = true;
    }
    return this.#issue(given.user, now, null);
  }

  /**
   * A new pair; `null` when the refresh token no longer counts.
   *
   * @param how.rotation asked when the token is about to be spent.
   * @param how.lifeMs how long refresh tokens are good for.
   */
  refresh(
    refreshToken: string,
    now: number,
    how: { readonly rotation: () => Rotation; readonly lifeMs: () => number },
  ): TokenPair | null {
    const old = this.#byRefresh.get(refreshToken) ?? this.#adopt(refreshToken, now);
    if (old === null || old.isRevoked || old.isRefreshEnded) return null;
    if (now - old.issuedAt >= how.lifeMs()) return null;
    switch (how.rotation()) {
      case 'graceful':
        return this.#issue(old.user, now, old);
      case 'strict':
        old.isRevoked = true;
        return this.#issue(old.user, now, old);
      case 'none':
        return { ...this.#issue(old.user, now, null), refreshToken: null };
    }
  }

  /** Whose token it is, whether it still counts or not. */
  userOf(token: string | null): SandboxUser | null {
    if (token === null) return null;
    return (this.#byAccess.get(token) ?? this.#byRefresh.get(token))?.user ?? null;
  }

  /**
   * Checks an access token that is about to be used.
   *
   * @param lifeMs how long access tokens are good for, whatever was promised.
   */
  authenticate(accessToken: string | null, now: number, lifeMs: number): Authentication {
    if (accessToken === null) return refused('token_missing', 'No bearer token was sent.');
    const pair = this.#byAccess.get(accessToken);
    if (pair === undefined) return refused('token_invalid', 'The access token is unknown.');
    if (pair.isRevoked || pair.isAccessEnded)
      return refused('token_revoked', 'The access token was revoked.');
    if (now - pair.issuedAt >= lifeMs) return refused('token_expired', 'The access token expired.');
    if (pair.replaces !== null) pair.replaces.isRefreshEnded = true;
    return { kind: 'known', user: pair.user };
  }

  /**
   * Ends the pair that the access or refresh token belongs to, and the one that it replaced.
   *
   * @param isAlone the other token of the pair stays.
   */
  revoke(token: string, isAlone: boolean): void {
    if (isAlone) {
      const [ofAccess, ofRefresh] = [this.#byAccess.get(token), this.#byRefresh.get(token)];
      if (ofAccess) ofAccess.isAccessEnded = true;
      if (ofRefresh) ofRefresh.isRefreshEnded = true;
      return;
    }
    const pair = this.#byAccess.get(token) ?? this.#byRefresh.get(token);
    for (let each: Kept | null | undefined = pair; each; each = each.replaces) each.isRevoked = true;
  }

  /** What happens when the clinic's users take their permission back in Fullscript itself. */
  revokeClinic(clinicId: string): void {
    for (const pair of this.#byAccess.values()) if (pair.user.clinicId === clinicId) pair.isRevoked = true;
  }

  #issue(user: SandboxUser, now: number, replaces: Kept | null): Kept {
    const clinic = this.#index.find(user.clinicId);
    const stem = `${clinic.slug}-${user.type.toLowerCase()}-${this.#random.hex(24)}`;
    return this.#keep(
      {
        accessToken: `sandbox-access-${stem}`,
        refreshToken: `sandbox-refresh-${stem}-${this.#seal(stem)}`,
        user,
        issuedAt: now,
      },
      replaces,
    );
  }

  #keep(pair: Pick<Kept, 'accessToken' | 'refreshToken' | 'user' | 'issuedAt'>, replaces: Kept | null): Kept {
    const kept: Kept = { ...pair, replaces, isRevoked: false, isAccessEnded: false, isRefreshEnded: false };
    this.#byAccess.set(kept.accessToken, kept);
    this.#byRefresh.set(kept.refreshToken, kept);
    return kept;
  }

  /** A refresh token that an earlier start gave out: its seal says so. */
  #adopt(refreshToken: string, now: number): Kept | null {
    for (const clinic of this.#clinics) {
      for (const user of clinic.users) {
        const head = `${clinic.slug}-${user.type.toLowerCase()}-`;
        const stem = /^sandbox-refresh-(.+-[0-9a-f]{24})-[0-9a-f]{16}$/.exec(refreshToken)?.[1];
        if (stem === undefined || stem.length !== head.length + 24 || !stem.startsWith(head)) continue;
        const sealed = Buffer.from(`sandbox-refresh-${stem}-${this.#seal(stem)}`);
        const given = Buffer.from(refreshToken);
        if (sealed.length !== given.length || !timingSafeEqual(sealed, given)) return null;
        const isOver = -accessTokenSeconds * 1000;
        return this.#keep(
          { accessToken: `sandbox-access-${stem}`, refreshToken, user, issuedAt: now + isOver },
          null,
        );
      }
    }
    return null;
  }

  #seal(stem: string): string {
    return createHmac('sha256', this.#key).update(stem).digest('hex').slice(0, 16);
  }
}

/** The documented pair of a clinic's first user: what a configuration file can name. */
export function fixedTokens(clinic: Pick<SandboxClinic, 'slug'>): {
  readonly accessToken: string;
  readonly refreshToken: string;
} {
  return {
    accessToken: `sandbox-access-${clinic.slug}`,
    refreshToken: `sandbox-refresh-${clinic.slug}`,
  };
}

function refused(code: string, message: string): Authentication {
  return { kind: 'refused', code, message };
}
