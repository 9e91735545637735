import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';

/** A raw server on loopback that says what a test wants, byte for byte, and remembers who called. */
export interface Peer {
  readonly port: number;
  /** How many connections were ever accepted. */
  connections(): number;
  /** How many of them are open now. */
  open(): number;
  /** All that was received, over all connections. */
  received(): string;
  /** Settles when `isSo` does, which is asked after everything that happens here. */
  until(isSo: () => boolean): Promise<void>;
  close(): Promise<void>;
}

export interface PeerOptions {
  readonly host?: string;
  readonly tls?: TlsOptions;
  readonly onConnection?: (socket: Socket) => void;
  /** Called when a whole request has arrived, counted from 1 on each connection. */
  readonly onRequest?: (socket: Socket, number: number) => void;
}

const headEnd = '\r\n\r\n';

export async function peer({ host = '127.0.0.1', tls, onConnection, onRequest }: PeerOptions): Promise<Peer> {
  const sockets = new Set<Socket>();
  const waiting = new Set<() => void>();
  let connections = 0;
  const received: Buffer[] = [];
  const happened = () => {
    for (const ask of waiting) ask();
  };

  const accept = (socket: Socket) => {
    let pending = '';
    let requests = 0;
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      received.push(chunk);
      if (onRequest === undefined) return happened();
      pending += chunk.toString('latin1');
      for (let end = wholeRequest(pending); end > 0; end = wholeRequest(pending)) {
        pending = pending.slice(end);
        requests += 1;
        onRequest(socket, requests);
      }
      happened();
    });
    onConnection?.(socket);
  };

  const server: Server = tls === undefined ? createServer(accept) : createTlsServer(tls, accept);
  server.on('connection', (socket: Socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => {
      sockets.delete(socket);
      happened();
    });
    happened();
  });
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, host, resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the peer has no port');

  return {
    port: address.port,
    connections: () => connections,
    open: () => sockets.size,
    received: () => Buffer.concat(received).toString('latin1'),
    until: (isSo) =>
      new Promise((resolve) => {
        const ask = () => {
          if (!isSo()) return;
          waiting.delete(ask);
          resolve();
        };
        waiting.add(ask);
        ask();
      }),
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The length of the request that `text` begins with, or 0 while it is not whole. */
function wholeRequest(text: string): number {
  const headLength = text.indexOf(headEnd) + headEnd.length;
  if (headLength < headEnd.length) return 0;
  const length = Number(/content-length: (\d+)/i.exec(text.slice(0, headLength))?.[1] ?? 0);
  return text.length >= headLength + length ? headLength + length : 0;
}

/** An answer as bytes on the wire. */
export function http(status: number, body = '', headers: Readonly<Record<string, string>> = {}): string {
  const lines = Object.entries({ 'content-length': String(Buffer.byteLength(body)), ...headers });
  return `HTTP/1.1 ${status} Said\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`;
}
