import { type CallApi, pathOf } from './relay-api.ts';

/** How many events were listed, and what became of them: each stands in one bucket. */
export interface AuditCounts {
  readonly listed: number;
  readonly missing: number;
  readonly setAside: number;
  readonly failed: number;
  readonly held: number;
  readonly pending: number;
  readonly cancelled: number;
  readonly delivered: number;
  readonly filtered: number;
}

export interface AuditedStreamView extends AuditCounts {
  readonly clinicId: string;
  readonly category: string;
  readonly balanced: boolean;
  readonly withoutId: number;
  readonly repaired: number;
  readonly missingIds: readonly string[];
  readonly problem: string | null;
}

export interface AuditView extends AuditCounts {
  readonly id: string;
  readonly state: 'running' | 'done' | 'cancelled';
  readonly repair: boolean;
  readonly progress: { readonly streams: number; readonly done: number };
  /** `null` until it is done. */
  readonly balanced: boolean | null;
  /** Listed without an id that can be used. */
  readonly withoutId: number;
  readonly repaired: number;
  /** The first 1,000. */
  readonly missingIds: readonly string[];
  /** Empty while it is running, as `streams` is. */
  readonly unlisted: readonly UnlistedStreamView[];
  readonly streams: readonly AuditedStreamView[];
}

/** A stream of which the audit says nothing; `off` and `paused` were decided by the vendor or a person. */
export interface UnlistedStreamView {
  readonly clinicId: string;
  readonly category: string;
  readonly reason: 'off' | 'paused' | 'noAccess' | 'failed' | 'outOfTime';
  readonly detail: string;
}

export interface AuditAsk {
  /** Its id or name; all clinics without it. */
  readonly clinicId?: string | undefined;
  /** Take in what is missing. */
  readonly repair: boolean;
}

export async function startAudit(call: CallApi, body: AuditAsk): Promise<AuditView> {
  return (await call({ method: 'POST', path: '/v1/audits', body })) as AuditView;
}

export async function showAudit(call: CallApi, id: string): Promise<AuditView> {
  return (await call({ method: 'GET', path: pathOf('v1', 'audits', id) })) as AuditView;
}

export async function cancelAudit(call: CallApi, id: string): Promise<AuditView> {
  return (await call({ method: 'DELETE', path: pathOf('v1', 'audits', id) })) as AuditView;
}
