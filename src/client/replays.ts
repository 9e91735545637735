import { type CallApi, pathOf } from './relay-api.ts';
import type { ReplayCountView, ReplayStartedView, ReplayView } from './views.ts';

export interface ReplayAsk {
  /** `failed` leaves out what was skipped; `skipped` names it. */
  readonly state: 'failed' | 'skipped' | 'delivered';
  readonly subscriberId?: string | undefined;
  readonly clinicId?: string | undefined;
  readonly eventType?: string | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
}

/** Starts a new round for one delivery, or says why it is left as it is. */
export async function replayDelivery(call: CallApi, id: string): Promise<ReplayStartedView> {
  const path = pathOf('v1', 'deliveries', id, 'replay');
  return (await call({ method: 'POST', path })) as ReplayStartedView;
}

/** A dry run: nothing is changed. */
export async function countReplay(call: CallApi, ask: ReplayAsk): Promise<ReplayCountView> {
  return (await call({
    method: 'POST',
    path: '/v1/replays',
    body: { ...ask, dryRun: true },
  })) as ReplayCountView;
}

export async function startReplay(call: CallApi, body: ReplayAsk): Promise<ReplayView> {
  return (await call({ method: 'POST', path: '/v1/replays', body })) as ReplayView;
}

export async function showReplay(call: CallApi, id: string): Promise<ReplayView> {
  return (await call({ method: 'GET', path: pathOf('v1', 'replays', id) })) as ReplayView;
}
