import { allPages } from './pages.ts';
import type { CallApi } from './relay-api.ts';

export interface SeenView {
  readonly recorded: number;
  readonly withheld: number;
  readonly known: number;
  readonly owed: number;
}

export async function importSeen(
  call: CallApi,
  body: { readonly clinicId: string; readonly eventIds: readonly string[]; readonly dryRun: boolean },
): Promise<SeenView> {
  return (await call({ method: 'POST', path: '/v1/seen', body })) as SeenView;
}

export interface EventView {
  readonly id: string;
  readonly type: string;
  /** Empty of one that was imported and never listed. */
  readonly category: string;
  readonly state: 'recorded' | 'past' | 'shadow' | 'imported';
  readonly createdAt: string | null;
}

/** Every event of a clinic that the log knows, newest recorded first. */
export function listEvents(call: CallApi, clinicId: string): Promise<readonly EventView[]> {
  return allPages(call, '/v1/events', { clinicId });
}
