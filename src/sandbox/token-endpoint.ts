import { jsonReply, oauthError, type Reply } from './reply.ts';
import { accessTokenSeconds, type Rotation, type TokenPair, type Tokens } from './tokens.ts';

/** The app as it is registered with the vendor. */
export interface RegisteredApp {
  readonly clientId: string;
  readonly clientSecret: string;
  /** Compared exactly. */
  readonly redirectUris: readonly string[];
}

/** Every scope that a relay needs. Source: Fullscript, the pages of the webhook types. */
const grantedScope =
  'clinic:read catalog:read patients:read patients:order_history patients:treatment_plan_history';

/** What the documentation leaves open; each is asked when it matters. */
export interface GrantDialect {
  readonly rotation: () => Rotation;
  readonly refreshTokenLifeMs: () => number;
  readonly endsFormerPairs: () => boolean;
  /** JSON only, and a refresh only with its `redirect_uri`. */
  readonly isParticular: () => boolean;
}

type Form = Readonly<Record<string, string | undefined>>;

/** The part of the vendor that gives tokens for codes and refresh tokens, and takes them back. */
export class TokenEndpoint {
  readonly #app: RegisteredApp;
  readonly #tokens: Tokens;

  constructor(app: RegisteredApp, tokens: Tokens) {
    this.#app = app;
    this.#tokens = tokens;
  }

  /** The fields of a JSON or form body that are strings; none when it cannot be read. */
  read(request: { readonly contentType?: string | undefined; readonly body?: string | undefined }): Form {
    const body = request.body ?? '';
    if (request.contentType?.startsWith('application/x-www-form-urlencoded')) {
      return Object.fromEntries(new URLSearchParams(body));
    }
    try {
      const value: unknown = JSON.parse(body);
      if (typeof value !== 'object' || value === null) return {};
      return Object.fromEntries(Object.entries(value).filter(([, field]) => typeof field === 'string'));
    } catch {
      return {};
    }
  }

  grant(
    request: { readonly contentType?: string | undefined; readonly form: Form },
    now: number,
    dialect: GrantDialect,
  ): Reply {
    const { form } = request;
    const refusal = this.#refuseClient(form) ?? this.#refuseFields(form);
    if (refusal !== null) return refusal;
    const isPlain = request.contentType?.startsWith('application/json') && form.redirect_uri !== undefined;
    if (!isPlain && dialect.isParticular()) {
      return oauthError(400, 'invalid_request', 'Send JSON, redirect_uri included.');
    }
    if (form.redirect_uri !== undefined && !this.#app.redirectUris.includes(form.redirect_uri)) {
      return oauthError(400, 'invalid_grant', 'The redirect_uri is not the registered one.');
    }
    const pair =
      form.grant_type === 'authorization_code'
        ? this.#tokens.exchange(form.code ?? '', form.redirect_uri ?? '', now, dialect.endsFormerPairs)
        : this.#tokens.refresh(form.refresh_token ?? '', now, {
            rotation: dialect.rotation,
            lifeMs: dialect.refreshTokenLifeMs,
          });
    if (pair === null) return oauthError(400, 'invalid_grant', 'The grant is invalid, expired or revoked.');
    return jsonReply(200, JSON.stringify({ oauth: oauthOf(pair) }), { 'cache-control': 'no-store' });
  }

  revoke(form: Form, isAlone: () => boolean): Reply {
    const refusal = this.#refuseClient(form);
    if (refusal !== null) return refusal;
    if (!form.token) return oauthError(400, 'invalid_request', 'token is missing.');
    this.#tokens.revoke(form.token, isAlone());
    return jsonReply(200, '{}');
  }

  #refuseClient(form: Form): Reply | null {
    const isKnown = form.client_id === this.#app.clientId && form.client_secret === this.#app.clientSecret;
    if (isKnown) return null;
    if (form.client_id === undefined || form.client_secret === undefined) {
      return oauthError(
        400,
        'invalid_request',
        'client_id and client_secret have to be in the body, as strings.',
      );
    }
    return oauthError(401, 'invalid_client', 'The client_id or client_secret is wrong.');
  }

  #refuseFields(form: Form): Reply | null {
    const needed = { authorization_code: ['code', 'redirect_uri'], refresh_token: ['refresh_token'] };
    if (form.grant_type === undefined) return oauthError(400, 'invalid_request', 'grant_type is missing.');
    if (!Object.hasOwn(needed, form.grant_type)) {
      const description = 'grant_type takes authorization_code or refresh_token.';
      return oauthError(400, 'unsupported_grant_type', description);
    }
    const missing = needed[form.grant_type as keyof typeof needed].filter((name) => !form[name]);
    return missing.length === 0
      ? null
      : oauthError(400, 'invalid_request', `Missing: ${missing.join(', ')}.`);
  }
}

function oauthOf(pair: TokenPair) {
  return {
    access_token: pair.accessToken,
    token_type: 'Bearer',
    expires_in: accessTokenSeconds,
    ...(pair.refreshToken === null ? {} : { refresh_token: pair.refreshToken }),
    scope: grantedScope,
    created_at: new Date(pair.issuedAt).toISOString(),
    resource_owner: { id: pair.user.id, type: pair.user.type },
  };
}
