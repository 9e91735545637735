import { z } from 'zod';
import { define, type Moment } from './fault-kind.ts';
import { eventFaults } from './faults-of-events.ts';
import { listFaults } from './faults-of-lists.ts';
import { apiError, htmlReply, oauthError, type Reply } from './reply.ts';

const requests = ['token', 'revoke', 'clinic', 'list', 'retrieve'] as const;
const withToken = ['clinic', 'list', 'retrieve'] as const;
const none = z.strictObject({});
const tenYears = 315_360_000;
const status = (usual: number) => z.int().min(200).max(599).default(usual);
const retryAfter = {
  retryAfterSeconds: z.int().min(0).max(tenYears).nullable().default(null),
  retryAfterAsDate: z.boolean().default(false),
};

const requestFaults = {
  'rate-limited': define({
    about: 'Answers 429, with `Retry-After` when `retryAfterSeconds` is given.',
    operations: requests,
    settings: z.strictObject(retryAfter),
    instead: (settings, moment) =>
      apiError(429, 'rate_limited', 'Too many requests.', retryAfterHeader(settings, moment)),
  }),
  'error-status': define({
    about: 'Answers with a status, 500 or what `status` says.',
    operations: requests,
    settings: z.strictObject({ status: status(500), ...retryAfter }),
    instead: (settings, moment) =>
      apiError(
        settings.status,
        'sandbox_fault',
        'A fault was asked for.',
        retryAfterHeader(settings, moment),
      ),
  }),
  'html-error': define({
    about: 'Answers with an HTML page, as a proxy or a login page would; `status` may be 200.',
    operations: requests,
    settings: z.strictObject({ status: status(502) }),
    instead: (settings) =>
      htmlReply(settings.status, '<!doctype html><title>Sorry</title><h1>Something went wrong</h1>'),
  }),
  redirect: define({
    about: 'Sends the client to another address.',
    operations: requests,
    settings: z.strictObject({
      status: status(302),
      location: z
        .string()
        .regex(/^[!-~]+$/, 'has to fit a header')
        .default('http://127.0.0.1:9/'),
    }),
    instead: (settings) =>
      apiError(settings.status, 'moved', 'Look elsewhere.', { location: settings.location }),
  }),
  'connection-dropped': define({
    about:
      'Breaks the connection: `before` anything is done, `after` it is done and before the answer, or `during` the answer.',
    operations: requests,
    settings: z.strictObject({ point: z.enum(['before', 'after', 'during']).default('before') }),
    instead: (settings) =>
      settings.point === 'before' ? { ...apiError(500, 'dropped', ''), drop: 'beforeAnswer' } : null,
    reply: (reply, settings) => {
      if (settings.point === 'before') return null;
      return { ...reply, drop: settings.point === 'after' ? 'beforeAnswer' : 'duringBody' };
    },
  }),
  'slow-answer': define({
    about: 'Answers after `ms` milliseconds.',
    operations: requests,
    settings: z.strictObject({ ms: z.int().min(0).max(600_000).default(12_000) }),
    reply: (reply, settings) => ({ ...reply, delayMs: (reply.delayMs ?? 0) + settings.ms }),
  }),
  'truncated-json': define({
    about: 'Ends the answer in the middle of its JSON, with a `Content-Length` that fits.',
    operations: requests,
    settings: none,
    reply: (reply) => ({ ...reply, body: reply.body.slice(0, Math.floor(reply.body.length / 2)) }),
  }),
  'invalid-utf8': define({
    about: 'The answer’s bytes are no UTF-8: its first string begins with the byte 0xff.',
    operations: requests,
    settings: none,
    reply: (reply) => ({ ...reply, body: reply.body.replace('"', '"\u00ff'), encoding: 'latin1' }),
  }),
  'clock-skewed': define({
    about:
      'The vendor’s clock (the `Date` header, new events, days) is `seconds` ahead, or behind if negative.',
    operations: [...requests, 'make'],
    settings: z.strictObject({ seconds: z.int().min(-tenYears).max(tenYears).default(600) }),
  }),
};

const tokenFaults = {
  unauthorized: define({
    about: 'Answers 401 as if the access token had expired, however fresh it is.',
    operations: withToken,
    settings: none,
    instead: () => apiError(401, 'token_expired', 'The access token expired.'),
  }),
  'tokens-expire-early': define({
    about: 'Access tokens end `seconds` after they were issued, whatever `expires_in` said.',
    operations: withToken,
    settings: z.strictObject({ seconds: z.int().min(0).default(60) }),
  }),
  'invalid-grant': define({
    about: 'The token endpoint refuses codes and refresh tokens with `invalid_grant`.',
    operations: ['token'],
    settings: none,
    instead: () => oauthError(400, 'invalid_grant', 'The grant is invalid, expired or revoked.'),
  }),
  'strict-rotation': define({
    about: 'A refresh ends the old pair at once, the access token included.',
    operations: ['token'],
    settings: none,
  }),
  'refresh-token-missing': define({
    about: 'The answer to a refresh has no `refresh_token`; the old one stays good.',
    operations: ['token'],
    settings: none,
  }),
  'refresh-tokens-expire': define({
    about: 'Refresh tokens end `seconds` after they were issued.',
    operations: ['token'],
    settings: z.strictObject({ seconds: z.int().min(0).default(86_400) }),
  }),
  'second-authorization-ends-first': define({
    about: 'A code that is exchanged ends every pair that the same user gave before.',
    operations: ['token'],
    settings: none,
  }),
  'particular-token-endpoint': define({
    about: 'The token endpoint takes JSON only, and a refresh only with its `redirect_uri`.',
    operations: ['token'],
    settings: none,
  }),
  'revokes-one-token': define({
    about: 'A revocation ends the token that it names, and not the other one of its pair.',
    operations: ['revoke'],
    settings: none,
  }),
  'odd-expires-in': define({
    about: 'The token endpoint’s answer says `expiresIn` (anything) instead of 7200.',
    operations: ['token'],
    settings: z.strictObject({ expiresIn: z.json().default(0) }),
    reply: (reply, { expiresIn }) => changeOauth(reply, (oauth) => ({ ...oauth, expires_in: expiresIn })),
  }),
  'scope-reduced': define({
    about: 'The token endpoint’s answer names only `scope`.',
    operations: ['token'],
    settings: z.strictObject({ scope: z.string().default('clinic:read') }),
    reply: (reply, { scope }) => changeOauth(reply, (oauth) => ({ ...oauth, scope })),
  }),
};

const categoryFaults = {
  'category-missing': define({
    about: 'Lists answer 404.',
    operations: ['list'],
    settings: none,
    instead: () => apiError(404, 'not_found', 'There is no such event.'),
  }),
  'category-forbidden': define({
    about: 'Lists answer 403.',
    operations: ['list'],
    settings: none,
    instead: () => apiError(403, 'insufficient_scope', 'The token lacks the scope.'),
  }),
  'category-unauthorized': define({
    about: 'Lists answer 401, as for a token without the scope.',
    operations: ['list'],
    settings: none,
    instead: () => apiError(401, 'unauthorized', 'Unauthorized.'),
  }),
  'retrieval-fails': define({
    about: 'Retrievals answer with `status`; limit it by `eventId`.',
    operations: ['retrieve'],
    settings: z.strictObject({ status: status(500) }),
    instead: (settings) => apiError(settings.status, 'sandbox_fault', 'A fault was asked for.'),
  }),
};

/** Every fault by its name: adding one is adding it here or in the two tables that are spread here. */
export const faultKinds = {
  ...requestFaults,
  ...tokenFaults,
  ...categoryFaults,
  ...listFaults,
  ...eventFaults,
};

export type FaultName = keyof typeof faultKinds;

export type SettingsOf<Name extends FaultName> = z.infer<(typeof faultKinds)[Name]['settings']>;

function retryAfterHeader(
  settings: { retryAfterSeconds: number | null; retryAfterAsDate: boolean },
  moment: Moment,
): Reply['headers'] {
  const { retryAfterSeconds: seconds } = settings;
  if (seconds === null) return {};
  const date = new Date(moment.now + seconds * 1000).toUTCString();
  return { 'retry-after': settings.retryAfterAsDate ? date : String(seconds) };
}

function changeOauth(
  reply: Reply,
  change: (oauth: Record<string, unknown>) => Record<string, unknown>,
): Reply | null {
  if (reply.status !== 200) return null;
  try {
    const { oauth } = JSON.parse(reply.body) as { oauth: Record<string, unknown> };
    return { ...reply, body: JSON.stringify({ oauth: change(oauth) }) };
  } catch {
    // Another fault struck first and left no JSON.
    return null;
  }
}
