import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SeenRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: unknown;
}

export interface StandIn {
  readonly url: string;
  readonly seen: readonly SeenRequest[];
  close(): Promise<void>;
}

export type Answer =
  | { readonly status: number; readonly json: unknown; readonly headers?: Record<string, string> }
  | {
      readonly status: number;
      readonly text: string;
      readonly headers?: Record<string, string>;
      /** The connection breaks after the text. */
      readonly breaks?: true;
      /** Somebody before the relay answers in its place. */
      readonly isProxys?: true;
    }
  | { readonly destroy: true }
  /** Takes the request, and never answers. */
  | { readonly silent: true };

/**
 * A server on a free port that answers as `answerTo` says and remembers what it was asked.
 *
 * @param isRelay `false`: it does not say that it is one.
 */
export async function standIn(
  answerTo: (request: SeenRequest) => Answer,
  { isRelay = true }: { readonly isRelay?: boolean } = {},
): Promise<StandIn> {
  const seen: SeenRequest[] = [];
  const server = createServer(async (request, response) => {
    const asked = await read(request);
    seen.push(asked);
    if (isRelay) response.setHeader('relay-version', '0.0.0');
    write(response, answerTo(asked));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function read(request: IncomingMessage): Promise<SeenRequest> {
  let text = '';
  for await (const chunk of request) text += chunk;
  return {
    method: request.method ?? '',
    path: request.url ?? '',
    authorization: request.headers.authorization,
    body: text === '' ? undefined : JSON.parse(text),
  };
}

function write(response: ServerResponse, answer: Answer): void {
  if ('destroy' in answer) {
    response.destroy();
    return;
  }
  if ('silent' in answer) return;
  if ('isProxys' in answer) response.removeHeader('relay-version');
  if ('breaks' in answer) {
    response.writeHead(answer.status, answer.headers);
    response.write(answer.text, () => response.destroy());
    return;
  }
  const isJson = 'json' in answer;
  const type = answer.status < 400 ? 'application/json' : 'application/problem+json';
  response.writeHead(answer.status, { ...(isJson ? { 'content-type': type } : {}), ...answer.headers });
  response.end(isJson ? JSON.stringify(answer.json) : answer.text);
}
