import express, { type ErrorRequestHandler, type Router } from 'express';
import { z } from 'zod';
import { InvalidInput, NotFound } from '../domain/errors.ts';
import { categories, type StoredEvent } from './event-log.ts';
import type { Fullscript } from './fullscript.ts';
import type { JsonValue } from './json-text.ts';
import { fixedTokens } from './tokens.ts';

const eventsAsk = z.strictObject({
  clinic: z.string(),
  type: z.string().min(1).max(200).optional(),
  count: z.int().min(1).max(10_000).default(1),
  category: z.enum(categories).optional(),
  id: z.string().min(1).optional(),
  createdAt: z.iso.datetime({ offset: true }).optional(),
  listedLateSeconds: z
    .int()
    .min(0)
    .max(90 * 86_400)
    .optional(),
  data: z.json().optional(),
});

const clinicAsk = z.strictObject({ clinic: z.string() });

/** The routes below `/sandbox`, by which a test or a person makes things happen. No authorization. */
export function adminRoutes(fullscript: Fullscript): Router {
  const router = express.Router();
  router.use(express.json({ limit: '1mb', type: () => true }));
  // A page in a browser can post plain text to this port, but not JSON.
  router.use((request, response, next) => {
    if (request.method === 'POST' && !request.is('application/json')) {
      response.status(415).json(problem('unsupported_media_type', 'Send application/json.'));
      return;
    }
    next();
  });

  router.post('/events', (request, response) => {
    const { count, createdAt, listedLateSeconds, data, type, category, id, clinic } = read(
      eventsAsk,
      request,
    );
    if (id !== undefined && count > 1) {
      throw new InvalidInput('event_invalid', 'One id cannot name several events.', {
        hint: 'Leave id or count out.',
        problems: [{ path: 'id', message: 'goes with a count of 1 only' }],
      });
    }
    const ask = {
      clinic,
      ...(type === undefined ? {} : { type }),
      ...(category === undefined ? {} : { category }),
      ...(id === undefined ? {} : { id }),
      ...(createdAt === undefined ? {} : { createdAt: Date.parse(createdAt) }),
      ...(listedLateSeconds === undefined ? {} : { listedLateMs: listedLateSeconds * 1000 }),
      ...(data === undefined ? {} : { data: data as JsonValue }),
    };
    const events = Array.from({ length: count }, () => fullscript.addEvent(ask));
    response.status(201).json({ events: events.map(ledgerEntry) });
  });

  router.get('/ledger', (request, response) => {
    const { clinic, listed } = request.query;
    const all = fullscript.ledger(typeof clinic === 'string' ? clinic : undefined);
    const asked = listed === 'true' ? all.filter((event) => event.firstListedAt !== null) : all;
    response.json({ events: asked.map(ledgerEntry) });
  });

  router.get('/faults', (_request, response) => {
    response.json({ faults: fullscript.faults.list() });
  });
  router.post('/faults', (request, response) => {
    response.status(201).json(fullscript.faults.switchOn(request.body));
  });
  router.delete('/faults', (_request, response) => {
    fullscript.faults.switchAllOff();
    response.status(204).end();
  });
  router.delete('/faults/:id', (request, response) => {
    fullscript.faults.switchOff(request.params.id);
    response.status(204).end();
  });

  router.post('/revoke', (request, response) => {
    fullscript.revokeClinic(read(clinicAsk, request).clinic);
    response.status(204).end();
  });

  router.get('/status', (_request, response) => {
    response.json({
      seed: fullscript.seed,
      clinics: fullscript.clinics.map((clinic) => ({
        id: clinic.id,
        name: clinic.name,
        ...fixedTokens(clinic),
      })),
      events: fullscript.ledger().length,
      requests: fullscript.requests(),
      faults: fullscript.faults.list(),
    });
  });

  router.use((_request, response) => {
    response.status(404).json(problem('not_found', 'The sandbox has no such route.'));
  });
  router.use(refuse);
  return router;
}

const refuse: ErrorRequestHandler = (error, _request, response, next) => {
  if (response.headersSent) return next(error);
  if (error instanceof NotFound) {
    response.status(404).json(problem(error.code, error.message, error.hint));
    return;
  }
  if (error instanceof InvalidInput) {
    response
      .status(422)
      .json({ ...problem(error.code, error.message, error.hint), problems: error.problems });
    return;
  }
  const status = bodyErrorStatus(error);
  if (status === null) return next(error);
  const message = status === 413 ? 'The body is over 1 MB.' : 'The body is not JSON.';
  response.status(status).json(problem('body_unreadable', message));
};

/** The status that Express's body reader gives its own errors; `null` for any other error. */
function bodyErrorStatus(error: unknown): number | null {
  const status = error instanceof Error && 'status' in error ? error.status : null;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : null;
}

function problem(code: string, message: string, hint?: string) {
  return { code, message, ...(hint === undefined ? {} : { hint }) };
}

function read<T>(shape: z.ZodType<T>, request: express.Request): T {
  const found = shape.safeParse(request.body);
  if (found.success) return found.data;
  const problems = found.error.issues.map(({ path, message }) => ({ path: path.join('.'), message }));
  throw new InvalidInput('body_invalid', 'The body cannot be taken as it is.', {
    hint: problems.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; '),
    problems,
  });
}

function ledgerEntry(event: StoredEvent) {
  const { text: _, createdAt, listableAt, firstListedAt, firstRetrievedAt, ...rest } = event;
  return {
    ...rest,
    createdAt: instant(createdAt),
    listableAt: instant(listableAt),
    firstListedAt: instant(firstListedAt),
    firstRetrievedAt: instant(firstRetrievedAt),
  };
}

function instant(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}
