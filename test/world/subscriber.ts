import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceivedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** A subscriber's real endpoint on a port of its own. */
export interface ReceivingSubscriber {
  readonly url: string;
  /** In the order of their arrival. */
  readonly requests: readonly ReceivedRequest[];
  /** Requests that wait for their answer, and the most that ever did at once. */
  readonly open: { now: number; most: number };
  /** What it answers from now on. A promise that stays open keeps the request waiting. */
  answer(how: (request: ReceivedRequest) => Answer | Promise<Answer>): void;
  /** Resolves when so many requests have come in all; at once if they have. */
  received(count: number): Promise<void>;
  close(): Promise<void>;
}

export async function receivingSubscriber(): Promise<ReceivingSubscriber> {
  const requests: ReceivedRequest[] = [];
  const open = { now: 0, most: 0 };
  const waiting = new Set<{ count: number; reached: () => void }>();
  let answered: (request: ReceivedRequest) => Answer | Promise<Answer> = () => ({ status: 200 });

  const server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const request = {
      method: incoming.method ?? '',
      path: incoming.url ?? '',
      headers: incoming.headers,
      body: Buffer.concat(chunks),
    };
    open.now += 1;
    open.most = Math.max(open.most, open.now);
    requests.push(request);
    for (const waiter of waiting) {
      if (requests.length < waiter.count) continue;
      waiting.delete(waiter);
      waiter.reached();
    }
    const { status, headers, body } = await answered(request);
    open.now -= 1;
    outgoing.writeHead(status, headers);
    outgoing.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;

  return {
    url: `http://127.0.0.1:${port}/hook`,
    requests,
    open,
    answer(how) {
      answered = how;
    },
    received: (count) =>
      new Promise((resolve) => {
        if (requests.length >= count) resolve();
        else waiting.add({ count, reached: resolve });
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
