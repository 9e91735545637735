import type { RequestHandler } from 'express';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { RelayError } from '../domain/errors.ts';
import { readRawBody } from '../receiver/raw-body.ts';
import type { Ingest } from '../source/ingest.ts';
import type { PushStore } from '../store/store.ts';
import { type Route, route } from './route.ts';

/** Takes in Fullscript's own webhooks. */
export interface IngestEndpoint {
  readonly ingest: Ingest;
  /** What Fullscript's dashboard calls the secret challenge token; `null` when none is set. */
  readonly challengeToken: string | null;
}

/** As the strictest receivers have it. */
const bodyBytesMax = 1_000_000;

/**
 * Answers Fullscript's own webhooks, which carry a signature and no token. 2xx says that
 * the event is on disk.
 *
 * @param slowDown called before a refusal; counts it against the caller's address.
 */
export function ingestHandler(endpoint: IngestEndpoint | null, slowDown: RequestHandler): RequestHandler {
  if (endpoint === null) {
    return () => {
      throw notTaken;
    };
  }
  const { ingest, challengeToken } = endpoint;
  const acknowledgement = challengeToken === null ? {} : { challenge: challengeToken };
  return async (request, response, next) => {
    const body = await readRawBody(request, bodyBytesMax);
    if (body.kind === 'aborted') {
      request.socket.destroy();
      return;
    }
    if (body.kind !== 'read') throw tooLarge;
    if (body.bytes.length === 0) {
      // It may be unsigned, and two seconds are all it is given: nothing stands before it.
      if (challengeToken === null) throw noChallengeToken;
      response.json(acknowledgement);
      return;
    }
    const ingested = await ingest({ headers: request.headers, body: body.bytes });
    switch (ingested.kind) {
      case 'recorded':
        response.json({ ...acknowledgement, received: ingested.came });
        return;
      case 'unsigned':
        await slowDown(request, response, (limited?: unknown) => next(limited ?? unsigned(ingested.message)));
        return;
      case 'unreadable':
        throw new RelayError('event_unreadable', ingested.message, {
          hint: 'Polling brings the event, if Fullscript lists it.',
        });
      case 'foreign':
        throw foreign(ingested.clinicId);
    }
  };
}

const notTaken = new RelayError('route_not_found', 'Fullscript’s own webhooks are not taken here.', {
  hint: 'Set `source.webhooks.secret`, and start the relay again.',
});

const tooLarge = new RelayError('body_too_large', `The body is larger than ${bodyBytesMax} bytes.`, {
  hint: 'Polling brings the event.',
});

const noChallengeToken = new RelayError(
  'challenge_not_set',
  'An empty request asks for the challenge token.',
  {
    hint: 'Set `source.webhooks.challengeToken` to the secret challenge token of Fullscript’s dashboard.',
  },
);

function unsigned(message: string): RelayError {
  return new RelayError('signature_refused', message, {
    hint: 'Set `source.webhooks.secret` to the signature secret key of Fullscript’s dashboard, and this machine’s clock to the right time.',
  });
}

function foreign(clinicId: string | null): RelayError {
  return clinicId === null
    ? new RelayError('clinic_not_named', 'The event names no clinic, and the relay reads several.', {
        hint: 'Polling brings it.',
      })
    : new RelayError('clinic_not_read', 'The event is of a clinic that the relay does not read.', {
        hint: 'Connect the clinic, or resume it: polling then brings the event. One that is being connected takes webhooks in a moment.',
      });
}

const reportView = z.object({
  data: z.array(
    z.object({
      /** UTC. */
      day: z.string(),
      events: z.number(),
      pushedFirst: z.number(),
      polledFirst: z.number(),
      /** `GET /v1/events?pushed=false` names them. */
      neverPushed: z.number(),
      differing: z.number(),
    }),
  ),
});

const dayMs = 86_400_000;

export function ingestRoutes({
  store,
  clock,
}: {
  readonly store: PushStore;
  readonly clock: Pick<Clock, 'now'>;
}): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/ingest/report',
      scope: 'admin',
      summary: 'By day, which way events came first: Fullscript’s own webhooks or polling',
      query: z.strictObject({
        days: z
          .string()
          .regex(/^([1-9]|[1-8]\d|90)$/, 'must be a number from 1 to 90')
          .transform(Number)
          .default(7),
      }),
      answers: { status: 200, schema: reportView },
      async answer({ query }) {
        const today = Math.floor(clock.now() / dayMs);
        return { body: { data: await store.pushDays((today - query.days + 1) * dayMs) } };
      },
    }),
  ];
}
