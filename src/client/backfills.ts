import { allPages } from './pages.ts';
import { type CallApi, pathOf } from './relay-api.ts';

export interface BackfillView {
  readonly id: string;
  readonly subscriberId: string;
  readonly from: string;
  readonly state: 'running' | 'done' | 'cancelled';
  /** How many events it has found so far. */
  readonly matched: number;
  /** How many of them it has gone through. */
  readonly done: number;
  /** For how many of these it made a delivery. */
  readonly enqueued: number;
  /** How many were left out because nobody has their text any more. */
  readonly unavailable: number;
}

/** What a backfill would take. */
export interface BackfillCountView {
  readonly from: string;
  readonly matched: number;
  readonly streams: readonly {
    readonly clinicId: string;
    readonly category: string;
    readonly events: number;
  }[];
}

/** Of a subscriber, or of the filters that a new one would have. */
export interface BackfillAsk {
  readonly subscriberId?: string;
  /** A length of time, or an instant. */
  readonly from: string;
  readonly eventTypes?: readonly string[] | undefined;
  readonly clinicIds?: readonly string[] | undefined;
}

export async function startBackfill(call: CallApi, body: BackfillAsk): Promise<BackfillView> {
  return (await call({ method: 'POST', path: '/v1/backfills', body })) as BackfillView;
}

export async function countBackfill(call: CallApi, ask: BackfillAsk): Promise<BackfillCountView> {
  const body = { ...ask, dryRun: true };
  return (await call({ method: 'POST', path: '/v1/backfills', body })) as BackfillCountView;
}

/** Oldest first. */
export function listBackfills(call: CallApi, subscriberId?: string): Promise<readonly BackfillView[]> {
  return allPages(call, '/v1/backfills', { subscriberId });
}

export async function showBackfill(call: CallApi, id: string): Promise<BackfillView> {
  return (await call({ method: 'GET', path: pathOf('v1', 'backfills', id) })) as BackfillView;
}

export async function cancelBackfill(call: CallApi, id: string): Promise<BackfillView> {
  return (await call({ method: 'DELETE', path: pathOf('v1', 'backfills', id) })) as BackfillView;
}
