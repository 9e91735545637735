import type http from 'node:http';
import type https from 'node:https';
import got, { RequestError } from 'got';
import type { Clock } from '../clock.ts';

/** One exchange with the vendor; never rejects for what the network or the vendor does. */
export type VendorHttp = (request: VendorRequest) => Promise<VendorAnswer>;

export interface VendorRequest {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly accessToken?: string;
  readonly json?: Readonly<Record<string, unknown>>;
}

export type VendorAnswer =
  | {
      readonly kind: 'answered';
      readonly status: number;
      /** Decompressed. */
      readonly body: Buffer;
      /** The vendor's clock, to the second; `null` when it sent none. */
      readonly vendorNow: number | null;
      readonly retryAfter: string | undefined;
    }
  /** `detail` is one line without anything of the request in it. */
  | { readonly kind: 'unreachable'; readonly detail: string }
  | { readonly kind: 'tooLarge'; readonly bytesMax: number };

export interface VendorHttpOptions {
  readonly userAgent: string;
  readonly clock: Clock;
  /** Over the whole exchange. */
  readonly timeoutMs?: number;
  /** Vet each socket's address; without them any is dialled. An error of theirs is told by its `code`. */
  readonly agents?: { readonly http: http.Agent; readonly https: https.Agent };
}

/** An event is read whole into memory, so there is an end to its size. */
const answerBytesMax = 10 * 1024 * 1024;

/**
 * got as the relay needs it: nothing is repeated behind our back (every request counts
 * against the budget), a token never follows a redirect, and a body is cut off at 10 MiB
 * after decompression. got's errors hold the request and its token, so none of them
 * leaves this file.
 *
 * The deadline is our own: got's never ends a `101 Switching Protocols`.
 */
export function createVendorHttp({
  userAgent,
  clock,
  timeoutMs = 30_000,
  agents,
}: VendorHttpOptions): VendorHttp {
  const client = got.extend({
    retry: { limit: 0 },
    followRedirect: false,
    throwHttpErrors: false,
    http2: false,
    ...(agents && { agent: agents }),
    headers: { accept: 'application/json', 'user-agent': userAgent },
  });
  return ({ method, url, accessToken, json }) =>
    new Promise((resolve) => {
      const stream = client.stream(url, {
        method,
        ...(json && { json }),
        ...(accessToken !== undefined && { headers: { authorization: `Bearer ${accessToken}` } }),
      });
      const settle = (answer: VendorAnswer): void => {
        cancel();
        stream.destroy();
        resolve(answer);
      };
      const cancel = clock.after(timeoutMs, () => settle({ kind: 'unreachable', detail: 'timed out' }));
      const chunks: Buffer[] = [];
      let bytes = 0;
      stream.on('upgrade', (_response: unknown, socket: { destroy(): void }) => {
        socket.destroy();
        settle({ kind: 'unreachable', detail: 'status 101' });
      });
      stream.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > answerBytesMax) settle({ kind: 'tooLarge', bytesMax: answerBytesMax });
        else chunks.push(chunk);
      });
      stream.on('error', (error) => settle({ kind: 'unreachable', detail: detailOf(error) }));
      stream.on('close', () => settle({ kind: 'unreachable', detail: 'the connection was closed' }));
      stream.on('end', () => {
        const { response } = stream;
        if (response === undefined) return settle({ kind: 'unreachable', detail: 'no answer' });
        const date = Date.parse(response.headers.date ?? '');
        settle({
          kind: 'answered',
          status: response.statusCode,
          body: Buffer.concat(chunks),
          vendorNow: Number.isNaN(date) ? null : date,
          retryAfter: response.headers['retry-after'],
        });
      });
    });
}

/** The code and nothing else: messages may quote the URL. */
function detailOf(error: unknown): string {
  if (error instanceof RequestError) return error.code;
  return error instanceof Error ? error.name : 'unknown error';
}
