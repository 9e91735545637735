import type { Post, PostRequest, PostResult } from '../../src/delivery/post.ts';
import type { Random } from '../../src/sandbox/random.ts';
import type { Endpoint, Reaction } from './endpoints.ts';
import type { Life } from './life.ts';
import type { SimulatedTime } from './time.ts';

/** What a request came to, as the relay was told; `pending` while it is under way or if its process ended. */
export type Fate = PostResult['kind'] | `answered ${number}` | 'pending';

/** The way from the relay to its subscribers. It outlives the processes: what is on its way may still arrive. */
export class Network {
  readonly endpoints = new Map<string, Endpoint>();
  /** By `<delivery>#<attempt>`. */
  readonly fates = new Map<string, Fate>();
  readonly #time: SimulatedTime;
  readonly #random: Random;

  constructor(time: SimulatedTime, random: Random) {
    this.#time = time;
    this.#random = random;
  }

  postOf(life: Life): Post {
    return (request) => {
      const key = `${request.headers['relay-delivery-id']}#${request.headers['relay-attempt']}`;
      this.fates.set(key, 'pending');
      return new Promise((resolve) => {
        const settle = (result: PostResult) => {
          if (life.isOver || this.fates.get(key) !== 'pending') return;
          this.fates.set(key, result.kind === 'answered' ? `answered ${result.status}` : result.kind);
          request.signal?.removeEventListener('abort', interrupt);
          life.requests.delete(request);
          resolve(result);
        };
        const interrupt = () => settle({ kind: 'interrupted' });
        request.signal?.addEventListener('abort', interrupt, { once: true });
        life.requests.add(request);
        if (request.signal) life.signals.add(request.signal);
        this.#send(life, request, settle);
      });
    };
  }

  #send(life: Life, request: PostRequest, settle: (result: PostResult) => void): void {
    const { timeoutMs, signal } = request;
    const random = this.#random;
    const sentAtWall = life.clock.wall();
    const arrivesAnyhow = random.next() < 0.5;
    const travelMs = random.int(0, 40);
    if (life.freezesAtSendMs > 0) life.freeze(life.freezesAtSendMs);
    if (signal?.aborted) settle({ kind: 'interrupted' });
    life.timeOut(timeoutMs, () => settle({ kind: 'timedOut', phase: 'headers', timeoutMs }));
    // The true time, not the process's: bytes that were sent may arrive after it has ended.
    this.#time.after(travelMs, () => {
      if (life.isOver && !arrivesAnyhow) return;
      const endpoint = this.endpoints.get(new URL(request.url).hostname);
      const reaction: Reaction = endpoint
        ? endpoint.receive({ headers: request.headers, body: request.body }, sentAtWall)
        : { kind: 'refused' };
      this.#answer(life, reaction, settle);
    });
  }

  #answer(life: Life, reaction: Reaction, settle: (result: PostResult) => void): void {
    switch (reaction.kind) {
      case 'silence':
        return;
      case 'refused':
        settle({ kind: 'unreachable', error: 'refused', code: 'ECONNREFUSED' });
        return;
      case 'lost':
        settle({ kind: 'unreachable', error: 'reset', code: 'ECONNRESET' });
        return;
      case 'answer':
        life.hear(reaction.afterMs, () =>
          settle({
            kind: 'answered',
            status: reaction.status,
            retryAfter: reaction.headers['retry-after'],
            location: reaction.headers.location,
            answer: Buffer.from(reaction.body),
            isTruncated: false,
            durationMs: reaction.afterMs,
            reusedConnection: true,
          }),
        );
    }
  }
}
