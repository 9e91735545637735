import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import express, { type ErrorRequestHandler, type Express, type Response } from 'express';
import helmet from 'helmet';
import type { Clock } from '../clock.ts';
import { RelayError } from '../domain/errors.ts';
import type { Logger } from '../logger.ts';
import type { Store } from '../store/store.ts';
import { type Admission, callerOf, createAdmission, defaultLimits, type RequestLimits } from './admission.ts';
import { type AuditsDependencies, auditRoutes } from './audits.ts';
import { createTokenCheck, type SigningKeys } from './auth.ts';
import { backfillRoutes } from './backfills.ts';
import { type ClinicsDependencies, clinicRoutes } from './clinics.ts';
import { type ConnectDependencies, connectRoutes, oauthCallback } from './connect.ts';
import { type DeliveriesDependencies, deliveryRoutes } from './deliveries.ts';
import { type DoctorDependencies, doctorRoutes } from './doctor.ts';
import { type ErasuresDependencies, erasureRoutes } from './erasures.ts';
import { endOf, sendStream } from './event-stream.ts';
import { eventRoutes } from './events.ts';
import { type IngestEndpoint, ingestHandler, ingestRoutes } from './ingest.ts';
import { hasBody, readJsonBody } from './json-body.ts';
import { listenRoutes } from './listen.ts';
import { openApiOf } from './openapi.ts';
import { type OperationalEventsDependencies, operationalEventRoutes } from './operational-events.ts';
import { problemOf } from './problem.ts';
import { type ReplaysDependencies, replayRoutes } from './replays.ts';
import type { Route } from './route.ts';
import { seenRoutes } from './seen.ts';
import { type StatusDependencies, statusRoutes } from './status.ts';
import { subscriberVerbRoutes } from './subscriber-verbs.ts';
import { type SubscribersDependencies, subscriberRoutes } from './subscribers.ts';
import { keySetOf, tokenKeyRoutes } from './token-keys.ts';
import { tokenRoutes } from './tokens.ts';

export interface ApiDependencies
  extends Omit<SubscribersDependencies, 'store' | 'clock'>,
    Omit<ClinicsDependencies, 'store' | 'clock'>,
    Omit<DoctorDependencies, 'store'>,
    OperationalEventsDependencies,
    Pick<AuditsDependencies, 'auditor'>,
    Pick<ConnectDependencies, 'connecting'>,
    Pick<ErasuresDependencies, 'eraser'>,
    Pick<StatusDependencies, 'isShadow' | 'categories' | 'shortfall' | 'standstill' | 'connectionUse'> {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly replayer: DeliveriesDependencies['replayer'] & ReplaysDependencies['replayer'];
  readonly keys: SigningKeys;
  /** Of the package. */
  readonly version: string;
  /** How many proxies in front may say who calls; `false` believes none. */
  readonly trustProxy: number | false;
  /** Polls are under way as they should be; for `/readyz`. */
  readonly arePollsMoving: () => boolean;
  readonly limits?: RequestLimits;
  /** `null` when Fullscript's own webhooks are not taken. */
  readonly ingest: IngestEndpoint | null;
  /** Aborts when the relay stops: streams end, so that the server can close. */
  readonly closing: AbortSignal;
}

/** The REST API. @throws InvalidInput `jwt_key_unusable` */
export function createApp(dependencies: ApiDependencies): Express {
  const { store, clock, logger, keys, limits = defaultLimits } = dependencies;
  const routes = [
    ...subscriberRoutes(dependencies),
    ...subscriberVerbRoutes(dependencies),
    ...doctorRoutes(dependencies),
    ...deliveryRoutes(dependencies),
    ...replayRoutes(dependencies),
    ...backfillRoutes(dependencies),
    ...auditRoutes(dependencies),
    ...erasureRoutes(dependencies),
    ...eventRoutes(dependencies),
    ...listenRoutes(dependencies),
    ...connectRoutes(dependencies),
    ...clinicRoutes(dependencies),
    ...seenRoutes(dependencies),
    ...statusRoutes(dependencies),
    ...operationalEventRoutes(dependencies),
    ...tokenRoutes(dependencies),
    ...tokenKeyRoutes(dependencies),
    ...ingestRoutes(dependencies),
  ];
  const checkToken = createTokenCheck(keys, { now: clock.wall, isRevoked: (jti) => store.isRevoked(jti) });
  // One for each request under way.
  setMaxListeners(0, dependencies.closing);
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.enable('case sensitive routing');
  app.set('query parser', 'simple');
  app.set('trust proxy', dependencies.trustProxy);
  app.use(helmet({ contentSecurityPolicy: { useDefaults: false, directives: contentSecurityPolicy } }));
  app.use((_request, response, next) => {
    response.locals.requestId = `req_${randomUUID()}`;
    response.setHeader('x-request-id', response.locals.requestId);
    // A client tells by it that a relay answered, and nobody else who speaks JSON.
    response.setHeader('relay-version', dependencies.version);
    response.setHeader('cache-control', 'no-store');
    next();
  });
  const admission = createAdmission({ checkToken, logger, limits });
  addOpenRoutes(app, dependencies, admission, openApiOf(routes, dependencies.version));
  app.post(ingestPath, ingestHandler(dependencies.ingest, admission.slowDown));
  app.get('/oauth/callback', oauthCallback(dependencies, admission.limitAddress));
  addRoutes(app, routes, { logger, clock, closing: dependencies.closing, ...admission });
  app.use((request) => {
    throw new RelayError('route_not_found', `There is no ${request.method} on that path.`, {
      hint: 'GET /openapi.json lists the routes.',
    });
  });
  app.use(asProblem(logger));
  return app;
}

/** Where Fullscript's dashboard is to send its webhooks. */
const ingestPath = '/v1/ingest/fullscript';

const self = ["'self'"];
const none = ["'none'"];

const contentSecurityPolicy = {
  defaultSrc: none,
  scriptSrc: self,
  styleSrc: self,
  imgSrc: [...self, 'data:'],
  fontSrc: self,
  connectSrc: self,
  formAction: self,
  baseUri: none,
  frameAncestors: none,
  requireTrustedTypesFor: ["'script'"],
};

/** Less than any overlap of keys but none. */
const keySetSeconds = 300;

/** What is answered without a token. */
function addOpenRoutes(
  app: Express,
  { store, clock, arePollsMoving }: Pick<ApiDependencies, 'store' | 'clock' | 'arePollsMoving'>,
  { limitAddress }: Admission,
  openApi: unknown,
): void {
  app.get('/healthz', (_request, response) => {
    response.json({ status: 'ok' });
  });
  app.get('/readyz', async (_request, response) => {
    await store.assertWritable();
    if (!arePollsMoving()) {
      throw new RelayError('not_ready', 'Nothing is polled any more.', {
        hint: 'Look at the log of the relay, and start it again.',
      });
    }
    response.json({ status: 'ready' });
  });
  app.get('/.well-known/jwks.json', limitAddress, async (_request, response) => {
    const keySet = await keySetOf({ store, clock });
    response.setHeader('cache-control', `public, max-age=${keySetSeconds}`);
    response.json(keySet);
  });
  app.get('/openapi.json', (_request, response) => {
    response.json(openApi);
  });
}

interface Admitting extends ReturnType<typeof createAdmission> {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly closing: AbortSignal;
}

function addRoutes(app: Express, routes: readonly Route[], admitting: Admitting): void {
  const { authenticate, admit, isStillBelieved, logger, clock, closing } = admitting;
  const methodsOf = new Map<string, string[]>([
    ['/healthz', ['get']],
    ['/readyz', ['get']],
    ['/openapi.json', ['get']],
    ['/.well-known/jwks.json', ['get']],
    [ingestPath, ['post']],
    ['/oauth/callback', ['get']],
  ]);
  for (const route of routes) {
    const path = route.path.replaceAll(/\{(\w+)\}/g, ':$1');
    methodsOf.set(path, [...(methodsOf.get(path) ?? []), route.method]);
    app[route.method](path, authenticate, ...admit(route), async (request, response) => {
      const startedAt = clock.monotonic();
      const body = await readJsonBody(request);
      const caller = callerOf(response);
      const params = request.params as Record<string, string>;
      const signal = endOf(response, closing);
      const lastEventId = request.get('last-event-id') ?? null;
      const asked = { caller, params, query: request.query, body, lastEventId, signal };
      const answer = await route.answer(asked);
      if ('stream' in answer) {
        logger.info('A stream begins.', { subject: caller.subject, jti: caller.jti, route: route.path });
        await sendStream(response, answer.stream, { clock, signal, mayGoOn: () => isStillBelieved(request) });
      } else {
        response.status(answer.status ?? route.answers.status);
        if (answer.body === null) response.end();
        else response.json(answer.body);
      }
      logger[route.method === 'get' ? 'debug' : 'info']('api', {
        subject: caller.subject,
        jti: caller.jti,
        method: route.method,
        route: route.path,
        id: params.id,
        status: response.statusCode,
        durationMs: Math.round(clock.monotonic() - startedAt),
        requestId: response.locals.requestId,
      });
    });
  }
  for (const [path, methods] of methodsOf) {
    const allow = methods.map((method) => method.toUpperCase()).join(', ');
    app.all(path, (request, response) => {
      response.setHeader('allow', allow);
      throw new RelayError('method_not_allowed', `${request.method} is not for this path.`, {
        hint: `It takes ${allow}.`,
      });
    });
  }
}

function asProblem(logger: Logger): ErrorRequestHandler {
  return (thrown, request, response, _next) => {
    const requestId = String(response.locals.requestId);
    const problem = problemOf(thrown, requestId);
    if (problem.status >= 500) logFault(logger, thrown, problem.status, requestId);
    // Whoever is gone gets no answer, and what was begun is cut off: Express would print the stack.
    if (response.headersSent || response.destroyed) {
      request.socket.destroy();
      return;
    }
    // What is left of the body is not read.
    if (hasBody(request) && !request.complete) response.setHeader('connection', 'close');
    send(response, problem.status, problem);
  };
}

function send(response: Response, status: number, problem: unknown): void {
  response.status(status).type('application/problem+json').send(JSON.stringify(problem));
}

/** Where it happened and its kind; a foreign error's message may carry what it was about. */
function logFault(logger: Logger, thrown: unknown, status: number, requestId: string): void {
  const isOwn = thrown instanceof RelayError;
  const error = thrown instanceof Error ? thrown : new Error('not an error');
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  logger.error('The API could not answer.', {
    requestId,
    status,
    name: error.name,
    code: isOwn ? thrown.code : undefined,
    detail: isOwn ? error.message : undefined,
    where: isOwn
      ? undefined
      : frames
          .slice(0, 3)
          .map((line) => line.trim())
          .join(' < '),
  });
}
