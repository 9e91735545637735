import { type CallApi, pathOf } from './relay-api.ts';

export interface ReplayView {
  readonly id: string;
  readonly state: 'running' | 'done' | 'cancelled';
  /** How many deliveries it found to replay. */
  readonly matched: number;
  /** How many of them it has gone through. */
  readonly done: number;
  /** For how many of those the event was kept no longer and was fetched again. */
  readonly fetched: number;
  /** How many were left as they are, because nobody has their event any more. */
  readonly notKept: number;
  /** How many were left as they are, because their event could not be fetched at the time. */
  readonly notFetched: number;
}

/** What a replay of one delivery did: a `newRound`, made `due` now, or left as it is. */
export interface ReplayStartedView {
  readonly deliveryId: string;
  readonly kind: 'newRound' | 'due' | 'inFlight' | 'held';
  /** The relay did not have the event any more, and fetched it from Fullscript again. */
  readonly isFetched: boolean;
}

/** What a replay would go through; nothing is changed. */
export interface ReplayCountView {
  readonly matched: number;
  /** Of these, whose event would have to be fetched again. */
  readonly toFetch: number;
}

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
