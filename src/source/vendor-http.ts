import got, { RequestError } from 'got';

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

const timeoutMs = 30_000;

/** An event is read whole into memory, so there is an end to its size. */
const answerBytesMax = 10 * 1024 * 1024;

/**
 * got as the relay needs it: nothing is repeated behind our back (every request counts
 * against the budget), a token never follows a redirect, the whole exchange has one
 * deadline, and a body is cut off at 10 MiB after decompression. got's errors hold the
 * request and its token, so none of them leaves this file.
 */
export function createVendorHttp({ userAgent }: { readonly userAgent: string }): VendorHttp {
  const client = got.extend({
    retry: { limit: 0 },
    followRedirect: false,
    throwHttpErrors: false,
    http2: false,
    timeout: { request: timeoutMs },
    headers: { accept: 'application/json', 'user-agent': userAgent },
  });
  return ({ method, url, accessToken, json }) =>
    new Promise((resolve) => {
      const stream = client.stream(url, {
        method,
        ...(json && { json }),
        ...(accessToken !== undefined && { headers: { authorization: `Bearer ${accessToken}` } }),
      });
      const chunks: Buffer[] = [];
      let bytes = 0;
      let answered: {
        status: number;
        headers: Readonly<Record<string, string | string[] | undefined>>;
      } | null = null;
      stream.on(
        'response',
        (response: { statusCode: number; headers: Record<string, string | undefined> }) => {
          answered = { status: response.statusCode, headers: response.headers };
        },
      );
      stream.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > answerBytesMax) {
          stream.destroy();
          resolve({ kind: 'tooLarge', bytesMax: answerBytesMax });
          return;
        }
        chunks.push(chunk);
      });
      stream.on('error', (error) => resolve({ kind: 'unreachable', detail: detailOf(error) }));
      stream.on('end', () => {
        if (answered === null) return resolve({ kind: 'unreachable', detail: 'no answer' });
        const { status, headers } = answered;
        const date = Date.parse(single(headers.date) ?? '');
        resolve({
          kind: 'answered',
          status,
          body: Buffer.concat(chunks),
          vendorNow: Number.isNaN(date) ? null : date,
          retryAfter: single(headers['retry-after']),
        });
      });
      // A GET has no body; got's stream waits for its end all the same.
      if (method === 'GET') stream.resume();
    });
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? undefined : value;
}

/** The code and nothing else: messages may quote the URL. */
function detailOf(error: unknown): string {
  if (error instanceof RequestError) return error.code;
  return error instanceof Error ? error.name : 'unknown error';
}
