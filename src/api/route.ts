import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { InvalidInput } from '../domain/errors.ts';
import { inputWords } from '../domain/input-words.ts';
import { problemsOf } from '../domain/problems-of.ts';
import type { Caller, Scope } from './auth.ts';
import type { ServerSentEvent } from './event-stream.ts';

/** One route, told once: the server answers by it and the OpenAPI document is made from it. */
export interface Route {
  readonly method: 'get' | 'post' | 'patch' | 'delete';
  /** With parameters as `{id}`: `/v1/subscribers/{id}/pause`. */
  readonly path: string;
  readonly scope: Scope;
  readonly summary: string;
  readonly query: z.ZodObject;
  /** `null` where nothing may stand in it. An absent body counts as `{}`. */
  readonly body: z.ZodType | null;
  /** What success looks like; `null` has no body. Of a stream, the data of its messages. */
  readonly answers: { readonly status: number; readonly schema: z.ZodType | null; readonly isStream?: true };
  /** It makes the relay send a request to an address of the caller's choice, so it is limited more tightly. */
  readonly isDialling: boolean;
  answer(request: RawRequest): Promise<Answer | Streamed>;
}

/** What came in, not yet held to a schema. */
export interface RawRequest {
  readonly caller: Caller;
  readonly params: Readonly<Record<string, string>>;
  readonly query: unknown;
  readonly body: unknown;
  /** Of the message that the caller had last of an earlier stream. */
  readonly lastEventId: string | null;
  /** Aborts when a stream is to end: the caller is gone, or the relay stops. */
  readonly signal: AbortSignal;
}

export interface Streamed {
  readonly stream: AsyncIterable<ServerSentEvent>;
}

export interface Answer {
  /** When it is not the one that the route names. */
  readonly status?: number;
  /** `null` for no content. */
  readonly body: unknown;
}

interface Told<Query extends z.ZodObject, Body extends z.ZodType>
  extends Pick<Route, 'method' | 'path' | 'scope' | 'summary' | 'answers'> {
  readonly query?: Query;
  readonly body?: Body;
  readonly isDialling?: true;
  readonly answer: (ask: {
    readonly caller: Caller;
    /** The path's `{id}`. */
    readonly id: string;
    readonly query: z.output<Query>;
    readonly body: z.output<Body>;
    readonly lastEventId: string | null;
    readonly signal: AbortSignal;
  }) => Promise<Answer | Streamed>;
}

const nothing = z.strictObject({});

/** @throws InvalidInput `invalid_query`, `invalid_body` when answering */
export function route<Query extends z.ZodObject = typeof nothing, Body extends z.ZodType = typeof nothing>(
  told: Told<Query, Body>,
): Route {
  const query = (told.query ?? nothing) as Query;
  const body = told.body ?? null;
  return {
    method: told.method,
    path: told.path,
    scope: told.scope,
    summary: told.summary,
    answers: told.answers,
    query,
    body,
    isDialling: told.isDialling ?? false,
    async answer(raw) {
      const asked = checked(query, raw.query, 'invalid_query', 'The query has a mistake.');
      const given = checked(body ?? nothing, raw.body ?? {}, 'invalid_body', 'The body has a mistake.');
      return told.answer({
        caller: raw.caller,
        id: raw.params.id ?? '',
        query: asked as z.output<Query>,
        body: given as z.output<Body>,
        lastEventId: raw.lastEventId,
        signal: raw.signal,
      });
    },
  };
}

function checked<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  code: string,
  message: string,
): z.output<Schema> {
  const parsed = schema.safeParse(value, { error: inputWords });
  if (parsed.success) return parsed.data;
  throw new InvalidInput(code, message, {
    hint: 'Correct what is named; GET /openapi.json tells what each route takes.',
    problems: problemsOf(parsed.error, schema),
  });
}

/** A fresh id with a prefix that says what it names: `sub_…`. */
export function newId(prefix: string): string {
  return `${prefix}_${randomUUID().replaceAll('-', '').slice(0, 24)}`;
}
