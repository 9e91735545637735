import http from 'node:http';
import type { Socket } from 'node:net';
import type { EgressProxy } from '../domain/egress-proxy.ts';
import { hostAndPort } from './url-text.ts';

/** The proxy did not make the connection. `code` is `PROXY_` and the status that it answered, or Node's own word. */
export class ProxyFault extends Error {
  readonly code: string;

  constructor(what: string | number) {
    super('the egress proxy made no connection');
    this.name = 'ProxyFault';
    this.code = `PROXY_${what}`;
  }
}

const answerHeadBytesMax = 16 * 1024;

/**
 * A connection to an address, made by the proxy: it is given the address and never the
 * name, so that what it dials is what was vetted.
 *
 * @param signal ends the attempt, and the connection to the proxy with it.
 * @throws ProxyFault
 */
export function openTunnel(
  { host, port, authorization }: EgressProxy,
  to: { readonly address: string; readonly port: number },
  signal: AbortSignal,
): Promise<Socket> {
  const authority = hostAndPort({ host: to.address, port: to.port });
  return new Promise((resolve, reject) => {
    const request = http.request({
      method: 'CONNECT',
      host,
      port,
      path: authority,
      headers: { host: authority, ...(authorization && { 'proxy-authorization': authorization }) },
      agent: false,
      maxHeaderSize: answerHeadBytesMax,
      signal,
    });
    // Node tells every answer to a CONNECT by this event, refusals too.
    request.once('connect', ({ statusCode = 0 }, socket: Socket, head) => {
      const isMade = statusCode >= 200 && statusCode <= 299;
      // Bytes that nobody asked for could be taken for the answer to what is sent next.
      if (isMade && head.length === 0 && !signal.aborted) return resolve(socket);
      socket.destroy();
      reject(new ProxyFault(isMade ? 'SPOKE_FIRST' : statusCode));
    });
    request.on('error', ({ code }: NodeJS.ErrnoException) => reject(new ProxyFault(code ?? 'UNKNOWN')));
    request.end();
  });
}
