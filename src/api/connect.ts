import type { RequestHandler } from 'express';
import { z } from 'zod';
import { clinicName } from '../domain/clinic-input.ts';
import { Conflict } from '../domain/errors.ts';
import type { Connected, Connecting } from '../source/connect.ts';
import type { ClinicStore } from '../store/store.ts';
import { connectPage } from './connect-page.ts';
import { shown } from './query.ts';
import { newId, type Route, route } from './route.ts';

export interface ConnectDependencies {
  readonly store: Pick<ClinicStore, 'connections'>;
  readonly connecting: Pick<Connecting, 'link' | 'complete'>;
}

export function connectRoutes({ store, connecting }: ConnectDependencies): readonly Route[] {
  return [
    route({
      method: 'post',
      path: '/v1/clinics/connect',
      scope: 'admin',
      summary: 'A link for a user of the clinic, good for ten minutes and once: who allows there connects it',
      body: z.strictObject({ name: clinicName }),
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
        const { url, connectionId, expiresAt } = connecting.link(name, newId('con'));
        return { body: { authorizeUrl: url, connectionId, expiresAt: shown(expiresAt) } };
      },
    }),
  ];
}

const statusOf: Readonly<Record<Connected['kind'], number>> = {
  connected: 200,
  waiting: 202,
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

/** Where the vendor sends the browser back to. The state is the credential; nothing of the query is shown or logged. */
export function oauthCallback({ connecting }: Pick<ConnectDependencies, 'connecting'>): RequestHandler {
  return async (request, response) => {
    const only = (name: string): string | null => {
      const value = request.query[name];
      return typeof value === 'string' && value !== '' ? value : null;
    };
    const connected = await connecting.complete({
      state: only('state'),
      code: only('code'),
      error: only('error'),
    });
    const { html, contentSecurityPolicy } = connectPage(connected);
    response.setHeader('content-security-policy', contentSecurityPolicy);
    response.setHeader('referrer-policy', 'no-referrer');
    response.status(statusOf[connected.kind]).type('html').send(html);
  };
}
