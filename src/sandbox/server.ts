import { randomInt } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express, { type ErrorRequestHandler, type Response } from 'express';
import { type Clock, systemClock } from '../clock.ts';
import { RelayError } from '../domain/errors.ts';
import { adminRoutes } from './admin.ts';
import { Fullscript, type FullscriptOptions } from './fullscript.ts';
import { seededRandom, seedOf } from './random.ts';
import { apiError, type Reply } from './reply.ts';

export interface SandboxOptions extends Partial<Omit<FullscriptOptions, 'clock'>> {
  /** 0, the default, takes any free one. */
  readonly port?: number;
  /** Default 127.0.0.1. The admin routes ask for no authorization: leave it on loopback. */
  readonly host?: string;
  readonly clock?: Clock;
  /** How many random events a minute happen by themselves, over all clinics; 0, the default, makes none. */
  readonly eventsPerMinute?: number;
}

export interface RunningSandbox {
  /** Without a slash at its end; the API is at `/api` below it. */
  readonly url: string;
  readonly fullscript: Fullscript;
  /** Stops the stream of events and ends open connections at once. */
  close(): Promise<void>;
}

/**
 * Starts the offline Fullscript.
 *
 * @throws RelayError `sandbox_cannot_listen` when the port cannot be had
 */
export async function startSandbox(options: SandboxOptions = {}): Promise<RunningSandbox> {
  const clock = options.clock ?? systemClock();
  const fullscript = new Fullscript({ ...options, clock, seed: options.seed ?? randomInt(2 ** 32) });
  const server = createServer(sandboxApp(fullscript, clock));
  const host = options.host ?? '127.0.0.1';
  await listen(server, host, options.port ?? 0);
  const stopEvents = liveEvents(fullscript, clock, options.eventsPerMinute ?? 0);
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    fullscript,
    close: () =>
      new Promise((resolve) => {
        stopEvents();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function sandboxApp(fullscript: Fullscript, clock: Clock) {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use('/sandbox', adminRoutes(fullscript));
  app.use(express.text({ type: () => true, limit: '1mb' }));
  app.use((request, response) => {
    const reply = fullscript.answer({
      method: request.method,
      path: request.originalUrl,
      authorization: request.headers.authorization,
      contentType: request.headers['content-type'],
      body: typeof request.body === 'string' ? request.body : undefined,
    });
    const send = () => write(response, reply);
    if (reply.delayMs === undefined) return send();
    const cancel = clock.after(reply.delayMs, send);
    response.once('close', cancel);
  });
  app.use(refuse);
  return app;
}

const refuse: ErrorRequestHandler = (error, _request, response, next) => {
  if (response.headersSent) return next(error);
  const status = error instanceof Error && 'status' in error ? Number(error.status) : 500;
  write(
    response,
    status >= 400 && status < 500
      ? apiError(status, 'bad_request', 'The request cannot be read.')
      : apiError(500, 'sandbox_broken', 'The sandbox itself failed; this is no fault that was switched on.'),
  );
};

function write(response: Response, reply: Reply): void {
  if (reply.drop === 'beforeAnswer') {
    response.destroy();
    return;
  }
  const body = Buffer.from(reply.body, reply.encoding ?? 'utf8');
  response.writeHead(reply.status, { ...reply.headers, 'content-length': body.length });
  if (reply.drop === undefined) {
    response.end(body);
    return;
  }
  response.write(body.subarray(0, Math.ceil(body.length / 2)), () => response.destroy());
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  }).catch((cause: unknown) => {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown';
    throw new RelayError('sandbox_cannot_listen', `The sandbox cannot listen on ${host}:${port} (${code}).`, {
      hint:
        code === 'EADDRINUSE'
          ? 'Another process has that port: stop it, or choose another with --port (0 takes any free one).'
          : 'Give --host and --port of this machine that may be taken.',
      cause,
    });
  });
}

/** Lets random events happen at random moments. Returns what stops them. */
function liveEvents(fullscript: Fullscript, clock: Clock, perMinute: number): () => void {
  if (!(perMinute > 0)) return () => {};
  const random = seededRandom(seedOf(fullscript.seed, 'live'));
  let cancel = () => {};
  const arm = () => {
    const waitMs = Math.ceil((-Math.log(1 - random.next()) / perMinute) * 60_000);
    cancel = clock.after(waitMs, () => {
      fullscript.addEvent({ clinic: random.pick(fullscript.clinics).id });
      arm();
    });
  };
  arm();
  return () => cancel();
}
