import type { RequestHandler } from 'express';
import { z } from 'zod';
import { clinicName } from '../domain/clinic-input.ts';
import { Conflict } from '../domain/errors.ts';
import type { Connected, Connecting, LinkOutcome } from '../source/connect.ts';
import type { ClinicStore } from '../store/store.ts';
import { connectPage } from './connect-page.ts';
import { shown } from './query.ts';
import { newId, type Route, route } from './route.ts';

export interface ConnectDependencies {
  readonly store: Pick<ClinicStore, 'connections'>;
  readonly connecting: Pick<Connecting, 'link' | 'outcomeOf' | 'complete'>;
}

export function connectRoutes({ store, connecting }: ConnectDependencies): readonly Route[] {
  return [
    route({
      method: 'post',
      path: '/v1/clinics/connect',
      scope: 'admin',
      summary: 'A link for a user of the clinic, good for ten minutes and once: who allows there connects it',
      /** Without a name the clinic is called as Fullscript calls it. */
      body: z.strictObject({ name: clinicName.optional() }),
      answers: {
        status: 201,
        schema: z.object({
          authorizeUrl: z.string(),
          /** Of the connection to come; it is listed once somebody has allowed. */
          connectionId: z.string(),
          expiresAt: z.string(),
        }),
      },
      async answer({ body: { name } }) {
        const isDeclared = (await store.connections()).some(
          (connection) => connection.name === name && connection.declaredDigest !== null,
        );
        if (isDeclared) {
          throw new Conflict('clinic_declared', `${name} stands in the configuration file.`, {
            hint: 'Change its tokens there and start the relay again.',
          });
        }
        const { url, connectionId, expiresAt } = connecting.link(name ?? null, newId('con'));
        return { body: { authorizeUrl: url, connectionId, expiresAt: shown(expiresAt) } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/clinics/connect/{id}',
      scope: 'admin',
      summary: 'What has come of a link, by its connectionId',
      answers: { status: 200, schema: connectingView },
      answer: async ({ id }) => ({ body: viewOf(await connecting.outcomeOf(id)) }),
    }),
  ];
}

const connectingView = z.object({
  /** `waiting`: nobody has used the link, or the vendor has not named the clinic yet. */
  state: z.enum(['waiting', 'connected', 'failed']),
  clinicId: z.string().nullable(),
  name: z.string().nullable(),
  /** Why it failed, or what is waited for, in one line; `null` when it is connected. */
  reason: z.string().nullable(),
});

function viewOf(connected: LinkOutcome | null): z.infer<typeof connectingView> {
  if (connected?.kind === 'connected') {
    const { clinicId, name } = connected;
    return { state: 'connected', clinicId, name, reason: null };
  }
  const state = connected === null || isPassing(connected) ? 'waiting' : 'failed';
  return { state, clinicId: null, name: null, reason: reasonOf(connected) };
}

/** It may still be connected. */
function isPassing({ kind }: LinkOutcome): boolean {
  return kind === 'waiting' || kind === 'underWay';
}

function reasonOf(connected: Exclude<LinkOutcome, { kind: 'connected' }> | null): string {
  switch (connected?.kind) {
    case undefined:
      return 'nobody has used the link yet';
    case 'waiting':
      return 'the permission is saved, and Fullscript has not named the clinic yet';
    case 'underWay':
      return 'somebody has used it, and the permission is being fetched';
    case 'denied':
      return 'access was denied at Fullscript';
    case 'codeRefused':
      return 'Fullscript did not confirm the permission';
    case 'otherClinic':
      return connected.reason ?? 'the permission was for another clinic, and nothing of it was kept';
    case 'vendorAway':
      return 'Fullscript could not be reached to fetch the permission';
    case 'linkUsed':
      return 'the link was used up, and no connection is left of it';
  }
}

const statusOf: Readonly<Record<Connected['kind'], number>> = {
  connected: 200,
  waiting: 202,
  underWay: 202,
  linkUnknown: 400,
  linkExpired: 400,
  linkUsed: 400,
  codeRefused: 400,
  denied: 403,
  otherClinic: 409,
  busy: 503,
  vendorAway: 502,
  storeAway: 503,
};

/**
 * Where the vendor sends the browser back to. The state is the credential; nothing of the
 * query is shown or logged.
 *
 * @param limitAddress gives an error to `next` when the address has asked too often.
 */
export function oauthCallback(
  { connecting }: Pick<ConnectDependencies, 'connecting'>,
  limitAddress: RequestHandler,
): RequestHandler {
  return async (request, response) => {
    const show = (connected: Connected, status = statusOf[connected.kind]): void => {
      const { html, contentSecurityPolicy } = connectPage(connected);
      response.setHeader('content-security-policy', contentSecurityPolicy);
      response.setHeader('referrer-policy', 'no-referrer');
      response.status(status).type('html').send(html);
    };
    const limited = await new Promise((resolve) => limitAddress(request, response, resolve));
    if (limited !== undefined) return show({ kind: 'busy' }, 429);
    const only = (name: string): string | null => {
      const value = request.query[name];
      return typeof value === 'string' && value !== '' ? value : null;
    };
    const connected = await connecting.complete({
      state: only('state'),
      code: only('code'),
      error: only('error'),
    });
    show(connected);
  };
}
