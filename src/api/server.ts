import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Clock, systemClock } from '../clock.ts';
import { RelayError } from '../domain/errors.ts';

export interface ServerOptions {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  readonly clock?: Clock;
  /** For tests, which cannot wait that long. */
  readonly limits?: Partial<ServerLimits>;
}

export interface RunningServer {
  /** Where it can be reached, without a slash at its end. */
  readonly url: string;
  /** The address that it got. */
  readonly listening: { readonly host: string; readonly port: number };
  /** Takes no more requests, lets those under way end for ten seconds, and cuts the rest off. */
  close(): Promise<void>;
}

interface ServerLimits {
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  /** How often the first two are looked after. */
  readonly checkEveryMs: number;
  readonly connectionsMax: number;
  readonly closeGraceMs: number;
}

/** Node's own would let a client that drips hold a connection for five minutes. */
const defaultLimits: ServerLimits = {
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 10_000,
  keepAliveTimeoutMs: 5_000,
  checkEveryMs: 1_000,
  connectionsMax: 1_000,
  closeGraceMs: 10_000,
};

const headerBytesMax = 8_192;
const requestsPerConnectionMax = 1_000;

/**
 * Listens, with limits for clients that are slow, greedy or broken.
 *
 * @throws RelayError `cannot_listen` when the address cannot be had
 */
export async function startServer(app: RequestListener, options: ServerOptions): Promise<RunningServer> {
  const { host, port, clock = systemClock() } = options;
  const limits = { ...defaultLimits, ...options.limits };
  let closed: Promise<void> | null = null;
  const server = createServer(
    {
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: limits.checkEveryMs,
      maxHeaderSize: headerBytesMax,
      requireHostHeader: true,
      insecureHTTPParser: false,
    },
    (request, response) => {
      // A connection that is kept alive would hold up the end until it times out.
      response.once('close', () => closed && setImmediate(() => server.closeIdleConnections()));
      if (isOfTwoHosts(request)) response.writeHead(400, { connection: 'close' }).end();
      else app(request, response);
    },
  );
  server.maxConnections = limits.connectionsMax;
  server.maxRequestsPerSocket = requestsPerConnectionMax;
  await listen(server, host, port);
  const { address, port: taken } = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${taken}`,
    listening: { host: address, port: taken },
    close() {
      closed ??= close(server, clock, limits.closeGraceMs);
      return closed;
    },
  };
}

/** Node takes the first of several, and a proxy in front may take the last. Source: RFC 9112, 3.2. */
function isOfTwoHosts({ rawHeaders }: IncomingMessage): boolean {
  return rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === 'host').length > 1;
}

function close(server: Server, clock: Clock, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(graceMs, () => server.closeAllConnections());
    server.close(() => {
      cancel();
      resolve();
    });
    server.closeIdleConnections();
  });
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
    throw new RelayError('cannot_listen', `The relay cannot listen on ${host}:${port} (${code}).`, {
      hint:
        code === 'EADDRINUSE'
          ? 'Another process has that port: stop it, or choose another in `server.port`.'
          : 'Set `server.host` and `server.port` to an address of this machine that may be taken.',
      cause,
    });
  });
}
