import type { Outcome } from '../domain/attempt.ts';

/** One POST, vetted and bounded. Resolves for whatever the other side does; never rejects. */
export type Post = (request: PostRequest) => Promise<PostResult>;

export interface PostRequest {
  readonly url: string;
  /**
   * Sent as they are, except for those that belong to the connection (`host`,
   * `content-length`, `connection` and the like), which the sender sets by itself.
   */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Over the whole exchange, from the name's look-up to the last byte read. */
  readonly timeoutMs: number;
  /**
   * A success counts only with its body (a challenge): it is awaited until the deadline.
   * Otherwise the status line decides, and the body is read for a moment at most.
   */
  readonly needsAnswerBody: boolean;
  /** Ends the exchange at once, as `interrupted`. */
  readonly signal?: AbortSignal;
}

/** What came back. What is not an answer is an outcome already. */
export type PostResult = Answered | Unanswered;

export interface Answered {
  readonly kind: 'answered';
  /** 200 to 599. */
  readonly status: number;
  /** The header as received; `undefined` where there is none, or more than one. */
  readonly retryAfter: string | undefined;
  /** Where a redirect points, at most 512 characters; it was not followed. */
  readonly location: string | undefined;
  /** The body's first bytes, at most 16 KiB, as sent: never decompressed. */
  readonly answer: Buffer;
  /** There was more, or it broke off. */
  readonly isTruncated: boolean;
  readonly durationMs: number;
  readonly reusedConnection: boolean;
}

export type Unanswered = Extract<Outcome, { kind: 'timedOut' | 'unreachable' | 'blocked' | 'interrupted' }>;
