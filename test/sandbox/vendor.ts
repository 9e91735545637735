import { Fullscript, type FullscriptOptions } from '../../src/sandbox/fullscript.ts';
import type { Reply } from '../../src/sandbox/reply.ts';
import { type SimulatedClock, simulatedClock } from '../world/clock.ts';

export const washington = 'sandbox-access-washington';
export const newYork = 'sandbox-access-new-york';
export const startAt = Date.parse('2026-11-20T12:00:00.000Z');

export interface Vendor {
  readonly clock: SimulatedClock;
  readonly fullscript: Fullscript;
  get(path: string, token?: string): Reply;
  list(category: string, query?: Readonly<Record<string, string>>, token?: string): ListBody;
  token(fields: Readonly<Record<string, unknown>>): Reply;
  refresh(refreshToken: string): Reply;
  revoke(token: string): Reply;
  /** A practitioner of the clinic allows the app to read it. */
  authorize(clinic: string): OauthBody;
}

export interface ListBody {
  readonly events: readonly { id: string; type: string; clinic_id?: string; created_at: string }[];
  readonly meta: {
    current_page: number;
    next_page: number | null;
    prev_page: number | null;
    total_pages: number;
    total_count: number;
  };
}

/** The vendor with two clinics, and a client that asks as the relay would. */
export function vendor(options: Partial<FullscriptOptions> = {}): Vendor {
  const clock = simulatedClock(startAt);
  const fullscript = new Fullscript({ clock, seed: 7, ...options });
  const get = (path: string, token = washington) =>
    fullscript.answer({ method: 'GET', path, authorization: `Bearer ${token}` });
  const post = (path: string, fields: Readonly<Record<string, unknown>>) =>
    fullscript.answer({
      method: 'POST',
      path,
      contentType: 'application/json',
      body: JSON.stringify({ client_id: 'sandbox-client', client_secret: 'sandbox-secret', ...fields }),
    });
  const token = (fields: Readonly<Record<string, unknown>>) => post('/api/oauth/token', fields);
  return {
    clock,
    fullscript,
    get,
    token,
    list: (category, query = {}, access = washington) =>
      JSON.parse(get(`/api/events/${category}?${new URLSearchParams(query)}`, access).body),
    refresh: (refreshToken) => token({ grant_type: 'refresh_token', refresh_token: refreshToken }),
    revoke: (spent) => post('/api/oauth/revoke', { token: spent }),
    authorize(clinic) {
      const redirect_uri = 'http://127.0.0.1:8080/oauth/callback';
      const consent = fullscript.answer({
        method: 'POST',
        path: '/api/oauth/authorize',
        contentType: 'application/x-www-form-urlencoded',
        body: String(
          new URLSearchParams({
            client_id: 'sandbox-client',
            redirect_uri,
            response_type: 'code',
            decision: 'allow',
            clinic,
          }),
        ),
      });
      const code = new URL(consent.headers.location ?? '').searchParams.get('code');
      return oauthIn(token({ grant_type: 'authorization_code', code, redirect_uri }));
    },
  };
}

export interface OauthBody {
  readonly access_token: string;
  readonly refresh_token: string;
  readonly expires_in: number;
  readonly scope: string;
  readonly created_at: string;
  readonly resource_owner: { id: string; type: string };
}

/** The pair in an answer of the token endpoint. */
export function oauthIn(reply: Reply): OauthBody {
  return JSON.parse(reply.body).oauth;
}
