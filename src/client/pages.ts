import type { ApiCall, CallApi } from './relay-api.ts';

/** One page of a list; `nextCursor` is `null` on the last. */
export interface PageView<T> {
  readonly data: readonly T[];
  readonly nextCursor: string | null;
}

const pageSize = 500;

/** Everything that a list route has, page after page, in its order. */
export async function allPages<T>(
  call: CallApi,
  path: string,
  query: NonNullable<ApiCall['query']> = {},
): Promise<readonly T[]> {
  const all: T[] = [];
  let cursor: string | undefined;
  do {
    const answer = await call({ method: 'GET', path, query: { ...query, limit: pageSize, cursor } });
    const page = answer as PageView<T>;
    all.push(...page.data);
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  return all;
}
