import http from 'node:http';
import type { Socket } from 'node:net';
import type { HttpProxy } from '../domain/egress-proxy.ts';
import { ProxyFault, type TunnelEnd } from './proxy-fault.ts';
import { hostAndPort } from './url-text.ts';

const answerHeadBytesMax = 16 * 1024;

/**
 * A connection to an address, made by an HTTP proxy, by CONNECT.
 *
 * @param signal ends the attempt, and the connection to the proxy with it.
 * @throws ProxyFault
 */
export function openHttpTunnel(
  { host, port, authorization }: HttpProxy,
  to: TunnelEnd,
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
