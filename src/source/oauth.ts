import type { Clock } from '../clock.ts';
import { readRetryAfterMs } from '../domain/backoff.ts';
import type { Tokens } from '../domain/clinic.ts';
import type { RequestBudget, RequestKind } from './budget.ts';
import type { VendorAnswer, VendorHttp } from './vendor-http.ts';

export interface VendorApp {
  readonly apiUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly redirectUri: string;
}

export type TokenAnswer =
  | { readonly kind: 'tokens'; readonly tokens: Tokens }
  /** The grant is spent or revoked: a person has to authorize again. */
  | { readonly kind: 'invalidGrant' }
  /** 429, or 503: whoever was asked wants air. */
  | { readonly kind: 'limited'; readonly status: number; readonly retryAfterMs: number | null }
  /** It may pass by itself; also when the app's own id or secret is refused, which only its operator can mend. */
  | { readonly kind: 'unavailable'; readonly detail: string };

export type RevokeAnswer =
  | { readonly kind: 'revoked' }
  | Extract<TokenAnswer, { readonly kind: 'limited' | 'unavailable' }>;

/** Where access tokens come from. */
export interface OAuth {
  /**
   * A fresh pair for a refresh token; an answer without a new refresh token keeps the old one.
   *
   * @param startBy on the clock that never steps: later it is not asked any more, for
   *   whoever asks may have lost the right to.
   */
  refresh(refreshToken: string, startBy: number): Promise<TokenAnswer>;
  /**
   * The first pair for the code that a browser brought back. A code is good once.
   *
   * @param startBy on the clock that never steps: later the code is not good any more.
   */
  exchange(code: string, startBy: number): Promise<TokenAnswer>;
  /** Asks the operator's own app: `{accessToken, expiresAt}`. */
  askTokenUrl(url: string, secret: string | null): Promise<TokenAnswer>;
  /** Ends one token, an access token or a refresh token, at the vendor. */
  revoke(token: string): Promise<RevokeAnswer>;
}

/** Source: Fullscript, "Request access token". */
const usualLifeSeconds = 7_200;
const lifeSecondsMin = 60;
const lifeSecondsMax = 86_400;

/**
 * The vendor's token endpoints count as any other of its endpoints; the operator's own token URL does not.
 *
 * Source: Fullscript, "Rate limits": across all endpoints.
 */
export function withinBudget(oauth: OAuth, budget: RequestBudget): OAuth {
  const counted = async <Answer extends TokenAnswer | RevokeAnswer>(
    kind: RequestKind,
    ask: () => Promise<Answer>,
  ): Promise<Answer> => {
    const answer = await budget.run(kind, ask);
    if (answer.kind === 'limited') budget.pause(answer.retryAfterMs);
    return answer;
  };
  return {
    ...oauth,
    refresh: (refreshToken, startBy) => counted('token', () => oauth.refresh(refreshToken, startBy)),
    exchange: (code, startBy) => counted('token', () => oauth.exchange(code, startBy)),
    // A clinic's last requests wait for their turn among the lists: nobody's events depend on them.
    revoke: (token) => counted('list', () => oauth.revoke(token)),
  };
}

/** @param askApp how the operator's own app is asked: its address may have been chosen through the API. */
export function createOAuth(http: VendorHttp, app: VendorApp, clock: Clock, askApp: VendorHttp): OAuth {
  const { apiUrl, clientId, clientSecret, redirectUri } = app;
  const credentials = { client_id: clientId, client_secret: clientSecret };

  const askToken = async (
    grant: Readonly<Record<string, string>>,
    refreshToken: string | null,
  ): Promise<TokenAnswer> => {
    const json = { ...credentials, ...grant, redirect_uri: redirectUri };
    const answer = await http({ method: 'POST', url: `${apiUrl}/oauth/token`, json });
    const read = readAnswer(answer, clock);
    if (read.kind !== 'json') return read;
    const given = member(read.value, 'oauth') ?? read.value;
    const accessToken = member(given, 'access_token');
    const renewed = member(given, 'refresh_token');
    if (typeof accessToken !== 'string' || accessToken === '') {
      return unavailable('the answer holds no token');
    }
    return {
      kind: 'tokens',
      tokens: {
        accessToken,
        refreshToken: typeof renewed === 'string' && renewed !== '' ? renewed : refreshToken,
        expiresAt: clock.now() + lifeSecondsOf(member(given, 'expires_in')) * 1000,
      },
    };
  };

  return {
    async exchange(code, startBy) {
      if (clock.monotonic() > startBy) return unavailable('its turn came too late');
      return askToken({ grant_type: 'authorization_code', code }, null);
    },

    async refresh(refreshToken, startBy) {
      // It may have waited for the vendor's Retry-After, which may be hours.
      if (clock.monotonic() > startBy) return unavailable('its turn came too late');
      return askToken({ grant_type: 'refresh_token', refresh_token: refreshToken }, refreshToken);
    },

    async askTokenUrl(url, secret) {
      const answer = await askApp({ method: 'GET', url, ...(secret !== null && { accessToken: secret }) });
      const read = readAnswer(answer, clock);
      if (read.kind === 'invalidGrant') return unavailable('the token URL refused');
      if (read.kind !== 'json') return read;
      const accessToken = member(read.value, 'accessToken');
      if (typeof accessToken !== 'string' || accessToken === '')
        return unavailable('the answer holds no accessToken');
      // It was handed out just now, so it is worth a try, whatever the other clock says.
      const soonest = clock.now() + lifeSecondsMin * 1000;
      const expiresAt = Math.max(instantOf(member(read.value, 'expiresAt')) ?? soonest, soonest);
      return { kind: 'tokens', tokens: { accessToken, refreshToken: null, expiresAt } };
    },

    async revoke(token) {
      const json = { ...credentials, token };
      const answer = await http({ method: 'POST', url: `${apiUrl}/oauth/revoke`, json });
      if (answer.kind === 'answered' && answer.status >= 200 && answer.status < 300)
        return { kind: 'revoked' };
      const read = readAnswer(answer, clock);
      return read.kind === 'limited' ? read : unavailable('the vendor has not ended it');
    },
  };
}

/** Counted from receipt: the vendor's clock is nobody's business here. Values that make no sense become short or usual ones. */
export function lifeSecondsOf(expiresIn: unknown): number {
  const seconds = typeof expiresIn === 'string' ? Number(expiresIn) : expiresIn;
  if (typeof seconds !== 'number' || !Number.isFinite(seconds)) return usualLifeSeconds;
  return Math.min(Math.max(seconds, lifeSecondsMin), lifeSecondsMax);
}

function readAnswer(
  answer: VendorAnswer,
  clock: Clock,
): { readonly kind: 'json'; readonly value: unknown } | Exclude<TokenAnswer, { kind: 'tokens' }> {
  if (answer.kind === 'unreachable') return unavailable(answer.detail);
  if (answer.kind === 'tooLarge') return unavailable('the answer is too large');
  const { status } = answer;
  let value: unknown;
  try {
    value = JSON.parse(answer.body.toString());
  } catch {
    value = null;
  }
  if ((status === 400 || status === 401) && member(value, 'error') === 'invalid_grant')
    return { kind: 'invalidGrant' };
  if (status === 429 || status === 503) {
    return { kind: 'limited', status, retryAfterMs: readRetryAfterMs(answer.retryAfter, clock.wall()) };
  }
  if (status !== 200 && status !== 201) return unavailable(`status ${status}`);
  return value === null ? unavailable('the answer is not JSON') : { kind: 'json', value };
}

function unavailable(detail: string): Extract<TokenAnswer, { kind: 'unavailable' }> {
  return { kind: 'unavailable', detail };
}

function instantOf(value: unknown): number | null {
  const at = typeof value === 'number' ? value : typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isFinite(at) ? at : null;
}

function member(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Record<string, unknown>)[key];
}
