import { z } from 'zod';
import { InvalidInput } from '../domain/errors.ts';

const limitMax = 1000;
const limitDefault = 100;

/** An instant of the query as epoch milliseconds: ISO 8601 with its offset, between 1970 and 9999. */
export const instantQuery = z.iso
  .datetime({ offset: true, error: 'must be an instant with its offset, such as 2026-11-22T12:00:00Z' })
  .max(40)
  .transform((text) => Date.parse(text))
  .refine((at) => at >= 0, 'must be in 1970 or later');

/** An id as somebody else made it: opaque, compared and never used as a path. */
export const idQuery = z.string().min(1, 'must not be empty').max(1024, 'must be 1,024 characters at most');

/** What every list takes. */
export const pageQuery = {
  limit: z
    .string()
    .regex(/^[1-9][0-9]{0,3}$/, `must be a number from 1 to ${limitMax}`)
    .transform(Number)
    .refine((limit) => limit <= limitMax, `must be a number from 1 to ${limitMax}`)
    .default(limitDefault),
  cursor: z.string().min(1, 'must not be empty').max(512, 'must be 512 characters at most').optional(),
};

export const windowQuery = { since: instantQuery.optional(), until: instantQuery.optional() };

/**
 * @param code of what it stands in: the query, or a body.
 * @throws InvalidInput when the window ends before it begins
 */
export function checkWindow(
  { since, until }: { readonly since?: number | undefined; readonly until?: number | undefined },
  code: 'invalid_query' | 'invalid_body' = 'invalid_query',
): void {
  if (since === undefined || until === undefined || since <= until) return;
  throw new InvalidInput(code, '`since` is after `until`.', {
    hint: 'Exchange the two.',
    problems: [{ path: 'since', message: 'is after until' }],
  });
}

/** The schema of a list's answer. */
export function listOf<Item extends z.ZodType>(item: Item) {
  return z.object({ data: z.array(item), nextCursor: z.string().nullable() });
}

interface Placed {
  readonly id: string;
  readonly createdAt: number;
}

/**
 * A page of a short list, in the order of creation. The cursor is the place of the last
 * item and not the item itself, which may be gone by then.
 *
 * @throws InvalidInput `bad_cursor`
 */
export function pageOf<Item extends Placed>(
  items: readonly Item[],
  { limit, cursor }: { readonly limit: number; readonly cursor?: string | undefined },
): { readonly items: readonly Item[]; readonly nextCursor: string | null } {
  const from = cursor === undefined ? null : placeOf(cursor);
  const after = [...items].sort(byPlace).filter((item) => from === null || byPlace(from, item) < 0);
  const page = after.slice(0, limit);
  const last = page.at(-1);
  const nextCursor = last !== undefined && after.length > page.length ? cursorAt(last) : null;
  return { items: page, nextCursor };
}

function byPlace(a: Placed, b: Placed): number {
  if (a.createdAt !== b.createdAt) return a.createdAt - b.createdAt;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

function cursorAt({ createdAt, id }: Placed): string {
  return Buffer.from(`${createdAt} ${id}`).toString('base64url');
}

function placeOf(cursor: string): Placed {
  const text = Buffer.from(cursor, 'base64url').toString();
  const [, createdAt, id] = /^(\d{1,15}) (.+)$/s.exec(text) ?? [];
  if (createdAt !== undefined && id !== undefined) return { createdAt: Number(createdAt), id };
  throw new InvalidInput('bad_cursor', 'The cursor is not one that a list gave.', {
    hint: 'Leave it out to begin at the front.',
  });
}

/** An instant as the API shows it: ISO 8601 in UTC. */
export function shown(at: number): string;
export function shown(at: number | null): string | null;
export function shown(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}
